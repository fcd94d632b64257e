//! Whether this scaler may act, or another one of the same owner goes first.
//!
//! Each scaler keeps a lease: a tag of its own key on servers of theirs. A scaler acts only on a list that
//! shows its own lease; and where it shows another one's too, only as the elder of them, and only once its
//! own has been there for as long as the other may still act on an older list (`max_age`). So there is no
//! moment at which two act, as far as the lists are whole and the clocks agree within the lease's time:
//! of two leases the later one was written when the earlier was there to be read.
//!
//! Where no server exists there is nothing to carry a lease, and nothing to be known.

use super::View;
use crate::model::{
    Fleet, LeaseTag, Ledger, OwnLease, Scaler, Server, ServerId, ServerStatus, elapsed,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a lease counts after it was renewed, by the time at which the list was asked for.
pub const TTL: Duration = Duration::from_secs(300);

/// How old a lease is renewed. Three times within [`TTL`].
pub const RENEW: Duration = Duration::from_secs(90);

/// How long a scaler that could have seen its own lease waits for it. After that it goes on, and says so:
/// a cloud that takes no tags must not stop the farm.
pub const GRACE: Duration = Duration::from_secs(120);

/// A lease as old as this is swept: its scaler is gone. One from as far ahead says nothing.
pub const FORGET: Duration = Duration::from_secs(24 * 3600);

/// On how many servers a lease stands: on two, so that it outlives either.
const CARRIERS: usize = 2;

/// How this scaler stands to the others of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// No other is alive.
    Sole,
    /// Others are alive, and this one goes first.
    Elder {
        /// The others, the elder first.
        others: Vec<Scaler>,
    },
    /// Another goes first: this one only finishes what its own journal ordered.
    Younger {
        /// The eldest of the others.
        elder: Scaler,
    },
    /// Not known yet, and will be within [`GRACE`] or the age at which a list is too old.
    Starting,
    /// No server of the owner can carry a lease: another scaler can not be known of.
    NoServer,
    /// The own lease does not appear in the list, and no other's does: another scaler can not know of this
    /// one.
    Unkept {
        /// Why the last try to write it failed, where one did.
        why: Option<String>,
    },
}

impl Lease {
    /// The labels of every standing.
    pub const LABELS: [&str; 6] = [
        "sole",
        "elder",
        "younger",
        "starting",
        "no_server",
        "unkept",
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Sole => "sole",
            Self::Elder { .. } => "elder",
            Self::Younger { .. } => "younger",
            Self::Starting => "starting",
            Self::NoServer => "no_server",
            Self::Unkept { .. } => "unkept",
        }
    }

    /// Whether another scaler is alive.
    #[must_use]
    pub const fn has_others(&self) -> bool {
        matches!(self, Self::Elder { .. } | Self::Younger { .. })
    }

    /// Whether this scaler may act on servers that its own journal did not order.
    #[must_use]
    pub const fn may_act(&self) -> bool {
        match self {
            Self::Sole | Self::Elder { .. } | Self::NoServer | Self::Unkept { .. } => true,
            Self::Younger { .. } | Self::Starting => false,
        }
    }
}

/// How this scaler stands, by the last list however old.
#[must_use]
pub fn lease(view: &View<'_>) -> Lease {
    let Some(list) = view.snapshot.fleet.last() else {
        return Lease::Starting;
    };
    let own = &view.ledger.lease;
    let others = others(&list.value, own.me.as_ref(), list.at);
    match (others.first(), own.seen) {
        (None, Some(_)) => Lease::Sole,
        (None, None) => alone(own, view.now),
        (Some(first), Some(seen)) if own.me.as_ref() < Some(first) => {
            if elapsed(seen, view.now) >= view.policy.max_age {
                let others = others.into_iter().collect();
                Lease::Elder { others }
            } else {
                Lease::Starting
            }
        }
        (Some(first), _) => Lease::Younger {
            elder: first.clone(),
        },
    }
}

/// No other is alive, and the own lease is not in the list.
fn alone(own: &OwnLease, now: Timestamp) -> Lease {
    match own.possible {
        None => Lease::NoServer,
        Some(since) if elapsed(since, now) < GRACE => Lease::Starting,
        Some(_) => Lease::Unkept {
            why: own.refused.clone(),
        },
    }
}

/// The other scalers that are alive.
fn others(fleet: &Fleet, me: Option<&Scaler>, at: Timestamp) -> BTreeSet<Scaler> {
    let alive = leases(fleet).filter(|lease| is_alive(lease, at));
    let scalers = alive.map(|lease| &lease.scaler);
    let mine = |scaler: &&Scaler| me.is_some_and(|me| me.id == scaler.id);
    scalers.filter(|scaler| !mine(scaler)).cloned().collect()
}

fn leases(fleet: &Fleet) -> impl Iterator<Item = &LeaseTag> {
    fleet.servers.values().flat_map(|s| &s.tags.leases)
}

/// Renewed within [`TTL`] of the list; one from far ahead is no moment that any clock shows.
fn is_alive(lease: &LeaseTag, at: Timestamp) -> bool {
    elapsed(lease.renewed, at) < TTL && elapsed(at, lease.renewed) < FORGET
}

/// What is known of the own lease after one more list.
#[must_use]
pub fn next_own(before: &OwnLease, fleet: &Fleet, ledger: &Ledger, at: Timestamp) -> OwnLease {
    let mine = |lease: &LeaseTag| Some(&lease.scaler) == before.me.as_ref() && is_alive(lease, at);
    let since = |before: Option<Timestamp>, there: bool| there.then(|| before.unwrap_or(at));
    OwnLease {
        possible: since(before.possible, !carriers(fleet, ledger).is_empty()),
        seen: since(before.seen, leases(fleet).any(mine)),
        ..before.clone()
    }
}

/// The servers that carry a lease: the oldest that run and are not leaving, those first that no person has
/// pinned. The choice stays the same as long as these are there.
fn carriers<'a>(fleet: &'a Fleet, ledger: &Ledger) -> Vec<&'a Server> {
    let leaves = |server: &Server| {
        let member = ledger.members.get(&server.id);
        member.is_some_and(|member| member.stage.is_leaving())
    };
    let servers = fleet.servers.values();
    let lasting = servers.filter(|s| s.status == ServerStatus::Active && !leaves(s));
    let mut lasting: Vec<&Server> = lasting.collect();
    lasting.sort_by_key(|s| (s.tags.protected, s.created, &s.id));
    lasting.truncate(CARRIERS);
    lasting
}

/// Something to be done for the leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Write the own lease on a server.
    Write {
        /// The server.
        server: ServerId,
    },
    /// Take leases off a server whose scalers are gone.
    Sweep {
        /// The server.
        server: ServerId,
        /// The keys of the tags.
        keys: Vec<String>,
    },
}

/// What the leases ask for: the own one renewed on each of its carriers, and at most one server swept.
#[must_use]
pub fn errands(fleet: &Fleet, ledger: &Ledger, now: Timestamp) -> Vec<Errand> {
    let Some(me) = &ledger.lease.me else {
        return Vec::new();
    };
    let is_young = |server: &&Server| {
        let mut mine = server.tags.leases.iter().filter(|l| l.scaler == *me);
        mine.any(|lease| elapsed(lease.renewed, now) < RENEW)
    };
    let due = carriers(fleet, ledger).into_iter();
    let due = due.filter(|server| !is_young(server));
    let write = due.map(|server| Errand::Write {
        server: server.id.clone(),
    });
    write.chain(swept(fleet, now)).collect()
}

fn swept(fleet: &Fleet, now: Timestamp) -> Option<Errand> {
    let old = |lease: &&LeaseTag| elapsed(lease.renewed, now) >= FORGET;
    let by_server: BTreeMap<&ServerId, Vec<String>> = fleet
        .servers
        .values()
        .map(|server| (&server.id, server.tags.leases.iter().filter(old)))
        .map(|(id, old)| (id, old.map(|lease| lease.scaler.lease_key()).collect()))
        .collect();
    let mut found = by_server.into_iter().filter(|(_, keys)| !keys.is_empty());
    let (server, keys) = found.next()?;
    Some(Errand::Sweep {
        server: server.clone(),
        keys,
    })
}
