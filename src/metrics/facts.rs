//! What is known of each pool, in the shape that the fleet's metrics want.

use super::PoolFacts;
use crate::model::{InstanceState, Job, JobState, Level, PoolName};
use crate::policy::{Hosts, Placement, PoolState, Standing, View, assess};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The facts of every pool of which everything is known.
#[must_use]
pub fn facts(view: &View<'_>) -> BTreeMap<PoolName, PoolFacts> {
    let known = assess(view)
        .into_iter()
        .filter_map(|(name, state)| Some((name, state.ok()?)));
    let mut facts: BTreeMap<_, _> = known
        .map(|(name, state)| (name, PoolFacts::of(&state)))
        .collect();
    let placement = Placement::new(view.policy, &view.snapshot.build_times);
    add_jobs(view, &placement, &mut facts);
    add_workers(view, &placement, &mut facts);
    facts
}

impl PoolFacts {
    fn of(state: &PoolState) -> Self {
        let spare = u32::try_from(state.whole().count()).unwrap_or(u32::MAX);
        let idle = state
            .workers
            .iter()
            .filter(|w| !w.protected && w.is_idle(state.per_worker));
        let idle = u64::try_from(idle.count()).unwrap_or(u64::MAX);
        Self {
            no_idle_fit: state.scheduled.saturating_sub(state.idle).into(),
            instances: state.instances,
            releasable: idle.min(spare.saturating_sub(state.reserve).into()),
            ..Self::default()
        }
    }

    /// A project that was read has a 0 where it has no job.
    fn add_project(&mut self, backend: &crate::model::BackendName, project: &str) {
        for state in JobState::ALL {
            let key = (backend.clone(), project.to_owned(), state);
            self.jobs.entry(key).or_default();
        }
    }

    fn add_job(&mut self, backend: &crate::model::BackendName, job: &Job, expected: Duration) {
        let key = (backend.clone(), job.key.project.clone(), job.state);
        *self.jobs.entry(key).or_default() += 1;
        if job.state == JobState::Scheduled {
            self.expected_work += expected;
            self.oldest = match (self.oldest, job.seen_waiting) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
}

fn add_jobs(view: &View<'_>, placement: &Placement<'_>, facts: &mut BTreeMap<PoolName, PoolFacts>) {
    for (name, backend) in &view.snapshot.backends {
        let Ok(results) = backend.results.fresh(view.now, view.policy.max_age) else {
            continue;
        };
        let mut projects: Vec<_> = results.value().packages.keys().map(|key| &key.0).collect();
        projects.dedup();
        for project in projects {
            for pool in placement.of_project(name, project) {
                if let Some(facts) = facts.get_mut(&pool.name) {
                    facts.add_project(name, project);
                }
            }
        }
        for job in &results.value().jobs {
            let pool = placement.of_job(name, job);
            if let Some(facts) = pool.and_then(|pool| facts.get_mut(&pool.name)) {
                facts.add_job(name, job, expected(view, placement, job));
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
            if let Some((pool, Standing::Unmanaged)) = placement.of_instance(name, instance, &hosts)
            {
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
