//! The other way to keep jobs from a worker: its repository server is told to take it for down. It changes nothing
//! on the worker, and needs no cordon that was proved on its code; but the server looks only when an instance
//! reports that it is idle: after a job, or every 5 minutes (`bs_worker`, `periodic`; `bs_repserver`, `workerstate`).

use super::verb::Verb;
use super::{Command, RemoteShell, SshError};
use crate::model::HostName;
use std::time::Duration;

/// In place of a directory.
const WHERE_THE_SERVER_HAS_IT: &str = "-";

/// What a file in `workers/disable` is called for all instances of a worker and no other's: the repository server
/// takes the name as a pattern for the beginning of `HOST:N` (`bs_repserver`, `workerstate`). `None` where the
/// name holds what may mean more than itself in a pattern or a path.
#[must_use]
pub fn disable_pattern(host: &HostName) -> Option<String> {
    let host = host.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let lawful = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(plain);
    lawful.then(|| format!("{}:", host.replace('.', "[.]")))
}

impl RemoteShell {
    /// On the host of a repository server: tells it to give a worker no more jobs, by its name as a pattern
    /// ([`super::disable_pattern`]). `dir` is where it keeps its workers; `None`: as its configuration has it.
    /// Returns for how long it has been told.
    ///
    /// # Errors
    /// As [`Self::run`], or an answer that is not understood.
    pub async fn disable(&self, dir: Option<&str>, pattern: &str) -> Result<Duration, SshError> {
        let command = Command::Disable {
            workers_dir: dir.unwrap_or(WHERE_THE_SERVER_HAS_IT),
            pattern,
        };
        let found = self.run(command).await?.stdout;
        let seconds = found.trim().parse().map_err(|_| SshError::Answer {
            command: Verb::Disable.task().name,
            found,
        });
        Ok(Duration::from_secs(seconds?))
    }

    /// Takes that back; of a worker that was not disabled nothing is changed.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn enable(&self, dir: Option<&str>, pattern: &str) -> Result<(), SshError> {
        let command = Command::Enable {
            workers_dir: dir.unwrap_or(WHERE_THE_SERVER_HAS_IT),
            pattern,
        };
        self.run(command).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(host: &str) -> Option<String> {
        disable_pattern(&HostName::new(host))
    }

    #[test]
    fn a_name_in_the_directory_is_a_pattern_for_one_worker_only() {
        let made = pattern("w1.example.com").unwrap();
        let hits = |id: &str| {
            let pattern = regex::Regex::new(&format!("^{made}")).unwrap();
            pattern.is_match(id)
        };
        assert!(hits("w1.example.com:1") && hits("w1.example.com:12"));
        for other in [
            "w10.example.com:1",
            "w1xexample.com:1",
            "w1.example.com.cn:1",
            "w1:1",
        ] {
            assert!(!hits(other), "{other}");
        }
        assert_eq!(
            pattern("obs-x86-l1-001").as_deref(),
            Some("obs-x86-l1-001:")
        );
    }

    #[test]
    fn a_name_that_a_pattern_or_a_path_reads_otherwise_is_refused() {
        for name in [
            "", ".", "..", "a/b", "a*", "w|", "(w)", "w\\", "w\n", "-w", "w 1", "w$", "w\u{e9}",
        ] {
            assert_eq!(pattern(name), None, "{name:?}");
        }
    }
}
