//! The law of workers that are taken back: they were ours to give up, and still are.

use super::{Court, Law, law};
use crate::config::Mode;
use crate::model::{Action, PoolName, ServerId, ServerStatus, Stage, Why};

impl Court<'_> {
    /// Whether the worker left for being idle, still runs, and is called for. Nothing is bought by it: neither the
    /// ceiling nor what the cloud refuses stands against it.
    pub(super) fn take_back(&self, id: &ServerId, name: &PoolName) -> Result<(), Law> {
        let pool = self.view.policy.pools.get(name).ok_or(Law::Configured)?;
        self.called_for(pool, Action::Apply)?;
        law(pool.mode == Mode::Full, Law::Mode)?;
        let server = self.fleet()?.servers.get(id).ok_or(Law::Managed)?;
        let member = self.view.ledger.members.get(id).ok_or(Law::Managed)?;
        let ours = server.tags.pool.as_ref() == Some(name) && member.pool == *name;
        law(ours && server.status == ServerStatus::Active, Law::Managed)?;
        let left = member.stage == Stage::Cordoned { why: Why::Idle };
        law(left && !self.taken_back.contains(id), Law::TakeBack)
    }
}
