//! The checks of a new worker, over ssh: right machine, right settings, service running.
//! All that can only be looked at comes before anything that is set or started.
//!
//! The image has the service off; it is started here, last, once the rest is right. A worker that is
//! serving already with other settings is drained and stopped before they are changed. Whether OBS and the cloud
//! agree is judged elsewhere.

use super::{
    Access, Command, DrainOutcome, InstanceLine, Pinned, RemoteShell, Service, SshError,
    WorkerSettings, cordon,
};
use super::{Expected, Finding, Verdict, look};
use jiff::Timestamp;
use std::net::SocketAddr;
use std::time::Instant;

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The machine is what was ordered, and has the name of its server.
    Machine,
    /// It builds on the disk that is meant for it, with enough room.
    Disk,
    /// Its clock goes right.
    Clock,
    /// The cloud has it as what was ordered.
    Flavor,
    /// Its settings, in the file and in the processes that run.
    Config,
    /// The service runs, with all instances.
    Service,
    /// OBS lists every instance.
    Registered,
    /// The session holds to the end of the checks.
    Session,
}

impl Check {
    /// The checks on a machine, in the order in which they are run.
    pub const ORDER: [Self; 5] = [
        Self::Machine,
        Self::Disk,
        Self::Clock,
        Self::Config,
        Self::Service,
    ];

    /// The word in labels and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Flavor => "flavor",
            Self::Config => "config",
            Self::Service => "service",
            Self::Registered => "registered",
            Self::Session => "session",
        }
    }
}

/// How a check of a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Everything is as it should be.
    Passed,
    /// Something is not, or not yet: the next run may find it right.
    Failed {
        /// Which check.
        check: Check,
        /// What was found.
        found: String,
        /// What should be.
        expected: String,
    },
    /// No session came about, so nothing was done there.
    Unreachable(SshError),
}

/// The outcome of one run of the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// How it ended.
    pub outcome: CheckOutcome,
    /// When it began.
    pub at: Timestamp,
    /// Whether it ended before anything was set, started, stopped or cordoned there.
    pub untouched: bool,
}

/// Runs the checks in order, up to the first that is not passed, and mends what can be mended:
/// settings are set, the service is started. To be repeated until it passes or the deadline is over.
///
/// Once the machine is right, and before anything is done there, `welcome` sees to it that the worker's backends
/// will give it jobs, or says why they will not.
pub async fn check<F>(
    access: &Access,
    host: &Pinned<SocketAddr>,
    expected: &Expected,
    settings: &WorkerSettings,
    welcome: impl FnOnce() -> F,
    now: Timestamp,
) -> CheckReport
where
    F: Future<Output = Result<(), String>>,
{
    let begun = Instant::now();
    let (outcome, untouched) = match RemoteShell::connect(access, host).await {
        Ok(shell) => {
            let checked = all(&shell, expected, settings, welcome, (now, begun)).await;
            let untouched = matches!(checked, Err(Stop::Untouched(..)));
            (judge(checked), untouched)
        }
        Err(why) => (CheckOutcome::Unreachable(why), false),
    };
    CheckReport {
        outcome,
        at: now,
        untouched,
    }
}

/// A session that broke is no host that was not reached: the service may have been started in it.
fn judge(checked: Result<(), Stop>) -> CheckOutcome {
    let (check, found, expected) = match checked {
        Ok(()) => return CheckOutcome::Passed,
        Err(Stop::Failed(check, found, expected) | Stop::Untouched(check, found, expected)) => {
            (check, found, expected)
        }
        Err(Stop::Ssh(why)) => (Check::Session, why.to_string(), "an answer".to_owned()),
    };
    CheckOutcome::Failed {
        check,
        found,
        expected,
    }
}

/// Why the checks ended before the last.
enum Stop {
    Failed(Check, String, String),
    /// The same, before anything was done there.
    Untouched(Check, String, String),
    Ssh(SshError),
}

impl From<SshError> for Stop {
    fn from(error: SshError) -> Self {
        Self::Ssh(error)
    }
}

async fn all<F>(
    shell: &RemoteShell,
    expected: &Expected,
    settings: &WorkerSettings,
    welcome: impl FnOnce() -> F,
    clock: (Timestamp, Instant),
) -> Result<(), Stop>
where
    F: Future<Output = Result<(), String>>,
{
    machine(shell, expected, clock).await?;
    let unwelcome =
        |why| Stop::Untouched(Check::Registered, why, "not in workers/disable".to_owned());
    welcome().await.map_err(unwelcome)?;
    config(shell, settings).await?;
    service(shell, settings).await?;
    takes_jobs(shell).await
}

/// All that is looked at before anything is set or started.
async fn machine(
    shell: &RemoteShell,
    expected: &Expected,
    clock: (Timestamp, Instant),
) -> Result<(), Stop> {
    let findings = look::machine(shell, expected, clock).await;
    let bad = |f: &&Finding| matches!(f.verdict, Verdict::Wrong | Verdict::Unknown);
    let Some(finding) = findings.iter().find(bad) else {
        return Ok(());
    };
    let wanted = finding.expected.as_ref().map(ToString::to_string);
    let wanted = wanted.unwrap_or_else(|| "an answer".to_owned());
    Err(Stop::Untouched(
        finding.check,
        finding.found_words(),
        wanted,
    ))
}

async fn config(shell: &RemoteShell, settings: &WorkerSettings) -> Result<(), Stop> {
    let text = shell.read_settings().await?;
    let service = shell.service().await?;
    let found = faults(settings, &text).or_else(|| service.outdated(settings));
    let Some(found) = found else {
        return Ok(());
    };
    let expected = settings.lines().trim_end().replace('\n', ", ");
    stop(shell, &service, (Check::Config, &found, &expected)).await?;
    shell.write_settings(&settings.apply(&text)).await?;
    match faults(settings, &shell.read_settings().await?) {
        None => Ok(()),
        Some(found) => Err(Stop::Failed(Check::Config, found, expected)),
    }
}

/// Stops the service without harm to a build, or says what that has to wait for. Workers that the unit knows
/// nothing of would outlive it, with settings that are not those of the file.
async fn stop(
    shell: &RemoteShell,
    service: &Service,
    (check, found, expected): (Check, &str, &str),
) -> Result<(), Stop> {
    if !service.processes.is_empty() && !service.is_changing() && service.unit != "active" {
        let found = format!(
            "{}, and {} workers that it did not start",
            service.unit,
            service.processes.len()
        );
        return Err(Stop::Untouched(Check::Service, found, "active".to_owned()));
    }
    let with = |waits: &str| format!("{found}; {waits}");
    let expected = expected.to_owned();
    match cordon(shell).await.outcome {
        DrainOutcome::Drained => shell.stop_drained().await?,
        DrainOutcome::Remaining(n) => {
            let waits = format!("{n} instances have to finish first");
            return Err(Stop::Failed(check, with(&waits), expected));
        }
        DrainOutcome::Unproved(code) => {
            return Err(Stop::Untouched(check, with(&unproved(&code)), expected));
        }
        DrainOutcome::Unreachable(why) => return Err(Stop::Ssh(why)),
    }
    let left = shell.service().await?.processes.len();
    let outlived = format!("{left} workers outlived its stop");
    expect(Check::Service, left == 0, outlived, "none")
}

fn unproved(code: &str) -> String {
    format!(
        "it runs worker code {code}, on which cordoning was not proved (ssh.proved_worker_code)"
    )
}

/// Takes back what is cordoned: a worker that was on its way out, or whose settings are again as they were.
async fn takes_jobs(shell: &RemoteShell) -> Result<(), Stop> {
    let instances = InstanceLine::parse(&shell.uncordon().await?)?;
    let expected = "idle or building";
    let Some(line) = instances.iter().find(|line| !line.takes_jobs()) else {
        return Ok(());
    };
    let found = line.unproved().map_or_else(
        || format!("instance {} is {}", line.instance, line.after),
        unproved,
    );
    Err(Stop::Failed(Check::Service, found, expected.to_owned()))
}

fn faults(settings: &WorkerSettings, text: &str) -> Option<String> {
    let faults = settings.differences(text);
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

async fn service(shell: &RemoteShell, settings: &WorkerSettings) -> Result<(), Stop> {
    let mut service = shell.service().await?;
    if service.processes.is_empty() && !service.is_changing() {
        start(shell).await?;
        service = shell.service().await?;
    }
    let runs = service.unit == "active";
    expect(Check::Service, runs, service.unit.clone(), "active")?;
    let wanted = usize::try_from(settings.instances()).unwrap_or(usize::MAX);
    if service.state_dirs().len() != wanted {
        // what has left comes back only with all the others
        let found = format!("{} instances run", service.state_dirs().len());
        let expected = wanted.to_string();
        stop(shell, &service, (Check::Service, &found, &expected)).await?;
        start(shell).await?;
        service = shell.service().await?;
    }
    let instances = service.state_dirs().len();
    let found = format!("{instances} instances run");
    expect(Check::Service, instances == wanted, found, wanted)
}

/// A start that fails or hangs is the service's fault, not the connection's.
async fn start(shell: &RemoteShell) -> Result<(), Stop> {
    let started = shell.run(Command::StartService).await;
    match started {
        Ok(_) => Ok(()),
        Err(why @ (SshError::ExitStatus { .. } | SshError::TimedOut { .. })) => Err(Stop::Failed(
            Check::Service,
            why.to_string(),
            "active".to_owned(),
        )),
        Err(why) => Err(Stop::Ssh(why)),
    }
}

fn expect(check: Check, holds: bool, found: String, expected: impl ToString) -> Result<(), Stop> {
    if holds {
        Ok(())
    } else {
        Err(Stop::Failed(check, found, expected.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_whose_session_broke_half_way_was_reached() {
        let broke = SshError::Connect("reset".to_owned());
        let outcome = judge(Err(Stop::Ssh(broke)));
        let check = Check::Session;
        assert!(matches!(outcome, CheckOutcome::Failed { check: c, .. } if c == check));
    }
}
