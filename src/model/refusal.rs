//! How the cloud refuses: classes of errors, and what each allows.

use serde::{Deserialize, Serialize};

/// What an error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The flavor or disk is sold out where it was asked for: another flavor or zone may do.
    Capacity,
    /// A quota, or the subnet's addresses, are used up: stop growing.
    Quota,
    /// The account is restricted, frozen or out of money: a person has to act.
    Account,
    /// The key, the signature or the rights are wrong: a person has to act.
    Permission,
    /// The request itself is wrong, and will be next time.
    Request,
    /// The server is not in a state that allows the call.
    State,
    /// There is no such server (or job): a success for a deletion.
    Gone,
    /// The cloud failed inside.
    Transient,
    /// Too many calls: pause all of them.
    Throttled,
    /// What happened, or what the code means, is not known.
    Unknown,
}

impl Class {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Quota => "quota",
            Self::Account => "account",
            Self::Permission => "permission",
            Self::Request => "request",
            Self::State => "state",
            Self::Gone => "gone",
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Unknown => "unknown",
        }
    }

    /// What may be done next.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::Account | Self::Permission | Self::Request | Self::Gone => Retry::Never,
            Self::Capacity | Self::Quota | Self::State => Retry::Later,
            Self::Transient | Self::Throttled | Self::Unknown => Retry::SameToken,
        }
    }
}

/// What may be done after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The call does not succeed by being repeated.
    Never,
    /// The very same call may be repeated: a creation with the same token and the same body.
    SameToken,
    /// This call does not succeed any more; another one (of a new token) may, later.
    Later,
}
