//! Why nothing is decided for a pool.

use crate::model::{BackendName, Unknown};
use jiff::Timestamp;
use std::time::Duration;

/// A source that decisions rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A backend's worker status.
    Workers,
    /// A backend's results.
    Results,
    /// The cloud's list.
    Ecs,
}

impl Source {
    /// The word used in labels (`collector`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Results => "results",
            Self::Ecs => "ecs",
        }
    }
}

/// Why a source is not taken for what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// There is no fresh reading.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The backend's repository server had not run for long enough when it was read.
    #[error("not believed yet: its repository server had started {} s before, and idle workers report every 5 min", .ran.as_secs())]
    Settling {
        /// How long it had run.
        ran: Duration,
    },
    /// A person says that the backend is under maintenance.
    #[error("left alone: it is under maintenance until {until}")]
    Maintenance {
        /// When that ends by itself.
        until: Timestamp,
    },
}

/// Why nothing is decided for a pool: a source that feeds it is not known, not believed, or not to be acted
/// on. Missing is never zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{} {why}", .input.as_str(), .backend.as_ref().map(|b| format!(" of {b}")).unwrap_or_default())]
pub struct Held {
    /// The source.
    pub input: Source,
    /// The backend that it belongs to; `None` for the cloud.
    pub backend: Option<BackendName>,
    /// Why it is held.
    pub why: Doubt,
}

impl Held {
    /// The metric label of a source that was never read.
    pub(super) const NEVER: &'static str = "never";
    /// The metric label of a source that was read too long ago.
    pub(super) const STALE: &'static str = "stale";
    /// The metric label of a backend that has just started.
    pub(super) const SETTLING: &'static str = "settling";
    /// The metric label of a backend under maintenance.
    pub(super) const MAINTENANCE: &'static str = "maintenance";

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self.why {
            Doubt::Unknown(Unknown::Never { .. }) => Self::NEVER,
            Doubt::Unknown(Unknown::Stale { .. }) => Self::STALE,
            Doubt::Settling { .. } => Self::SETTLING,
            Doubt::Maintenance { .. } => Self::MAINTENANCE,
        }
    }
}

impl Held {
    pub(super) const fn cloud(why: Unknown) -> Self {
        Self {
            input: Source::Ecs,
            backend: None,
            why: Doubt::Unknown(why),
        }
    }

    pub(super) fn backend(input: Source, backend: &BackendName, why: impl Into<Doubt>) -> Self {
        Self {
            input,
            backend: Some(backend.clone()),
            why: why.into(),
        }
    }
}
