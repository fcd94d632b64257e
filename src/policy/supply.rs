//! The rule that a farm which vanished is a broken view, and not a need.
//!
//! When the known instances of a pool fall below a share of the most that the last hour saw, without
//! our doing, the pool is halted until they are back, or a person says that it is right.

use crate::model::{Stage, Supply, Why, elapsed};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far back the rule looks.
pub const WINDOW: Duration = Duration::from_secs(3600);

/// The supply after one more fresh reading: `live` instances ([`super::PoolState::supply`]), and `excused`
/// ones that are not among them and yet did not vanish as far as is known ([`super::PoolState::excused`]).
/// An excuse keeps a pool from being halted, and never ends a halt; nor does it raise what later readings are
/// held against. A pool that is not known is not observed: keep what was.
#[must_use]
pub fn observe(before: &Supply, live: u32, excused: u32, now: Timestamp, ratio: f64) -> Supply {
    let mut peaks = recent(&before.peaks, now);
    let (known, against) = match before.halted_below {
        Some(below) => (live, below),
        None => (live + excused, most(Some(before), now)),
    };
    let peak = peaks.entry(minute(now)).or_default();
    *peak = live.max(*peak);
    Supply {
        peaks,
        halted_below: fell_below(known, against, ratio).then_some(against),
    }
}

/// The most instances that the last hour saw.
pub(super) fn most(known: Option<&Supply>, now: Timestamp) -> u32 {
    let peaks = known.map(|known| recent(&known.peaks, now));
    let peaks = peaks.into_iter().flatten();
    peaks.map(|(_, peak)| peak).max().unwrap_or_default()
}

/// How many instances leave by our doing as a worker goes from one stage to another. Those of one that was
/// not in service never counted. It had `live` ones in the last reading, and more of its `configured` ones may have counted in an earlier one; a
/// worker that shows none is taken to have had none. One that somebody else took away vanished.
#[must_use]
pub fn given_up(from: &Stage, to: &Stage, live: u32, configured: u32) -> u32 {
    let left = to.why().is_some_and(|why| *why != Why::Vanished);
    let ours = left || *to == Stage::Refitting;
    if ours && *from == Stage::Serving && live > 0 {
        live.max(configured)
    } else {
        0
    }
}

/// The supply after `instances` of ours were cordoned: that they leave is our doing.
#[must_use]
pub fn gave_back(before: &Supply, instances: u32) -> Supply {
    let less = |(at, peak): (&Timestamp, &u32)| (*at, peak.saturating_sub(instances));
    Supply {
        peaks: before.peaks.iter().map(less).collect(),
        halted_below: before
            .halted_below
            .map(|below| below.saturating_sub(instances)),
    }
}

/// The supply after a person said that what is seen now is right: the hour begins anew.
#[must_use]
pub fn accept() -> Supply {
    Supply::default()
}

/// Whether `live` is below the share `ratio` of `against`.
pub(super) fn fell_below(live: u32, against: u32, ratio: f64) -> bool {
    f64::from(live) < ratio * f64::from(against)
}

/// The peaks that lie in the window.
fn recent(peaks: &BTreeMap<Timestamp, u32>, now: Timestamp) -> BTreeMap<Timestamp, u32> {
    let recent = peaks.iter().filter(|(at, _)| elapsed(**at, now) <= WINDOW);
    recent.map(|(at, peak)| (*at, *peak)).collect()
}

fn minute(now: Timestamp) -> Timestamp {
    let second = now.as_second() - now.as_second().rem_euclid(60);
    Timestamp::from_second(second).unwrap_or(now)
}
