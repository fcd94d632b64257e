//! Clocks: signatures are good for 15 minutes around the cloud's time.

use super::finding::Finding;
use jiff::SignedDuration;

/// From here on it is worth mending.
const WARN: SignedDuration = SignedDuration::from_mins(2);
/// How far a signature's date may be off (API Request Signing Guide).
const FAIL: SignedDuration = SignedDuration::from_mins(15);

/// Whose clock ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The cloud refuses signatures of another time.
    Cloud,
    /// A backend's times are only compared with ours.
    Backend,
}

/// How far that clock is ahead of ours; `None` where its answers have no date.
pub(super) fn clock(
    of: &str,
    whose: Whose,
    ahead: Result<Option<SignedDuration>, String>,
) -> Finding {
    let what = format!("clock against {of}");
    let ahead = match ahead {
        Ok(Some(ahead)) => ahead,
        Ok(None) => return Finding::ok(what, "no date in its answers"),
        Err(why) => {
            let mend =
                "check the address in the configuration, and that it can be reached from here";
            return Finding::fail(what, why, "an answer with its date", mend);
        }
    };
    let found = format!("{} s", ahead.as_secs());
    if ahead.abs() < WARN {
        return Finding::ok(what, found);
    }
    let mend = "set the clock: timedatectl set-ntp true, or the same on the other machine";
    let finding = Finding::fail(what, found, "less than 120 s", mend);
    if whose == Whose::Cloud && ahead.abs() > FAIL {
        return finding;
    }
    finding.only_a_warning()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_clock_is_wrong_from_two_minutes_on_and_useless_from_fifteen() {
        let of = |whose, seconds| {
            let ahead = SignedDuration::from_secs(seconds);
            clock("it", whose, Ok(Some(ahead))).verdict
        };
        for (seconds, cloud) in [
            (-119, Verdict::Ok),
            (120, Verdict::Warn),
            (-900, Verdict::Warn),
            (901, Verdict::Fail),
        ] {
            assert_eq!(of(Whose::Cloud, seconds), cloud, "{seconds}");
        }
        assert_eq!(of(Whose::Backend, -5000), Verdict::Warn);
    }

    #[test]
    fn who_does_not_tell_the_time_is_not_wrong_and_who_is_silent_is() {
        let silent = clock("it", Whose::Backend, Err("no connection".to_owned()));
        assert_eq!(silent.verdict, Verdict::Fail);
        assert_eq!(clock("it", Whose::Cloud, Ok(None)).verdict, Verdict::Ok);
    }
}
