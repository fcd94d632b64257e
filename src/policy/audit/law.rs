//! The names of the rules.

use std::fmt;

/// A rule that a step would have broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// The step names a pool that is configured.
    Configured,
    /// A source that the step rests on is fresh.
    Fresh,
    /// The pool's mode allows it.
    Mode,
    /// No other scaler of the same owner goes first, and one could know of this one.
    Lease,
    /// Only a worker whose host key is known is released: another can not be drained.
    Pinned,
    /// A live alarm asks for it.
    Alarm,
    /// The pool's instances did not vanish.
    Halt,
    /// Nothing is ordered or released while the cloud refuses everything.
    Refused,
    /// An order is for a flavor and a zone of the pool's list, and of a lawful size.
    Order,
    /// Never more vCPU bought than the ceiling, in flight included.
    Ceiling,
    /// Only a managed worker in service is released, and only once.
    Managed,
    /// A protected worker is never released.
    Protected,
    /// The reserve is never released.
    Reserve,
    /// No worker with a job is released.
    Building,
    /// No worker is released whose state is not known.
    Unknown,
    /// Nothing is released while the Watchdog is not heard.
    Watchdog,
    /// The last worker that meets what a job asks is never released.
    LastFit,
    /// No more workers are on their way out than may be at once.
    Releases,
    /// Only a worker whose settings are due goes on its way to them, and no more of a pool than may be at once.
    Refits,
    /// Only a worker that loses what others build is cordoned as a black hole.
    BlackHole,
    /// Only a worker that was given up because it was idle, and is not being deleted, is taken back, and only once.
    TakeBack,
    /// Never a third of a pool's workers are cordoned as black holes.
    Share,
}

impl Law {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Fresh => "fresh",
            Self::Mode => "mode",
            Self::Lease => "lease",
            Self::Pinned => "pinned",
            Self::Alarm => "alarm",
            Self::Halt => "halt",
            Self::Refused => "refused",
            Self::Order => "order",
            Self::Ceiling => "ceiling",
            Self::Managed => "managed",
            Self::Protected => "protected",
            Self::Reserve => "reserve",
            Self::Building => "building",
            Self::Unknown => "unknown",
            Self::Watchdog => "watchdog",
            Self::LastFit => "last_fit",
            Self::Releases => "releases",
            Self::Refits => "refits",
            Self::BlackHole => "black_hole",
            Self::TakeBack => "take_back",
            Self::Share => "share",
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}
