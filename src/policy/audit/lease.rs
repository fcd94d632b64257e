//! The law that of two scalers of one owner only the elder acts.

use super::{Court, Law, law};
use crate::policy::lease::{FORGET, GRACE, TTL};
use jiff::SignedDuration;

impl Court<'_> {
    /// Whether this scaler goes before every other whose lease the list shows alive, and has been there to
    /// be seen by it for as long as it may rest on an older list; where it sees no other, whether another
    /// one could see it, or has had the time for that.
    pub(super) fn goes_first(&self) -> Result<(), Law> {
        let view = self.view;
        let list = view.snapshot.fleet.last().ok_or(Law::Fresh)?;
        let own = &view.ledger.lease;
        let seconds = |d: std::time::Duration| SignedDuration::try_from(d).map_err(|_| Law::Lease);
        let (ttl, ahead) = (seconds(TTL)?, seconds(FORGET)?);
        let mut alone = true;
        for tag in list.value.servers.values().flat_map(|s| &s.tags.leases) {
            let age = list.at.duration_since(tag.renewed);
            let other = own.me.as_ref().map(|me| &me.id) != Some(&tag.scaler.id);
            if !other || age >= ttl || -age >= ahead {
                continue;
            }
            alone = false;
            let me = own.me.as_ref().ok_or(Law::Lease)?;
            let first = (me.since, &me.id) < (tag.scaler.since, &tag.scaler.id);
            let seen = view.now.duration_since(own.seen.ok_or(Law::Lease)?);
            law(first && seen >= seconds(view.policy.max_age)?, Law::Lease)?;
        }
        let Some(possible) = own.possible.filter(|_| alone && own.seen.is_none()) else {
            return Ok(());
        };
        law(
            view.now.duration_since(possible) >= seconds(GRACE)?,
            Law::Lease,
        )
    }
}
