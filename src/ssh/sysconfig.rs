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
    /// The same of a path or a URL.
    #[error("{0:?} is not a path or a URL: letters, digits and any of '.:-_[]/'")]
    Place(String),
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    source_server: String,
    repository_servers: Vec<String>,
    instances: u32,
    jobs: u32,
    cache_mib: Option<u64>,
    cache_dir: Option<String>,
    binaries_proxy: Option<String>,
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
            cache_mib: setup.cache_mib,
            cache_dir: setup.cache_dir.as_deref().map(place).transpose()?,
            binaries_proxy: setup.binaries_proxy.as_deref().map(place).transpose()?,
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

    /// The size of the cache of binaries in MiB; `None` where that is left as it is.
    #[must_use]
    pub const fn cache_mib(&self) -> Option<u64> {
        self.cache_mib
    }

    /// Where that cache is; `None` where that is left as it is.
    #[must_use]
    pub fn cache_dir(&self) -> Option<&str> {
        self.cache_dir.as_deref()
    }

    /// The base URL of the proxy for binaries; `None` where that is left as it is.
    #[must_use]
    pub fn binaries_proxy(&self) -> Option<&str> {
        self.binaries_proxy.as_deref()
    }

    /// Keys and values, in the order in which they are written. The keys are those that the service's init script
    /// reads (`/etc/init.d/obsworker` of OBS 2.9.4).
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let always = [
            ("OBS_SRC_SERVER", self.source_server.clone()),
            ("OBS_REPO_SERVERS", self.repository_servers.join(" ")),
            ("OBS_WORKER_INSTANCES", self.instances.to_string()),
            ("OBS_WORKER_JOBS", self.jobs.to_string()),
        ];
        let cache_mib = self.cache_mib.map(|mib| mib.to_string());
        let some = [
            ("OBS_CACHE_SIZE", cache_mib),
            ("OBS_CACHE_DIR", self.cache_dir.clone()),
            ("OBS_WORKER_BINARIES_PROXY", self.binaries_proxy.clone()),
        ];
        let some = some.into_iter();
        let some = some.filter_map(|(key, value)| Some((key, value?)));
        always.into_iter().chain(some).collect()
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
    /// is replaced in place, else one is added at the end; everything else stays as it is. So does a whole file
    /// that ends within a quote.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let found = assignments(text);
        let mut added = String::new();
        for Difference { key, expected, .. } in self.differences(text) {
            let at = found.iter().rposition(|(_, says)| says.concerns(key));
            let set = at.and_then(|at| found.get(at)?.1.assignment());
            let new = set.and_then(|set| set.replaced(&expected));
            let line = at.and_then(|at| lines.get_mut(at));
            match new.zip(line) {
                Some((new, line)) => *line = new,
                None => added.push_str(&format!("{key}=\"{expected}\"\n")),
            }
        }
        let kept = lines.concat();
        match ending(&kept) {
            Some(end) if !added.is_empty() => format!("{kept}{end}{added}"),
            Some(_) => kept,
            None => text.to_owned(),
        }
    }
}

/// The value of a key in such a file; `None` where it is not set.
pub(super) fn value_of(text: &str, key: &str) -> Option<String> {
    let mut lines = assignments(text).into_iter();
    let (line, says) = lines.rfind(|(_, says)| says.concerns(key))?;
    Some(says.value().unwrap_or_else(|| line.trim().to_owned()))
}

/// What a file's end lacks before something can be added: its last newline, and one more where that would be a
/// continuation. `None` where a quote is open: no shell gets through such a file, whatever is added.
fn ending(text: &str) -> Option<&'static str> {
    let last = text.split_inclusive('\n').fold(Open::Nothing, Open::after);
    let ended = text.is_empty() || text.ends_with('\n');
    match (last, ended) {
        (Open::Nothing, true) => Some(""),
        (Open::Nothing, false) | (Open::Line(_), true) => Some("\n"),
        (Open::Line(_), false) => Some("\n\n"),
        (Open::Quote(_), _) => None,
    }
}

/// What may stand between double quotes without a shell or systemd seeing more in it.
fn address(text: &str) -> Result<String, InvalidSettings> {
    literal(text, ".:-_[]").ok_or_else(|| InvalidSettings::Address(text.to_owned()))
}

fn place(text: &str) -> Result<String, InvalidSettings> {
    literal(text, ".:-_[]/").ok_or_else(|| InvalidSettings::Place(text.to_owned()))
}

fn literal(text: &str, besides: &str) -> Option<String> {
    let lawful = |c: char| c.is_ascii_alphanumeric() || besides.contains(c);
    let fits = !text.is_empty() && text.chars().all(lawful);
    fits.then(|| text.to_owned())
}

/// Every line, with what it says.
fn assignments(text: &str) -> Vec<(&str, Says<'_>)> {
    let lines = text.split_inclusive('\n');
    let lines = lines.scan(Open::Nothing, |open, line| {
        let begins = *open == Open::Nothing;
        *open = open.after(line);
        Some((
            line,
            if begins {
                Says::of(line)
            } else {
                Says::Other(line)
            },
        ))
    });
    lines.collect()
}

/// What a line says.
enum Says<'a> {
    /// Nothing: a comment.
    Nothing,
    Sets(Assignment<'a>),
    /// It goes on with what one before left open, or does what takes a shell to know.
    Other(&'a str),
}

impl<'a> Says<'a> {
    fn of(line: &'a str) -> Self {
        if is_comment(line.trim_end_matches('\n')) || line.starts_with('#') {
            return Self::Nothing;
        }
        Assignment::of(line).map_or(Self::Other(line), Self::Sets)
    }

    const fn assignment(&self) -> Option<&Assignment<'a>> {
        match self {
            Self::Sets(set) => Some(set),
            Self::Nothing | Self::Other(_) => None,
        }
    }

    /// Whether the key may be set there, as far as can be said without running it.
    fn concerns(&self, key: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Sets(set) if set.plain.is_some() => set.key == key,
            Self::Sets(set) => set.key == key || names(set.right, key),
            Self::Other(line) => names(line, key),
        }
    }

    fn value(self) -> Option<String> {
        match self {
            Self::Sets(set) => Some(set.into_value()),
            Self::Nothing | Self::Other(_) => None,
        }
    }
}

/// Whether the key stands there as a word of its own.
fn names(text: &str, key: &str) -> bool {
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !of_word(c)).any(|word| word == key)
}

/// What a line leaves open for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    /// This quote.
    Quote(char),
    /// The line itself: it ends in a backslash, within a word or not.
    Line(bool),
}

impl Open {
    fn after(self, line: &str) -> Self {
        let mut quote = match self {
            Self::Quote(open) => Some(open),
            Self::Nothing | Self::Line(_) => None,
        };
        let mut in_word = matches!(self, Self::Quote(_) | Self::Line(true));
        let mut chars = line.trim_end_matches('\n').chars();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (None, '#') if !in_word => return Self::Nothing,
                (None | Some('"'), '\\') if chars.next().is_none() => {
                    return quote.map_or(Self::Line(in_word), Self::Quote);
                }
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                _ => {}
            }
            in_word = quote.is_some() || !" \t;&|()".contains(c);
        }
        quote.map_or(Self::Nothing, Self::Quote)
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
