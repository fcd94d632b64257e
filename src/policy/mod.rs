//! Deciding: pure functions of values. No IO, no clock, no logging.
//!
//! The way of a decision, one file each:
//!
//! 1. [`placement`](Placement): which pool a job, and a host, belongs to.
//! 2. [`demand`](assess): what each pool has and needs, from fresh readings only.
//!    `fit` and `waiting` say which workers may take the jobs that wait.
//! 3. [`account`](Account): what is bought, and how much room the ceiling leaves.
//! 4. `share`: the room divided among the pools that want.
//! 5. [`offers`]: which flavor in which zone, and what the cloud's refusals stand against.
//! 6. [`retire`](look): which workers have been idle long enough to be given back.
//! 7. [`plan`](plan()): steps, and a verdict with its reason for every pool in either direction.
//! 8. [`audit`](audit()): the rules that are never broken, checked again by other means.
//!
//! [`Suspect`] (a worker that loses the builds which it takes) is decided beside 6, and goes into the plan.
//!
//! [`exclusive`] decides whose settings become due by a person's word that workers serve one backend alone.
//!
//! Beside it stand [`advance`] (the life of one server), [`supply`] (the rule that a farm which
//! vanished is a broken view) and [`evaluate`] (the formula on lists from outside).

// a case that was added must be decided, not fall into the rest
#![warn(clippy::wildcard_enum_match_arm)]

mod account;
mod admission;
mod audit;
pub mod bills;
mod black_holes;
mod canary;
mod costs;
mod demand;
pub mod exclusive;
mod fit;
mod gaps;
mod gates;
mod ghosts;
mod held;
pub mod lease;
pub mod leftovers;
mod levels;
mod lifecycle;
pub mod names;
pub mod offers;
pub mod orders;
mod placement;
mod plan;
mod reason;
pub mod refit;
mod retire;
pub mod setup;
mod share;
mod sight;
pub mod supply;
mod take_back;
mod waiting;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

pub use account::{Account, PoolAccount};
pub use admission::{HeldBack, RAMP, held_back};
pub use audit::{Law, Lawful, Refusal, audit};
pub use black_holes::{Left, Suspect};
pub use canary::{Trial, trial};
pub use costs::{Cost, Costs, costs, is_idle};
pub use demand::{PoolState, WorkerState, assess, evaluate, workers_needed};
pub use gaps::next_gaps;
pub use gates::{decidable, maintained};
pub use ghosts::{GHOST_AFTER, ghost_jobs, ghosts, next_ghosts, to_be_freed};
pub use held::{Doubt, Held, Source};
pub use lease::{Lease, lease};
pub use levels::level_with_hysteresis;
pub use lifecycle::{Act, Advance, HEARTBEAT, SETTLE, Terms, advance};
pub use placement::{Hosts, Placement, Standing, pool_of_server};
pub use plan::{Outcome, Plan, Step, Verdict, plan};
pub use reason::{Figures, Reason};
pub use retire::{Kept, look, next_streak};
pub use sight::{
    Absence, CheckOutcome, CheckReport, Cloud, DrainOutcome, DrainReport, InstancesSeen, Sight,
    SubJob, instances_seen, next_absence, next_quiet,
};
pub use waiting::Prospects;

use crate::config;
use crate::model::{
    Action, Alarms, Allowed, BackendName, Class, Fleet, Fresh, Ledger, PackageKey, PoolName, Scope,
    Snapshot, Unknown, elapsed,
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// All that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The outside world.
    pub snapshot: &'a Snapshot,
    /// What this program has in hand.
    pub ledger: &'a Ledger,
    /// What Alertmanager rang for.
    pub alarms: &'a Alarms,
    /// What the program was told.
    pub policy: &'a config::Policy,
    /// When the decision is taken.
    pub now: Timestamp,
}

impl<'a> View<'a> {
    /// The managed servers, where the cloud's list is young enough.
    ///
    /// # Errors
    /// Says since when the list is unknown, and why.
    pub fn fleet(&self) -> Result<Fresh<'a, Fleet>, Unknown> {
        self.snapshot.fleet.fresh(self.now, self.policy.max_age)
    }

    /// Whether an alarm for this is held and was heard of within `alarm_expiry`.
    #[must_use]
    pub fn rings(&self, action: Action, pool: &PoolName) -> bool {
        self.alarms.iter().any(|alarm| {
            alarm.action == action
                && alarm.pool == *pool
                && elapsed(alarm.heard, self.now) < self.policy.alarm_expiry
        })
    }

    /// The jobs of a backend that are ghosts, each once; none where they are not known.
    #[must_use]
    pub fn ghost_jobs(&self, backend: &BackendName) -> BTreeSet<&'a PackageKey> {
        let known = self.snapshot.backends.get(backend);
        let known = known.and_then(|b| b.ghosts.fresh(self.now, self.policy.max_age).ok());
        known.map_or_else(BTreeSet::new, |known| ghost_jobs(known.value()))
    }

    /// Whether the Watchdog was heard within `watchdog_expiry`.
    #[must_use]
    pub fn watched(&self) -> bool {
        let heard = self.alarms.watchdog();
        heard.is_some_and(|at| elapsed(at, self.now) < self.policy.watchdog_expiry)
    }

    /// What the cloud refuses everything for just now.
    #[must_use]
    pub fn refused_everything(&self) -> Option<Class> {
        match self.ledger.setbacks.allowed(&Scope::Everything, self.now) {
            Allowed::No { class, .. } => Some(class),
            Allowed::Freely | Allowed::Probe { .. } => None,
        }
    }

    /// Whether this scaler may buy and release at all.
    ///
    /// # Errors
    /// Where another one of the same owner goes first, or that is not known yet.
    fn may_act(&self) -> Result<(), Reason> {
        match lease(self) {
            Lease::Younger { .. } => Err(Reason::SecondScaler),
            Lease::Starting => Err(Reason::LeaseUnread),
            Lease::Sole | Lease::Elder { .. } | Lease::NoServer | Lease::Unkept { .. } => Ok(()),
        }
    }

    /// How many instances the pool is held against; `None` while it is not halted.
    #[must_use]
    pub fn halted_below(&self, pool: &PoolName) -> Option<u32> {
        self.ledger.supply.get(pool)?.halted_below
    }
}
