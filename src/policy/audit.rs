//! The rules that are never broken, checked again by other means.
//!
//! Nothing here calls the planner's own helpers: states, freshness and the ceiling are worked out
//! anew from the view, in the plainest way, so that one mistake does not pass twice.

mod black_hole;
mod gates;
mod last_fit;
mod law;
mod lease;
mod refit;
mod take_back;

use super::SETTLE;
use super::View;
use super::placement::pool_of_server;
use super::plan::{Plan, Step};
use super::supply;
use crate::config::{Mode, Pool};
use crate::model::{
    Action, Fleet, Gap, HostName, InstanceId, InstanceState, Member, Offer, PoolName, Scope,
    Server, ServerId, ServerStatus, Stage, Vcpus, elapsed,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

pub use law::Law;

/// What [`audit`] let pass. Only that function makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lawful<T>(T);

impl<T> Lawful<T> {
    /// What passed.
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// What passed, to be carried out.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A step that was not let pass. One is a fault of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The step.
    pub step: Step,
    /// The rule that it would have broken.
    pub law: Law,
}

/// Drops every step that would break a rule, and names the rule.
#[must_use]
pub fn audit(plan: Plan, view: &View<'_>) -> (Lawful<Plan>, Vec<Refusal>) {
    let mut court = Court::new(view);
    let mut refusals = Vec::new();
    let mut lawful = Plan {
        steps: Vec::new(),
        ..plan
    };
    for step in plan.steps {
        match court.judge(&step) {
            Ok(()) => lawful.steps.push(step),
            Err(law) => refusals.push(Refusal { step, law }),
        }
    }
    (Lawful(lawful), refusals)
}

/// Judges steps one after the other, each on top of those that passed.
struct Court<'a> {
    view: &'a View<'a>,
    bought: u64,
    /// Those that a step before took out of service.
    released: BTreeSet<ServerId>,
    /// The pools of those that one sent on their way to other settings.
    refitted: Vec<PoolName>,
    /// Those that one took back.
    taken_back: BTreeSet<ServerId>,
    /// How many were taken out as black holes.
    isolated: usize,
}

impl<'a> Court<'a> {
    fn new(view: &'a View<'a>) -> Self {
        let fleet = view.snapshot.fleet.last().map(|list| &list.value);
        Self {
            view,
            bought: bought(view, fleet),
            released: BTreeSet::new(),
            refitted: Vec::new(),
            taken_back: BTreeSet::new(),
            isolated: 0,
        }
    }

    fn judge(&mut self, step: &Step) -> Result<(), Law> {
        self.goes_first()?;
        self.is_left_alone(step)?;
        match step {
            Step::Order {
                pool,
                count,
                offer,
                vcpus,
            } => {
                let size = self.order(pool, *count, offer, *vcpus)?;
                self.bought += size;
            }
            Step::Release { server, pool } => {
                self.release(server, pool)?;
                self.released.insert(server.clone());
            }
            Step::Refit { server, pool } => {
                self.refit(server, pool)?;
                self.released.insert(server.clone());
                self.refitted.push(pool.clone());
            }
            Step::TakeBack { server, pool } => {
                self.take_back(server, pool)?;
                self.taken_back.insert(server.clone());
            }
            Step::Isolate { server, pool, .. } => {
                self.isolate(server, pool)?;
                self.released.insert(server.clone());
                self.isolated += 1;
            }
        }
        Ok(())
    }

    /// The vCPU of a lawful order.
    fn order(&self, pool: &PoolName, count: u32, offer: &Offer, vcpus: Vcpus) -> Result<u64, Law> {
        let pool = self.pool(pool, Action::Apply)?;
        self.fleet()?;
        law(pool.mode != Mode::Observe, Law::Mode)?;
        let sized = (1..=self.view.policy.max_order).contains(&count);
        law(
            sized && self.is_listed(pool, offer) && vcpus == pool.vcpus,
            Law::Order,
        )?;
        let size = u64::from(vcpus.0) * u64::from(count);
        let ceiling = u64::from(self.view.policy.ceiling.0);
        law(self.bought + size <= ceiling, Law::Ceiling)?;
        Ok(size)
    }

    fn is_listed(&self, pool: &Pool, offer: &Offer) -> bool {
        let zones = &self.view.policy.zones;
        let in_zone = match &offer.zone {
            None => zones.is_empty(),
            Some(zone) => zones.contains(zone),
        };
        in_zone && (pool.flavor == offer.flavor || pool.alternatives.contains(&offer.flavor))
    }

    fn release(&self, id: &ServerId, pool: &PoolName) -> Result<(), Law> {
        let pool = self.pool(pool, Action::Release)?;
        law(pool.mode == Mode::Full, Law::Mode)?;
        law(self.is_watched(), Law::Watchdog)?;
        let server = self.managed(id, pool)?;
        law(!server.tags.protected, Law::Protected)?;
        let pinned = server.tags.order.is_some() || self.view.ledger.pinned.contains(id);
        law(pinned, Law::Pinned)?;
        self.idle(server, pool)?;
        self.leaves_a_fit(server, pool)?;
        law(self.left_in_service(pool) > pool.reserve, Law::Reserve)?;
        law(
            self.leaving() < self.view.policy.max_releases,
            Law::Releases,
        )
    }

    /// The pool, where it is configured and called for, and the cloud does not refuse everything.
    fn pool(&self, name: &PoolName, action: Action) -> Result<&'a Pool, Law> {
        let view = self.view;
        let pool = view.policy.pools.get(name).ok_or(Law::Configured)?;
        let mut setbacks = view.ledger.setbacks.iter();
        let refused = setbacks.any(|(of, _, s)| *of == Scope::Everything && view.now < s.until);
        law(!refused, Law::Refused)?;
        self.called_for(pool, action)?;
        Ok(pool)
    }

    /// Whether the pool is fresh, not halted, and asked for.
    fn called_for(&self, pool: &Pool, action: Action) -> Result<(), Law> {
        let view = self.view;
        let states = self.instances(pool)?;
        let vanished = self.has_vanished(pool, &states, action)?;
        let mut alarms = view.alarms.iter();
        let rings = alarms.any(|alarm| {
            let asks = alarm.pool == pool.name && alarm.action == action;
            asks && elapsed(alarm.heard, view.now) < view.policy.alarm_expiry
        });
        law(rings, Law::Alarm)?;
        law(!vanished, Law::Halt)
    }

    fn fleet(&self) -> Result<&'a Fleet, Law> {
        let (now, max_age) = (self.view.now, self.view.policy.max_age);
        let fleet = self.view.snapshot.fleet.fresh(now, max_age);
        fleet.map(|fleet| fleet.value()).map_err(|_| Law::Fresh)
    }

    /// Every state in which each instance is listed, where all backends of the pool are fresh.
    fn instances(
        &self,
        pool: &Pool,
    ) -> Result<BTreeMap<&'a InstanceId, BTreeSet<InstanceState>>, Law> {
        let (now, max_age) = (self.view.now, self.view.policy.max_age);
        let mut states = BTreeMap::<_, BTreeSet<_>>::new();
        for name in &pool.backends {
            let backend = self.view.snapshot.backends.get(name).ok_or(Law::Fresh)?;
            let results = backend.results.fresh(now, max_age);
            results.map_err(|_| Law::Fresh)?;
            let workers = backend.workers.fresh(now, max_age);
            let workers = workers.map_err(|_| Law::Fresh)?;
            self.has_settled(workers)?;
            let workers = workers.value();
            for (id, instance) in &workers.instances {
                states.entry(id).or_default().insert(instance.state);
            }
        }
        Ok(states)
    }

    /// Whether the pool is halted, or all its backends together list fewer instances than the pool
    /// alone may have lost. (Which of them are the pool's own is a matter of the planner's definition,
    /// and is not worked out again here.) Absences are excused for a moment where workers are bought, and
    /// never where some are given up.
    fn has_vanished(
        &self,
        pool: &Pool,
        states: &BTreeMap<&InstanceId, BTreeSet<InstanceState>>,
        action: Action,
    ) -> Result<bool, Law> {
        let Some(known) = self.view.ledger.supply.get(&pool.name) else {
            return Ok(false);
        };
        let live = |seen: &&BTreeSet<InstanceState>| seen.iter().any(|state| state.is_live());
        let live = number(states.values().filter(live).count());
        let excused = match action {
            Action::Apply => self.returning(pool, states)?,
            Action::Release => 0,
        };
        let most = supply::most(Some(known), self.view.now);
        let ratio = self.view.policy.known_instances_ratio;
        Ok(known.halted_below.is_some() || supply::fell_below(live + excused, most, ratio))
    }

    /// The instances that the pool's workers in service lack, each where it was not lacking for long.
    fn returning(
        &self,
        pool: &Pool,
        states: &BTreeMap<&InstanceId, BTreeSet<InstanceState>>,
    ) -> Result<u32, Law> {
        let fleet = self.fleet()?;
        let mut returning = 0;
        for member in self.view.ledger.members.values() {
            let server = fleet.servers.get(&member.server);
            let stopped = server.is_some_and(|server| server.status != ServerStatus::Active);
            let serves = member.pool == pool.name && member.stage == Stage::Serving && !stopped;
            let name = server.map(|server| &server.name).or(member.name.as_ref());
            if let Some(name) = name.filter(|_| serves) {
                let numbers = 1..=configured(member, pool);
                let lacking = numbers.filter(|number| self.lacks(states, name, *number));
                returning += number(lacking.count());
            }
        }
        Ok(returning)
    }

    /// Whether this instance is listed by none of the backends, or as having said goodbye, and was not for long.
    fn lacks(
        &self,
        states: &BTreeMap<&InstanceId, BTreeSet<InstanceState>>,
        host: &HostName,
        number: u32,
    ) -> bool {
        let id = InstanceId {
            host: host.clone(),
            number,
        };
        let down = BTreeSet::from([InstanceState::Down]);
        let known = self.view.ledger.gaps.get(&id);
        let lasts = known.is_some_and(|(gap, since)| {
            *gap == Gap::Absent && elapsed(*since, self.view.now) >= SETTLE
        });
        states.get(&id).is_none_or(|seen| *seen == down) && !lasts
    }

    fn is_watched(&self) -> bool {
        let heard: Option<Timestamp> = self.view.alarms.watchdog();
        heard.is_some_and(|at| elapsed(at, self.view.now) < self.view.policy.watchdog_expiry)
    }

    /// The server, where it is one of ours, runs, serves this pool, and was not released before.
    fn managed(&self, id: &ServerId, pool: &Pool) -> Result<&'a Server, Law> {
        let server = self.fleet()?.servers.get(id).ok_or(Law::Managed)?;
        let member = self.view.ledger.members.get(id).ok_or(Law::Managed)?;
        let serves = member.stage == Stage::Serving && member.pool == pool.name;
        let tagged = pool_of_server(server, self.view.policy) == Some(&pool.name);
        let runs = server.status == ServerStatus::Active;
        law(
            serves && tagged && runs && !self.released.contains(id),
            Law::Managed,
        )?;
        Ok(server)
    }

    /// Every configured instance is listed idle, and none in a state in which it may have a job.
    fn idle(&self, server: &Server, pool: &Pool) -> Result<(), Law> {
        let states = self.instances(pool)?;
        let own = states.iter().filter(|(id, _)| id.host == server.name);
        let mut idle = 0;
        for (_, seen) in own {
            let builds = seen.contains(&InstanceState::Building);
            law(!builds, Law::Building)?;
            let is_idle = seen.contains(&InstanceState::Idle);
            let elsewhere = seen.contains(&InstanceState::Away);
            law(is_idle || !elsewhere, Law::Building)?;
            law(
                is_idle || !seen.contains(&InstanceState::Dead),
                Law::Unknown,
            )?;
            idle += u32::from(is_idle);
        }
        let member = self.view.ledger.members.get(&server.id);
        let configured = member.map_or(pool.instances, |member| configured(member, pool));
        law(idle >= configured, Law::Unknown)
    }

    fn left_in_service(&self, pool: &Pool) -> u32 {
        let members = self.view.ledger.members.values();
        let serving = members.filter(|m| m.pool == pool.name && m.stage == Stage::Serving);
        number(
            serving
                .filter(|m| !self.released.contains(&m.server))
                .count(),
        )
    }
}

/// All vCPU bought: what each order may still bring, each server that an order brought, by what the
/// cloud or we know of it, whichever is more.
fn bought(view: &View<'_>, fleet: Option<&Fleet>) -> u64 {
    let ledger = view.ledger;
    let mut servers: BTreeMap<&ServerId, u32> = BTreeMap::new();
    for member in ledger.members.values() {
        let gone = matches!(member.stage, Stage::Gone { .. });
        if member.order.is_some() && !gone {
            servers.insert(&member.server, member.vcpus.0);
        }
    }
    let mut pending: BTreeMap<_, u32> = BTreeMap::new();
    for order in ledger.orders.values() {
        pending.insert(&order.id, ledger.unnamed(order));
    }
    for server in fleet.into_iter().flat_map(|fleet| fleet.servers.values()) {
        let known = ledger.members.get(&server.id);
        let ordered = server.tags.order.is_some() || known.is_some_and(|m| m.order.is_some());
        if !ordered {
            continue;
        }
        let size = servers.entry(&server.id).or_default();
        *size = server.vcpus.0.max(*size);
        let awaited = server.tags.order.as_ref().filter(|_| known.is_none());
        if let Some(left) = awaited.and_then(|order| pending.get_mut(order)) {
            *left = left.saturating_sub(1);
        }
    }
    let awaited = ledger.orders.values().map(|order| {
        let left = pending.get(&order.id).copied().unwrap_or_default();
        u64::from(order.vcpus.0) * u64::from(left)
    });
    awaited.sum::<u64>() + servers.values().map(|size| u64::from(*size)).sum::<u64>()
}

/// How many instances the worker is set to have.
fn configured(member: &Member, pool: &Pool) -> u32 {
    member.own.instances.unwrap_or(pool.instances)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

const fn law(kept: bool, law: Law) -> Result<(), Law> {
    if kept { Ok(()) } else { Err(law) }
}
