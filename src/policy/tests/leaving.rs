//! The way out of one server: nothing that builds is deleted, nothing is forgotten.

use super::super::fixtures::{NOW, at};
use super::super::{
    Absence, Act, Cloud, DrainOutcome, DrainReport, InstancesSeen, Sight, SubJob, next_absence,
    next_quiet,
};
use super::life::{Case, SINCE, booting, cordoned, drain, seen};
use crate::model::{InstanceCounts, InstanceState, ServerStatus, Stage, Why};
use proptest::prelude::*;
use proptest::sample::select;

#[test]
fn a_drained_worker_is_deleted_only_after_obs_was_read_again() {
    let case = Case::new(cordoned(Why::Idle));
    let sight = |instances, left| Sight {
        instances,
        drain: drain(NOW - 20, left),
        ..case.listed()
    };
    let left = DrainOutcome::AllLeft;
    let deleting = (Stage::Deleting { why: Why::Idle }, Act::Delete);
    assert_eq!(
        case.next(&sight(seen(NOW - 10, 0, 0), left.clone())),
        deleting
    );
    let stays = [
        sight(None, left.clone()),
        sight(seen(NOW - 20, 0, 0), left.clone()),
        sight(seen(NOW - 10, 0, 1), left.clone()),
        sight(seen(NOW - 10, 0, 0), DrainOutcome::Remaining(1)),
        sight(
            seen(NOW - 10, 0, 0),
            DrainOutcome::Unreachable(String::new()),
        ),
        Sight {
            drain: drain(SINCE - 1, left.clone()),
            ..sight(seen(NOW - 10, 0, 0), left.clone())
        },
        Sight {
            drain: drain(NOW - 121, left.clone()),
            ..sight(seen(NOW - 10, 0, 0), left.clone())
        },
        Sight {
            cloud: Cloud::Unknown,
            ..sight(seen(NOW - 10, 0, 0), left)
        },
    ];
    for sight in stays {
        assert_eq!(case.next(&sight), (cordoned(Why::Idle), Act::Cordon));
    }
}

#[test]
fn a_worker_that_its_backends_were_told_to_leave_alone_is_deleted_when_all_its_instances_stayed_down()
 {
    let case = Case::new(cordoned(Why::Idle));
    let told = NOW - 400;
    let sight = |since, quiet: Option<i64>, live| Sight {
        instances: seen(NOW - 10, 0, live),
        drain: drain(NOW - 20, DrainOutcome::Disabled { since: at(since) }),
        quiet: quiet.map(at),
        ..case.listed()
    };
    let deleting = (Stage::Deleting { why: Why::Idle }, Act::Delete);
    assert_eq!(case.next(&sight(told, Some(told + 60), 0)), deleting);
    let stays = [
        // told not long enough ago, for the first look or for the second
        sight(NOW - 300, Some(NOW - 300), 0),
        sight(NOW - 385, Some(NOW - 385), 0),
        // seen down by one look only, or not by all
        sight(told, Some(NOW - 10), 0),
        sight(told, None, 0),
        sight(told, Some(told + 60), 1),
        // left as it is, since the other way is closed
        Sight {
            drain: drain(NOW - 20, DrainOutcome::Unproved(String::new())),
            ..sight(told, Some(told + 60), 0)
        },
        // OBS is not read any more
        Sight {
            instances: None,
            ..sight(told, Some(told + 60), 0)
        },
    ];
    for sight in stays {
        assert_eq!(case.next(&sight), (cordoned(Why::Idle), Act::Cordon));
    }
}

#[test]
fn a_worker_is_quiet_while_every_look_shows_all_its_instances_down() {
    let looked = |at_second, down, idle| {
        let mut counts = InstanceCounts::default();
        let states = [(InstanceState::Down, down), (InstanceState::Idle, idle)];
        for (state, count) in states {
            (0..count).for_each(|_| counts.add(state));
        }
        InstancesSeen {
            at: at(at_second),
            counts,
        }
    };
    let quiet = |before, seen: &InstancesSeen| next_quiet(before, Some(seen), 4);
    assert_eq!(quiet(None, &looked(10, 4, 0)), Some(at(10)));
    assert_eq!(quiet(Some(at(10)), &looked(40, 4, 0)), Some(at(10)));
    for (down, idle) in [(3, 1), (3, 0), (0, 0)] {
        assert_eq!(quiet(Some(at(10)), &looked(40, down, idle)), None);
    }
    assert_eq!(next_quiet(Some(at(10)), None, 4), None);
}

#[test]
fn a_protected_worker_is_never_deleted() {
    let mut case = Case::new(cordoned(Why::Idle));
    case.server.tags.protected = true;
    let sight = Sight {
        instances: seen(NOW - 10, 0, 0),
        drain: drain(NOW - 20, DrainOutcome::AllLeft),
        ..case.listed()
    };
    assert_eq!(case.next(&sight).1, Act::Cordon);
}

#[test]
fn a_worker_that_may_not_be_deleted_now_stays_cordoned() {
    let case = Case::new(cordoned(Why::Idle));
    let act = |may_delete| {
        let sight = Sight {
            instances: seen(NOW - 10, 0, 0),
            drain: drain(NOW - 20, DrainOutcome::AllLeft),
            may_delete,
            ..case.listed()
        };
        case.next(&sight).1
    };
    assert_eq!([true, false].map(act), [Act::Delete, Act::Cordon]);
}

#[test]
fn a_black_hole_is_kept_for_a_look_and_one_that_people_gave_us_for_ever() {
    let evidence = "of the builds of 20 packages 20 were lost".to_owned();
    let mut case = Case::new(cordoned(Why::BlackHole { evidence }));
    let act = |case: &Case| {
        let sight = Sight {
            instances: seen(NOW - 10, 0, 0),
            drain: drain(NOW - 20, DrainOutcome::AllLeft),
            ..case.listed()
        };
        case.next(&sight).1
    };
    assert_eq!(act(&case), Act::Delete);
    case.member.since = at(NOW - 599);
    assert_eq!(act(&case), Act::Cordon, "a second too early");
    case.member.since = at(NOW - 600);
    assert_eq!(act(&case), Act::Delete);
    case.member.order = None;
    case.member.since = at(SINCE);
    assert_eq!(act(&case), Act::Cordon, "adopted");
}

#[test]
fn a_server_never_reached_is_deleted_when_obs_shows_nothing_of_it() {
    let mut case = Case::unreached(cordoned(Why::NotActive));
    let sight = |case: &Case, instances| {
        let left = DrainOutcome::Unreachable(String::new());
        let drained = Sight {
            instances,
            drain: drain(NOW, left),
            ..case.listed()
        };
        case.next(&drained).1
    };
    assert_eq!(sight(&case, seen(NOW, 0, 0)), Act::Delete);
    assert_eq!(sight(&case, None), Act::Cordon, "OBS unknown");
    assert_eq!(sight(&case, seen(NOW, 1, 0)), Act::Cordon, "live");
    assert_eq!(sight(&case, seen(SINCE + 29, 0, 0)), Act::Cordon, "early");
    case.member.reached = true;
    assert_eq!(sight(&case, seen(NOW, 0, 0)), Act::Cordon, "reached once");
}

#[test]
fn no_server_is_deleted_on_the_word_of_one_list_or_of_an_older_one() {
    let case = Case::new(cordoned(Why::Idle));
    let sight = |since, last| Sight {
        cloud: Cloud::Listed {
            server: &case.server,
            since: at(since),
            at: at(last),
        },
        instances: seen(NOW, 0, 0),
        drain: drain(NOW - 20, DrainOutcome::AllLeft),
        ..case.listed()
    };
    for (since, last, act) in [
        (NOW - 30, NOW, Act::Delete),
        (NOW - 29, NOW, Act::Cordon),
        (NOW, NOW, Act::Cordon),
        (SINCE - 60, SINCE, Act::Cordon),
        (SINCE - 60, SINCE + 1, Act::Delete),
    ] {
        assert_eq!(case.next(&sight(since, last)).1, act, "{since} to {last}");
    }
}

#[test]
fn a_server_on_which_a_check_may_be_starting_the_service_is_not_deleted() {
    let case = Case::unreached(cordoned(Why::NotActive));
    let sight = Sight {
        instances: seen(NOW, 0, 0),
        ..case.listed()
    };
    assert_eq!(case.next(&sight).1, Act::Delete);
    let checking = Sight {
        checking: true,
        ..sight
    };
    assert_eq!(case.next(&checking).1, Act::Cordon);
}

#[test]
fn a_server_is_gone_when_two_lists_lack_it() {
    let case = Case::new(Stage::Deleting { why: Why::Idle });
    let gone = (Stage::Gone { why: Why::Idle }, Act::None);
    assert_eq!(
        case.next(&case.absent(NOW - 30, NOW - 30)).0,
        case.member.stage
    );
    assert_eq!(case.next(&case.absent(NOW - 30, NOW)), gone);
    assert_eq!(
        case.next(&case.absent(SINCE - 30, SINCE)).0,
        case.member.stage
    );
}

#[test]
fn a_list_that_lacks_what_obs_sees_at_work_is_a_broken_view() {
    for stage in [Stage::Serving, booting()] {
        let case = Case::new(stage.clone());
        let sight = |instances| Sight {
            instances,
            ..case.absent(NOW - 300, NOW)
        };
        assert_eq!(case.next(&sight(seen(NOW, 0, 1))).0, stage);
        assert_eq!(case.next(&sight(seen(NOW, 1, 0))).0, stage);
        assert_eq!(case.next(&sight(None)).0, stage, "OBS unknown");
        let why = Why::Vanished;
        assert_eq!(case.next(&sight(seen(NOW, 0, 0))).0, Stage::Gone { why });
    }
}

#[test]
fn a_list_that_has_the_server_ends_its_absence() {
    let (first, last) = (at(NOW - 30), at(NOW));
    let run = next_absence(next_absence(None, false, first), false, last);
    assert_eq!(run, Some(Absence { first, last }));
    assert_eq!(next_absence(run, true, last), None);
}

#[test]
fn a_server_whose_job_still_runs_is_not_forgotten() {
    let case = Case::unreached(cordoned(Why::NotActive));
    let sight = Sight {
        sub_job: SubJob::Running,
        ..case.absent(NOW - 600, NOW)
    };
    assert_eq!(case.next(&sight).0, case.member.stage);
    let creating = Case::unreached(Stage::Creating);
    let early = creating.absent(SINCE + 1, SINCE + 500);
    assert_eq!(creating.next(&early).0, Stage::Creating);
}

#[test]
fn a_deletion_that_the_cloud_did_not_take_up_is_decided_anew() {
    let mut case = Case::new(Stage::Deleting { why: Why::Idle });
    assert_eq!(
        case.next(&case.listed()),
        (cordoned(Why::Idle), Act::Cordon)
    );
    case.member.since = at(NOW - 29);
    assert_eq!(case.next(&case.listed()).1, Act::None, "the list may lag");
    case.member.since = at(SINCE);
    case.server.status = ServerStatus::Deleting;
    assert_eq!(case.next(&case.listed()).1, Act::None, "it is under way");
}

/// Every stage, the one that matters most often.
fn any_stage() -> impl Strategy<Value = Stage> {
    let active = at(NOW - 100);
    let others = vec![
        Stage::Creating,
        Stage::Booting { active },
        Stage::Checking { active },
        Stage::Joining { active },
        Stage::Serving,
        Stage::Deleting { why: Why::Idle },
        Stage::Gone { why: Why::Idle },
    ];
    let leaving = [Why::Idle, Why::NotActive, Why::Vanished].map(cordoned);
    prop_oneof![4 => select(leaving.to_vec()), 1 => select(others)]
}

fn any_drain() -> impl Strategy<Value = Option<DrainReport>> {
    let unreachable = DrainOutcome::Unreachable(String::new());
    let outcomes = vec![
        DrainOutcome::AllLeft,
        DrainOutcome::Remaining(1),
        unreachable,
    ];
    let report = (NOW - 1500..NOW, select(outcomes));
    proptest::option::of(report.prop_map(|(second, outcome)| {
        let at = at(second);
        DrainReport { at, outcome }
    }))
}

fn any_instances() -> impl Strategy<Value = Option<InstancesSeen>> {
    let few = || prop_oneof![2 => Just(0), 1 => 1..3u32];
    let any = (NOW - 1500..NOW, few(), few(), few());
    let seen = |(second, idle, building, away)| {
        let mut seen = seen(second, idle, building)?;
        (0..away).for_each(|_| seen.counts.add(InstanceState::Away));
        Some(seen)
    };
    prop_oneof![4 => any.prop_map(seen), 1 => Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever else is seen: no deletion while OBS is not known or shows a job, and none of a server
    /// that is pinned, that the cloud's list may lack, or that is not cordoned.
    #[test]
    fn no_build_is_ever_killed(
        stage in any_stage(),
        drain in any_drain(),
        instances in any_instances(),
        (reached, protected, known) in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let mut case = Case::new(stage);
        case.member.reached = reached;
        case.server.tags.protected = protected;
        let listed = case.listed();
        let cloud = if known { listed.cloud } else { Cloud::Unknown };
        let sight = Sight { cloud, drain: drain.clone(), instances, ..listed };
        let next = case.advance(&sight);
        let is_cordoned = matches!(case.member.stage, Stage::Cordoned { .. });
        let moves_on = is_cordoned && matches!(next.stage, Stage::Deleting { .. });
        prop_assert_eq!(next.act == Act::Delete, moves_on);
        if moves_on {
            let seen = instances.unwrap();
            prop_assert!(known && !protected && !seen.builds());
            let left = drain.is_some_and(|drain| {
                drain.outcome == DrainOutcome::AllLeft && drain.at < seen.at && drain.at >= at(SINCE)
            });
            prop_assert!(left || (!reached && seen.counts.live() == 0));
        }
    }
}
