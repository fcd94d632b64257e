//! The only place of the simulator that asks the time; everything else gets it as an argument.

use jiff::Timestamp;

/// The wall clock, which the dates of signed requests are compared with.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the simulator's clock; obs-scaler's own is not reachable from here"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
