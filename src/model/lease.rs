//! Leases: how the scalers of one owner find each other, by tags on servers that are theirs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the keys of lease tags begin with. Each scaler has a key of its own: no scaler overwrites the tag
/// of another.
const KEY: &str = "obs-scaler-lease-";

/// How many hex digits name a scaler. The key has 25 characters of the 36 that ECS allows.
const DIGITS: usize = 8;

/// The name of one scaler, that is of one journal: 8 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScalerId(String);

impl ScalerId {
    /// The name that these bits are.
    #[must_use]
    pub fn new(random: u32) -> Self {
        Self(format!("{random:08x}"))
    }

    fn read(text: &str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let whole = text.len() == DIGITS && text.bytes().all(hex);
        whole.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for ScalerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One scaler. Of two the lesser is the elder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scaler {
    /// When its journal was first opened, in whole seconds: its lease says no more.
    pub since: Timestamp,
    /// Its name.
    pub id: ScalerId,
}

impl Scaler {
    /// A scaler that was first started at this moment.
    #[must_use]
    pub fn new(since: Timestamp, id: ScalerId) -> Self {
        let whole = Timestamp::from_second(since.as_second());
        Self {
            since: whole.unwrap_or(since),
            id,
        }
    }

    /// The key of its lease tag.
    #[must_use]
    pub fn lease_key(&self) -> String {
        format!("{KEY}{}", self.id)
    }
}

impl fmt::Display for Scaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scaler {} (since {})", self.id, self.since)
    }
}

/// A lease tag: that a scaler was alive at a moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseTag {
    /// Whose it is.
    pub scaler: Scaler,
    /// When it was written, by that scaler's clock.
    pub renewed: Timestamp,
}

impl LeaseTag {
    /// Whether this is the key of a lease tag, of whatever value.
    #[must_use]
    pub fn is_key(key: &str) -> bool {
        key.strip_prefix(KEY).and_then(ScalerId::read).is_some()
    }

    /// Reads a tag; `None` where it is no lease: of another key, or of a value that no scaler writes.
    #[must_use]
    pub fn read(key: &str, value: &str) -> Option<Self> {
        let id = key.strip_prefix(KEY).and_then(ScalerId::read)?;
        let (since, renewed) = value.split_once('.')?;
        let moment = |text: &str| Timestamp::from_second(text.parse().ok()?).ok();
        let scaler = Scaler {
            since: moment(since)?,
            id,
        };
        Some(Self {
            scaler,
            renewed: moment(renewed)?,
        })
    }

    /// The value of the tag: `FIRST-START.RENEWED`, in seconds since 1970.
    #[must_use]
    pub fn value(&self) -> String {
        let (since, renewed) = (self.scaler.since.as_second(), self.renewed.as_second());
        format!("{since}.{renewed}")
    }
}

/// What this scaler knows of its own lease.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OwnLease {
    /// Who it is; `None` where the system gave no randomness for a name.
    pub me: Option<Scaler>,
    /// Since when every list has shown a server that can carry a lease.
    pub possible: Option<Timestamp>,
    /// Since when every list has shown its own lease, alive.
    pub seen: Option<Timestamp>,
    /// Why the last try to write it failed.
    pub refused: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_lease_is_read_as_it_is_written_and_fits_into_a_tag() {
        let first = Timestamp::new(1_795_000_000, 123_456_789).unwrap();
        let scaler = Scaler::new(first, ScalerId::new(0x00c0_ffee));
        let lease = LeaseTag {
            renewed: at(1_795_000_060),
            scaler: scaler.clone(),
        };
        let (key, value) = (scaler.lease_key(), lease.value());
        assert_eq!(key, "obs-scaler-lease-00c0ffee");
        assert_eq!(value, "1795000000.1795000060");
        assert!(key.len() <= 36 && value.len() <= 43);
        assert_eq!(LeaseTag::read(&key, &value), Some(lease));
    }

    #[test]
    fn what_no_scaler_writes_is_no_lease() {
        for (key, value) in [
            ("obs-scaler-lease", "1.2"),
            ("obs-scaler-lease-00c0ffe", "1.2"),
            ("obs-scaler-lease-00C0FFEE", "1.2"),
            ("xobs-scaler-lease-00c0ffee", "1.2"),
            ("obs-scaler-lease-00c0ffee", ""),
            ("obs-scaler-lease-00c0ffee", "1"),
            ("obs-scaler-lease-00c0ffee", "one.2"),
            ("obs-scaler-lease-00c0ffee", "1.99999999999999999"),
        ] {
            assert_eq!(LeaseTag::read(key, value), None, "{key}={value}");
        }
    }

    #[test]
    fn of_two_scalers_the_one_that_began_first_is_the_lesser() {
        let scaler = |since, id| Scaler {
            since: at(since),
            id: ScalerId::new(id),
        };
        assert!(scaler(1, 9) < scaler(2, 1));
        assert!(scaler(1, 1) < scaler(1, 2));
    }
}
