//! Draining: by the worker's own state files, or, where that was not proved on the code that it runs, by its backends.

use super::{Hands, NotPrepared};
use crate::config::BackendHost;
use crate::model::{BackendName, Member};
use crate::policy::{DrainOutcome, DrainReport, setup};
use crate::ssh::{
    self, Access, Pinned, RemoteShell, SshError, Unpinned, disable_pattern, known_pin,
};
use jiff::Timestamp;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Why a worker can not be told to its backends.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    /// Who serves it is not known.
    #[error(transparent)]
    NotPrepared(#[from] NotPrepared),
    /// Its name is no plain one.
    #[error("its name can not stand in workers/disable")]
    Name,
    /// A backend's host is not configured.
    #[error("no ssh.backend_hosts.{0} is configured")]
    NoHost(BackendName),
    /// The host key of a backend's host is not known.
    #[error("the host of backend {0}: {1}")]
    Unpinned(BackendName, Unpinned),
    /// The session or the command there failed.
    #[error("the host of backend {0}: {1}")]
    Ssh(BackendName, SshError),
}

impl Hands {
    pub(super) async fn drain(&self, member: &Member, ip: IpAddr) -> DrainReport {
        let at = self.clock.now();
        let outcome = match self.host(member, ip) {
            Ok(host) => match ssh::drain(&self.access, &host).await.outcome {
                ssh::DrainOutcome::Drained => DrainOutcome::AllLeft,
                ssh::DrainOutcome::Remaining(left) => {
                    DrainOutcome::Remaining(u32::try_from(left).unwrap_or(u32::MAX))
                }
                ssh::DrainOutcome::Unproved(code) => self.disable(member, &code, at).await,
                ssh::DrainOutcome::Unreachable(why) => DrainOutcome::Unreachable(why.to_string()),
            },
            Err(why) => DrainOutcome::Unreachable(why.to_string()),
        };
        DrainReport { at, outcome }
    }

    /// Tells every backend of a worker to give it no more jobs.
    async fn disable(&self, member: &Member, code: &str, at: Timestamp) -> DrainOutcome {
        let told = self.disabled(member).await;
        match told {
            Ok(least) => DrainOutcome::Disabled {
                since: at.checked_sub(least).unwrap_or(Timestamp::MIN),
            },
            Err(why) => DrainOutcome::Unproved(format!("worker code {code}; {why}")),
        }
    }

    /// For how long the last of them has known. All or none: one that is not told goes on handing out jobs.
    async fn disabled(&self, member: &Member) -> Result<Duration, NotTold> {
        let pattern = pattern(member)?;
        let of = |backend: BackendName| match self.config.ssh.backend_hosts.get(&backend) {
            Some(host) => Ok((backend, host)),
            None => Err(NotTold::NoHost(backend)),
        };
        let backends = setup::backends(member, self.pool(&member.pool)?);
        let hosts: Vec<_> = backends.into_iter().map(of).collect::<Result<_, _>>()?;
        let mut least = Duration::MAX;
        for (backend, host) in hosts {
            least = least.min(self.tell(&backend, host, &pattern, Word::Disable).await?);
        }
        Ok(least)
    }

    /// Has all the backends of a worker give it jobs again: it may have been disabled, or another one of its name
    /// before it. Told before it reports for the first time: a backend that has it disabled takes that report for
    /// a goodbye, and hears the next one after 5 minutes. A backend whose host is not configured was never told.
    pub(super) async fn enabled(&self, member: &Member) -> Result<(), String> {
        let pool = self.pool(&member.pool).map_err(|why| why.to_string())?;
        let Ok(pattern) = pattern(member) else {
            return Ok(());
        };
        for backend in setup::backends(member, pool) {
            if let Some(host) = self.config.ssh.backend_hosts.get(&backend) {
                let told = self.tell(&backend, host, &pattern, Word::Enable).await;
                told.map_err(|why| why.to_string())?;
            }
        }
        Ok(())
    }

    async fn tell(
        &self,
        backend: &BackendName,
        host: &BackendHost,
        pattern: &str,
        word: Word,
    ) -> Result<Duration, NotTold> {
        let access = self.access.with_user(&host.user);
        let known_hosts = self.config.ssh.known_hosts_file.as_deref();
        let pin = known_pin(
            known_hosts,
            &[&host.address.ip().to_string()],
            host.address.port(),
        );
        let pin = pin.map_err(|why| NotTold::Unpinned(backend.clone(), why))?;
        let pinned = Pinned::new(host.address, pin);
        let told = speak(&access, &pinned, host, pattern, word).await;
        told.map_err(|why| NotTold::Ssh(backend.clone(), why))
    }
}

fn pattern(member: &Member) -> Result<String, NotTold> {
    let name = member.name.as_ref();
    name.and_then(disable_pattern).ok_or(NotTold::Name)
}

/// What a backend is told of a worker.
#[derive(Debug, Clone, Copy)]
enum Word {
    Disable,
    Enable,
}

async fn speak(
    access: &Access,
    pinned: &Pinned<SocketAddr>,
    host: &BackendHost,
    pattern: &str,
    word: Word,
) -> Result<Duration, SshError> {
    let shell = RemoteShell::connect(access, pinned).await?;
    let dir = host.workers_dir.as_deref();
    match word {
        Word::Disable => shell.disable(dir, pattern).await,
        Word::Enable => shell.enable(dir, pattern).await.map(|()| Duration::ZERO),
    }
}
