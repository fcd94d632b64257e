//! Where the running daemon takes in what people ask.

use super::{Adopt, AdoptionError, Disown, Outcome, Row, Sight, adopt, disowned};
use crate::cloud::Cloud;
use crate::configure::Configure;
use crate::exclusive::{self, Ask};
use crate::gather::LookAgain;
use crate::inspect::{CheckAsked, Inspector};
use crate::model::{BackendName, Ledger, ServerId, Snapshot};
use crate::present::Present;
use crate::reconcile::Word;
use crate::web::{Answered, Checked, Noted, People, Refitted};
use jiff::Timestamp;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Everything that an adoption needs of a running daemon. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// The outside world, and what is in hand.
    pub present: Arc<Present>,
    /// The cloud.
    pub cloud: Arc<dyn Cloud>,
    /// Has the pollers look again at once.
    pub look: LookAgain,
    /// Looks at workers.
    pub inspector: Inspector,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    async fn adopt(self, ask: Adopt) -> Answered {
        let (snapshot, ledger) = self.seen();
        let rows = adopt(&*self.cloud, self.sight(&snapshot, &ledger), &ask).await;
        self.look.now();
        rows
    }

    async fn disown(self, ask: Disown) -> Answered {
        let (snapshot, ledger) = self.seen();
        let mut rows = Vec::new();
        for (server, row) in disowned(self.sight(&snapshot, &ledger), &ask)? {
            rows.push(match server {
                None => row,
                Some(server) => self.let_go(server, ask.bought, row).await?,
            });
        }
        Ok(rows)
    }

    fn seen(&self) -> (Snapshot, Arc<Ledger>) {
        let snapshot = self.present.snapshot.borrow().clone();
        (snapshot, Arc::clone(&self.present.in_hand.borrow().ledger))
    }

    fn sight<'a>(&'a self, snapshot: &'a Snapshot, ledger: &'a Ledger) -> Sight<'a> {
        Sight {
            config: &self.present.config,
            snapshot,
            ledger,
            now: self.present.clock.now(),
        }
    }

    /// The reconciler lets go of the server: it alone knows what is under way there.
    async fn let_go(&self, server: ServerId, bought: bool, row: Row) -> Result<Row, AdoptionError> {
        let (reply, answer) = oneshot::channel();
        let word = Word::Disown {
            server,
            bought,
            reply,
        };
        let spoken = self.present.speak.send(word).await;
        spoken.map_err(|_| AdoptionError::Stopping)?;
        Ok(match answer.await.map_err(|_| AdoptionError::Stopping)? {
            Ok(()) => row,
            Err(why) => Row {
                outcome: Outcome::Failed,
                why: Some(why),
                ..row
            },
        })
    }
}

/// What was begun is carried to its end, also where whoever asked has gone.
async fn to_its_end(work: impl Future<Output = Answered> + Send + 'static) -> Answered {
    let ended = tokio::spawn(work).await;
    ended.unwrap_or(Err(AdoptionError::Stopping))
}

impl People for Desk {
    fn adopt(&self, ask: Adopt) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        Box::pin(to_its_end(self.clone().adopt(ask)))
    }

    fn disown(&self, ask: Disown) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        Box::pin(to_its_end(self.clone().disown(ask)))
    }

    fn check(&self, ask: CheckAsked) -> Pin<Box<dyn Future<Output = Checked> + Send>> {
        Box::pin(self.inspector.clone().check(ask))
    }

    fn configure(&self, ask: Configure) -> Pin<Box<dyn Future<Output = Refitted> + Send>> {
        let speak = self.present.speak.clone();
        Box::pin(async move {
            let (reply, rows) = oneshot::channel();
            speak.send(Word::Configure { ask, reply }).await.ok()?;
            rows.await.ok()
        })
    }

    fn maintain(
        &self,
        backend: BackendName,
        until: Option<Timestamp>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let speak = self.present.speak.clone();
        Box::pin(async move {
            let (reply, written) = oneshot::channel();
            let word = Word::Maintain {
                backend,
                until,
                reply,
            };
            speak.send(word).await.is_ok() && written.await.is_ok()
        })
    }

    fn be_exclusive(&self, ask: Option<Ask>) -> Pin<Box<dyn Future<Output = Noted> + Send>> {
        let (policy, now) = (&self.present.config.policy, self.present.clock.now());
        let mode = ask.map(|ask| exclusive::decide(&ask, policy, now));
        let mode = mode.transpose();
        let speak = self.present.speak.clone();
        Box::pin(async move {
            let mode = match mode {
                Ok(mode) => mode,
                Err(why) => return Some(Err(why)),
            };
            let (reply, written) = oneshot::channel();
            let word = Word::Exclusive { mode, reply };
            speak.send(word).await.ok()?;
            written.await.ok().map(Ok)
        })
    }
}
