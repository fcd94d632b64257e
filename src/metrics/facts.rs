//! What is known of each pool, in the shape that the fleet's metrics want.

use super::PoolFacts;
use crate::model::{
    BackendName, InstanceState, Job, JobState, Level, PackageKey, PoolName, Requirements, Results,
};
use crate::policy::{Hosts, Placement, PoolState, Prospects, Standing, View, assess};
use jiff::Timestamp;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The facts of every pool of which everything is known.
#[must_use]
pub fn facts(view: &View<'_>) -> BTreeMap<PoolName, PoolFacts> {
    let known = assess(view)
        .into_iter()
        .filter_map(|(name, state)| Some((name, state.ok()?)));
    let mut facts: BTreeMap<_, _> = known
        .map(|(name, state)| (name.clone(), PoolFacts::of(&state, looked_for(view, &name))))
        .collect();
    let placement = Placement::new(view.policy, &view.snapshot.build_times);
    add_jobs(view, &placement, &mut facts);
    add_workers(view, &placement, &mut facts);
    facts
}

/// Whether it was ever looked for what the jobs of the pool's backends ask.
fn looked_for(view: &View<'_>, pool: &PoolName) -> bool {
    let pool = view.policy.pools.get(pool);
    let backends = pool.into_iter().flat_map(|pool| &pool.backends);
    let known = |name| {
        let backend = view.snapshot.backends.get(name);
        backend.is_some_and(|b| b.requirements.last().is_some())
    };
    backends.into_iter().all(known)
}

impl PoolFacts {
    fn of(state: &PoolState, looked_for: bool) -> Self {
        let spare = u32::try_from(state.whole().count()).unwrap_or(u32::MAX);
        let idle = state
            .workers
            .iter()
            .filter(|w| w.may_leave() && w.is_idle());
        let idle = u64::try_from(idle.count()).unwrap_or(u64::MAX);
        Self {
            no_idle_fit: state.no_idle_fit.into(),
            ghosts: state.ghosts.into(),
            no_compliant: looked_for.then(|| state.no_compliant.into()),
            instances: state.instances,
            releasable: idle.min(spare.saturating_sub(state.reserve).into()),
            ..Self::default()
        }
    }

    /// A project that was read has a 0 where it has no job.
    fn add_project(&mut self, backend: &BackendName, project: &str) {
        for state in JobState::ALL {
            let key = (backend.clone(), project.to_owned(), state);
            self.jobs.entry(key).or_default();
        }
    }

    fn add_job(&mut self, backend: &BackendName, job: &Job) {
        let key = (backend.clone(), job.key.project.clone(), job.state);
        *self.jobs.entry(key).or_default() += 1;
    }

    fn watch(&mut self, job: &Job, since: Timestamp) {
        let PackageKey {
            package,
            project,
            arch,
            ..
        } = job.key.clone();
        let watched = self.watched.entry((package, project, arch));
        let watched = watched.or_insert(since);
        *watched = since.min(*watched);
    }
}

fn add_jobs(view: &View<'_>, placement: &Placement<'_>, facts: &mut BTreeMap<PoolName, PoolFacts>) {
    let Ok(fleet) = view.fleet() else { return };
    let prospects = Prospects::new(view, fleet.value());
    for (name, backend) in &view.snapshot.backends {
        let Ok(results) = backend.results.fresh(view.now, view.policy.max_age) else {
            continue;
        };
        add_projects(name, results.value(), placement, facts);
        let known = backend.requirements.last().map(|reading| &reading.value);
        let ghosts = view.ghost_jobs(name);
        let real = |job: &&Job| !ghosts.contains(&job.key);
        for job in results.value().jobs.iter().filter(real) {
            let Some(pool) = placement.of_job(name, job) else {
                continue;
            };
            let Some(facts) = facts.get_mut(&pool.name) else {
                continue;
            };
            facts.add_job(name, job);
            let Some(since) = waits_since(job, known) else {
                continue;
            };
            facts.expected_work += expected(view, placement, job);
            let named = |pattern: &Regex| pattern.is_match(job.key.base_name());
            if view.policy.watched.iter().any(named) {
                facts.watch(job, since);
            }
            if !prospects.is_hopeless(name, pool, &job.key) {
                facts.oldest = Some(facts.oldest.map_or(since, |oldest| oldest.min(since)));
            }
        }
    }
}

/// Since when a job waits: when OBS made it ready, where that was told, else when it was first seen.
/// `None` where it does not wait.
fn waits_since(job: &Job, known: Option<&Requirements>) -> Option<Timestamp> {
    let seen = job.seen_waiting?;
    let ready = known.and_then(|known| known.ready.get(&(job.key.clone(), seen)));
    Some(ready.copied().unwrap_or(seen))
}

fn add_projects(
    backend: &BackendName,
    results: &Results,
    placement: &Placement<'_>,
    facts: &mut BTreeMap<PoolName, PoolFacts>,
) {
    let mut projects: Vec<_> = results.packages.keys().map(|key| &key.0).collect();
    projects.dedup();
    for project in projects {
        for pool in placement.of_project(backend, project) {
            if let Some(facts) = facts.get_mut(&pool.name) {
                facts.add_project(backend, project);
            }
        }
    }
}

/// The expected build time of a job: the mean of its last builds, or the least of its level where it
/// was never built.
fn expected(view: &View<'_>, placement: &Placement<'_>, job: &Job) -> Duration {
    let levels = &view.policy.levels;
    let of_level = || match placement.level(&job.key) {
        Level::L1 => Duration::ZERO,
        Level::L2 => levels.l1_below,
        Level::L3 => levels.l2_below,
    };
    let built = view.snapshot.build_times.of(&job.key);
    built.map_or_else(of_level, |expected| expected.mean)
}

/// Workers by life stage: ours from the ledger, and the unmanaged ones that OBS lists.
fn add_workers<'a>(
    view: &View<'a>,
    placement: &Placement<'a>,
    facts: &mut BTreeMap<PoolName, PoolFacts>,
) {
    for order in view.ledger.orders.values() {
        if let Some(facts) = facts.get_mut(&order.pool) {
            *facts.workers.entry("ordered").or_default() += u64::from(view.ledger.unnamed(order));
        }
    }
    for member in view.ledger.members.values() {
        if let Some(facts) = facts.get_mut(&member.pool) {
            *facts.workers.entry(member.stage.label()).or_default() += 1;
            facts.hosts.extend(member.name.clone());
        }
    }
    add_unmanaged(view, placement, facts);
}

fn add_unmanaged<'a>(
    view: &View<'a>,
    placement: &Placement<'a>,
    facts: &mut BTreeMap<PoolName, PoolFacts>,
) {
    let Ok(fleet) = view.fleet() else { return };
    let hosts = Hosts::new(fleet.value(), view.ledger);
    let hosts = hosts.and_unmanaged(view.snapshot, fleet.value(), placement);
    let mut unmanaged = BTreeSet::new();
    for (name, backend) in &view.snapshot.backends {
        let Ok(workers) = backend.workers.fresh(view.now, view.policy.max_age) else {
            continue;
        };
        let there = workers.value().instances.values();
        for instance in there.filter(|i| i.state != InstanceState::Down) {
            let placed = placement.of_instance(name, instance, &hosts);
            if let Some((pool, Standing::Unmanaged | Standing::Unsized)) = placed {
                unmanaged.insert((pool, instance.id.host.clone()));
            }
        }
    }
    for (pool, host) in unmanaged {
        if let Some(facts) = facts.get_mut(&pool) {
            *facts.workers.entry("unmanaged").or_default() += 1;
            facts.hosts.insert(host);
        }
    }
}
