//! Why nothing is decided for a pool.

use crate::model::{BackendName, Unknown};

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

/// Why nothing is decided for a pool: a source that feeds it is not known. Missing is never zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{} {why}", .input.as_str(), .backend.as_ref().map(|b| format!(" of {b}")).unwrap_or_default())]
pub struct Held {
    /// The source.
    pub input: Source,
    /// The backend that it belongs to; `None` for the cloud.
    pub backend: Option<BackendName>,
    /// How long it has been unknown, and why.
    pub why: Unknown,
}

impl Held {
    /// The metric label of a source that was never read.
    pub(super) const NEVER: &'static str = "never";
    /// The metric label of a source that was read too long ago.
    pub(super) const STALE: &'static str = "stale";

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self.why {
            Unknown::Never { .. } => Self::NEVER,
            Unknown::Stale { .. } => Self::STALE,
        }
    }
}

impl Held {
    pub(super) const fn cloud(why: Unknown) -> Self {
        Self {
            input: Source::Ecs,
            backend: None,
            why,
        }
    }

    pub(super) fn backend(input: Source, backend: &BackendName, why: Unknown) -> Self {
        Self {
            input,
            backend: Some(backend.clone()),
            why,
        }
    }
}
