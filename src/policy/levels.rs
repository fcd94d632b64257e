//! The level of a mean build time.

use crate::config::Levels;
use crate::model::Level;
use std::time::Duration;

/// The level of a package whose last builds took `mean`, and which had the level `before`: it leaves
/// that only when the mean has passed the boundary by the share [`Levels::hysteresis`] of it, so that a
/// package whose builds take now a little less, now a little more than the boundary stays where it is.
/// One that has no level yet gets that of the plain boundaries.
#[must_use]
pub fn level_with_hysteresis(before: Option<Level>, mean: Duration, levels: &Levels) -> Level {
    let passed = |boundary: Duration, above: Level| {
        let share = match before {
            None => 1.0,
            Some(before) if before >= above => 1.0 - levels.hysteresis,
            Some(_) => 1.0 + levels.hysteresis,
        };
        mean >= boundary.mul_f64(share)
    };
    if passed(levels.l2_below, Level::L3) {
        Level::L3
    } else if passed(levels.l1_below, Level::L2) {
        Level::L2
    } else {
        Level::L1
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Farm, minutes};
    use super::*;
    use proptest::prelude::*;

    fn levels() -> Levels {
        Farm::new().policy.levels
    }

    #[test]
    fn a_package_without_a_level_gets_that_of_the_plain_boundaries() {
        let of = |mean| level_with_hysteresis(None, mean, &levels());
        let means = [299, 300, 599, 600].map(|s| of(Duration::from_secs(s)));
        assert_eq!(means, [Level::L1, Level::L2, Level::L2, Level::L3]);
    }

    #[test]
    fn a_boundary_is_crossed_where_it_is_passed_by_the_margin() {
        let of = |before, seconds| {
            let mean = Duration::from_secs(seconds);
            level_with_hysteresis(Some(before), mean, &levels())
        };
        assert_eq!(
            [of(Level::L1, 329), of(Level::L1, 330)],
            [Level::L1, Level::L2]
        );
        assert_eq!(
            [of(Level::L2, 270), of(Level::L2, 269)],
            [Level::L2, Level::L1]
        );
        assert_eq!(
            [of(Level::L2, 659), of(Level::L2, 660)],
            [Level::L2, Level::L3]
        );
        assert_eq!(
            [of(Level::L3, 540), of(Level::L3, 539)],
            [Level::L3, Level::L2]
        );
        assert_eq!(
            [of(Level::L1, 660), of(Level::L3, 1)],
            [Level::L3, Level::L1]
        );
    }

    proptest! {
        #[test]
        fn a_mean_that_wanders_about_a_boundary_changes_the_level_at_most_once(
            upper: bool,
            first in proptest::option::of(0..3usize),
            shares in proptest::collection::vec(0.9..=1.1f64, 1..50),
        ) {
            let levels = levels();
            let boundary = if upper { minutes(10) } else { minutes(5) };
            // what it was before lies on one side of this boundary
            let side = if upper { [Level::L2, Level::L3] } else { [Level::L1, Level::L2] };
            let mut level = first.and_then(|n| side.get(n).copied());
            let mut changes = 0;
            for share in shares {
                let next = level_with_hysteresis(level, boundary.mul_f64(share), &levels);
                changes += u32::from(level.is_some_and(|level| level != next));
                level = Some(next);
            }
            prop_assert!(changes <= 1, "{} changes", changes);
        }

        #[test]
        fn to_look_again_at_the_same_mean_changes_nothing(
            before in proptest::option::of(0..3usize),
            seconds in 0..2000u64,
        ) {
            let (levels, mean) = (levels(), Duration::from_secs(seconds));
            let before = before.map(|n| Level::ALL[n]);
            let once = level_with_hysteresis(before, mean, &levels);
            prop_assert_eq!(level_with_hysteresis(Some(once), mean, &levels), once);
        }
    }
}
