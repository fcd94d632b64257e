//! Where the running daemon takes in what people ask.

use super::{Adopt, AdoptionError, Disown, Outcome, Present, Row, adopt, disowned};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::config::Config;
use crate::gather::LookAgain;
use crate::model::{ServerId, Snapshot};
use crate::reconcile::{InHand, Word};
use crate::web::{Answered, People};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Everything that an adoption needs of a running daemon. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// The configuration.
    pub config: Arc<Config>,
    /// Tells the time.
    pub clock: Clock,
    /// The cloud.
    pub cloud: Arc<dyn Cloud>,
    /// The outside world.
    pub snapshot: watch::Receiver<Snapshot>,
    /// What is in hand.
    pub in_hand: watch::Receiver<InHand>,
    /// Has the pollers look again at once.
    pub look: LookAgain,
    /// Carries what people say to the reconciler.
    pub speak: mpsc::Sender<Word>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    async fn adopt(self, ask: Adopt) -> Answered {
        let (snapshot, in_hand) = (
            self.snapshot.borrow().clone(),
            self.in_hand.borrow().clone(),
        );
        let present = Present {
            config: &self.config,
            snapshot: &snapshot,
            ledger: &in_hand.ledger,
            now: self.clock.now(),
        };
        let rows = adopt(&*self.cloud, present, &ask).await;
        self.look.now();
        rows
    }

    async fn disown(self, ask: Disown) -> Answered {
        let (snapshot, in_hand) = (
            self.snapshot.borrow().clone(),
            self.in_hand.borrow().clone(),
        );
        let present = Present {
            config: &self.config,
            snapshot: &snapshot,
            ledger: &in_hand.ledger,
            now: self.clock.now(),
        };
        let mut rows = Vec::new();
        for (server, row) in disowned(present, &ask)? {
            rows.push(match server {
                None => row,
                Some(server) => self.let_go(server, ask.bought, row).await?,
            });
        }
        Ok(rows)
    }

    /// The reconciler lets go of the server: it alone knows what is under way there.
    async fn let_go(&self, server: ServerId, bought: bool, row: Row) -> Result<Row, AdoptionError> {
        let (reply, answer) = oneshot::channel();
        let word = Word::Disown {
            server,
            bought,
            reply,
        };
        let spoken = self.speak.send(word).await;
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
    fn adopt(&self, ask: Adopt) -> std::pin::Pin<Box<dyn Future<Output = Answered> + Send>> {
        Box::pin(to_its_end(self.clone().adopt(ask)))
    }

    fn disown(&self, ask: Disown) -> std::pin::Pin<Box<dyn Future<Output = Answered> + Send>> {
        Box::pin(to_its_end(self.clone().disown(ask)))
    }
}
