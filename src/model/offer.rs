//! What can be ordered, and what stands against ordering it.

use super::{Class, FlavorName, PoolName, ServerId, ZoneName};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A flavor in a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// The flavor.
    pub flavor: FlavorName,
    /// The zone; `None` where the cloud chooses.
    pub zone: Option<ZoneName>,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{} in {zone}", self.flavor),
            None => write!(f, "{}", self.flavor),
        }
    }
}

/// How much of the work a refusal stands against.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All orders and all releases.
    Everything,
    /// The orders of one pool.
    Pool(PoolName),
    /// The orders of one flavor in one zone, whatever the pool.
    Offer(Offer),
    /// The deletion of one server.
    Server(ServerId),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("every order and release"),
            Self::Pool(pool) => write!(f, "orders of pool {pool}"),
            Self::Offer(offer) => write!(f, "orders of {offer}"),
            Self::Server(server) => write!(f, "the deletion of server {server}"),
        }
    }
}

/// That something was refused, and until when it is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// When it was refused last. An answer to what was asked before that says nothing new.
    pub since: Timestamp,
    /// From then on one probe at a time may be made.
    pub until: Timestamp,
    /// How long it is left alone this time; doubled by a probe that fails.
    pub pause: Duration,
    /// The cloud's words.
    pub words: String,
}

/// Whether something may be asked of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Nothing is known against it.
    Freely,
    /// It was refused and left alone for long enough: one probe may be made, of what is asked from this
    /// moment on.
    Probe {
        /// Since when.
        since: Timestamp,
    },
    /// It is left alone.
    No {
        /// Until when.
        until: Timestamp,
        /// The cause.
        class: Class,
    },
}

/// Every refusal that has not been followed by a success: one for each scope and cause. Not written to
/// disk: after a restart the cloud is asked again.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Setbacks(BTreeMap<(Scope, Class), Setback>);

impl Setbacks {
    /// Takes a refusal in, of something that was asked at `asked`. The first leaves its scope alone for
    /// the class's first pause, and one that follows it for twice as long as the one before.
    pub fn refused(
        &mut self,
        scope: Scope,
        class: Class,
        words: &str,
        asked: Timestamp,
        now: Timestamp,
    ) {
        let before = self.0.get(&(scope.clone(), class));
        let pause = match before {
            None => class.first_pause(),
            Some(setback) if asked <= setback.since => return,
            Some(setback) => setback.pause.saturating_mul(2).min(Class::LONGEST_PAUSE),
        };
        let setback = Setback {
            since: now,
            until: now.checked_add(pause).unwrap_or(Timestamp::MAX),
            pause,
            words: words.to_owned(),
        };
        self.0.insert((scope, class), setback);
    }

    /// Something that was asked at `asked` was done: what stood against it before that is over.
    pub fn done(&mut self, scope: &Scope, asked: Timestamp) {
        self.0
            .retain(|(of, _), setback| of != scope || asked <= setback.since);
    }

    /// Forgets servers that are gone.
    pub fn keep_servers(&mut self, there: impl Fn(&ServerId) -> bool) {
        self.0.retain(|(scope, _), _| match scope {
            Scope::Server(server) => there(server),
            Scope::Everything | Scope::Pool(_) | Scope::Offer(_) => true,
        });
    }

    /// Whether this scope may be asked for: as the last of its causes allows.
    #[must_use]
    pub fn allowed(&self, scope: &Scope, now: Timestamp) -> Allowed {
        let of_scope = self.0.iter().filter(|((of, _), _)| of == scope);
        let last = of_scope.max_by_key(|(_, setback)| setback.until);
        match last {
            None => Allowed::Freely,
            Some(((_, class), setback)) if now < setback.until => Allowed::No {
                until: setback.until,
                class: *class,
            },
            Some((_, setback)) => Allowed::Probe {
                since: setback.until,
            },
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Scope, Class, &Setback)> {
        let all = self.0.iter();
        all.map(|((scope, class), setback)| (scope, *class, setback))
    }
}

impl Setback {
    /// Whether nothing of the scope is tried now.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn scope() -> Scope {
        Scope::Offer(Offer {
            flavor: FlavorName::new("f"),
            zone: Some(ZoneName::new("z")),
        })
    }

    /// Refused at 100 for want of capacity.
    fn refused() -> Setbacks {
        let mut setbacks = Setbacks::default();
        setbacks.refused(scope(), Class::Capacity, "sold out", at(90), at(100));
        setbacks
    }

    #[test]
    fn what_was_refused_is_left_alone_and_then_probed() {
        let setbacks = refused();
        let pause = i64::try_from(Class::Capacity.first_pause().as_secs()).unwrap();
        let until = at(100 + pause);
        let class = Class::Capacity;
        let blocked = Allowed::No { until, class };
        assert_eq!(setbacks.allowed(&scope(), at(100)), blocked);
        let before = at(99 + pause);
        assert_eq!(setbacks.allowed(&scope(), before), blocked);
        let probe = Allowed::Probe { since: until };
        assert_eq!(setbacks.allowed(&scope(), until), probe);
        assert_eq!(setbacks.allowed(&scope(), at(1_000_000)), probe);
        let other = Scope::Pool(PoolName::try_from("p").unwrap());
        assert_eq!(setbacks.allowed(&other, at(100)), Allowed::Freely);
    }

    #[test]
    fn a_probe_that_fails_doubles_the_pause_and_no_pause_is_longer_than_the_longest() {
        let mut setbacks = refused();
        let first = Class::Capacity.first_pause();
        setbacks.refused(scope(), Class::Capacity, "", at(200), at(210));
        let pause = |setbacks: &Setbacks| setbacks.iter().next().unwrap().2.pause;
        assert_eq!(pause(&setbacks), first * 2);
        for n in 0..20 {
            let asked = 1000 + 10 * n;
            setbacks.refused(scope(), Class::Capacity, "", at(asked), at(asked + 5));
        }
        assert_eq!(pause(&setbacks), Class::LONGEST_PAUSE);
    }

    #[test]
    fn the_servers_of_one_order_that_fail_one_after_the_other_count_once() {
        let mut setbacks = refused();
        setbacks.refused(scope(), Class::Capacity, "", at(90), at(130));
        assert_eq!(setbacks, refused());
    }

    #[test]
    fn a_success_ends_it_if_it_was_asked_for_after_the_refusal() {
        let mut setbacks = refused();
        setbacks.done(&scope(), at(90));
        assert_eq!(setbacks, refused(), "the same order's other servers");
        setbacks.done(&scope(), at(101));
        assert_eq!(setbacks.allowed(&scope(), at(102)), Allowed::Freely);
    }

    #[test]
    fn each_cause_has_a_pause_of_its_own_and_the_longest_counts() {
        let mut setbacks = refused();
        setbacks.refused(scope(), Class::Unknown, "", at(105), at(110));
        assert_eq!(setbacks.iter().count(), 2);
        let expected = setbacks.iter().map(|(_, _, s)| s.until).max().unwrap();
        let allowed = setbacks.allowed(&scope(), at(111));
        assert!(matches!(allowed, Allowed::No { until, .. } if until == expected));
    }

    #[test]
    fn a_server_that_is_gone_is_forgotten() {
        let mut setbacks = refused();
        let server = Scope::Server(ServerId::new("s"));
        setbacks.refused(server, Class::State, "locked", at(90), at(100));
        setbacks.keep_servers(|_| true);
        assert_eq!(setbacks.iter().count(), 2);
        setbacks.keep_servers(|_| false);
        assert_eq!(setbacks, refused());
    }
}
