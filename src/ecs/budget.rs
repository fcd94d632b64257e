//! How many calls may be made: one budget for the whole client, and a pause for all of it when the cloud
//! says that it was too much. ECS' own limits are not published, and the gateway counts refused calls too.

use crate::config::Rates;
use crate::model::pause;
use crate::random::Random;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Writes that need not wait for each other.
const WRITE_BURST: f64 = 10.0;

/// Reads and writes, each with a bucket of its own.
#[derive(Debug)]
pub(super) struct Budget {
    random: Random,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    reads: Bucket,
    writes: Bucket,
    pause: Option<Pause>,
}

/// No call at all.
#[derive(Debug, Clone, Copy)]
struct Pause {
    began: Instant,
    until: Instant,
    /// How many in a row.
    turn: u32,
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    most: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    fn new(per_second: f64, most: f64) -> Self {
        Self {
            per_second,
            most,
            left: most,
            at: Instant::now(),
        }
    }

    /// Takes one out, or says for how long there is none.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + elapsed * self.per_second).min(self.most);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return None;
        }
        let missing = (1.0 - self.left) / self.per_second;
        // A hair more, so that rounding does not wake the caller too early.
        Some(Duration::from_secs_f64(missing) + Duration::from_millis(1))
    }
}

impl Budget {
    pub(super) fn new(rates: Rates) -> Self {
        let reads = f64::from(rates.reads_per_second);
        let writes = f64::from(rates.writes_per_minute) / 60.0;
        Self {
            random: Random::default(),
            state: Mutex::new(State {
                reads: Bucket::new(reads, reads.max(1.0)),
                writes: Bucket::new(writes, WRITE_BURST),
                pause: None,
            }),
        }
    }

    /// Waits until the call may be made.
    pub(super) async fn turn(&self, reads: bool) {
        while let Some(rest) = self.rest(reads, Instant::now()) {
            sleep(rest).await;
        }
    }

    /// Takes a call out of the budget, or says how long there is none.
    fn rest(&self, reads: bool, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pause) = state.pause
            && pause.until > now
        {
            return Some(pause.until - now);
        }
        let bucket = if reads {
            &mut state.reads
        } else {
            &mut state.writes
        };
        bucket.take(now)
    }

    /// The cloud said that a call which began at `begun` was one too many: everybody pauses, longer each
    /// time, at random so that several clients of one project do not come back as one. Calls that were
    /// under way when the pause began do not make it longer.
    pub(super) fn throttled(&self, begun: Instant, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.pause.is_some_and(|pause| begun <= pause.began) {
            return;
        }
        let turn = state.pause.map_or(0, |pause| pause.turn + 1);
        let length = pause(turn, self.random.fraction());
        state.pause = Some(Pause {
            began: now,
            until: now + length,
            turn,
        });
        tracing::warn!(
            seconds = length.as_secs_f64(),
            "the cloud throttles: no call is made"
        );
    }

    /// A call that began at `begun` went through: the next pause is a short one again.
    pub(super) fn went_through(&self, begun: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.pause.is_some_and(|pause| begun > pause.until) {
            state.pause = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget::new(Rates {
            reads_per_second: 2,
            writes_per_minute: 30,
        })
    }

    #[test]
    fn reads_and_writes_wait_for_their_own_kind_only() {
        let (budget, now) = (budget(), Instant::now());
        for _ in 0..10 {
            assert_eq!(budget.rest(false, now), None);
        }
        let rest = budget.rest(false, now).unwrap().as_millis();
        assert!((1990..2010).contains(&rest), "{rest}");
        assert_eq!(budget.rest(true, now), None);
        assert_eq!(budget.rest(true, now), None);
        let rest = budget.rest(true, now).unwrap().as_millis();
        assert!((490..510).contains(&rest), "{rest}");
        assert_eq!(budget.rest(false, now + Duration::from_millis(2010)), None);
    }

    #[test]
    fn a_throttled_call_stops_every_other_and_each_pause_may_be_longer() {
        let (budget, mut now) = (budget(), Instant::now());
        let mut most = Duration::ZERO;
        for turn in 0..8 {
            now += Duration::from_secs(1);
            budget.throttled(now, now);
            let paused = budget.rest(turn % 2 == 0, now).unwrap();
            // A call that was under way already does not make the pause longer.
            budget.throttled(now, now + Duration::from_millis(1));
            assert_eq!(budget.rest(false, now), Some(paused));
            let [shortest, bound] = [0.0, 1.0].map(|fraction| pause(turn, fraction));
            assert!(paused >= shortest && paused <= bound, "{paused:?}");
            most = most.max(paused);
            now += paused;
        }
        assert!(most > pause(0, 1.0), "{most:?}");
        now += Duration::from_secs(1);
        budget.went_through(now);
        assert!(budget.state.lock().unwrap().pause.is_none());
    }
}
