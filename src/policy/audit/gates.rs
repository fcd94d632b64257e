//! The laws of backends that are not to be believed, or to be left alone.

use super::{Court, Law, law};
use crate::model::{Fresh, Workers, elapsed};
use crate::policy::Step;

impl Court<'_> {
    /// Whatever the step, none of the pool's backends is under maintenance.
    pub(super) fn is_left_alone(&self, step: &Step) -> Result<(), Law> {
        let name = match step {
            Step::Order { pool, .. }
            | Step::Release { pool, .. }
            | Step::TakeBack { pool, .. }
            | Step::Refit { pool, .. }
            | Step::Isolate { pool, .. } => pool,
        };
        let pool = self.view.policy.pools.get(name).ok_or(Law::Configured)?;
        let ledger = self.view.ledger;
        let mut under = ledger.maintenance.iter();
        let frozen = under.any(|(of, until)| self.view.now < *until && pool.backends.contains(of));
        law(!frozen, Law::Maintenance)
    }

    pub(super) fn has_settled(&self, workers: Fresh<'_, Workers>) -> Result<(), Law> {
        let Some(start) = workers.value().start else {
            return Ok(());
        };
        let ran = elapsed(start.since, workers.at());
        law(ran >= self.view.policy.gates.settling, Law::Settled)
    }
}
