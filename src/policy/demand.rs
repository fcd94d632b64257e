//! What each pool has and what it needs, from fresh readings only.

use super::View;
use super::account::{Account, count};
use super::exclusive::sets_aside;
use super::gaps;
use super::gates::believed;
use super::held::{Held, Source};
use super::placement::{Hosts, Placement, Standing};
use super::refit::back_soon;
use super::setup::wanted;
use super::waiting::{Placed, Waiting, Workforce};
use crate::config::{Policy, Pool, rest_of};
use crate::model::{
    Arch, BackendName, Fleet, Fresh, Gap, HostName, InstanceCounts, InstanceId, InstanceState,
    JobState, Level, Member, Observed, PackageKey, PoolName, Results, Server, ServerId,
    ServerStatus, Stage, Unknown, Vcpus, Workers,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// One of our workers that is in service, and that the cloud lists as `ACTIVE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerState {
    /// Its server.
    pub server: ServerId,
    /// Its host name.
    pub host: HostName,
    /// Its instances, each counted once over the backends of its pool.
    pub instances: InstanceCounts,
    /// How many it is set to have.
    pub configured: u32,
    /// Pinned by a person: never released.
    pub protected: bool,
    /// Whether its host key is known. Where it is not it can not be drained, and so is never released.
    pub reachable: bool,
}

impl WorkerState {
    /// Whether it may be given back at all.
    #[must_use]
    pub const fn may_leave(&self) -> bool {
        self.reachable && !self.protected
    }

    /// Whether every configured instance is seen idle, and none in any state in which it may have a
    /// job. An instance in no list may stand between delivery and idle, and a dead one may only not
    /// have answered: neither is idle. One that said goodbye (`down`) has no job.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let none = |state| self.instances.get(state) == 0;
        self.instances.get(InstanceState::Idle) >= self.configured
            && none(InstanceState::Building)
            && none(InstanceState::Away)
            && none(InstanceState::Dead)
    }

    /// Whether every configured instance is there to build. Only such a worker fills a place of the
    /// reserve.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.instances.live() >= self.configured
    }
}

/// What a pool has, and what waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolState {
    /// When the oldest of the worker statuses that this rests on was asked for.
    pub at: Timestamp,
    /// Jobs in the queue that some worker may take, now or once it is bought.
    pub scheduled: u32,
    /// Of these, those that no idle instance may take: too few are idle, or what is idle does not meet
    /// what the jobs ask.
    pub no_idle_fit: u32,
    /// Jobs in the queue that no worker meets, nor would one that is bought: they ask for no worker.
    pub no_compliant: u32,
    /// Jobs in the queue of other backends than the one that the pool's workers serve alone by a person's word: they
    /// wait, and ask for no worker.
    pub set_aside: u32,
    /// Jobs on an instance that builds them.
    pub building: u32,
    /// Jobs that OBS shows on an instance which does not build them: they wait for nothing that could
    /// be bought, and are built nowhere until they are freed.
    pub ghosts: u32,
    /// Jobs that wait for others.
    pub blocked: u32,
    /// Every instance, counted once over the backends, those of leaving workers included.
    pub instances: InstanceCounts,
    /// The same of workers in service and of unmanaged hosts of known size: what the pool can count on. Those
    /// of workers that are leaving, or joining, come and go by our doing.
    pub supply: InstanceCounts,
    /// Idle instances of workers in service and of unmanaged hosts.
    pub idle: u32,
    /// The instances of its workers in service that OBS does not show idle or at work just now.
    pub gaps: BTreeMap<InstanceId, Gap>,
    /// How many of them are lately absent. They are about to be idle, and count as such against the need; for
    /// [`SETTLE`](super::SETTLE), and no longer.
    pub returning: u32,
    /// How many of them are lately passing. A job that seems to wait is theirs: they count against the need as
    /// those that are returning do, and for as long.
    pub passing: u32,
    /// Live instances of unmanaged hosts that its backends list and that may be its own, and do not count in
    /// its supply: their size is not known yet, or they stand in a pool of another backend.
    pub elsewhere: u32,
    /// Workers that are bought and on their way into service.
    pub in_flight: u32,
    /// Workers that went on their way to other settings not long ago, and will be back.
    pub refitting: u32,
    /// What is bought for the pool.
    pub bought: Vcpus,
    /// Our workers in service.
    pub workers: Vec<WorkerState>,
    /// From the configuration: instances per worker.
    pub per_worker: u32,
    /// From the configuration: how many of its workers are never released.
    pub reserve: u32,
}

impl PoolState {
    /// How many instances are not in the supply, and yet did not vanish as far as is known.
    #[must_use]
    pub const fn excused(&self) -> u32 {
        self.returning + self.elsewhere
    }

    /// How many workers the jobs that wait ask for beyond what is in flight.
    #[must_use]
    pub fn needed(&self) -> u32 {
        let soon_free = self.returning + self.passing;
        workers_needed(self.no_idle_fit, soon_free, self.per_worker)
            .saturating_sub(self.in_flight)
            .saturating_sub(self.refitting)
    }

    /// Our workers that are there to build with every instance.
    pub fn whole(&self) -> impl Iterator<Item = &WorkerState> {
        let whole = |w: &&WorkerState| w.is_whole();
        self.workers.iter().filter(whole)
    }
}

/// The formula of the original design (3.8.2), rounded up:
/// `(scheduled − idle instances) / instances per worker`, never below zero.
#[must_use]
pub const fn workers_needed(scheduled: u32, idle: u32, instances_per_worker: u32) -> u32 {
    let per_worker = if instances_per_worker == 0 {
        1
    } else {
        instances_per_worker
    };
    scheduled.saturating_sub(idle).div_ceil(per_worker)
}

/// The formula on lists from outside (5.3.1), by arch and level. A key of the queue without a pool
/// is left out; where several pools share one, the first by name that is not for certain projects says
/// how many instances a worker has. What is in flight, and the ceiling, do not enter.
#[must_use]
pub fn evaluate(
    queue: &BTreeMap<(Arch, Level), u32>,
    idle: &BTreeMap<(Arch, Level), u32>,
    policy: &Policy,
) -> BTreeMap<(Arch, Level), u32> {
    let evaluated = queue.iter().filter_map(|(&(arch, level), &scheduled)| {
        let of_key = |pool: &&Pool| pool.arch == arch && pool.level == level;
        let pool = rest_of(policy.pools.values().filter(of_key))?;
        let idle = idle.get(&(arch, level)).copied().unwrap_or_default();
        let workers = workers_needed(scheduled, idle, pool.instances);
        Some(((arch, level), workers))
    });
    evaluated.collect()
}

/// What each configured pool has and needs, or why that is not known. A stale backend holds the pools
/// that it feeds and no other; without the cloud's list every pool is held, since neither what is
/// bought nor which hosts are ours is known.
#[must_use]
pub fn assess(view: &View<'_>) -> BTreeMap<PoolName, Result<PoolState, Held>> {
    let pools = view.policy.pools.values();
    match view.fleet() {
        Err(why) => {
            let held = Held::cloud(why);
            pools.map(|p| (p.name.clone(), Err(held.clone()))).collect()
        }
        Ok(fleet) => {
            let seen = Seen::of(view, fleet.value());
            pools.map(|p| (p.name.clone(), seen.pool(p))).collect()
        }
    }
}

/// When the workers of a backend were asked for, where all its sources are fresh; else the first that
/// is not.
fn read_at(view: &View<'_>, backend: &BackendName) -> Result<Timestamp, Held> {
    let Some(seen) = view.snapshot.backends.get(backend) else {
        let why = Unknown::Never { why: None };
        return Err(Held::backend(Source::Workers, backend, why));
    };
    let workers = believed(&seen.workers, view);
    let workers = workers.map_err(|why| Held::backend(Source::Workers, backend, why))?;
    let results = fresh(&seen.results, view);
    results.map_err(|why| Held::backend(Source::Results, backend, why))?;
    Ok(workers.at())
}

/// Instances by host.
type ByHost<'a> = BTreeMap<&'a HostName, InstanceCounts>;

/// How many instances of each host are idle.
type Idle<'a> = BTreeMap<&'a HostName, u32>;

/// Everything counted, in one pass over the fresh readings.
struct Seen<'a> {
    view: &'a View<'a>,
    fleet: &'a Fleet,
    account: Account,
    jobs: BTreeMap<(PoolName, JobState), u32>,
    ghosts: BTreeMap<PoolName, u32>,
    set_aside: BTreeMap<PoolName, u32>,
    waiting: Waiting,
    workforce: Workforce<'a>,
    instances: BTreeMap<PoolName, BTreeMap<&'a InstanceId, (InstanceState, Standing)>>,
    elsewhere: BTreeMap<&'a PoolName, BTreeSet<&'a InstanceId>>,
}

impl<'a> Seen<'a> {
    fn of(view: &'a View<'a>, fleet: &'a Fleet) -> Self {
        let mut seen = Self {
            view,
            fleet,
            account: Account::of(fleet, view.ledger),
            jobs: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            waiting: Waiting::default(),
            workforce: Workforce::new(view, fleet),
            instances: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
        };
        let placement = Placement::new(view.policy, &view.snapshot.build_times);
        let hosts = Hosts::new(fleet, view.ledger);
        let hosts = hosts.and_unmanaged(view.snapshot, fleet, &placement);
        for (name, backend) in &view.snapshot.backends {
            let workers = believed(&backend.workers, view).map(|workers| workers.value());
            if let Ok(results) = fresh(&backend.results, view) {
                let building = workers.iter().flat_map(|w| w.building()).collect();
                seen.count_jobs(name, results.value(), &building, &placement);
            }
            if let Ok(workers) = workers {
                seen.count_instances(name, workers, &placement, &hosts);
            }
        }
        seen
    }

    /// Results and workers are read at different moments: a job that an instance builds by the one
    /// does not wait, whatever the other says. Counted as waiting, it would be bought for while the
    /// instance that took it is not idle any more.
    fn count_jobs(
        &mut self,
        backend: &BackendName,
        results: &Results,
        building: &BTreeSet<&PackageKey>,
        placement: &Placement<'_>,
    ) {
        let known = self.view.snapshot.backends.get(backend);
        let known = known.and_then(|b| b.requirements.last());
        let known = known.map(|reading| &reading.value);
        let ghosts = self.view.ghost_jobs(backend);
        for job in &results.jobs {
            let state = match job.state {
                JobState::Scheduled if building.contains(&job.key) => JobState::Building,
                state @ (JobState::Scheduled | JobState::Building | JobState::Blocked) => state,
            };
            let Some(pool) = placement.of_job(backend, job) else {
                continue;
            };
            if ghosts.contains(&job.key) {
                *self.ghosts.entry(pool.name.clone()).or_default() += 1;
            } else if state == JobState::Scheduled && sets_aside(self.view, &pool.name, backend) {
                *self.set_aside.entry(pool.name.clone()).or_default() += 1;
            } else if state == JobState::Scheduled {
                self.waiting.add(pool, backend, &job.key, known);
            } else {
                *self.jobs.entry((pool.name.clone(), state)).or_default() += 1;
            }
        }
    }

    /// An instance counts at the backends of its host's pool only; listed by several of them, it
    /// counts once, in the state that comes first.
    fn count_instances(
        &mut self,
        backend: &'a BackendName,
        workers: &'a Workers,
        placement: &Placement<'a>,
        hosts: &Hosts<'a>,
    ) {
        for instance in workers.instances.values() {
            if instance.state.is_live() {
                for pool in placement.could_be_of(backend, instance, hosts) {
                    self.elsewhere.entry(pool).or_default().insert(&instance.id);
                }
            }
            let Some((pool, standing)) = placement.of_instance(backend, instance, hosts) else {
                continue;
            };
            let state = (instance.state, standing);
            let counted = self.instances.entry(pool).or_default();
            let counted = counted.entry(&instance.id).or_insert(state);
            *counted = (*counted).min(state);
        }
    }

    fn pool(&self, pool: &Pool) -> Result<PoolState, Held> {
        let mut at = self.view.now;
        for backend in &pool.backends {
            at = at.min(read_at(self.view, backend)?);
        }
        let account = self.account.pool(&pool.name);
        let mut state = PoolState {
            at,
            scheduled: 0,
            no_idle_fit: 0,
            no_compliant: 0,
            set_aside: self.set_aside.get(&pool.name).copied().unwrap_or_default(),
            building: self.jobs(pool, JobState::Building),
            ghosts: self.ghosts.get(&pool.name).copied().unwrap_or_default(),
            blocked: self.jobs(pool, JobState::Blocked),
            instances: InstanceCounts::default(),
            supply: InstanceCounts::default(),
            idle: 0,
            gaps: BTreeMap::new(),
            returning: 0,
            passing: 0,
            elsewhere: count(self.elsewhere.get(&pool.name).into_iter().flatten()),
            in_flight: account.in_flight,
            refitting: back_soon(self.view, &pool.name),
            bought: account.bought,
            workers: Vec::new(),
            per_worker: pool.instances,
            reserve: pool.reserve,
        };
        let (hosts, idle) = self.sum_instances(pool, &mut state);
        Placed {
            scheduled: state.scheduled,
            no_idle_fit: state.no_idle_fit,
            no_compliant: state.no_compliant,
        } = self.waiting.place(pool, &self.workforce, idle);
        state.workers = self.workers(pool, &hosts);
        let counted = self.instances.get(&pool.name);
        let listed = |id: &InstanceId| Some(counted?.get(id)?.0);
        state.gaps = gaps::of_pool(self.view, self.fleet, pool, listed);
        state.returning = gaps::lately(self.view, &state.gaps, Gap::Absent);
        state.passing = gaps::lately(self.view, &state.gaps, Gap::Passing);
        Ok(state)
    }

    fn jobs(&self, pool: &Pool, state: JobState) -> u32 {
        let key = (pool.name.clone(), state);
        self.jobs.get(&key).copied().unwrap_or_default()
    }

    /// Sums the pool's instances up, and returns them by host; and besides how many each host has
    /// that may take a job now.
    fn sum_instances(&self, pool: &Pool, state: &mut PoolState) -> (ByHost<'a>, Idle<'a>) {
        let mut hosts = ByHost::new();
        let mut idle = Idle::new();
        let counted = self.instances.get(&pool.name).into_iter().flatten();
        for (id, &(doing, standing)) in counted {
            hosts.entry(&id.host).or_default().add(doing);
            state.instances.add(doing);
            match standing {
                Standing::Serving | Standing::Unmanaged => state.supply.add(doing),
                Standing::Unsized => {}
                Standing::InFlight | Standing::Refitting | Standing::Leaving => continue,
            }
            if doing == InstanceState::Idle {
                state.idle += 1;
                *idle.entry(&id.host).or_default() += 1;
            }
        }
        (hosts, idle)
    }

    fn workers(&self, pool: &Pool, hosts: &ByHost<'_>) -> Vec<WorkerState> {
        let members = self.view.ledger.members.values();
        let serving = members.filter(|m| m.pool == pool.name && m.stage == Stage::Serving);
        let listed = serving.filter_map(|m| Some((m, self.fleet.servers.get(&m.server)?)));
        let active = listed.filter(|(_, server)| server.status == ServerStatus::Active);
        let worker = |(member, server): (&Member, &Server)| WorkerState {
            server: server.id.clone(),
            host: server.name.clone(),
            instances: hosts.get(&server.name).copied().unwrap_or_default(),
            configured: wanted(member, pool).instances,
            protected: server.tags.protected,
            reachable: server.tags.order.is_some() || self.view.ledger.pinned.contains(&server.id),
        };
        active.map(worker).collect()
    }
}

/// The source, where it is young enough.
pub(super) fn fresh<'a, T>(
    source: &'a Observed<T>,
    view: &View<'_>,
) -> Result<Fresh<'a, T>, Unknown> {
    source.fresh(view.now, view.policy.max_age)
}
