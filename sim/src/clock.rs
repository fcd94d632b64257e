//! The only place of the simulators that asks the time; everything else gets it as an argument.

use std::time::Duration;

use jiff::Timestamp;

/// The wall clock, which the dates of signed requests are compared with.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the simulator's clock; obs-scaler's own is not reachable from here"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A cloud's clock: the wall clock, or one that runs faster. Whoever signs requests has to keep the
/// same time.
#[derive(Debug, Default, Clone, Copy)]
pub struct Clock {
    fast: Option<(Timestamp, i32)>,
}

impl Clock {
    /// Shows the true time at `since`, and runs `times` as fast from then on.
    pub const fn fast(since: Timestamp, times: i32) -> Self {
        Self {
            fast: Some((since, times)),
        }
    }

    /// Now.
    pub fn now(self) -> Timestamp {
        let now = now();
        self.fast.map_or(now, |(since, times)| {
            let passed = now.duration_since(since).checked_mul(times);
            let shown = passed.and_then(|passed| since.checked_add(passed).ok());
            shown.unwrap_or(Timestamp::MAX)
        })
    }

    /// How long to sleep for so much of its time.
    pub(crate) fn asleep(self, span: Duration) -> Duration {
        let times = self.fast.map_or(1, |(_, times)| times);
        span / u32::try_from(times).unwrap_or(1).max(1)
    }
}
