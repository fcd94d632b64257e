//! Taking a worker out of service without killing a build.
//!
//! `cordon.pl` tells every instance, through the worker's own state file, to finish the job that it
//! has and to take no other. It may be repeated at any time, and has to be until it says that nothing
//! builds on the worker and nothing will. Cordoned instances stay, and refuse every job: a worker that
//! is told to leave by OBS' own means may lose a job in its last moments.

use super::verb::Verb;
use super::{Access, Command, Output, Pinned, RemoteShell, Service, SshError};
use std::net::SocketAddr;
use std::time::Duration;

/// Between two looks at a service that is said to be active and has no process.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What a look at a worker on its way out has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReport {
    /// How far it is.
    pub outcome: DrainOutcome,
    /// What the cordon found and made of each instance.
    pub instances: Vec<InstanceLine>,
}

/// How far a worker is on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Nothing builds there, and nothing will: every instance is cordoned or was never there. The
    /// service may be stopped, the server deleted.
    Drained,
    /// So many instances are not there yet; at least 1.
    Remaining(usize),
    /// Some instance runs worker code, with this digest, that the cordon was not proved on: it was left as it is.
    Unproved(String),
    /// It could not be learnt: nothing may be concluded.
    Unreachable(SshError),
}

/// One line of the cordon: an instance's number and its state before and after, in the words that
/// `cordon.pl` lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceLine {
    /// The name of its state directory, which is its number.
    pub instance: String,
    /// What it did.
    pub before: String,
    /// What it will do.
    pub after: String,
}

/// Connects, cordons what is not cordoned yet, and says how many instances are not done.
pub async fn drain(access: &Access, host: &Pinned<SocketAddr>) -> DrainReport {
    match RemoteShell::connect(access, host).await {
        Ok(shell) => cordon(&shell).await,
        Err(why) => DrainReport::unreachable(why),
    }
}

/// The same, on a worker that is connected already.
pub async fn cordon(shell: &RemoteShell) -> DrainReport {
    let looked = look(shell).await;
    looked.unwrap_or_else(DrainReport::unreachable)
}

impl RemoteShell {
    /// Tells every instance to finish its job and to take no other; nothing to one whose code was not proved.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn cordon(&self) -> Result<Output, SshError> {
        let proved = &self.proved;
        self.run(Command::Cordon { proved }).await
    }

    /// Takes every cordoned instance back.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn uncordon(&self) -> Result<Output, SshError> {
        let proved = &self.proved;
        self.run(Command::Uncordon { proved }).await
    }

    /// Stops the service, where every instance is cordoned.
    ///
    /// # Errors
    /// As [`Self::run`]; where an instance is not cordoned nothing is stopped.
    pub async fn stop_drained(&self) -> Result<(), SshError> {
        let proved = &self.proved;
        self.run(Command::StopDrainedService { proved }).await?;
        Ok(())
    }
}

async fn look(shell: &RemoteShell) -> Result<DrainReport, SshError> {
    let output = shell.cordon().await?;
    let instances = InstanceLine::parse(&output)?;
    let mut service = shell.service().await?;
    if service.unit == "active" && service.processes.is_empty() {
        // just started, or long left: systemd says the same of both
        tokio::time::sleep(SECOND_LOOK).await;
        service = shell.service().await?;
    }
    Ok(DrainReport {
        outcome: outcome(output.status, &instances, &service),
        instances,
    })
}

/// Processes are looked at after the cordon: an instance that came between the two looks is seen.
fn outcome(status: u32, instances: &[InstanceLine], service: &Service) -> DrainOutcome {
    if let Some(code) = instances.iter().find_map(InstanceLine::unproved) {
        return DrainOutcome::Unproved(code.to_owned());
    }
    let building = instances.iter().filter(|line| !line.is_done()).count();
    let new = service.state_dirs();
    let new = new
        .iter()
        .filter(|dir| !instances.iter().any(|line| line.is_of(dir)));
    let left = building + new.count();
    if status == 0 && left == 0 && !service.is_changing() {
        DrainOutcome::Drained
    } else {
        DrainOutcome::Remaining(left.max(1))
    }
}

impl DrainReport {
    const fn unreachable(why: SshError) -> Self {
        Self {
            outcome: DrainOutcome::Unreachable(why),
            instances: Vec::new(),
        }
    }
}

impl InstanceLine {
    /// Whether it builds nothing and takes nothing.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.after.as_str(), "cordoned" | "gone")
    }

    /// Whether it takes jobs, now or after the one that it has; of one that is not there nothing is expected.
    #[must_use]
    pub fn takes_jobs(&self) -> bool {
        matches!(self.after.as_str(), "idle" | "building" | "gone")
    }

    /// The code that it runs, where the protocol was not proved on that: nothing was changed.
    #[must_use]
    pub fn unproved(&self) -> Option<&str> {
        self.after.strip_prefix("unproved:")
    }

    /// Whether it is the cordoned instance with this state directory.
    fn is_of(&self, state_dir: &str) -> bool {
        let name = state_dir.trim_end_matches('/').rsplit('/').next();
        self.after != "gone" && name == Some(self.instance.as_str())
    }

    /// The lines of a cordon, or of a taking back.
    ///
    /// # Errors
    /// A line that is not understood.
    pub fn parse(output: &Output) -> Result<Vec<Self>, SshError> {
        let line = |line: &str| match *line.split(' ').collect::<Vec<_>>() {
            [instance, before, after] => Ok(Self {
                instance: instance.to_owned(),
                before: before.to_owned(),
                after: after.to_owned(),
            }),
            _ => Err(SshError::Answer {
                command: Verb::Cordon.task().name,
                found: line.to_owned(),
            }),
        };
        output.stdout.lines().map(line).collect()
    }
}

#[cfg(test)]
#[path = "cordon_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "cordon_places_tests.rs"]
mod places;
