//! Sweeps what servers that are gone left behind.

use super::{Look, Reconciler};
use crate::cloud::{self, Leftovers};
use crate::execute::Deed;
use crate::journal::JournalError;
use crate::model::{HostName, Member, ServerId, Stage, Trail, Why};
use crate::policy::leftovers::{self, TrailNext};
use crate::policy::names::names_in_use;
use jiff::Timestamp;
use std::time::Duration;

/// After a look that failed. Nothing hurries.
pub(super) const PAUSE_AFTER_FAILURE: Duration = Duration::from_mins(1);

impl Reconciler {
    /// What is to be remembered of a member that is gone; `None` of one that no order bought, and of one that
    /// served or that somebody else deleted: a person may have kept its disk.
    pub(super) fn trail(&self, member: &Member, stage: &Stage, now: Timestamp) -> Option<Trail> {
        let id = member.order.as_ref()?;
        if !stage.why().is_some_and(Why::is_withdrawal) {
            return None;
        }
        let order = self.books.ledger().orders.get(id);
        let bill = self.books.bills().get(&member.server);
        let ordered = order.map(|order| order.at);
        let ordered = ordered.or(bill.map(|bill| bill.created));
        Some(Trail {
            server: member.server.clone(),
            names: self.names_of(member),
            ordered: ordered.unwrap_or(member.since),
            gone: now,
        })
    }

    fn names_of(&self, member: &Member) -> Vec<HostName> {
        if let Some(name) = &member.name {
            return vec![name.clone()];
        }
        let ledger = self.books.ledger();
        let order = member.order.as_ref().and_then(|id| ledger.orders.get(id));
        let Some((order, names)) = order.and_then(|o| Some((o, o.names.as_ref()?))) else {
            return Vec::new();
        };
        let others = ledger.members_of(&order.id);
        let others = others.filter_map(|m| m.name.as_ref());
        let bills = self.books.bills().values();
        let before = bills.filter(|bill| bill.order.as_ref() == Some(&order.id));
        let others: Vec<_> = others.chain(before.map(|bill| &bill.name)).collect();
        let free = names.names(order.count);
        free.filter(|name| !others.contains(&name)).collect()
    }

    /// Follows the trails of servers that are gone.
    pub(super) fn follow_trails(&mut self, look: &Look<'_>) -> Result<(), JournalError> {
        if self.books.ledger().trails.is_empty() {
            return Ok(());
        }
        let in_use = names_in_use(look.snapshot, self.books.ledger());
        let trails: Vec<Trail> = self.books.ledger().trails.values().cloned().collect();
        for trail in trails {
            let found = self.seen.left.get(&trail.server);
            match leftovers::follow(&trail, found, &in_use, look.now) {
                TrailNext::Wait => {}
                TrailNext::Look(known) => {
                    let trail = Box::new(trail);
                    self.deeds.start(Deed::Tidy { trail, known }, look.now);
                }
                TrailNext::Done => self.forget_trail(&trail.server)?,
                TrailNext::GiveUp => {
                    tracing::error!(server = %trail.server, names = ?trail.names, ?found,
                        "what it may have left behind was not found out within a day");
                    self.forget_trail(&trail.server)?;
                }
            }
        }
        Ok(())
    }

    fn forget_trail(&mut self, server: &ServerId) -> Result<(), JournalError> {
        self.seen.left.remove(server);
        self.books.forget_trail(server)
    }

    /// Takes in what a look found, and what of it was deleted.
    pub(super) fn tidied(
        &mut self,
        server: &ServerId,
        result: Result<Tidied, cloud::Error>,
        now: Timestamp,
    ) {
        match result {
            Ok(Tidied { cleared, left }) => {
                if !cleared.is_empty() {
                    tracing::warn!(%server, volumes = ?cleared.volumes, ports = ?cleared.ports,
                        "what it left behind was deleted");
                    self.parts.own.cleared(&cleared);
                } else if !left.is_empty() {
                    tracing::warn!(%server, volumes = ?left.volumes, ports = ?left.ports,
                        "it left something behind");
                }
                self.seen.left.insert(server.clone(), (now, left));
            }
            Err(error) => {
                let class = error.label();
                self.seen.odd(format!(
                    "server {server}: what it left behind is not known ({class}): {error}"
                ));
            }
        }
    }
}

/// What a look for leftovers came to.
#[derive(Debug, Default)]
pub struct Tidied {
    /// What was deleted.
    pub cleared: Leftovers,
    /// What is there besides.
    pub left: Leftovers,
}
