//! What one OBS backend says of its workers and its jobs.

use super::{Arch, HostName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// One build slot of a worker: `HOST:N` in OBS (`workerid`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The worker's host name.
    pub host: HostName,
    /// The number of the instance on its host, from 1.
    pub number: u32,
}

impl InstanceId {
    /// Reads a `workerid`; `None` where it is not `HOST:N`.
    #[must_use]
    pub fn parse(workerid: &str) -> Option<Self> {
        let (host, number) = workerid.rsplit_once(':')?;
        let number = number.parse().ok()?;
        (!host.is_empty()).then(|| Self {
            host: HostName::new(host),
            number,
        })
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.number)
    }
}

/// What an instance does. The order is the precedence in which an instance that is listed twice is
/// counted once: building first, since that list comes from the jobs themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceState {
    /// Builds a job.
    Building,
    /// Waits for a job.
    Idle,
    /// Did not answer the dispatcher.
    Dead,
    /// Said goodbye, or was disabled; stays listed for ever.
    Down,
    /// Builds for another backend.
    Away,
}

impl InstanceState {
    /// Every state, in the order of precedence.
    pub const ALL: [Self; 5] = [
        Self::Building,
        Self::Idle,
        Self::Dead,
        Self::Down,
        Self::Away,
    ];

    /// The word used in labels and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Idle => "idle",
            Self::Dead => "dead",
            Self::Down => "down",
            Self::Away => "away",
        }
    }

    /// Whether the instance is there to build: a dead or down one is only remembered.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Building | Self::Idle | Self::Away)
    }
}

/// One instance, as one backend sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Which one.
    pub id: InstanceId,
    /// The architecture of its host; `None` for one that this program has no name for.
    pub arch: Option<Arch>,
    /// What it does.
    pub state: InstanceState,
    /// What it builds, while it builds.
    pub job: Option<PackageKey>,
}

/// One build, as OBS lists it: a job that is handed out again is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Build {
    /// What is built.
    pub job: PackageKey,
    /// Where.
    pub instance: InstanceId,
    /// When it was handed out (`starttime`).
    pub started: Option<Timestamp>,
    /// Where the instance answers (`http://IP:PORT`); only the repository server tells.
    pub uri: Option<String>,
}

/// How many instances are in each state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct InstanceCounts {
    counts: [u32; 5],
}

impl InstanceCounts {
    /// Counts one more.
    pub fn add(&mut self, state: InstanceState) {
        if let Some(count) = self.counts.get_mut(state as usize) {
            *count += 1;
        }
    }

    /// How many are in this state.
    #[must_use]
    pub fn get(&self, state: InstanceState) -> u32 {
        self.counts.get(state as usize).copied().unwrap_or_default()
    }

    /// How many are listed, in whatever state.
    #[must_use]
    pub fn listed(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// How many are there to build.
    #[must_use]
    pub fn live(&self) -> u32 {
        let states = InstanceState::ALL.into_iter();
        states.filter(|s| s.is_live()).map(|s| self.get(s)).sum()
    }
}

/// The state of a backend's daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaemonState {
    /// It runs.
    Running,
    /// It does not run.
    Dead,
    /// It starts up.
    Booting,
}

/// One daemon of a backend: scheduler, dispatcher, warden, …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// What it is (`type` in OBS).
    pub kind: String,
    /// The architecture that a scheduler serves.
    pub arch: Option<String>,
    /// Whether it runs.
    pub state: DaemonState,
    /// When it was started, by its host's clock; `None` where OBS does not say.
    pub started: Option<Timestamp>,
    /// Repositories that a scheduler has yet to look at, by priority (`high`, `med`, `low`, `next`).
    pub queue: BTreeMap<String, u64>,
}

/// The start of a backend's repository server, as far as its clock and ours allow to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// What the server says, by its own clock.
    pub told: Timestamp,
    /// By our clock.
    pub since: Timestamp,
    /// The last reading that told it is of this moment or a later one, by our clock.
    pub read: Timestamp,
}

impl Start {
    /// The start that a reading tells, which is of a moment `from` then `to` now, after the one that was known
    /// before. A server that was started between two readings was started between them, whatever its clock
    /// says; and none was started in the future.
    #[must_use]
    pub fn next(before: Option<Self>, told: Timestamp, from: Timestamp, to: Timestamp) -> Self {
        let since = match before {
            Some(before) if before.told == told => before.since,
            Some(before) => told.max(before.read).min(to),
            None => told.min(to),
        };
        Self {
            told,
            since,
            read: from,
        }
    }
}

/// One whole `workerstatus` document, each instance counted once.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Workers {
    /// Every instance that the backend lists.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// The backend's daemons.
    pub daemons: Vec<Daemon>,
    /// Since when its repository server runs, as far as readings tell; see [`Start`].
    pub start: Option<Start>,
    /// Every build that is listed: an instance whose job outlived its build has more than one.
    pub builds: Vec<Build>,
    /// Of these, the builds that the same document contradicts: it lists the instance as idle, dead or
    /// down too, or with a build that was handed out later.
    pub doubted: BTreeSet<Build>,
    /// Where hosts answer, of those that are idle or build; only the repository server tells.
    pub addresses: BTreeMap<HostName, IpAddr>,
}

impl Workers {
    /// When the repository server was started, by its own host's clock: of several the last.
    #[must_use]
    pub fn repository_server_started(&self) -> Option<Timestamp> {
        let servers = self.daemons.iter().filter(|d| d.kind == "repserver");
        servers.filter_map(|server| server.started).max()
    }

    /// What is built at this moment.
    pub fn building(&self) -> impl Iterator<Item = &PackageKey> {
        let building = |i: &&Instance| i.state == InstanceState::Building;
        self.instances
            .values()
            .filter(building)
            .filter_map(|i| i.job.as_ref())
    }

    /// The instances of one host.
    pub fn of_host(&self, host: &HostName) -> impl Iterator<Item = &Instance> + use<'_> {
        let of = |number| InstanceId {
            host: host.clone(),
            number,
        };
        let own = self.instances.range(of(0)..=of(u32::MAX));
        own.map(|(_, instance)| instance)
    }
}

/// A package in one repository and architecture: the unit that has a build history and a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PackageKey {
    /// The project, such as `openEuler:Mainline`.
    pub project: String,
    /// The repository, such as `standard_aarch64`.
    pub repository: String,
    /// The repository's architecture (not the host's: `i586` builds on `x86_64`).
    pub arch: String,
    /// The package, with `:flavor` behind it for a multibuild one.
    pub package: String,
}

/// What a job waits for or does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// In the queue.
    Scheduled,
    /// On an instance.
    Building,
    /// Waits for other packages.
    Blocked,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Scheduled, Self::Building, Self::Blocked];

    /// Whether it has yet to be handed out: only then the dispatcher looks for a worker that is compliant, and what
    /// the job asks is read only of such.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        !matches!(self, Self::Building)
    }

    /// The word used in labels and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Building => "building",
            Self::Blocked => "blocked",
        }
    }
}

/// One package build that OBS has scheduled, runs, or holds back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    /// What is built.
    pub key: PackageKey,
    /// How far it is.
    pub state: JobState,
    /// Since when this program has seen it waiting: OBS' results do not say. `None` unless scheduled.
    pub seen_waiting: Option<Timestamp>,
}

/// The results of every project of one backend, read whole.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Results {
    /// What is scheduled, building or blocked.
    pub jobs: Vec<Job>,
    /// How many packages stand at each status code: (project, repository, arch, code).
    pub packages: BTreeMap<(String, String, String, String), u64>,
}

/// Builds that OBS shows on instances which do not seem to build them, and since when each has looked
/// so in every reading.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Ghosts {
    /// By build: the first and the last reading that found it so.
    pub seen: BTreeMap<Build, (Timestamp, Timestamp)>,
}
