//! The law of workers that are sent on their way to other settings: one builds nothing until it is back.

use super::{Court, Law, law, number};
use crate::model::{Member, PoolName, ServerId, Stage};

impl Court<'_> {
    pub(super) fn refit(&self, id: &ServerId, pool: &PoolName) -> Result<(), Law> {
        let pool = self.view.policy.pools.get(pool).ok_or(Law::Configured)?;
        // every backend of the pool has to be fresh: elsewhere it is not known what is left
        self.instances(pool)?;
        let server = self.managed(id, pool)?;
        let pinned = server.tags.order.is_some() || self.view.ledger.pinned.contains(id);
        law(pinned, Law::Pinned)?;
        self.leaves_a_fit(server, pool)?;
        let member = self.view.ledger.members.get(id).ok_or(Law::Managed)?;
        let at_once = member.due.ok_or(Law::Refits)?;
        let on_the_way = |m: &&Member| m.pool == pool.name && m.stage == Stage::Refitting;
        let members = self.view.ledger.members.values();
        let earlier = self.refitted.iter().filter(|of| **of == pool.name);
        let going = members.filter(on_the_way).count() + earlier.count();
        law(number(going) < at_once, Law::Refits)
    }
}
