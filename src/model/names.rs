//! Names and identifiers as types of their own, so that none is taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is; what it may hold is checked where it enters the program.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// A configured OBS backend.
    BackendName
}
name! {
    /// The name of an ECS flavor, such as `ki1.8xlarge.4`.
    FlavorName
}
name! {
    /// A worker's host name: the part of an OBS `workerid` before the colon, and the name of its
    /// ECS server.
    HostName
}
name! {
    /// A zone of the cloud in which servers stand, such as `cn-north-4a` (ECS: availability zone).
    ZoneName
}
name! {
    /// The id of an ECS server (a UUID).
    ServerId
}
name! {
    /// The id of an order: a lower-case UUID, which is also its `X-Client-Token`.
    OrderId
}

/// A name that cannot be part of a server's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not a pool name: 1 to 32 of a-z, 0-9 and '-', with a letter or digit at either end"
)]
pub struct InvalidName {
    /// What was found.
    pub found: String,
}

/// The name of a pool. It becomes part of its servers' names and so of their host names: lower-case
/// letters, digits and inner hyphens, at most 32.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PoolName(String);

impl PoolName {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PoolName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = text.starts_with('-') || text.ends_with('-');
        if (1..=32).contains(&text.len()) && text.chars().all(lawful) && !ends {
            Ok(Self(text))
        } else {
            Err(InvalidName { found: text })
        }
    }
}

impl TryFrom<&str> for PoolName {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        Self::try_from(text.to_owned())
    }
}

impl From<PoolName> for String {
    fn from(name: PoolName) -> Self {
        name.0
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A number of virtual CPUs.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Vcpus(pub u32);

impl Vcpus {
    /// This many for each of `count` servers. Saturates: a sum past the range is past any ceiling.
    #[must_use]
    pub const fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// What is left of `self` after `used`; never below zero.
    #[must_use]
    pub const fn less(self, used: Self) -> Self {
        Self(self.0.saturating_sub(used.0))
    }
}

impl std::ops::Add for Vcpus {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Vcpus {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self(0), |sum, each| sum + each)
    }
}

impl fmt::Display for Vcpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
