//! Observations that know their age. What is missing or stale can not be taken for a value.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A value and when it was true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    /// When the source was asked; less the age of its answer, where that comes from a cache.
    pub at: Timestamp,
    /// What it said, whole.
    pub value: T,
}

/// What is known of a source: its last whole reading, and since when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed<T> {
    last: Option<Reading<T>>,
    failing: Option<(Timestamp, String)>,
}

/// Why there is no fresh value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The source was never read whole.
    #[error("never read{}", .why.as_deref().map(|why| format!(": {why}")).unwrap_or_default())]
    Never {
        /// What the last try failed with.
        why: Option<String>,
    },
    /// The last whole reading is older than the source's maximum age.
    #[error("last read {} s ago{}", .age.as_secs(), .why.as_deref().map(|why| format!(": {why}")).unwrap_or_default())]
    Stale {
        /// The age of the last whole reading.
        age: Duration,
        /// What the last try failed with, where one failed.
        why: Option<String>,
    },
}

/// A value that was young enough when it was taken: only [`Observed::fresh`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Fresh<'a, T> {
    at: Timestamp,
    value: &'a T,
}

impl<T> Clone for Fresh<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Fresh<'_, T> {}

impl<'a, T> Fresh<'a, T> {
    /// When the source was asked.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// What it said.
    #[must_use]
    pub const fn value(&self) -> &'a T {
        self.value
    }
}

impl<T> Default for Observed<T> {
    fn default() -> Self {
        Self {
            last: None,
            failing: None,
        }
    }
}

impl<T> Observed<T> {
    /// A source that has just been read whole.
    #[must_use]
    pub const fn known(at: Timestamp, value: T) -> Self {
        Self {
            last: Some(Reading { at, value }),
            failing: None,
        }
    }

    /// The same source after a try that failed at `at`: the last whole reading is kept, and ages.
    #[must_use]
    pub fn failed(self, at: Timestamp, why: String) -> Self {
        let since = self.failing.map_or(at, |(since, _)| since);
        Self {
            last: self.last,
            failing: Some((since, why)),
        }
    }

    /// Whether the last try read the source whole.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.last.is_some() && self.failing.is_none()
    }

    /// The last whole reading, however old.
    #[must_use]
    pub const fn last(&self) -> Option<&Reading<T>> {
        self.last.as_ref()
    }

    /// Since when the source fails, and with what; `None` while it answers.
    #[must_use]
    pub fn failing(&self) -> Option<(Timestamp, &str)> {
        self.failing
            .as_ref()
            .map(|(since, why)| (*since, why.as_str()))
    }

    /// The value, where it is no older than `max_age` at `now`.
    ///
    /// # Errors
    /// Says since when the source is unknown, and why.
    pub fn fresh(&self, now: Timestamp, max_age: Duration) -> Result<Fresh<'_, T>, Unknown> {
        let why = self.failing.as_ref().map(|(_, why)| why.clone());
        let Some(reading) = &self.last else {
            return Err(Unknown::Never { why });
        };
        let age = elapsed(reading.at, now);
        if age > max_age {
            return Err(Unknown::Stale { age, why });
        }
        Ok(Fresh {
            at: reading.at,
            value: &reading.value,
        })
    }
}

/// The time from `since` to `now`; zero where `since` lies ahead.
#[must_use]
pub fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    let signed: SignedDuration = now.duration_since(since);
    Duration::try_from(signed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_source_never_read_is_unknown_and_not_empty() {
        let observed = Observed::<Vec<u32>>::default();
        assert!(observed.fresh(at(0), Duration::from_secs(60)).is_err());
    }

    #[test]
    fn a_failed_try_keeps_the_last_reading_until_it_is_too_old() {
        let observed = Observed::known(at(100), 7).failed(at(110), "refused".to_owned());
        let max = Duration::from_secs(60);
        assert_eq!(observed.fresh(at(160), max).map(|f| *f.value()), Ok(7));
        assert!(!observed.is_up());
        let stale = observed.fresh(at(161), max);
        assert!(matches!(stale, Err(Unknown::Stale { .. })), "{stale:?}");
    }

    #[test]
    fn a_source_fails_since_its_first_failed_try() {
        let observed = Observed::known(at(100), 7)
            .failed(at(110), "refused".to_owned())
            .failed(at(120), "timed out".to_owned());
        assert_eq!(observed.failing(), Some((at(110), "timed out")));
    }
}
