//! Why something was done, or was not, in words for labels and for people.

use super::demand::PoolState;
use super::held::Held;
use crate::model::{Class, Vcpus};
use std::fmt;

/// Why a pool gets workers, gives workers back, or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// More jobs wait than instances are idle and workers on their way.
    Needed,
    /// Workers have been idle long enough, and are above what is needed.
    Idle,
    /// A source that feeds the pool is not known.
    Unknown(Held),
    /// The pool's instances fell below the share of the last hour's: a person must look.
    Halted {
        /// The number of instances that the pool is held against.
        below: u32,
    },
    /// No alarm asks for it.
    NoAlarm,
    /// The pool's mode only decides and says.
    Observe,
    /// The pool's mode buys and never releases.
    ApplyOnly,
    /// What is idle and on its way is enough.
    Enough,
    /// Workers on their way out are taken back, and are enough.
    TakenBack,
    /// The cloud refused what concerns the pool, or everything, for this cause.
    CloudRefuses(Class),
    /// Every flavor and zone of the pool's list was refused not long ago.
    NoOffer,
    /// The cloud shows the flavor that is preferred as sold out in its zone, and no other is left.
    SoldOut,
    /// The cloud shows the flavor that is preferred in another size than the configuration.
    WrongSize,
    /// One server is tried first, after a refusal.
    Probing,
    /// The ceiling leaves no room, or less than is needed.
    Ceiling,
    /// Every name is in use, or no longer row of names is free.
    Names,
    /// One order is never larger: the rest comes with the next decision.
    MaxOrder,
    /// The Watchdog has not been heard: Prometheus may be blind.
    NoWatchdog,
    /// Workers of the pool are on their way into service.
    InFlight,
    /// Jobs wait that the idle instances would not cover.
    Waiting,
    /// As many workers are on their way out as may be at once.
    MaxReleases,
    /// As many workers are on their way to other settings as may be at once.
    MaxRefits,
    /// Its settings could not even be begun not long ago: what the last check found.
    TurnedBack(String),
    /// None of our workers stands in service there.
    NoWorker,
    /// What some job asks of a worker has not been read: the pool's workers may be the last that meet it.
    Unread,
    /// It is the last worker that meets what some job asks: without it OBS fails the job.
    LastFit,
    /// Only the reserve is left.
    Reserve,
    /// Pinned by a person.
    Protected,
    /// No order bought it, and its host key is in no known-hosts file: it can not be drained.
    NoHostKey,
    /// Another scaler of the same owner is the elder: this one only decides and says.
    SecondScaler,
    /// This scaler's own lease has not been seen in the cloud's list: another one could not know of it.
    LeaseUnread,
    /// Some instance builds, is missing, or is not known to be idle.
    Busy,
    /// Idle, but not seen so often enough yet.
    NotLongEnough {
        /// How many looks found it idle.
        looks: u32,
    },
}

impl Reason {
    /// The label of what is done about a black hole; of no verdict.
    pub const BLACK_HOLE: &str = "black_hole";

    /// The labels of every reason for which a pool may get nothing and give nothing back.
    pub const HOLDS: [&str; 35] = [
        Held::NEVER,
        Held::STALE,
        Held::SETTLING,
        Held::MAINTENANCE,
        Self::Halted { below: 0 }.label(),
        Self::NoAlarm.label(),
        Self::Observe.label(),
        Self::ApplyOnly.label(),
        Self::Enough.label(),
        Self::TakenBack.label(),
        Self::CloudRefuses(Class::Quota).label(),
        Self::CloudRefuses(Class::Account).label(),
        Self::CloudRefuses(Class::Permission).label(),
        Self::CloudRefuses(Class::Request).label(),
        Self::NoOffer.label(),
        Self::SoldOut.label(),
        Self::WrongSize.label(),
        Self::Probing.label(),
        Self::Ceiling.label(),
        Self::Names.label(),
        Self::NoWatchdog.label(),
        Self::InFlight.label(),
        Self::Waiting.label(),
        Self::MaxReleases.label(),
        Self::NoWorker.label(),
        Self::Unread.label(),
        Self::LastFit.label(),
        Self::Reserve.label(),
        Self::Protected.label(),
        Self::NoHostKey.label(),
        Self::SecondScaler.label(),
        Self::LeaseUnread.label(),
        Self::Busy.label(),
        Self::NotLongEnough { looks: 0 }.label(),
        Self::BLACK_HOLE,
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::Idle => "idle",
            Self::Unknown(held) => held.label(),
            Self::Halted { .. } => "halted",
            Self::NoAlarm => "no_alarm",
            Self::Observe => "observe",
            Self::ApplyOnly => "apply_only",
            Self::Enough => "enough",
            Self::TakenBack => "taken_back",
            Self::CloudRefuses(class) => class.label(),
            Self::NoOffer => "no_offer",
            Self::SoldOut => "sold_out",
            Self::WrongSize => "wrong_size",
            Self::Probing => "probing",
            Self::Ceiling => "ceiling",
            Self::Names => "names",
            Self::MaxOrder => "max_order",
            Self::NoWatchdog => "no_watchdog",
            Self::InFlight => "in_flight",
            Self::Waiting => "waiting",
            Self::MaxReleases => "max_releases",
            Self::MaxRefits => "max_refits",
            Self::TurnedBack(_) => "turned_back",
            Self::NoWorker => "no_worker",
            Self::Unread => "constraints_unread",
            Self::LastFit => "last_fit",
            Self::Reserve => "reserve",
            Self::Protected => "protected",
            Self::NoHostKey => "no_host_key",
            Self::SecondScaler => "second_scaler",
            Self::LeaseUnread => "lease_unread",
            Self::Busy => "busy",
            Self::NotLongEnough { .. } => "not_long_enough",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Unknown(held) => return write!(f, "held: {held}"),
            Self::Halted { below } => {
                return write!(
                    f,
                    "halted: far fewer instances than the {below} of the last hour, and not our doing"
                );
            }
            Self::NotLongEnough { looks } => {
                return write!(f, "found idle by {looks} looks so far, which is not enough");
            }
            Self::CloudRefuses(class) => {
                return write!(f, "the cloud refuses it: {}", class.label());
            }
            Self::TurnedBack(why) => return write!(f, "turned back, and tried again later: {why}"),
            Self::Needed => "more jobs wait than there is room for",
            Self::Idle => "idle long enough, and above what is needed",
            Self::NoAlarm => "no alarm asks for it",
            Self::Observe => "the pool's mode is observe",
            Self::ApplyOnly => "the pool's mode is apply: it never releases",
            Self::TakenBack => "workers on their way out are taken back, and are enough",
            Self::Enough => "what is idle and on its way is enough",
            Self::NoOffer => "each of its flavors and zones was refused not long ago",
            Self::SoldOut => "the cloud has none of its flavors in its zones",
            Self::WrongSize => "its flavor has another number of vCPU than the configuration says",
            Self::Probing => "one server is tried first, after a refusal",
            Self::Ceiling => "the ceiling leaves no more room",
            Self::Names => "no more names of the pool are free in a row: see ecs.name_range",
            Self::MaxOrder => "as many as one order may have; more with the next decision",
            Self::NoWatchdog => "the Watchdog has not been heard: Prometheus may be blind",
            Self::InFlight => "workers are on their way into service",
            Self::Waiting => "jobs wait that the idle instances left would not cover",
            Self::MaxReleases => "as many workers are on their way out as may be at once",
            Self::MaxRefits => {
                "as many workers are on their way to other settings as may be at once"
            }
            Self::NoWorker => "none of our workers is in service",
            Self::Unread => "what some job asks of a worker has not been read yet",
            Self::LastFit => "no other worker meets the constraints of some job",
            Self::Reserve => "only the reserve is left",
            Self::Protected => "pinned by a person",
            Self::NoHostKey => "its host key is not known, so it can not be drained",
            Self::SecondScaler => "another obs-scaler of the same owner is at work, and goes first",
            Self::LeaseUnread => "its own lease is not in the cloud's list yet",
            Self::Busy => "some instance builds or is not known to be idle",
        };
        f.write_str(words)
    }
}

/// The numbers that led to a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Jobs in the queue.
    pub scheduled: u32,
    /// Jobs of other backends than the one that is served alone.
    pub set_aside: u32,
    /// Idle instances.
    pub idle: u32,
    /// Instances about to be idle.
    pub returning: u32,
    /// Instances per worker.
    pub per_worker: u32,
    /// Workers on their way into service.
    pub in_flight: u32,
    /// Our workers in service.
    pub serving: u32,
    /// Of these, never released.
    pub reserve: u32,
    /// Workers needed beyond those in flight.
    pub needed: u32,
    /// vCPU bought over all pools.
    pub bought: Vcpus,
    /// vCPU that may be bought over all pools.
    pub ceiling: Vcpus,
}

impl Figures {
    pub(super) fn of(state: &PoolState, bought: Vcpus, ceiling: Vcpus) -> Self {
        Self {
            scheduled: state.scheduled,
            set_aside: state.set_aside,
            idle: state.idle,
            returning: state.returning + state.passing,
            per_worker: state.per_worker,
            in_flight: state.in_flight,
            serving: super::account::count(state.workers.iter()),
            reserve: state.reserve,
            needed: state.needed(),
            bought,
            ceiling,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scheduled, {} idle, {} returning, {} instances a worker, {} in flight: {} needed; \
             {} serving, {} in reserve; {} of {} vCPU bought",
            self.scheduled,
            self.idle,
            self.returning,
            self.per_worker,
            self.in_flight,
            self.needed,
            self.serving,
            self.reserve,
            self.bought,
            self.ceiling
        )?;
        match self.set_aside {
            0 => Ok(()),
            n => write!(
                f,
                "; {n} jobs of other backends wait, by the exclusive mode"
            ),
        }
    }
}
