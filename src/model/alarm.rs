//! Alarms: what Alertmanager rang for, and for how long that counts.

use super::{PoolName, elapsed};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What an alert asks for (its label `action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The pool is busy: buy.
    Apply,
    /// The pool is idle: give back.
    Release,
}

impl Action {
    /// The word used in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Release => "release",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One firing alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What it asks for.
    pub action: Action,
    /// For which pool.
    pub pool: PoolName,
    /// When it began to fire, by Prometheus' clock.
    pub starts_at: Timestamp,
    /// When a notification last said so, by ours.
    pub heard: Timestamp,
}

/// The alarms held now, by Alertmanager's fingerprint, and when the Watchdog was last heard.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Alarms {
    held: BTreeMap<String, Alarm>,
    watchdog: Option<Timestamp>,
}

impl Alarms {
    /// Takes a firing alert. `false` where it was held already with the same start (a duplicate or a
    /// repeat: it only lives longer), or is older than what is held.
    pub fn fire(&mut self, fingerprint: &str, alarm: Alarm) -> bool {
        match self.held.get_mut(fingerprint) {
            Some(held) if alarm.starts_at < held.starts_at => false,
            Some(held) if alarm.starts_at == held.starts_at => {
                held.heard = held.heard.max(alarm.heard);
                false
            }
            _ => {
                self.held.insert(fingerprint.to_owned(), alarm);
                true
            }
        }
    }

    /// Takes a resolved alert: clears the alarm, unless the notification is about an earlier firing.
    pub fn resolve(&mut self, fingerprint: &str, starts_at: Timestamp) -> bool {
        let over = |held: &Alarm| held.starts_at <= starts_at;
        let clears = self.held.get(fingerprint).is_some_and(over);
        clears && self.held.remove(fingerprint).is_some()
    }

    /// Notes that the Watchdog was heard.
    pub fn hear_watchdog(&mut self, at: Timestamp) {
        self.watchdog = self.watchdog.max(Some(at));
    }

    /// When the Watchdog was last heard.
    #[must_use]
    pub const fn watchdog(&self) -> Option<Timestamp> {
        self.watchdog
    }

    /// Forgets what has not been heard of for `expiry`.
    pub fn expire(&mut self, now: Timestamp, expiry: Duration) {
        self.held
            .retain(|_, alarm| elapsed(alarm.heard, now) < expiry);
    }

    /// The alarms held.
    pub fn iter(&self) -> impl Iterator<Item = &Alarm> {
        self.held.values()
    }

    /// Whether an alarm for this is held.
    #[must_use]
    pub fn rings(&self, action: Action, pool: &PoolName) -> bool {
        self.iter().any(|a| a.action == action && a.pool == *pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn busy(starts: i64, heard: i64) -> Alarm {
        Alarm {
            action: Action::Apply,
            pool: PoolName::try_from("p").unwrap(),
            starts_at: at(starts),
            heard: at(heard),
        }
    }

    #[test]
    fn the_same_alert_ten_times_is_one_alarm() {
        let mut alarms = Alarms::default();
        assert!(alarms.fire("f", busy(1, 1)));
        for n in 2..=10 {
            assert!(!alarms.fire("f", busy(1, n)));
        }
        assert_eq!(alarms.iter().count(), 1);
    }

    #[test]
    fn an_alarm_not_heard_of_again_expires() {
        let mut alarms = Alarms::default();
        alarms.fire("f", busy(1, 1));
        alarms.expire(at(300), Duration::from_secs(300));
        assert_eq!(alarms.iter().count(), 1);
        alarms.expire(at(301), Duration::from_secs(300));
        assert_eq!(alarms.iter().count(), 0);
    }

    #[test]
    fn a_resolved_of_an_earlier_firing_does_not_clear_the_later_one() {
        let mut alarms = Alarms::default();
        alarms.fire("f", busy(10, 10));
        assert!(!alarms.resolve("f", at(1)));
        assert!(alarms.resolve("f", at(10)));
        assert!(!alarms.rings(Action::Apply, &PoolName::try_from("p").unwrap()));
    }
}
