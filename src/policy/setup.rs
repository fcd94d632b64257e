//! What a worker is to be told.

use crate::config::Pool;
use crate::model::{Member, Setup};

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
        cache_mib: own.cache_mib,
    }
}

/// What a new worker of the pool is told.
#[must_use]
pub fn of_pool(pool: &Pool) -> Setup {
    Setup {
        backends: pool.backends.clone(),
        instances: pool.instances,
        jobs: pool.jobs,
        cache_mib: None,
    }
}
