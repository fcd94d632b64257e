//! How long a worker took for each span of its life, told when it leaves one.

use crate::metrics::Span;
use crate::model::{Member, Stage, elapsed};
use crate::policy::CheckReport;
use jiff::Timestamp;
use std::time::Duration;

/// The spans that end with the step to `next`, and how long each took. A worker whose first session finds
/// everything right is never seen being checked: its boot ended when that session began, and its checks
/// took from there until now. One whose instances are all registered by the end of its checks has nothing
/// left to join.
pub(super) fn ended(
    member: &Member,
    next: &Stage,
    check: Option<&CheckReport>,
    now: Timestamp,
) -> Vec<(Span, Duration)> {
    let Some(left) = span(&member.stage) else {
        return Vec::new();
    };
    let registered = matches!(next, Stage::Proving | Stage::Serving);
    let at_once = left == Span::Boot && (registered || matches!(next, Stage::Joining { .. }));
    let mut ended = match check.filter(|_| at_once) {
        Some(check) => vec![
            (Span::Boot, elapsed(member.since, check.at)),
            (Span::Check, elapsed(check.at, now)),
        ],
        None => vec![(left, elapsed(member.since, now))],
    };
    if registered && left != Span::Join {
        ended.push((Span::Join, Duration::ZERO));
    }
    ended
}

const fn span(stage: &Stage) -> Option<Span> {
    match stage {
        Stage::Creating => Some(Span::Create),
        Stage::Booting { .. } => Some(Span::Boot),
        Stage::Checking { .. } => Some(Span::Check),
        Stage::Joining { .. } => Some(Span::Join),
        Stage::Cordoned { .. } => Some(Span::Drain),
        Stage::Deleting { .. } => Some(Span::Delete),
        Stage::Standby { .. }
        | Stage::Proving
        | Stage::Serving
        | Stage::Refitting
        | Stage::Gone { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PoolName, ServerId, Vcpus, Why};
    use crate::policy::CheckOutcome;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What ends at second 100 for a worker that has stood there since second 10, with a check that was
    /// begun at second 70: each span with its seconds.
    fn ended_by(stage: Stage, next: &Stage) -> Vec<(&'static str, u64)> {
        let member = Member {
            server: ServerId::new("s"),
            name: None,
            pool: PoolName::try_from("p").unwrap(),
            order: None,
            vcpus: Vcpus(32),
            stage,
            since: at(10),
            reached: false,
            ordered_here: true,
            own: crate::model::Overrides::default(),
            bound: None,
            due: None,
        };
        let check = CheckReport {
            untouched: false,
            at: at(70),
            outcome: CheckOutcome::Passed,
        };
        let ended = ended(&member, next, Some(&check), at(100));
        let word = |(span, took): &(Span, Duration)| (span.as_str(), took.as_secs());
        ended.iter().map(word).collect()
    }

    #[test]
    fn what_is_passed_over_in_one_step_is_measured_all_the_same() {
        let active = at(5);
        let (booting, joining) = (Stage::Booting { active }, Stage::Joining { active });
        let checked = [("boot", 60), ("check", 30)];
        assert_eq!(ended_by(booting.clone(), &joining), checked);
        let served = [("boot", 60), ("check", 30), ("join", 0)];
        assert_eq!(ended_by(booting, &Stage::Serving), served);
        let served = [("check", 90), ("join", 0)];
        assert_eq!(
            ended_by(Stage::Checking { active }, &Stage::Serving),
            served
        );
    }

    #[test]
    fn any_other_step_ends_the_span_that_it_leaves() {
        let active = at(5);
        let idle = || Stage::Cordoned { why: Why::Idle };
        let (booting, checking) = (Stage::Booting { active }, Stage::Checking { active });
        for (stage, next, span) in [
            (Stage::Creating, &booting, "create"),
            (booting.clone(), &checking, "boot"),
            (booting.clone(), &idle(), "boot"),
            (checking.clone(), &Stage::Joining { active }, "check"),
            (Stage::Joining { active }, &Stage::Serving, "join"),
            (idle(), &Stage::Deleting { why: Why::Idle }, "drain"),
            (
                Stage::Deleting { why: Why::Idle },
                &Stage::Gone { why: Why::Idle },
                "delete",
            ),
        ] {
            assert_eq!(ended_by(stage, next), [(span, 90)], "{next:?}");
        }
        assert!(ended_by(Stage::Serving, &idle()).is_empty());
    }
}
