//! How the cloud refuses: classes of errors, and what each allows.

use serde::{Deserialize, Serialize};
use std::time::Duration;

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

    /// What the program does about it. Nothing else decides it: not the place where it came up, and not
    /// the code.
    #[must_use]
    pub const fn reaction(self) -> Reaction {
        match self {
            Self::Capacity => Reaction::NextOffer,
            Self::Quota => Reaction::HoldPool,
            Self::Account | Self::Permission => Reaction::HoldEverything,
            Self::Request => Reaction::NeverAgain,
            Self::Gone => Reaction::Done,
            Self::State => Reaction::LookAgain,
            Self::Transient | Self::Throttled | Self::Unknown => Reaction::Retry,
        }
    }

    /// Whether the very same call may be made again.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self.reaction() {
            Reaction::HoldEverything | Reaction::NeverAgain | Reaction::Done => Retry::Never,
            Reaction::NextOffer | Reaction::HoldPool | Reaction::LookAgain => Retry::Later,
            Reaction::Retry => Retry::SameToken,
        }
    }

    /// The longest that anything is left alone.
    pub const LONGEST_PAUSE: Duration = Duration::from_hours(1);

    /// For how long what was refused is left alone at first. Stock comes and goes within minutes; a
    /// quota, an account or a wrong request waits for a person.
    #[must_use]
    pub const fn first_pause(self) -> Duration {
        match self.reaction() {
            Reaction::NextOffer | Reaction::Retry | Reaction::LookAgain | Reaction::Done => {
                Duration::from_mins(1)
            }
            Reaction::HoldPool | Reaction::HoldEverything => Duration::from_mins(5),
            Reaction::NeverAgain => Duration::from_mins(15),
        }
    }
}

/// The shortest pause before a call is made again, and the bounds between which its random part grows: the gateway
/// counts by the minute (`APIGW.0308`).
const SHORTEST: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(60);

/// The pause after the first call in vain (`turn` 0), the second, …: longer and longer, at random so that all that
/// were turned away do not come back as one. `fraction` is from 0 to 1.
#[must_use]
pub fn pause(turn: u32, fraction: f64) -> Duration {
    let spread = LONGEST.min(FIRST.saturating_mul(1 << turn.min(10)));
    SHORTEST + spread.mul_f64(fraction)
}

/// What the program does about an error of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// This flavor in this zone is left alone, and the next one of the pool's list is tried.
    NextOffer,
    /// The pool orders nothing for a while.
    HoldPool,
    /// Nothing is ordered, sent again, released or deleted for a while, and that is said.
    HoldEverything,
    /// The call is never made again; the pool orders nothing for a while, since the next order would be
    /// written in the same way.
    NeverAgain,
    /// What was asked for is so already.
    Done,
    /// The server is looked at again later.
    LookAgain,
    /// The very same call is made again.
    Retry,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_and_is_random() {
        let pauses = |turn| [0.0, 0.5, 1.0].map(|fraction| pause(turn, fraction).as_secs());
        assert_eq!([0, 1, 2].map(pauses), [[1, 3, 5], [1, 5, 9], [1, 9, 17]]);
        assert_eq!([4, 100, u32::MAX].map(pauses), [[1, 31, 61]; 3]);
    }
}
