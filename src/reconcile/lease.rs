//! Keeping the own lease, and telling how this scaler stands to others of its owner.

use super::{Look, Reconciler};
use crate::cloud;
use crate::execute::Deed;
use crate::model::{LeaseTag, ServerId};
use crate::policy::lease::{Errand, errands, next_own};
use crate::policy::{self, Lease};
use std::time::Duration;

/// Between two writes on the same server: the list shows a write only some time later.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

impl Reconciler {
    /// Takes in what the list shows of leases, and starts what they ask for.
    pub(super) fn keep_lease(&mut self, look: &Look<'_>) {
        if let Ok(fleet) = look.snapshot.fleet.fresh(look.now, look.policy.max_age) {
            let ledger = self.books.ledger();
            let own = next_own(&ledger.lease, fleet.value(), ledger, fleet.at());
            *self.books.lease() = own;
            for errand in errands(fleet.value(), self.books.ledger(), look.now) {
                self.see_to(errand, look);
            }
        }
        let standing = policy::lease(&look.view(self.books.ledger()));
        self.tell_standing(standing);
    }

    fn see_to(&mut self, errand: Errand, look: &Look<'_>) {
        let deed = match errand {
            Errand::Sweep { server, keys } => Deed::Sweep { server, keys },
            Errand::Write { server } => {
                let Some(scaler) = self.books.ledger().lease.me.clone() else {
                    return;
                };
                let (key, renewed) = (scaler.lease_key(), look.now);
                let value = LeaseTag { scaler, renewed }.value();
                Deed::Renew { server, key, value }
            }
        };
        self.deeds.start(deed, look.now);
    }

    /// One line for each change.
    fn tell_standing(&mut self, standing: Lease) {
        if self.seen.standing.as_ref() == Some(&standing) {
            return;
        }
        self.parts.own.lease(standing.label());
        match &standing {
            Lease::Sole => tracing::info!("no other obs-scaler of this owner is at work"),
            Lease::Starting => tracing::info!("waiting for the own lease in the cloud's list"),
            Lease::NoServer => tracing::info!(
                "no server of this owner runs that could carry a lease: whether another obs-scaler has \
                 the same owner can not be known"
            ),
            Lease::Elder { others } => {
                let others: Vec<String> = others.iter().map(ToString::to_string).collect();
                tracing::warn!(
                    ?others,
                    "other obs-scalers have the same owner; this one is the eldest and goes on"
                );
            }
            Lease::Younger { elder } => tracing::error!(
                %elder,
                "another obs-scaler has the same owner and goes first: this one only decides and says, and \
                 finishes what it ordered itself"
            ),
            Lease::Unkept { why } => tracing::error!(
                why,
                "the own lease does not come into the cloud's list: another obs-scaler of the same owner \
                 would not know of this one; going on"
            ),
        }
        self.seen.standing = Some(standing);
    }

    /// Takes in whether the lease could be written. The first one is read back at once.
    pub(super) fn renewed(&mut self, server: &ServerId, result: Result<(), cloud::Error>) {
        let lease = self.books.lease();
        let unseen = lease.seen.is_none();
        match result {
            Ok(()) => {
                lease.refused = None;
                if unseen {
                    self.parts.look.now();
                }
            }
            Err(error) => {
                lease.refused = Some(error.to_string());
                self.seen.odd(format!(
                    "the lease can not be written on server {server}: {error}"
                ));
            }
        }
    }

    pub(super) fn swept(&mut self, result: Result<(), cloud::Error>) {
        match result {
            Ok(()) => tracing::info!("leases of obs-scalers that are gone were taken off a server"),
            Err(error) => self
                .seen
                .odd(format!("old leases can not be taken off: {error}")),
        }
    }
}
