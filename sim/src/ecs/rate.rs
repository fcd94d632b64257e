//! How many calls there were of late. The rates of ECS are not published; of CCE, 10 changing calls a minute
//! were seen, and that calls which were refused count as well (huawei-ecs reference §5).

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::error::ApiError;
use super::faults::Faults;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The moments of the calls that a limit may still count.
#[derive(Default)]
pub(super) struct Gauge {
    reads: VecDeque<Timestamp>,
    writes: VecDeque<Timestamp>,
}

impl Gauge {
    /// Counts a call, and refuses it if there were too many.
    pub(super) fn take(
        &mut self,
        writes: bool,
        faults: &Faults,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let (calls, window, limit, unit) = if writes {
            (
                &mut self.writes,
                MINUTE,
                faults.writes_per_minute,
                "1 minute",
            )
        } else {
            (&mut self.reads, SECOND, faults.reads_per_second, "1 second")
        };
        while calls
            .front()
            .is_some_and(|at| now.duration_since(*at) >= window)
        {
            calls.pop_front();
        }
        calls.push_back(now);
        match limit {
            Some(limit) if calls.len() > usize::try_from(limit).unwrap_or(usize::MAX) => {
                Err(throttled(limit, unit))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn throttled(limit: u32, unit: &str) -> ApiError {
    let text = format!(
        "The throttling threshold has been reached: policy user over ratelimit,limit:{limit},time:{unit}"
    );
    ApiError::gateway(429, "APIGW.0308", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_calls_count_as_well() {
        let faults = Faults {
            writes_per_minute: Some(2),
            ..Faults::default()
        };
        let mut gauge = Gauge::default();
        let mut at = |second| {
            let now = Timestamp::from_second(second).unwrap();
            gauge.take(true, &faults, now).is_ok()
        };
        assert_eq!([at(0), at(1), at(2), at(59)], [true, true, false, false]);
        assert!(!at(61), "those of the last minute were refused, and count");
        assert!(at(122));
    }
}
