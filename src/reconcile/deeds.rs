//! Deeds under way: at most one for each order and each server, and a pause before the next.

use crate::execute::{Deed, Done, Hands, Subject};
use crate::model::ServerId;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// What matters of a deed while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It may start a worker's service.
    Check,
    /// It starts nothing.
    Other,
}

/// The deeds under way.
#[derive(Debug)]
pub(super) struct Deeds {
    hands: Arc<Hands>,
    running: JoinSet<(Subject, Done)>,
    in_hand: BTreeMap<Subject, Kind>,
    not_before: BTreeMap<Subject, Timestamp>,
    next: BTreeMap<Subject, Deed>,
}

impl Deeds {
    pub(super) fn new(hands: Arc<Hands>) -> Self {
        Self {
            hands,
            running: JoinSet::new(),
            in_hand: BTreeMap::new(),
            not_before: BTreeMap::new(),
            next: BTreeMap::new(),
        }
    }

    /// Starts a deed, unless one about the same subject is under way or ended only just now: it will
    /// be asked for again.
    pub(super) fn start(&mut self, deed: Deed, now: Timestamp) {
        let subject = deed.subject();
        let too_soon = self.not_before.get(&subject).is_some_and(|at| now < *at);
        if !too_soon && !self.in_hand.contains_key(&subject) {
            self.spawn(subject, deed);
        }
    }

    /// Starts a deed that is asked for only once: where another about the same subject is under way,
    /// right after that.
    pub(super) fn start_surely(&mut self, deed: Deed) {
        let subject = deed.subject();
        if self.in_hand.contains_key(&subject) {
            self.next.insert(subject, deed);
        } else {
            self.spawn(subject, deed);
        }
    }

    /// Whether a deed about this is under way.
    pub(super) fn is_busy(&self, subject: &Subject) -> bool {
        self.in_hand.contains_key(subject)
    }

    /// Whether the server is being checked just now.
    pub(super) fn is_checking(&self, server: &ServerId) -> bool {
        self.in_hand.get(&Subject::Server(server.clone())) == Some(&Kind::Check)
    }

    fn spawn(&mut self, subject: Subject, deed: Deed) {
        let kind = if matches!(deed, Deed::Check { .. }) {
            Kind::Check
        } else {
            Kind::Other
        };
        self.in_hand.insert(subject.clone(), kind);
        let hands = Arc::clone(&self.hands);
        self.running
            .spawn(async move { (subject, hands.carry_out(deed).await) });
    }

    /// The next deed to end; `None` while none is under way.
    ///
    /// # Errors
    /// Where a deed panicked: nothing more is known of what it did.
    pub(super) async fn next(&mut self) -> Option<Result<(Subject, Done), JoinError>> {
        let ended = self.running.join_next().await?;
        if let Ok((subject, _)) = &ended {
            self.in_hand.remove(subject);
            if let Some((subject, deed)) = self.next.remove_entry(subject) {
                self.spawn(subject, deed);
            }
        }
        Some(ended)
    }

    /// Leaves a subject alone for `pause`.
    pub(super) fn rest(&mut self, subject: Subject, now: Timestamp, pause: Duration) {
        let until = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        self.not_before.retain(|_, at| now < *at);
        self.not_before.insert(subject, until);
    }
}
