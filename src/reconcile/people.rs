//! What people say, and what becomes of it.

use super::{Look, Reconciler};
use crate::adoption;
use crate::cloud;
use crate::configure::{Configure, Row};
use crate::execute::Deed;
use crate::journal::JournalError;
use crate::model::{BackendName, Class, Exclusive, Member, PoolName, ServerId};
use crate::policy;
use jiff::Timestamp;
use std::collections::BTreeSet;
use tokio::sync::oneshot;

/// Where it is told how a word was carried out, or why it was not.
pub type Reply = oneshot::Sender<Result<(), String>>;

/// What a person said.
#[derive(Debug)]
pub enum Word {
    /// The pool is as it should be: what vanished is not coming back.
    Accept(PoolName),
    /// The backend is under maintenance until then; `None`: not any more.
    Maintain {
        /// Which.
        backend: BackendName,
        /// Until when.
        until: Option<Timestamp>,
        /// Who waits for it to be written down.
        reply: oneshot::Sender<()>,
    },
    /// The server is not ours any more.
    Disown {
        /// Which.
        server: ServerId,
        /// Also where an order bought it.
        bought: bool,
        /// Who waits for it.
        reply: Reply,
    },
    /// Workers are to be told something else.
    Configure {
        /// Which, and what.
        ask: Configure,
        /// Who waits for the rows.
        reply: oneshot::Sender<Vec<Row>>,
    },
    /// Workers are to serve one backend alone.
    Exclusive {
        /// How; `None` takes it back.
        mode: Option<Exclusive>,
        /// Who waits for it to be written down.
        reply: oneshot::Sender<()>,
    },
}

impl Reconciler {
    pub(super) fn obey(&mut self, word: Word) -> Result<(), JournalError> {
        match word {
            Word::Accept(pool) => {
                tracing::warn!(%pool, "a person says that the pool is as it should be");
                self.books.supply(&pool, policy::supply::accept())
            }
            Word::Maintain {
                backend,
                until,
                reply,
            } => {
                match until {
                    Some(until) => {
                        tracing::warn!(%backend, %until, "a person says that the backend is under maintenance")
                    }
                    None => {
                        tracing::warn!(%backend, "a person says that the maintenance of the backend is over")
                    }
                }
                self.books.maintenance(&backend, until)?;
                self.show();
                answer(reply, ());
                Ok(())
            }
            Word::Disown {
                server,
                bought,
                reply,
            } => self.disown(server, bought, reply),
            Word::Configure { ask, reply } => self.configure(&ask, reply),
            Word::Exclusive { mode, reply } => self.be_exclusive(mode, reply),
        }
    }

    /// Ends each maintenance of which the time has come.
    pub(super) fn end_maintenance(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let known = self.books.ledger().maintenance.iter();
        let over = known.filter(|(_, until)| now >= **until);
        let over: Vec<BackendName> = over.map(|(backend, _)| backend.clone()).collect();
        for backend in over {
            tracing::info!(%backend, "the maintenance of the backend is over");
            self.books.maintenance(&backend, None)?;
        }
        Ok(())
    }

    /// Lets go of a server: it is forgotten first, and then its tags are taken off. A crash in between
    /// leaves the tags, by which it is found again: what was asked for was not done.
    fn disown(&mut self, server: ServerId, bought: bool, reply: Reply) -> Result<(), JournalError> {
        let snapshot = self.parts.snapshot.borrow().clone();
        let listed = snapshot.fleet.last();
        let listed = listed.and_then(|list| list.value.servers.get(&server));
        let member = self.books.ledger().members.get(&server);
        let refused = match listed {
            None => Some("the cloud does not list it as ours any more".to_owned()),
            Some(listed) => adoption::keeps(listed, member, bought).map(|why| why.to_string()),
        };
        if let Some(why) = refused {
            answer(reply, Err(why));
            return Ok(());
        }
        tracing::warn!(%server, bought, "a person takes the server from us");
        let keys = listed.map(adoption::keys_on).unwrap_or_default();
        self.books.let_go(&server)?;
        self.seen.let_go.insert(server.clone(), None);
        self.seen.waiting.insert(server.clone(), reply);
        self.deeds.start_surely(Deed::Disown { server, keys });
        Ok(())
    }

    /// Takes in whether the tags could be taken off. A server that is gone has none.
    pub(super) fn disowned(
        &mut self,
        server: &ServerId,
        result: Result<(), cloud::Error>,
        now: Timestamp,
    ) {
        let result = match result {
            Err(error) if error.class() != Class::Gone => {
                tracing::error!(%server, %error, "its tags can not be taken off: it stays ours");
                self.seen.let_go.remove(server);
                Err(format!("its tags can not be taken off: {error}"))
            }
            Ok(()) | Err(_) => {
                tracing::info!(%server, "not ours any more");
                self.seen.let_go.insert(server.clone(), Some(now));
                Ok(())
            }
        };
        if let Some(reply) = self.seen.waiting.remove(server) {
            answer(reply, result);
        }
        self.parts.look.now();
    }

    /// Learns of which adopted servers the host key is known, once for each list.
    pub(super) fn note_pins(&mut self, look: &Look<'_>) {
        let list = look.snapshot.fleet.last();
        if list.map(|list| list.at) == self.seen.pins_at {
            return;
        }
        self.seen.pins_at = list.map(|list| list.at);
        let listed = |member: &Member| list.and_then(|list| list.value.servers.get(&member.server));
        let adopted = self.books.ledger().members.values();
        let adopted = adopted.filter(|member| member.order.is_none());
        let mut pinned = BTreeSet::new();
        for member in adopted {
            let Some((name, ip)) = listed(member).and_then(|s| Some((&s.name, s.ip?))) else {
                continue;
            };
            match self.parts.hands.known_pin(name, ip) {
                Ok(_) => {
                    pinned.insert(member.server.clone());
                }
                Err(why) => self.seen.odd(format!(
                    "server {} ({name}) can not be reached, so it is never released: {why}",
                    member.server
                )),
            }
        }
        *self.books.pinned() = pinned;
    }
}

/// Whoever asked may have gone meanwhile.
pub(super) fn answer<T>(reply: oneshot::Sender<T>, said: T) {
    if reply.send(said).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}
