//! The worker's service, as the worker itself sees it.

use super::{Command, Output, SshError, WorkerSettings};
use std::collections::BTreeSet;

/// The state of `obsworker.service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// systemd's word: `active`, `inactive`, `failed`, `activating`, …
    pub unit: String,
    /// Every worker process. An instance that builds has two.
    pub processes: Vec<Process>,
}

/// One `bs_worker` process, by its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its state directory: one for each instance.
    pub state_dir: String,
    /// `OBS_WORKER_JOBS` as it was when the process started.
    pub jobs: Option<String>,
    /// Its repository servers, `host:port`.
    pub repository_servers: Vec<String>,
}

impl Service {
    pub(super) fn parse(output: &Output) -> Result<Self, SshError> {
        let answer = |found: &str| SshError::Answer {
            command: Command::Service.name(),
            found: found.to_owned(),
        };
        let mut lines = output.stdout.lines();
        let unit = lines.next().ok_or_else(|| answer(""))?;
        let lines = lines.filter(|line| !line.is_empty() && !is_dead(line));
        let processes = lines.map(|l| Process::parse(l).ok_or_else(|| answer(l)));
        Ok(Self {
            unit: unit.to_owned(),
            processes: processes.collect::<Result<_, _>>()?,
        })
    }

    /// The state directories of the instances that run.
    #[must_use]
    pub fn state_dirs(&self) -> BTreeSet<&str> {
        let dirs = self.processes.iter().map(|p| p.state_dir.as_str());
        dirs.collect()
    }

    /// Whether systemd is about to change something.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        matches!(
            self.unit.as_str(),
            "activating" | "deactivating" | "reloading"
        )
    }

    /// How the processes that run differ from the settings: those are read at the start only.
    #[must_use]
    pub fn outdated(&self, settings: &WorkerSettings) -> Option<String> {
        self.processes.iter().find_map(|process| {
            let jobs = process.jobs.as_deref().unwrap_or_default();
            let servers = &process.repository_servers;
            let differs =
                jobs != settings.jobs().to_string() || servers != settings.repository_servers();
            differs.then(|| format!("a process with jobs {jobs} for {}", servers.join(" ")))
        })
    }
}

/// A child that the worker has not taken notice of yet: no command line, so brackets (procps).
fn is_dead(line: &str) -> bool {
    line.split(' ').nth(1) == Some("[bs_worker]")
}

impl Process {
    /// Reads `PID bs_worker --jobs 4 --statedir DIR --reposerver http://HOST:PORT …`, the words that
    /// the init script gives it; `None` where no state directory is named.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let values = |option: &'static str| {
            let pairs = words.windows(2);
            pairs.filter_map(move |pair| match pair {
                [name, value] if *name == option => Some((*value).to_owned()),
                _ => None,
            })
        };
        let server = |url: String| url.strip_prefix("http://").unwrap_or(&url).to_owned();
        Some(Self {
            state_dir: values("--statedir").next_back()?,
            jobs: values("--jobs").next_back(),
            repository_servers: values("--reposerver").map(server).collect(),
        })
    }
}
