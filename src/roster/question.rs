//! What is asked of the workers, as it stands in a query: `ip=…&ip=…&window=5m&resource=cpu,mem`.

use super::Worker;
use crate::model::USE_KEPT;
use std::net::IpAddr;
use std::time::Duration;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnswered {
    /// No worker has this address.
    #[error(
        "no worker has the address {0}: the cloud does not list it as ours, and no backend shows it"
    )]
    UnknownAddress(String),
    /// The question itself.
    #[error("{key}: found {found:?}, expected {expected}")]
    Question {
        /// The parameter.
        key: String,
        /// What it says.
        found: String,
        /// What it may say.
        expected: &'static str,
    },
    /// The workers' use of their resources is not read.
    #[error("nobody reads what the workers do: hosts.resource_use is none")]
    NotRead,
}

/// A question about workers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Only these; all where there are none.
    pub ips: Vec<IpAddr>,
    /// Only those that are idle.
    pub idle: bool,
}

/// Something that a worker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Its processors.
    Cpu,
    /// Its memory.
    Memory,
    /// The operations of its disks.
    Iops,
    /// Its network.
    Network,
}

impl Resource {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Iops, Self::Network];

    /// The word in questions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "mem",
            Self::Iops => "iops",
            Self::Network => "net",
        }
    }

    fn read(word: &str) -> Option<Self> {
        let named = |r: &Self| r.as_str().eq_ignore_ascii_case(word);
        Self::ALL.into_iter().find(named)
    }
}

/// A question about what workers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageAsked {
    /// Of which.
    pub of: Asked,
    /// Over which while.
    pub window: Duration,
    /// The same, as it was asked.
    pub times: String,
    /// Of which resources.
    pub resources: Vec<Resource>,
}

/// What `GET /api/v1/workers` and its neighbours are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Which workers there are.
    Workers(Asked),
    /// What their instances do.
    Instances(Asked),
    /// How many instances wait, by architecture and level.
    Idle(Asked),
    /// What they use.
    Usage(UsageAsked),
}

impl Question {
    /// The question at this path below `/api/v1/`; `None` where there is none.
    ///
    /// # Errors
    /// Names what is wrong with the question.
    pub fn read(path: &str, query: &str) -> Result<Option<Self>, NotAnswered> {
        Ok(Some(match path {
            "workers" => Self::Workers(Asked::read(query)?),
            "instances" => Self::Instances(Asked::read(query)?),
            "instances/idle" => Self::Idle(Asked::read(query)?),
            "workers/usage" => Self::Usage(UsageAsked::read(query)?),
            _ => return Ok(None),
        }))
    }

    pub(super) const fn asked(&self) -> &Asked {
        match self {
            Self::Workers(asked) | Self::Instances(asked) | Self::Idle(asked) => asked,
            Self::Usage(asked) => &asked.of,
        }
    }
}

fn wrong(key: &str, found: &str, expected: &'static str) -> NotAnswered {
    NotAnswered::Question {
        key: key.to_owned(),
        found: found.to_owned(),
        expected,
    }
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

impl Asked {
    /// Reads `ip=10.0.0.11`, any number of times, and `idle=true`.
    ///
    /// # Errors
    /// Names what is wrong with the question.
    pub fn read(query: &str) -> Result<Self, NotAnswered> {
        let mut asked = Self::default();
        for (key, value) in parameters(query) {
            asked.take(key, value)?;
        }
        Ok(asked)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), NotAnswered> {
        match key {
            "ip" => {
                let ip = value.parse();
                let ip = ip.map_err(|_| wrong(key, value, "an address such as 10.0.0.11"))?;
                self.ips.push(ip);
            }
            "idle" => {
                let idle = value.parse();
                self.idle = idle.map_err(|_| wrong(key, value, "true or false"))?;
            }
            _ => {
                return Err(wrong(
                    key,
                    value,
                    "one of the parameters that are known here",
                ));
            }
        }
        Ok(())
    }

    /// Those of the workers that are meant.
    ///
    /// # Errors
    /// Names an address that no worker has.
    pub fn of(&self, workers: Vec<Worker>) -> Result<Vec<Worker>, NotAnswered> {
        let has = |ip: &&IpAddr| workers.iter().any(|worker| worker.ip == Some(**ip));
        if let Some(unknown) = self.ips.iter().find(|ip| !has(ip)) {
            return Err(NotAnswered::UnknownAddress(unknown.to_string()));
        }
        let meant = |worker: &Worker| {
            self.ips.is_empty() || worker.ip.is_some_and(|ip| self.ips.contains(&ip))
        };
        Ok(workers.into_iter().filter(meant).collect())
    }
}

impl UsageAsked {
    /// Reads `ip`, as above, `window=5m` (the default; at most an hour) and `resource=cpu,mem,iops,net`.
    ///
    /// # Errors
    /// Names what is wrong with the question.
    pub fn read(query: &str) -> Result<Self, NotAnswered> {
        let mut asked = Self {
            of: Asked::default(),
            window: Duration::from_secs(300),
            times: "5m".to_owned(),
            resources: Resource::ALL.to_vec(),
        };
        for (key, value) in parameters(query) {
            match key {
                "window" => {
                    asked.window = window(value)?;
                    value.clone_into(&mut asked.times);
                }
                "resource" => {
                    let expected = "some of cpu, mem, iops and net, with commas between";
                    let read =
                        |word| Resource::read(word).ok_or_else(|| wrong(key, value, expected));
                    asked.resources = value.split(',').map(read).collect::<Result<_, _>>()?;
                }
                _ => asked.of.take(key, value)?,
            }
        }
        Ok(asked)
    }
}

fn window(text: &str) -> Result<Duration, NotAnswered> {
    let length = text.parse::<jiff::SignedDuration>().ok();
    let length = length.and_then(|length| Duration::try_from(length).ok());
    length
        .filter(|length| !length.is_zero() && *length <= USE_KEPT)
        .ok_or_else(|| wrong("window", text, "a time such as 5m, at most 1h"))
}
