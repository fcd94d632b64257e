//! Exclusive mode, from a person's word to the last worker.

use super::people::answer;
use super::{Look, Reconciler};
use crate::journal::JournalError;
use crate::model::{Exclusive, Member, Overrides};
use crate::policy::exclusive::{Change, exclusion};
use jiff::Timestamp;
use tokio::sync::oneshot;

impl Reconciler {
    /// A person sets the mode, or (`None`) takes it back. Taken back it ends once every worker has its own list again.
    /// It is answered once it is written down and shown.
    pub(super) fn be_exclusive(
        &mut self,
        mode: Option<Exclusive>,
        reply: oneshot::Sender<()>,
    ) -> Result<(), JournalError> {
        let before = self.books.ledger().exclusive.clone();
        let mode = mode.or_else(|| {
            before.map(|mode| Exclusive {
                ending: true,
                ..mode
            })
        });
        if let Some(mode) = &mode {
            let (backend, ending) = (&mode.backend, mode.ending);
            tracing::warn!(%backend, ending, at_once = mode.at_once, "a person changes the exclusive mode");
        }
        self.books.exclusive(mode)?;
        self.show();
        answer(reply, ());
        Ok(())
    }

    /// Writes down whose binding changes; the plan brings it about, few workers at once.
    pub(super) fn keep_exclusive(&mut self, look: &Look<'_>) -> Result<(), JournalError> {
        let all = exclusion(&look.view(self.books.ledger()));
        for change in all.changes {
            self.bind(change, look.now)?;
        }
        if all.over {
            tracing::info!("the exclusive mode is over: every worker has its own list again");
            self.books.exclusive(None)?;
        }
        Ok(())
    }

    fn bind(&mut self, change: Change, now: Timestamp) -> Result<(), JournalError> {
        let Change {
            server,
            bound,
            own,
            due,
        } = change;
        let Some(member) = self.books.ledger().members.get(&server).cloned() else {
            return Ok(());
        };
        let to = bound.as_ref().map_or("its own list", |name| name.as_str());
        tracing::info!(%server, to, "bound by the exclusive mode");
        let own = Overrides {
            backends: own.or(member.own.backends),
            ..member.own
        };
        let told = Member {
            bound,
            own,
            due: due.or(member.due),
            ..member
        };
        self.books.tell(told, now)
    }
}
