//! The only place that asks the time.

use jiff::Timestamp;

/// Tells the time.
#[derive(Debug, Default, Clone, Copy)]
pub struct Clock {
    fast: Option<Fast>,
}

/// A time that runs faster than the true one.
#[derive(Debug, Clone, Copy)]
struct Fast {
    since: Timestamp,
    times: i32,
}

impl Clock {
    /// A clock that shows the true time at `since`, and runs `times` as fast from then on. With
    /// simulators that keep the same time an hour of the farm passes in a minute, and no limit of the
    /// program has to be another one for that.
    #[must_use]
    pub const fn fast(since: Timestamp, times: i32) -> Self {
        Self {
            fast: Some(Fast { since, times }),
        }
    }

    /// Now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(self) -> Timestamp {
        let now = Timestamp::now();
        self.fast.map_or(now, |fast| fast.at(now))
    }
}

impl Fast {
    /// What it shows at a true time.
    fn at(self, now: Timestamp) -> Timestamp {
        let passed = now.duration_since(self.since).checked_mul(self.times);
        let shown = passed.and_then(|passed| self.since.checked_add(passed).ok());
        shown.unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_shows_an_hour_after_a_minute() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let fast = Fast {
            since: at(1000),
            times: 60,
        };
        assert_eq!(fast.at(at(1000)), at(1000));
        assert_eq!(fast.at(at(1060)), at(4600));
        assert_eq!(fast.at(Timestamp::MAX), Timestamp::MAX);
    }
}
