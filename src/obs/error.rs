//! What can go wrong between this program and OBS.

use std::time::Duration;

/// A request that brought nothing usable, or a backend that cannot be asked at all.
///
/// There is no `retry()`: whoever polls asks again at the next interval, whatever went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{asked}: {fault}")]
pub struct ObsError {
    asked: String,
    fault: Fault,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The client could not be made.
    #[error("{0}")]
    Setup(String),
    /// No connection, or it broke before the answer was whole.
    #[error("no whole answer: {0}")]
    Unreachable(String),
    /// The answer was not whole in time.
    #[error("no whole answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// OBS said no, by HTTP status or with a `<status code="404">` document.
    #[error("refused with {status}: {summary}")]
    Refused {
        /// The status that it gave.
        status: u16,
        /// What it said; empty where it said nothing.
        summary: String,
    },
    /// OBS does not know who asks (401), or does not let them read this (403).
    #[error("{}", not_allowed(*.status, .summary))]
    NotAllowed {
        /// 401 or 403.
        status: u16,
        /// What it said; empty where it said nothing.
        summary: String,
    },
    /// The answer is larger than this many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The document is cut off, broken, of another kind, or lacks something that is needed.
    #[error("{0}")]
    Document(Malformed),
}

impl Fault {
    /// A no of OBS, by its status.
    pub(super) const fn refusal(status: u16, summary: String) -> Self {
        match status {
            401 | 403 => Self::NotAllowed { status, summary },
            _ => Self::Refused { status, summary },
        }
    }
}

fn not_allowed(status: u16, summary: &str) -> String {
    let why = match status {
        401 => "the user or the password is not right, or there is none",
        _ => "the user may not read this",
    };
    let said = if summary.is_empty() { "" } else { ": " };
    format!("not allowed ({status}), {why}{said}{summary}")
}

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) String);

impl ObsError {
    pub(super) const fn new(asked: String, fault: Fault) -> Self {
        Self { asked, fault }
    }

    /// What went wrong.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whether OBS said that what was asked for is not there.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self.fault, Fault::Refused { status: 404, .. })
    }

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self.fault {
            Fault::Setup(_) => "setup",
            Fault::Unreachable(_) => "unreachable",
            Fault::TimedOut(_) => "timeout",
            Fault::Refused { .. } => "refused",
            Fault::NotAllowed { .. } => "not_allowed",
            Fault::TooLarge(_) => "too_large",
            Fault::Document(_) => "document",
        }
    }
}
