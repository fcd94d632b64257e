//! Why a worker's resource use is not known.

use crate::ssh::{InvalidKey, SshError};
use std::time::Duration;

/// Why a worker, or Prometheus, could not be read.
///
/// There is no `retry()`: whoever polls asks again at the next interval, whatever went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The HTTP client could not be made.
    #[error("{0}")]
    Setup(String),
    /// No connection, or it broke before the answer was whole.
    #[error("no whole answer: {0}")]
    Unreachable(String),
    /// The answer was not whole in time.
    #[error("no whole answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The HTTP status is not 200.
    #[error("refused with {status}: {said}")]
    Refused {
        /// The status.
        status: u16,
        /// The beginning of what was said.
        said: String,
    },
    /// The answer is larger than this many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is cut off, broken, or of another kind.
    #[error("not understood: {0}")]
    Document(String),
    /// Prometheus has no node_exporter series of this worker.
    #[error("Prometheus has no series of node_exporter for it")]
    NoSeries,
    /// Only the servers that an order bought have a derived host key.
    #[error("no order bought it, so its host key is not known")]
    NoPin,
    /// A host key cannot be derived, or our own key cannot be used.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The worker could not be asked over ssh.
    #[error(transparent)]
    Ssh(#[from] SshError),
}

impl HostError {
    /// A line that is not understood. It goes into the log, so no more than its beginning is told.
    pub(super) fn line(line: &str, of: &str) -> Self {
        let [line, of] = [line, of].map(|text| text.chars().take(100).collect::<String>());
        Self::Document(format!("the line {line:?} of {of:?}"))
    }

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Setup(_) => "setup",
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut(_) => "timeout",
            Self::Refused { .. } => "refused",
            Self::TooLarge(_) => "too_large",
            Self::Document(_) => "document",
            Self::NoSeries => "no_series",
            Self::NoPin => "no_pin",
            Self::Key(_) => "key",
            Self::Ssh(error) => error.label(),
        }
    }
}
