//! What a worker is to be told.

use super::View;
use crate::config::Pool;
use crate::model::{BackendName, Constraints, HostName, Member, Setup, Stage};
use std::collections::BTreeSet;

/// What this worker is to be told: what its pool says, but for what a person wants otherwise on it; and bound to
/// one backend, that one alone.
#[must_use]
pub fn wanted(member: &Member, pool: &Pool) -> Setup {
    let own = &member.own;
    let backends = own.backends.as_ref().unwrap_or(&pool.backends);
    let bound = member.bound.as_ref().map(|backend| vec![backend.clone()]);
    Setup {
        backends: bound.unwrap_or_else(|| backends.clone()),
        instances: own.instances.unwrap_or(pool.instances),
        jobs: own.jobs.unwrap_or(pool.jobs),
        cache_mib: own.cache_mib.or(pool.cache_mib),
        ..of_pool(pool)
    }
}

/// Every backend that may give this worker jobs: those of its pool, whose settings it may have until it is told
/// others, and those that it is to serve.
#[must_use]
pub fn backends(member: &Member, pool: &Pool) -> BTreeSet<BackendName> {
    let wanted = wanted(member, pool).backends;
    wanted
        .into_iter()
        .chain(pool.backends.iter().cloned())
        .collect()
}

/// What a new worker of the pool is told.
#[must_use]
pub fn of_pool(pool: &Pool) -> Setup {
    Setup {
        backends: pool.backends.clone(),
        instances: pool.instances,
        jobs: pool.jobs,
        cache_mib: pool.cache_mib,
        cache_dir: pool.workers.cache_dir.clone(),
        binaries_proxy: pool.workers.binaries_proxy.clone(),
    }
}

/// The backends of their pool that workers in service do not serve, by what they were told. A repository server may go
/// on listing such a worker as `idle` until it tries to give it a job.
#[must_use]
pub(super) fn not_served<'a>(view: &View<'a>) -> BTreeSet<(&'a HostName, &'a BackendName)> {
    let mut all = BTreeSet::new();
    for member in view.ledger.members.values() {
        let pool = view.policy.pools.get(&member.pool);
        let (Some(pool), Some(host)) = (pool, &member.name) else {
            continue;
        };
        // while its settings are due it is what it was before, which is not known: it is taken to serve them all,
        // so that it is rather kept for one more try of the dispatcher than lost to a job
        if member.stage == Stage::Serving && member.due.is_none() {
            let served = wanted(member, pool).backends;
            let others = pool.backends.iter().filter(|name| !served.contains(name));
            all.extend(others.map(|name| (host, name)));
        }
    }
    all
}

/// Whether the worker was told of as many processes as the job asks for. What OBS says that it has may have been read
/// before it was told otherwise.
#[must_use]
pub(super) fn is_told_enough(view: &View<'_>, host: &HostName, asked: &Constraints) -> bool {
    let least = asked.hardware.as_ref().and_then(|asked| asked.jobs);
    let member = view.ledger.by_host(host);
    let set = member.filter(|member| member.stage == Stage::Serving && member.due.is_none());
    let (Some(least), Some(member)) = (least, set) else {
        return true;
    };
    let pool = view.policy.pools.get(&member.pool);
    pool.is_none_or(|pool| wanted(member, pool).jobs >= least)
}
