//! A worker on its way out is taken back before another one is bought.

use super::super::fixtures::{Farm, NOW, at, pool};
use super::super::{Law, Outcome, Plan, Reason, Refusal, Step, audit, plan};
use super::{book, decided, ordered};
use crate::config::Mode;
use crate::model::{Action, Alarms, PoolName, ServerId, ServerStatus, Stage, Why};

const POOL: &str = "x-l1";

/// A pool that needs two workers of 7 instances, with these on their way out, the last one given up last.
fn farm(leaving: &[(&str, Stage)]) -> Farm {
    let mut farm = Farm::new();
    farm.schedule(POOL, 14);
    farm.ring(Action::Apply, POOL);
    for (second, (host, stage)) in (NOW - 100..).zip(leaving) {
        farm.member(POOL, host, stage.clone()).since = at(second);
    }
    farm
}

fn idle() -> Stage {
    Stage::Cordoned { why: Why::Idle }
}

fn taken_back(plan: &Plan) -> Vec<String> {
    let of = |step: &Step| match step {
        Step::TakeBack { server, .. } => Some(server.as_str().to_owned()),
        Step::Order { .. } | Step::Release { .. } | Step::Refit { .. } | Step::Isolate { .. } => {
            None
        }
    };
    plan.steps.iter().filter_map(of).collect()
}

#[test]
fn workers_on_their_way_out_are_taken_back_the_last_first_before_any_is_bought() {
    let mut farm = farm(&[("w-1", idle()), ("w-2", idle()), ("w-3", idle())]);
    let first = farm.see(plan);
    assert_eq!(taken_back(&first), ["w-3", "w-2"]);
    assert_eq!(ordered(&first, POOL), 0);
    let apply = decided(&farm, POOL, Action::Apply);
    assert_eq!(apply, (Outcome::Hold, Reason::TakenBack));
    let (_, refusals) = farm.see(|view| audit(first.clone(), view));
    assert_eq!(refusals, []);
    // they count as on their way: nothing more is done
    book(&mut farm, &first);
    assert_eq!(farm.see(plan).steps, []);
}

#[test]
fn what_the_workers_taken_back_do_not_cover_is_bought() {
    let farm = farm(&[("w-1", idle())]);
    let plan = farm.see(plan);
    assert_eq!(taken_back(&plan), ["w-1"]);
    assert_eq!(ordered(&plan, POOL), 1);
    assert!(matches!(plan.steps.first(), Some(Step::TakeBack { .. })));
}

#[test]
fn only_what_left_because_it_was_idle_is_taken_back_and_no_deletion_is() {
    let evidence = "7 of 8".to_owned();
    let check = "disk".to_owned();
    let others = [
        Stage::Cordoned { why: Why::Asked },
        Stage::Cordoned {
            why: Why::BlackHole { evidence },
        },
        Stage::Cordoned {
            why: Why::NotInService { check },
        },
        Stage::Deleting { why: Why::Idle },
    ];
    for stage in others {
        let farm = farm(&[("w-1", stage.clone())]);
        let plan = farm.see(plan);
        assert_eq!(
            (taken_back(&plan), ordered(&plan, POOL)),
            (vec![], 2),
            "{stage:?}"
        );
        assert_eq!(broken(&farm), [Law::TakeBack], "{stage:?}");
    }
}

/// The laws that taking `w-1` back breaks.
fn broken(farm: &Farm) -> Vec<Law> {
    let step = Step::TakeBack {
        server: ServerId::new("w-1"),
        pool: pool(POOL),
    };
    let proposed = Plan {
        steps: vec![step],
        ..Plan::default()
    };
    let (_, refusals) = farm.see(|view| audit(proposed, view));
    let law = |Refusal { law, .. }| law;
    refusals.into_iter().map(law).collect()
}

#[test]
fn an_unlawful_taking_back_is_refused_by_name_and_not_proposed() {
    type Case = (Law, fn(&mut Farm));
    let cases: [Case; 8] = [
        (Law::Fresh, |f| f.backend("main").workers_at = 0),
        (Law::Fresh, |f| f.fleet_at = 0),
        (Law::Mode, |f| f.pool(POOL).mode = Mode::Apply),
        (Law::Alarm, |f| f.alarms = Alarms::default()),
        (Law::Halt, |f| {
            let known = f.ledger.supply.entry(pool(POOL)).or_default();
            known.halted_below = Some(20);
        }),
        (Law::Managed, |f| {
            f.server(POOL, "w-1").status = ServerStatus::Other("SHUTOFF".to_owned());
        }),
        (Law::Managed, |f| f.fleet.servers.clear()),
        (Law::Managed, |f| {
            let member = f.ledger.members.get_mut(&ServerId::new("w-1"));
            member.unwrap().pool = PoolName::try_from("x-l2").unwrap();
        }),
    ];
    assert_eq!(broken(&farm(&[("w-1", idle())])), []);
    for (law, change) in cases {
        let mut farm = farm(&[("w-1", idle())]);
        change(&mut farm);
        assert_eq!(broken(&farm), [law], "{law}");
        assert_eq!(taken_back(&farm.see(plan)), Vec::<String>::new(), "{law}");
    }
}
