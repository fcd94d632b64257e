//! The worker's settings file, `/etc/sysconfig/obs-server`: `KEY="value"` lines that a shell sources,
//! so that the last assignment of a key is the one that counts. Pure.

use crate::config::Backend;
use crate::model::{BackendName, Setup};
use std::collections::BTreeMap;
use std::fmt;

/// Settings that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// A worker is to serve a backend that is not there.
    #[error("backend {0:?} is not configured")]
    Backend(String),
    /// A value that a shell would not take literally.
    #[error("{0:?} is not an address: letters, digits and any of '.:-_[]'")]
    Address(String),
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    source_server: String,
    repository_servers: Vec<String>,
    instances: u32,
    jobs: u32,
}

/// A setting that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key, such as `OBS_WORKER_JOBS`.
    pub key: &'static str,
    /// Its value; `None` where it is not set.
    pub found: Option<String>,
    /// What it should be.
    pub expected: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(found) => write!(f, "{}={found:?}", self.key),
            None => write!(f, "{} not set", self.key),
        }
    }
}

impl WorkerSettings {
    /// What a worker is told: all its backends, the first one as the source server.
    ///
    /// # Errors
    /// A backend that is not configured, or an address that cannot stand in such a file.
    pub fn of(
        setup: &Setup,
        backends: &BTreeMap<BackendName, Backend>,
    ) -> Result<Self, InvalidSettings> {
        let missing = |name: &str| InvalidSettings::Backend(name.to_owned());
        let served: Vec<&Backend> = setup
            .backends
            .iter()
            .map(|name| backends.get(name).ok_or_else(|| missing(name.as_str())))
            .collect::<Result<_, _>>()?;
        let first = served.first().ok_or_else(|| missing(""))?;
        let servers = served.iter().map(|b| address(&b.worker_repository_server));
        Ok(Self {
            source_server: address(&first.worker_source_server)?,
            repository_servers: servers.collect::<Result<_, _>>()?,
            instances: setup.instances,
            jobs: setup.jobs,
        })
    }

    /// The repository servers, `host:port`.
    #[must_use]
    pub fn repository_servers(&self) -> &[String] {
        &self.repository_servers
    }

    /// How many instances run on the worker.
    #[must_use]
    pub const fn instances(&self) -> u32 {
        self.instances
    }

    /// How many jobs `make` may run in one build.
    #[must_use]
    pub const fn jobs(&self) -> u32 {
        self.jobs
    }

    /// Keys and values, in the order in which they are written.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, String); 4] {
        [
            ("OBS_SRC_SERVER", self.source_server.clone()),
            ("OBS_REPO_SERVERS", self.repository_servers.join(" ")),
            ("OBS_WORKER_INSTANCES", self.instances.to_string()),
            ("OBS_WORKER_JOBS", self.jobs.to_string()),
        ]
    }

    /// The lines that set them, in any file, when they stand at its end.
    #[must_use]
    pub fn lines(&self) -> String {
        let pairs = self.pairs();
        pairs
            .iter()
            .map(|(k, v)| format!("{k}=\"{v}\"\n"))
            .collect()
    }

    /// Where the file differs from what is wanted.
    #[must_use]
    pub fn differences(&self, text: &str) -> Vec<Difference> {
        let differs = |(key, expected): (&'static str, String)| {
            let found = value_of(text, key);
            (found.as_ref() != Some(&expected)).then_some(Difference {
                key,
                found,
                expected,
            })
        };
        self.pairs().into_iter().filter_map(differs).collect()
    }

    /// The file with everything set as wanted. Where the last assignment of a key is a plain one it
    /// is replaced in place, else one is added at the end; everything else stays as it is.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        for Difference { key, expected, .. } in self.differences(text) {
            let last = lines
                .iter_mut()
                .rev()
                .find(|l| Assignment::of(l).is_some_and(|a| a.key == key));
            let replaced = last.and_then(|line| {
                let new = Assignment::of(line)?.replaced(&expected)?;
                *line = new;
                Some(())
            });
            if replaced.is_none() {
                end_line(&mut lines);
                lines.push(format!("{key}=\"{expected}\"\n"));
            }
        }
        lines.concat()
    }
}

/// The value of a key in such a file; `None` where it is not set.
pub(super) fn value_of(text: &str, key: &str) -> Option<String> {
    let assignments = text.lines().filter_map(Assignment::of);
    let last = assignments.filter(|a| a.key == key).last();
    last.map(Assignment::into_value)
}

fn end_line(lines: &mut [String]) {
    if let Some(last) = lines.last_mut().filter(|l| !l.ends_with('\n')) {
        last.push('\n');
    }
}

/// What may stand between double quotes without a shell or systemd seeing more in it.
fn address(text: &str) -> Result<String, InvalidSettings> {
    let lawful = |c: char| c.is_ascii_alphanumeric() || ".:-_[]".contains(c);
    if !text.is_empty() && text.chars().all(lawful) {
        Ok(text.to_owned())
    } else {
        Err(InvalidSettings::Address(text.to_owned()))
    }
}

/// A line that sets a key, as far as it can be understood without running it.
struct Assignment<'a> {
    key: &'a str,
    right: &'a str,
    /// The value and what follows it (nothing, or a comment), where the line does nothing else.
    plain: Option<(String, &'a str)>,
    indented: bool,
}

impl<'a> Assignment<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let trimmed = line.trim_start_matches([' ', '\t']);
        let body = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        let (key, right) = body.split_once('=')?;
        let named = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let right = right.trim_end_matches('\n');
        named.then(|| Self {
            key,
            right,
            plain: word(right).filter(|(_, rest)| is_comment(rest)),
            indented: body.len() != line.len(),
        })
    }

    /// The value; what is written there where it would take a shell to know it.
    fn into_value(self) -> String {
        let literally = || self.right.to_owned();
        self.plain.map_or_else(literally, |(value, _)| value)
    }

    /// The line with another value; `None` where the line may do more than set the key, or may
    /// stand in a branch that is not taken.
    fn replaced(&self, value: &str) -> Option<String> {
        let (_, rest) = self.plain.as_ref().filter(|_| !self.indented)?;
        Some(format!("{}=\"{value}\"{rest}\n", self.key))
    }
}

fn is_comment(rest: &str) -> bool {
    let text = rest.trim_start_matches([' ', '\t']);
    text.is_empty() || (text.starts_with('#') && text.len() != rest.len())
}

/// The first word, unquoted, and what follows it; `None` where a shell would do more than unquote.
fn word(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, ' ' | '\t') => return Some((value, text.get(at..)?)),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None | Some('"'), '\\' | '$' | '`') => return None,
            (None, ';' | '&' | '|' | '(' | ')' | '<' | '>' | '~') => return None,
            _ => value.push(c),
        }
    }
    quote.is_none().then_some((value, ""))
}

#[cfg(test)]
#[path = "sysconfig_tests.rs"]
pub(in crate::ssh) mod tests;
