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
    /// `OBS_CACHE_SIZE` as it was then; `None` where it has no cache.
    pub cache_mib: Option<String>,
    /// `OBS_CACHE_DIR` as it was then; `None` where it has no cache.
    pub cache_dir: Option<String>,
    /// `OBS_WORKER_BINARIES_PROXY` as it was then.
    pub binaries_proxy: Option<String>,
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
        let differing = |process: &Process| process.differs(settings);
        self.processes.iter().find_map(differing)
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
            cache_mib: values("--cachesize").next_back(),
            cache_dir: values("--cachedir").next_back(),
            binaries_proxy: values("--getbinariesproxy").next_back(),
        })
    }

    /// How it differs from the settings.
    fn differs(&self, settings: &WorkerSettings) -> Option<String> {
        let jobs = self.jobs.as_deref().unwrap_or_default();
        let servers = &self.repository_servers;
        if jobs != settings.jobs().to_string() || servers != settings.repository_servers() {
            return Some(format!(
                "a process with jobs {jobs} for {}",
                servers.join(" ")
            ));
        }
        if let Some(found) = self.other_cache(settings) {
            return Some(found);
        }
        let wanted = settings.binaries_proxy();
        let found = self.binaries_proxy.as_deref();
        let differs = wanted.is_some() && wanted != found;
        differs.then(|| format!("a process with binaries proxy {}", found.unwrap_or("none")))
    }

    /// How its cache differs. The service has none where a size or a directory is not set: where it is left to the
    /// image to name a directory, it may be that it names none, and a new start would change nothing.
    fn other_cache(&self, settings: &WorkerSettings) -> Option<String> {
        let (size, dir) = (self.cache_mib.as_deref(), self.cache_dir.as_deref());
        let wanted = settings.cache_mib().map(|mib| mib.to_string());
        let sized = wanted.is_none() || wanted.as_deref() == size;
        let placed = settings.cache_dir().is_none() || settings.cache_dir() == dir;
        let both = wanted.is_some() && settings.cache_dir().is_some();
        let differs = (both || size.is_some()) && !(sized && placed);
        differs.then(|| match size.zip(dir) {
            Some((size, dir)) => format!("a process with a cache of {size} MiB in {dir}"),
            None => "a process without a cache".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::sysconfig::tests::{all_settings, settings};

    fn service(options: &str) -> Service {
        let servers = "--reposerver http://10.0.0.5:5252 --reposerver http://obs-2.example:5252";
        let line = format!("7 bs_worker --jobs 32 --statedir /run/obs/worker/1 {servers}{options}");
        let stdout = format!("active\n{line}\n");
        Service::parse(&Output {
            stdout,
            ..Output::default()
        })
        .unwrap()
    }

    const CACHE: &str = " --cachedir /var/cache/obs-worker --cachesize 51200";
    const PROXY: &str = " --getbinariesproxy http://10.0.0.7:5254";

    #[test]
    fn processes_with_another_cache_or_proxy_have_to_be_started_anew() {
        let outdated = |options: &str| service(options).outdated(&all_settings());
        assert_eq!(outdated(&format!("{CACHE}{PROXY}")), None);
        for (options, found) in [
            (PROXY.to_owned(), "a process without a cache"),
            (CACHE.to_owned(), "a process with binaries proxy none"),
            (
                format!("{}{PROXY}", CACHE.replace("51200", "4096")),
                "a process with a cache of 4096 MiB in /var/cache/obs-worker",
            ),
            (
                format!("{}{PROXY}", CACHE.replace("/var", "/srv")),
                "a process with a cache of 51200 MiB in /srv/cache/obs-worker",
            ),
        ] {
            assert_eq!(outdated(&options).as_deref(), Some(found), "{options}");
        }
    }

    #[test]
    fn what_is_left_to_the_image_makes_no_process_outdated() {
        for options in ["", CACHE, PROXY] {
            assert_eq!(service(options).outdated(&settings()), None, "{options}");
        }
        let mut setup = crate::ssh::sysconfig::tests::setup();
        setup.cache_mib = Some(51_200);
        let sized = crate::ssh::sysconfig::tests::settings_of(&setup);
        // the image names no directory: a new start would change nothing
        assert_eq!(service("").outdated(&sized), None);
        assert!(
            service(&CACHE.replace("51200", "1"))
                .outdated(&sized)
                .is_some()
        );
    }
}
