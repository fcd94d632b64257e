//! Workers that lose the builds which they take: told of, and taken out of service.

use super::Reconciler;
use crate::journal::JournalError;
use crate::metrics::Direction;
use crate::model::{HostName, Stage, Why};
use crate::policy::{Left, Reason, Step, Suspect};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Those that were told of.
pub(super) type Told = BTreeSet<HostName>;

impl Reconciler {
    /// One line for each that was none before, and a count.
    pub(super) fn tell_of_black_holes(&mut self, suspects: &[Suspect], now: Timestamp) {
        let known = suspects
            .iter()
            .map(|suspect| suspect.host.clone())
            .collect();
        let before = std::mem::replace(&mut self.seen.black_holes, known);
        for suspect in suspects.iter().filter(|s| !before.contains(&s.host)) {
            let Suspect {
                host,
                pool,
                evidence,
                left,
                ..
            } = suspect;
            let why = left.map(|left| left.to_string()).unwrap_or_default();
            tracing::error!(%host, %pool, evidence, left = why, "a black hole: it loses the builds which it takes");
            if left.is_some_and(|left| left != Left::NotNow) {
                let reason = Reason::BLACK_HOLE;
                self.parts.own.decided(Direction::Hold, pool, reason, now);
            }
        }
    }

    /// Takes a black hole out of service. What it builds ends first.
    pub(super) fn isolate(&mut self, step: &Step, now: Timestamp) -> Result<(), JournalError> {
        let Step::Isolate {
            server, evidence, ..
        } = step
        else {
            return Ok(());
        };
        let Some(member) = self.books.ledger().members.get(server).cloned() else {
            return Ok(());
        };
        let own = &self.parts.own;
        own.decided(Direction::Release, &member.pool, Reason::BLACK_HOLE, now);
        let pool = self.parts.config.policy.pools.get(&member.pool);
        let live = pool.map_or(0, |pool| pool.instances);
        let why = Why::BlackHole {
            evidence: evidence.clone(),
        };
        self.enter(&member, Stage::Cordoned { why }, member.reached, live, now)
    }
}
