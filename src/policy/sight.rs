//! What is seen of one server: by the cloud, over ssh, and in OBS.

use super::View;
use super::canary::Trial;
use super::gates::believed;
use crate::model::{
    HostName, InstanceCounts, InstanceId, InstanceState, PoolName, Server, elapsed,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What is seen of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight<'a> {
    /// By the cloud's list.
    pub cloud: Cloud<'a>,
    /// By the cloud's job that creates it.
    pub sub_job: SubJob,
    /// By the last ssh check.
    pub check: Option<CheckReport>,
    /// By OBS; `None` while a backend of its pool is not fresh, or it has no name yet.
    pub instances: Option<InstancesSeen>,
    /// By the last attempt to cordon it, which also looks whether all instances have left.
    pub drain: Option<DrainReport>,
    /// Since when every look at OBS has shown all its instances as `down`; `None` while that is not so.
    pub quiet: Option<Timestamp>,
    /// Whether an ssh check of it is under way just now: it may be starting the service.
    pub checking: bool,
    /// Whether it is not to be started yet, because so many others were just now.
    pub held_back: bool,
    /// What its builds say of it, where it is the first of its order.
    pub trial: Trial,
    /// Whether the cloud may be asked to delete it.
    pub may_delete: bool,
}

/// What the cloud's list says of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud<'a> {
    /// The list is not fresh.
    Unknown,
    /// The list is fresh and lacks it.
    Absent(Absence),
    /// The list is fresh and has it.
    Listed {
        /// The server.
        server: &'a Server,
        /// When the first of an unbroken run of lists that have it was asked for.
        since: Timestamp,
        /// When the list was asked for.
        at: Timestamp,
    },
}

/// An unbroken run of lists that lack a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// When the first was asked for.
    pub first: Timestamp,
    /// When the last was asked for.
    pub last: Timestamp,
}

/// The run after one more list. One that has the server ends it.
#[must_use]
pub fn next_absence(before: Option<Absence>, listed: bool, at: Timestamp) -> Option<Absence> {
    let begun = before.unwrap_or(Absence {
        first: at,
        last: at,
    });
    (!listed).then(|| Absence {
        first: begun.first,
        last: begun.last.max(at),
    })
}

impl Absence {
    /// Whether it is certain that the server is not there: one list may have been taken before the
    /// server came to be, or miss it between two pages, so two are asked for, `settle` apart, the
    /// last of them later than `since`.
    #[must_use]
    pub fn is_certain(self, since: Timestamp, settle: Duration) -> bool {
        self.last > since && elapsed(self.first, self.last) >= settle && self.first < self.last
    }
}

/// How the cloud's sub job stands that creates a server. The answer to a create call names servers
/// before they exist, and only the sub job tells whether they will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubJob {
    /// Not asked, or no longer known to the cloud.
    Unknown,
    /// Under way: the server may yet come to be.
    Running,
    /// The server was made.
    Succeeded,
    /// The server was not made, in the cloud's words.
    Failed(String),
}

/// What an ssh check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Whether it ended before anything was set, started, stopped or cordoned there.
    pub untouched: bool,
    /// When it began.
    pub at: Timestamp,
    /// What it found.
    pub outcome: CheckOutcome,
}

/// How an ssh check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// No session came about, so nothing was started there.
    Unreachable(String),
    /// A check did not pass, or the session broke on the way.
    Failed {
        /// Which: machine, flavor, disk, service, config, registered, session.
        check: String,
        /// What it found.
        found: String,
        /// What it expected.
        expected: String,
    },
    /// Everything on the machine is right, and `obsworker` runs.
    Passed,
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "not reached over ssh: {why}"),
            Self::Failed {
                check,
                found,
                expected,
            } => write!(f, "{check}: found {found}, expected {expected}"),
            Self::Passed => f.write_str("everything on the machine is right"),
        }
    }
}

/// What OBS says of the instances of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstancesSeen {
    /// When the oldest of the worker statuses was asked for.
    pub at: Timestamp,
    /// The instances, each counted once over the backends.
    pub counts: InstanceCounts,
}

impl InstancesSeen {
    /// Whether some instance has a job: it builds here, or (`away`) for another backend.
    #[must_use]
    pub fn builds(&self) -> bool {
        let some = |state| self.counts.get(state) > 0;
        some(InstanceState::Building) || some(InstanceState::Away)
    }
}

/// Since when a worker with so many instances has been quiet, after one more look. What can not be seen is not quiet.
#[must_use]
pub fn next_quiet(
    before: Option<Timestamp>,
    seen: Option<&InstancesSeen>,
    instances: u32,
) -> Option<Timestamp> {
    let seen = seen?;
    let others = InstanceState::ALL.into_iter();
    let mut others = others.filter(|state| *state != InstanceState::Down);
    let alone = others.all(|state| seen.counts.get(state) == 0);
    let quiet = alone && seen.counts.get(InstanceState::Down) >= instances;
    quiet.then(|| before.unwrap_or(seen.at))
}

/// What an attempt to cordon a worker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReport {
    /// When it began.
    pub at: Timestamp,
    /// What it found.
    pub outcome: DrainOutcome,
}

/// How an attempt to cordon a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Nothing builds there, and nothing will: every instance is cordoned or was never there.
    AllLeft,
    /// This many instances are not there yet.
    Remaining(u32),
    /// The cordon was not proved on what the worker runs, and the other way is closed: why.
    Unproved(String),
    /// The cordon was not proved on what the worker runs: every backend of it was told to give it no more jobs.
    Disabled {
        /// Since when all of them have been told.
        since: Timestamp,
    },
    /// No session came about.
    Unreachable(String),
}

impl Sight<'_> {
    /// Whether an ssh session came about.
    pub(super) fn is_reached(&self) -> bool {
        let check = self.check.as_ref().map(|report| &report.outcome);
        let checked = match check {
            Some(CheckOutcome::Failed { .. } | CheckOutcome::Passed) => true,
            Some(CheckOutcome::Unreachable(_)) | None => false,
        };
        let drain = self.drain.as_ref().map(|report| &report.outcome);
        let drained = match drain {
            Some(
                DrainOutcome::AllLeft
                | DrainOutcome::Remaining(_)
                | DrainOutcome::Unproved(_)
                | DrainOutcome::Disabled { .. },
            ) => true,
            Some(DrainOutcome::Unreachable(_)) | None => false,
        };
        checked || drained
    }
}

/// What OBS' worker statuses say of one host; `None` while that of a backend that its pool serves is not fresh or not
/// believed yet, or where the
/// pool is not configured: what is not known is never "no instance".
#[must_use]
pub fn instances_seen(view: &View<'_>, pool: &PoolName, host: &HostName) -> Option<InstancesSeen> {
    let pool = view.policy.pools.get(pool)?;
    let mut at = view.now;
    let mut states = BTreeMap::<&InstanceId, InstanceState>::new();
    for backend in &pool.backends {
        let backend = view.snapshot.backends.get(backend)?;
        let workers = believed(&backend.workers, view).ok()?;
        at = at.min(workers.at());
        for instance in workers.value().of_host(host) {
            let state = states.entry(&instance.id).or_insert(instance.state);
            *state = (*state).min(instance.state);
        }
    }
    let mut counts = InstanceCounts::default();
    states.into_values().for_each(|state| counts.add(state));
    Some(InstancesSeen { at, counts })
}
