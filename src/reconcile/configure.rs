//! What people want workers to be told.

use super::Reconciler;
use super::people::answer;
use crate::configure::{Configure, Row, Sight, decide};
use crate::journal::JournalError;
use tokio::sync::oneshot;

impl Reconciler {
    /// Writes down what is asked for; the plan brings it about.
    pub(super) fn configure(
        &mut self,
        ask: &Configure,
        reply: oneshot::Sender<Vec<Row>>,
    ) -> Result<(), JournalError> {
        let snapshot = self.parts.snapshot.borrow().clone();
        let sight = Sight {
            fleet: snapshot.fleet.last().map(|list| &list.value),
            ledger: self.books.ledger(),
            policy: &self.parts.config.policy,
        };
        let now = self.parts.clock.now();
        let mut rows = Vec::new();
        for (row, member) in decide(ask, sight) {
            if let Some(member) = member {
                let settings = row.settings.as_deref().unwrap_or_default();
                tracing::info!(server = %member.server, ip = %row.ip, settings, "a person has its settings changed");
                self.books.tell(member, now)?;
            }
            rows.push(row);
        }
        self.show();
        answer(reply, rows);
        Ok(())
    }
}
