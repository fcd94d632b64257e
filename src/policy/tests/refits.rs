//! Workers on their way to other settings: few at once, never the last that a job needs, and never given up.

use super::super::fixtures::{Farm, NOW, at, pool};
use super::super::{
    Act, CheckOutcome, CheckReport, Cloud, Law, Plan, Sight, Step, View, assess, audit, plan,
};
use super::book;
use super::fits::{has, job, processors};
use super::life::{Case, seen};
use crate::model::{
    Action, Capabilities, Constraints, Hardware, HostName, InstanceState, JobState, ServerId,
    ServerStatus, Stage, TurnedBack, WantedHardware, Why,
};
use proptest::prelude::*;
use proptest::sample::select;

fn due(farm: &mut Farm, server: &ServerId, at_once: u32) {
    farm.ledger.members.get_mut(server).unwrap().due = Some(at_once);
}

fn sent(plan: &Plan) -> Vec<&str> {
    let ids = plan.steps.iter().filter_map(|step| match step {
        Step::Refit { server, .. } => Some(server.as_str()),
        Step::Order { .. }
        | Step::TakeBack { .. }
        | Step::Release { .. }
        | Step::Isolate { .. } => None,
    });
    ids.collect()
}

/// The plan, which the audit lets pass whole.
fn lawful(farm: &Farm) -> Plan {
    let (plan, refused) = farm.see(|view| audit(plan(view), view));
    assert!(refused.is_empty(), "{refused:?}");
    plan.into_inner()
}

fn why(plan: &Plan) -> Vec<&'static str> {
    plan.postponed.iter().map(|p| p.reason.label()).collect()
}

#[test]
fn no_more_workers_of_a_pool_are_on_their_way_than_may_be_at_once() {
    let mut farm = Farm::new();
    let workers = ["a", "b", "c"].map(|host| farm.worker("x-l1", host, 7));
    for worker in &workers {
        due(&mut farm, worker, 2);
    }
    let first = lawful(&farm);
    assert_eq!(sent(&first).len(), 2);
    assert_eq!(why(&first), ["max_refits"]);
    book(&mut farm, &first);
    assert!(sent(&lawful(&farm)).is_empty());
    farm.ledger.members.get_mut(&workers[0]).unwrap().stage = Stage::Serving;
    assert_eq!(sent(&lawful(&farm)), [workers[2].as_str()]);
}

#[test]
fn the_last_worker_that_meets_what_a_job_asks_waits_for_another() {
    let mut farm = Farm::new();
    let [a, b] = ["a", "b"].map(|host| farm.worker("x-l2", host, 7));
    for (host, worker) in [("a", &a), ("b", &b)] {
        has(&mut farm, host, 64);
        due(&mut farm, worker, 9);
    }
    job(&mut farm, "large", processors(64), JobState::Scheduled);
    let first = lawful(&farm);
    assert_eq!(sent(&first), [a.as_str()]);
    assert_eq!(why(&first), ["last_fit"]);
    book(&mut farm, &first);
    assert_eq!(why(&lawful(&farm)), ["last_fit"]);
    farm.ledger.members.get_mut(&a).unwrap().stage = Stage::Serving;
    assert_eq!(sent(&lawful(&farm)), [b.as_str()]);
}

#[test]
fn one_that_was_told_of_fewer_processes_does_not_stand_in_for_one_that_has_as_many_as_a_job_asks() {
    let mut farm = Farm::new();
    let [a, b] = ["a", "b"].map(|host| farm.worker("x-l2", host, 7));
    let hardware = |jobs| Hardware {
        processors: 64,
        jobs,
        ..Hardware::default()
    };
    for host in ["a", "b"] {
        let has = Capabilities {
            hardware: Some(hardware(64)),
            ..Capabilities::default()
        };
        farm.backend("main").has.insert(HostName::new(host), has);
    }
    let asks = WantedHardware {
        jobs: Some(8),
        ..WantedHardware::default()
    };
    let asks = Constraints {
        hardware: Some(asks),
        ..Constraints::default()
    };
    job(&mut farm, "parallel", asks, JobState::Scheduled);
    due(&mut farm, &b, 1);
    assert_eq!(sent(&lawful(&farm)), [b.as_str()]);
    // what OBS says of it was read before it was told
    farm.ledger.members.get_mut(&a).unwrap().own.jobs = Some(4);
    assert_eq!(why(&lawful(&farm)), ["last_fit"]);
    let mut plan = Plan::default();
    plan.steps.push(Step::Refit {
        server: b.clone(),
        pool: pool("x-l2"),
    });
    let (_, refused) = farm.see(|view| audit(plan, view));
    assert_eq!(refused.first().unwrap().law, Law::LastFit);
}

#[test]
fn a_worker_that_can_not_be_reached_or_seen_is_not_sent_on_its_way() {
    let mut farm = Farm::new();
    let worker = farm.worker("x-l1", "a", 7);
    due(&mut farm, &worker, 1);
    farm.fleet.servers.get_mut(&worker).unwrap().tags.order = None;
    assert_eq!(why(&lawful(&farm)), ["no_host_key"]);
    farm.ledger.pinned.insert(worker.clone());
    assert_eq!(sent(&lawful(&farm)), [worker.as_str()]);
    farm.backend("main").workers_at = NOW - 121;
    assert_eq!(why(&lawful(&farm)), ["stale"]);
}

#[test]
fn the_audit_lets_no_worker_go_whose_settings_are_not_due() {
    let mut farm = Farm::new();
    let workers = ["a", "b"].map(|host| farm.worker("x-l1", host, 7));
    let steps = workers.clone().map(|server| Step::Refit {
        server,
        pool: pool("x-l1"),
    });
    let judged = |farm: &Farm| {
        let plan = Plan {
            steps: steps.to_vec(),
            ..Plan::default()
        };
        let (_, refused) = farm.see(|view| audit(plan, view));
        refused.iter().map(|r| r.law).collect::<Vec<_>>()
    };
    assert_eq!(judged(&farm), [Law::Refits, Law::Refits]);
    for worker in &workers {
        due(&mut farm, worker, 1);
    }
    assert_eq!(judged(&farm), [Law::Refits], "one at once");
    farm.server("x-l1", "a").status = ServerStatus::Deleting;
    assert_eq!(judged(&farm), [Law::Managed]);
}

#[test]
fn what_is_on_its_way_to_other_settings_is_bought_for_only_when_it_stays_away() {
    let mut farm = Farm::new();
    farm.schedule("x-l1", 7);
    farm.ring(Action::Apply, "x-l1");
    farm.member("x-l1", "a", Stage::Refitting).since = at(NOW - 60);
    let needed = |farm: &Farm| {
        let of = |view: &View<'_>| assess(view)[&pool("x-l1")].as_ref().unwrap().needed();
        farm.see(of)
    };
    assert_eq!(needed(&farm), 0);
    farm.member("x-l1", "a", Stage::Refitting).since = at(NOW - 3600);
    assert_eq!(needed(&farm), 1);
}

#[test]
fn a_worker_with_fewer_instances_of_its_own_is_idle_when_these_are() {
    let mut farm = Farm::new();
    let worker = farm.worker("x-l1", "a", 3);
    let idle = |farm: &Farm| {
        let of =
            |view: &View<'_>| assess(view)[&pool("x-l1")].as_ref().unwrap().workers[0].is_idle();
        farm.see(of)
    };
    assert!(!idle(&farm));
    let member = farm.ledger.members.get_mut(&worker).unwrap();
    member.own.instances = Some(3);
    assert!(idle(&farm));
}

fn checked(second: i64, outcome: CheckOutcome) -> Option<CheckReport> {
    let at = at(second);
    Some(CheckReport {
        at,
        outcome,
        untouched: false,
    })
}

#[test]
fn it_serves_again_once_its_settings_are_checked_and_all_its_instances_are_back() {
    let case = Case::new(Stage::Refitting);
    let sight = |check, instances| Sight {
        check,
        instances,
        ..case.listed()
    };
    let passed = || checked(NOW - 20, CheckOutcome::Passed);
    let failed = CheckOutcome::Failed {
        check: "config".to_owned(),
        found: "2 instances have to finish".to_owned(),
        expected: "4".to_owned(),
    };
    let all = seen(NOW - 10, 7, 0);
    let next = |check, instances| case.next(&sight(check, instances));
    assert_eq!(next(passed(), all), (Stage::Serving, Act::None));
    let stays = |act| (Stage::Refitting, act);
    assert_eq!(next(passed(), seen(NOW - 10, 6, 0)), stays(Act::None));
    assert_eq!(next(passed(), seen(NOW - 30, 7, 0)), stays(Act::None));
    assert_eq!(next(None, all), stays(Act::Check));
    assert_eq!(
        next(checked(NOW - 2000, CheckOutcome::Passed), all),
        stays(Act::Check)
    );
    assert_eq!(next(checked(NOW - 20, failed), all), stays(Act::Check));
    let unreachable = CheckOutcome::Unreachable(String::new());
    assert_eq!(next(checked(NOW - 20, unreachable), all), stays(Act::Check));
}

#[test]
fn one_that_lost_an_instance_since_its_check_is_looked_at_again() {
    let case = Case::new(Stage::Refitting);
    let next = |second| {
        let sight = Sight {
            check: checked(second, CheckOutcome::Passed),
            instances: seen(NOW - 10, 6, 0),
            ..case.listed()
        };
        case.next(&sight)
    };
    assert_eq!(next(NOW - 299), (Stage::Refitting, Act::None));
    assert_eq!(next(NOW - 300), (Stage::Refitting, Act::Check));
}

#[test]
fn one_on_which_nothing_can_be_begun_goes_on_as_it_was_and_keeps_nobody_from_their_turn() {
    let mut case = Case::new(Stage::Refitting);
    let failed = |untouched| {
        Some(CheckReport {
            at: at(NOW - 5),
            outcome: CheckOutcome::Failed {
                check: "disk".to_owned(),
                found: "2 GiB".to_owned(),
                expected: "20 GiB".to_owned(),
            },
            untouched,
        })
    };
    let next = |case: &Case, untouched, live| {
        let sight = Sight {
            check: failed(untouched),
            instances: seen(NOW - 4, live, 0),
            ..case.listed()
        };
        case.next(&sight)
    };
    let tries = (Stage::Refitting, Act::Check);
    case.member.since = at(NOW - 299);
    assert_eq!(next(&case, true, 7), tries, "not so soon");
    case.member.since = at(NOW - 300);
    assert_eq!(next(&case, true, 7), (Stage::Serving, Act::None));
    assert_eq!(next(&case, false, 7), tries, "it may be cordoned");
    assert_eq!(next(&case, true, 0), tries, "it may be stopped");

    let mut farm = Farm::new();
    let workers = ["a", "b"].map(|host| farm.worker("x-l1", host, 7));
    for worker in &workers {
        due(&mut farm, worker, 1);
    }
    let back = |ago| TurnedBack {
        at: at(NOW - ago),
        why: "no room".to_owned(),
    };
    let [a, b] = &workers;
    farm.ledger.turned_back.insert(a.clone(), back(599));
    assert_eq!(sent(&lawful(&farm)), [b.as_str()]);
    assert_eq!(why(&lawful(&farm)), ["turned_back"]);
    farm.ledger.turned_back.insert(a.clone(), back(600));
    assert_eq!(sent(&lawful(&farm)), [a.as_str()]);
}

#[test]
fn one_that_is_ours_by_the_owners_tag_alone_has_its_turn_like_any() {
    let mut farm = Farm::new();
    let workers = ["a", "b"].map(|host| farm.worker("x-l2", host, 7));
    for worker in &workers {
        due(&mut farm, worker, 1);
    }
    let server = farm.fleet.servers.get_mut(&workers[0]).unwrap();
    server.tags.pool = None;
    server.tags.order = None;
    farm.ledger.members.get_mut(&workers[0]).unwrap().order = None;
    farm.ledger.pinned.insert(workers[0].clone());
    assert_eq!(sent(&lawful(&farm)), [workers[0].as_str()]);
}

#[test]
fn one_that_the_cloud_loses_on_the_way_is_given_up_like_any_in_service() {
    let mut case = Case::new(Stage::Refitting);
    case.server.status = ServerStatus::Error("broke".to_owned());
    let words = "broke".to_owned();
    let why = Why::CloudError { words };
    let given_up = (Stage::Cordoned { why }, Act::Cordon);
    assert_eq!(case.next(&case.listed()), given_up);
}

proptest! {
    #[test]
    fn however_long_it_takes_it_is_not_given_up(
        since in 0..2_000_000_i64,
        outcome in select(vec![0, 1, 2, 3]),
        idle in 0..8_u32,
        listed in any::<bool>(),
        checking in any::<bool>(),
    ) {
        let mut case = Case::new(Stage::Refitting);
        case.member.since = at(NOW - since);
        let check = match outcome {
            0 => None,
            1 => checked(NOW - 10, CheckOutcome::Passed),
            2 => checked(NOW - 10, CheckOutcome::Unreachable(String::new())),
            _ => checked(NOW - since - 1, CheckOutcome::Passed),
        };
        let sight = Sight { check, instances: seen(NOW - 5, idle, 0), checking, may_delete: true, ..case.listed() };
        let sight = if listed { sight } else { Sight { cloud: Cloud::Unknown, ..sight } };
        let (stage, act) = case.next(&sight);
        prop_assert!(matches!(stage, Stage::Refitting | Stage::Serving), "{stage:?}");
        prop_assert!(matches!(act, Act::None | Act::Check), "{act:?}");
    }
}

#[test]
fn its_instances_did_not_vanish() {
    use super::super::supply::given_up;
    assert_eq!(given_up(&Stage::Serving, &Stage::Refitting, 7, 7), 7);
    let mut farm = Farm::new();
    farm.list("x-l1", "a", InstanceState::Idle, 7);
    farm.member("x-l1", "a", Stage::Refitting);
    let live = |view: &View<'_>| assess(view)[&pool("x-l1")].as_ref().unwrap().supply.live();
    assert_eq!(farm.see(live), 0, "it comes and goes by our doing");
}
