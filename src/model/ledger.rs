//! What this program has in hand: orders, the life of each server, and how long workers are idle.

use super::{
    BackendName, Exclusive, FlavorName, HostName, InstanceId, Numbering, Offer, OrderId, Overrides,
    OwnLease, PoolName, ServerId, Setbacks, Trail, Vcpus, ZoneName,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One decision to buy workers, from the intent until every server of it is in service or gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id, which is also its client token.
    pub id: OrderId,
    /// For which pool.
    pub pool: PoolName,
    /// What is bought.
    pub flavor: FlavorName,
    /// In which zone; `None` where the cloud chooses.
    #[serde(default)]
    pub zone: Option<ZoneName>,
    /// The size of each server.
    pub vcpus: Vcpus,
    /// How many servers.
    pub count: u32,
    /// Their names; `None` in an order of an old journal, whose servers are named after its id.
    #[serde(default)]
    pub names: Option<Numbering>,
    /// When the intent was written, before the call.
    pub at: Timestamp,
    /// The cloud's job, once it has answered.
    pub job: Option<String>,
    /// SHA-256 of the request body: a repeat under the same token must be the same to the byte.
    pub body_sha256: String,
    /// Set when the cloud refused the order, or it came to nothing in time: nothing more is expected.
    pub closed: Option<String>,
}

impl Order {
    /// What it buys, and where.
    #[must_use]
    pub fn offer(&self) -> Offer {
        Offer {
            flavor: self.flavor.clone(),
            zone: self.zone.clone(),
        }
    }
}

/// Why a server is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    /// It was idle, and above what is needed.
    Idle,
    /// A person asked for it.
    Asked,
    /// The cloud says that it could not be created, or broke.
    CloudError {
        /// The cloud's words.
        words: String,
    },
    /// It was not `ACTIVE` within the create deadline.
    NotActive,
    /// It was not in service within the check deadline, or lost the builds that it took as its order's canary.
    NotInService {
        /// The last check that failed, and what it found.
        check: String,
    },
    /// It vanished from the cloud without our doing.
    Vanished,
    /// Its builds fail or vanish far more often than those of the same packages elsewhere.
    BlackHole {
        /// What was seen of them.
        evidence: String,
    },
}

impl Why {
    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Asked => "asked",
            Self::CloudError { .. } => "cloud_error",
            Self::NotActive => "not_active",
            Self::NotInService { .. } => "not_in_service",
            Self::Vanished => "vanished",
            Self::BlackHole { .. } => "black_hole",
        }
    }

    /// Whether the server was given up before it ever served.
    #[must_use]
    pub const fn is_withdrawal(&self) -> bool {
        matches!(
            self,
            Self::CloudError { .. } | Self::NotActive | Self::NotInService { .. }
        )
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("idle and above what is needed"),
            Self::Asked => f.write_str("a person asked for it"),
            Self::CloudError { words } => write!(f, "the cloud reports an error: {words}"),
            Self::NotActive => f.write_str("not ACTIVE within the create deadline"),
            Self::NotInService { check } => {
                write!(f, "it did not come into service: {check}")
            }
            Self::Vanished => f.write_str("gone from the cloud without our doing"),
            Self::BlackHole { evidence } => {
                write!(f, "builds fail on it and not elsewhere: {evidence}")
            }
        }
    }
}

/// Where a server stands in its life. Before an order is answered its servers are only a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Ordered; the cloud has not shown it `ACTIVE` with an address yet.
    Creating,
    /// `ACTIVE`, and not to be started yet: so many others were just now.
    Standby {
        /// When it was first seen `ACTIVE`.
        active: Timestamp,
    },
    /// `ACTIVE`; no ssh session has succeeded yet.
    Booting {
        /// When it was first seen `ACTIVE`, or was to be started after it had stood by.
        active: Timestamp,
    },
    /// Reached over ssh; some check has not passed yet.
    Checking {
        /// When it was first seen `ACTIVE`.
        active: Timestamp,
    },
    /// Every check on the machine passed; not every instance has registered with OBS yet.
    Joining {
        /// When it was first seen `ACTIVE`.
        active: Timestamp,
    },
    /// Every instance has registered; it is its order's canary, and nothing has been built on it yet.
    Proving,
    /// In service.
    Serving,
    /// In service, and on its way to other settings: it finishes its builds, is stopped, set and started again.
    Refitting,
    /// Given up: it takes no new job and finishes the ones it has.
    Cordoned {
        /// Why it is given up.
        why: Why,
    },
    /// Drained; the deletion is under way until the cloud no longer lists it.
    Deleting {
        /// Why it was given up.
        why: Why,
    },
    /// The cloud no longer has it.
    Gone {
        /// Why.
        why: Why,
    },
}

impl Stage {
    /// The state's word in `obs_workers{state=…}`.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Creating => "ordered",
            Self::Standby { .. } | Self::Booting { .. } => "booting",
            Self::Checking { .. } | Self::Joining { .. } | Self::Proving => "checking",
            Self::Serving => "serving",
            Self::Cordoned { why } if why.is_withdrawal() => "failed",
            Self::Cordoned { .. } | Self::Refitting => "cordoned",
            Self::Deleting { .. } | Self::Gone { .. } => "deleting",
        }
    }

    /// Why it is given up; `None` on its way in and in service.
    #[must_use]
    pub const fn why(&self) -> Option<&Why> {
        match self {
            Self::Cordoned { why } | Self::Deleting { why } | Self::Gone { why } => Some(why),
            Self::Creating
            | Self::Standby { .. }
            | Self::Booting { .. }
            | Self::Checking { .. }
            | Self::Joining { .. }
            | Self::Proving
            | Self::Serving
            | Self::Refitting => None,
        }
    }

    /// Bought, and on its way into service: it reduces what has to be bought.
    #[must_use]
    pub const fn is_in_flight(&self) -> bool {
        matches!(
            self,
            Self::Creating
                | Self::Standby { .. }
                | Self::Booting { .. }
                | Self::Checking { .. }
                | Self::Joining { .. }
                | Self::Proving
        )
    }

    /// On its way out: its instances are not supply any more, though they use the ceiling.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.why().is_some()
    }
}

/// One managed server, as this program follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub server: ServerId,
    /// Its name, once the cloud has listed it.
    pub name: Option<HostName>,
    /// Its pool.
    pub pool: PoolName,
    /// The order that bought it; `None` for an adopted one, which does not count against the ceiling.
    pub order: Option<OrderId>,
    /// Its size.
    pub vcpus: Vcpus,
    /// Where it stands.
    pub stage: Stage,
    /// Since when it stands there.
    pub since: Timestamp,
    /// Whether an ssh session to it ever succeeded (true for an adopted one): only by such a session
    /// does this program start `obsworker`.
    pub reached: bool,
    /// Whether this journal ordered it. One that was found by its tags may be another scaler's.
    #[serde(default)]
    pub ordered_here: bool,
    /// What a person wants to be otherwise on it than its pool has it.
    #[serde(default)]
    pub own: Overrides,
    /// Its settings are due to be brought about, while fewer than so many workers of its pool are on their way.
    #[serde(default)]
    pub due: Option<u32>,
    /// The backend that it is to serve alone, in exclusive mode.
    #[serde(default)]
    pub bound: Option<BackendName>,
}

/// For how long, and over how many looks, every instance of a worker has been idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleStreak {
    /// The first look of the streak.
    pub since: Timestamp,
    /// The last look that counted: looks closer together than the interval count once.
    pub last: Timestamp,
    /// How many looks, each at least the configured interval after the one before.
    pub looks: u32,
}

/// Why a configured instance of a worker in service is neither free nor at work by what OBS lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// It is listed nowhere, or as having said goodbye (`down`): for half a second between two jobs, and for some
    /// seconds while a worker takes new code before its first one.
    Absent,
    /// It is away by one list, and in none of a backend of the pool that it would be building for: such a list
    /// would come first. The dispatcher that hands out a job takes the instance out of its lists before it says that
    /// the job is built (`bs_dispatch`, `assignjob`), and backends are read at different moments.
    Passing,
}

/// How many instances a pool is known to have had, for the rule that a farm which vanished is a
/// broken view and not a need.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// The most instances seen in each minute of the last hour, less what we gave back since.
    pub peaks: BTreeMap<Timestamp, u32>,
    /// Set while the pool is halted: the number of instances that it is held against.
    pub halted_below: Option<u32>,
}

/// A worker that could not be set, and builds as before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnedBack {
    /// When it was given up for now.
    pub at: Timestamp,
    /// What the last check found.
    pub why: String,
}

/// All that this program has in hand.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The open orders.
    pub orders: BTreeMap<OrderId, Order>,
    /// Every managed server that is not gone.
    pub members: BTreeMap<ServerId, Member>,
    /// How long each serving worker has been idle.
    pub streaks: BTreeMap<ServerId, IdleStreak>,
    /// What each pool is known to have had.
    pub supply: BTreeMap<PoolName, Supply>,
    /// The instances of workers in service that OBS does not show idle or at work, and since when.
    pub gaps: BTreeMap<InstanceId, (Gap, Timestamp)>,
    /// The servers that are gone, until it is certain that they left nothing behind.
    pub trails: BTreeMap<ServerId, Trail>,
    /// What the cloud refused, and has not done since.
    pub setbacks: Setbacks,
    /// The last number in a pool's server names that was used.
    pub last_numbers: BTreeMap<PoolName, u32>,
    /// The adopted servers whose host key is known: the others can not be reached, and so not drained.
    pub pinned: BTreeSet<ServerId>,
    /// The workers whose settings could not be brought about and that went on building: when, and why. They are
    /// tried again; after a restart at once.
    pub turned_back: BTreeMap<ServerId, TurnedBack>,
    /// The exclusive mode that a person has set.
    pub exclusive: Option<Exclusive>,
    /// The backends that are under maintenance, each until when.
    pub maintenance: BTreeMap<BackendName, Timestamp>,
    /// When each server of ours was to be started, for a minute at least.
    pub started: BTreeMap<ServerId, Timestamp>,
    /// What is known of this scaler's own lease.
    pub lease: OwnLease,
}

impl Ledger {
    /// Since when each instance of this host that is absent is so.
    pub fn absent<'a>(&'a self, host: &'a HostName) -> impl Iterator<Item = Timestamp> {
        let of_host = move |id: &InstanceId| id.host == *host;
        let absent = self.gaps.iter().filter(move |(id, _)| of_host(id));
        absent.filter_map(|(_, (gap, since))| (*gap == Gap::Absent).then_some(*since))
    }

    /// The servers of an order that are known by id.
    pub fn members_of<'a>(&'a self, order: &'a OrderId) -> impl Iterator<Item = &'a Member> {
        let of = move |m: &&Member| m.order.as_ref() == Some(order);
        self.members.values().filter(of)
    }

    /// How many servers of an order have no id yet: the cloud has not answered, or has not named
    /// them. They count as bought until the order is closed.
    #[must_use]
    pub fn unnamed(&self, order: &Order) -> u32 {
        if order.closed.is_some() || order.job.is_some() {
            return 0;
        }
        let named = u32::try_from(self.members_of(&order.id).count()).unwrap_or(u32::MAX);
        order.count.saturating_sub(named)
    }

    /// The member whose worker has this host name.
    #[must_use]
    pub fn by_host(&self, host: &HostName) -> Option<&Member> {
        let named = |m: &&Member| m.name.as_ref() == Some(host);
        self.members.values().find(named)
    }
}
