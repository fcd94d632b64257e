//! What is not believed, and what is not acted on: a backend that has just started, and one under maintenance.

use super::View;
use super::demand::{PoolState, assess, fresh};
use super::held::{Doubt, Held, Source};
use crate::config::Pool;
use crate::model::{BackendName, Fresh, Observed, PoolName, Workers, elapsed};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A backend's workers, where they are fresh and its repository server had run for the settling time when
/// they were read: a worker that is idle reports to it every 5 minutes (bs_worker 3370), so that until then
/// one that is not listed says nothing.
pub(super) fn believed<'a>(
    workers: &'a Observed<Workers>,
    view: &View<'_>,
) -> Result<Fresh<'a, Workers>, Doubt> {
    let workers = fresh(workers, view)?;
    match workers.value().start {
        Some(start) if elapsed(start.since, workers.at()) < view.policy.gates.settling => {
            let ran = elapsed(start.since, workers.at());
            Err(Doubt::Settling { ran })
        }
        Some(_) | None => Ok(workers),
    }
}

/// The first of the pool's backends that is under maintenance, and until when.
#[must_use]
pub fn maintained<'a>(view: &View<'a>, pool: &'a Pool) -> Option<(&'a BackendName, Timestamp)> {
    let until = |backend| view.ledger.maintenance.get(backend).copied();
    let mut backends = pool.backends.iter();
    backends.find_map(|backend| {
        let until = until(backend).filter(|until| view.now < *until)?;
        Some((backend, until))
    })
}

/// What each pool has and needs, where it may be acted on: a pool of a backend under maintenance is seen, and
/// nothing is decided for it, nor counted by which something will be decided.
#[must_use]
pub fn decidable(view: &View<'_>) -> BTreeMap<PoolName, Result<PoolState, Held>> {
    let mut states = assess(view);
    for (name, pool) in &view.policy.pools {
        if let Some((backend, until)) = maintained(view, pool) {
            let held = Held::backend(Source::Workers, backend, Doubt::Maintenance { until });
            states.insert(name.clone(), Err(held));
        }
    }
    states
}
