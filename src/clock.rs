//! The only place that asks the time.

use jiff::Timestamp;

/// Tells the time.
#[derive(Debug, Default, Clone, Copy)]
pub struct Clock;

impl Clock {
    /// Now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(self) -> Timestamp {
        Timestamp::now()
    }
}
