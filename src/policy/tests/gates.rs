//! What is not believed, not acted on, and not started yet.

use super::super::fixtures::{Farm, NOW, at, minutes, pool};
use super::super::{
    Doubt, Held, HeldBack, Law, Outcome, Plan, RAMP, Reason, Step, assess, audit, decidable,
    held_back,
};
use super::decided;
use super::life::Case;
use crate::model::{
    Action, BackendName, FlavorName, InstanceState, JobState, Offer, ServerId, Stage, Start, Vcpus,
    elapsed,
};
use crate::policy::Act;
use proptest::prelude::*;
use std::time::Duration;

/// Both directions have something to do in `x-l1`, of `main`.
fn farm() -> Farm {
    let mut farm = Farm::new();
    farm.worker("x-l1", "w-1", 7);
    farm.worker("x-l1", "w-2", 7);
    farm.ring(Action::Release, "x-l1");
    farm.ring(Action::Apply, "x-l1");
    farm.policy.gates.settling = minutes(6);
    farm
}

fn steps() -> Vec<Step> {
    let offer = Offer {
        flavor: FlavorName::new("x86_64.32"),
        zone: None,
    };
    let order = Step::Order {
        pool: pool("x-l1"),
        count: 1,
        offer,
        vcpus: Vcpus(32),
    };
    let release = Step::Release {
        server: ServerId::new("w-1"),
        pool: pool("x-l1"),
    };
    vec![order, release]
}

/// The laws by which both steps are refused.
fn refused(farm: &Farm) -> Vec<Law> {
    let proposed = Plan {
        steps: steps(),
        ..Plan::default()
    };
    let (_, refusals) = farm.see(|view| audit(proposed, view));
    refusals.into_iter().map(|refusal| refusal.law).collect()
}

fn main() -> BackendName {
    BackendName::new("main")
}

/// The repository server of `main` started this long before it was read.
fn started(farm: &mut Farm, seconds: i64) {
    let start = Start::next(None, at(NOW - seconds), at(NOW), at(NOW));
    farm.backend("main").workers.start = Some(start);
}

fn doubt(farm: &Farm) -> Option<Held> {
    match decided(farm, "x-l1", Action::Apply) {
        (Outcome::Hold, Reason::Unknown(held)) => {
            let release = decided(farm, "x-l1", Action::Release);
            assert_eq!(release, (Outcome::Hold, Reason::Unknown(held.clone())));
            Some(held)
        }
        _ => None,
    }
}

#[test]
fn a_backend_under_maintenance_is_left_alone_in_both_directions_and_no_longer_than_said() {
    let mut farm = farm();
    assert_eq!((doubt(&farm), refused(&farm)), (None, vec![]));
    farm.ledger.maintenance.insert(main(), at(NOW + 1));
    let held = doubt(&farm).unwrap();
    let until = at(NOW + 1);
    assert_eq!(held.why, Doubt::Maintenance { until });
    let words = Reason::Unknown(held).to_string();
    assert!(
        words.contains("main") && words.contains("maintenance until"),
        "{words}"
    );
    assert_eq!(refused(&farm), [Law::Maintenance, Law::Maintenance]);
    let seen = farm.see(|view| assess(view)[&pool("x-l1")].is_ok());
    assert!(seen, "what is there is shown all the same");
    let others = farm.see(|view| decidable(view)[&pool("home")].is_ok());
    assert!(others, "the pools of other backends go on");
    farm.ledger.maintenance.insert(main(), at(NOW));
    assert_eq!((doubt(&farm), refused(&farm)), (None, vec![]));
}

#[test]
fn a_backend_that_has_just_started_is_not_believed_before_idle_workers_have_reported() {
    let mut farm = farm();
    started(&mut farm, 12);
    let held = doubt(&farm).unwrap();
    let ran = Duration::from_secs(12);
    assert_eq!(held.why, Doubt::Settling { ran });
    assert!(held.to_string().contains("12 s before"), "{held}");
    assert_eq!(refused(&farm), [Law::Settled, Law::Settled]);
    started(&mut farm, 359);
    assert!(doubt(&farm).is_some());
    assert_eq!(refused(&farm), [Law::Settled, Law::Settled]);
    started(&mut farm, 360);
    assert_eq!((doubt(&farm), refused(&farm)), (None, vec![]));
}

#[test]
fn workers_that_a_backend_forgot_over_a_restart_halt_nothing_and_are_not_missed() {
    let mut farm = farm();
    let workers = &mut farm.backend("main").workers;
    workers.instances.clear();
    farm.job("main", "x86_64", "gcc", JobState::Scheduled);
    let live = |farm: &Farm| farm.see(|view| decidable(view)[&pool("x-l1")].clone());
    assert_eq!(
        live(&farm).unwrap().supply.live(),
        0,
        "without the gate it would count"
    );
    started(&mut farm, 5);
    assert!(
        live(&farm).is_err(),
        "nothing is counted, so no halt comes of it"
    );
    farm.list("x-l1", "w-1", InstanceState::Idle, 7);
    started(&mut farm, 400);
    assert_eq!(live(&farm).unwrap().supply.live(), 7);
}

#[test]
fn a_restart_is_dated_between_two_readings_whatever_the_other_clock_says() {
    let first = Start::next(None, at(100), at(500), at(500));
    assert_eq!(first.since, at(100));
    let same = Start::next(Some(first), at(100), at(510), at(510));
    assert_eq!((same.since, same.read), (at(100), at(510)));
    let since = |told| Start::next(Some(same), at(told), at(520), at(520)).since;
    assert_eq!(since(515), at(515));
    assert_eq!(since(101), at(510), "a clock that is behind");
    assert_eq!(since(9_000), at(520), "a clock that is ahead");
    assert_eq!(
        Start::next(None, at(9_000), at(500), at(500)).since,
        at(500)
    );
}

#[test]
fn a_worker_stands_by_while_others_start_and_its_check_deadline_begins_after() {
    let mut creating = Case::unreached(Stage::Creating);
    let mut sight = creating.listed();
    sight.held_back = true;
    let active = at(NOW);
    let standby = Stage::Standby { active };
    assert_eq!(creating.next(&sight), (standby, Act::None));
    sight.held_back = false;
    let booting = (Stage::Booting { active }, Act::Check);
    assert_eq!(creating.next(&sight), booting);

    creating.member.stage = Stage::Standby {
        active: at(NOW - 9_000),
    };
    let mut sight = creating.listed();
    sight.held_back = true;
    let stays = (creating.member.stage.clone(), Act::None);
    assert_eq!(creating.next(&sight), stays, "however long it takes");
    sight.held_back = false;
    assert_eq!(creating.next(&sight), booting, "the deadline runs from now");
}

#[test]
fn a_worker_of_another_backend_and_one_that_runs_already_do_not_wait() {
    let mut farm = Farm::new();
    farm.policy.gates.ramps.insert(main(), 1);
    for host in ["w-1", "w-2"] {
        farm.member("x-l1", host, Stage::Creating).reached = false;
    }
    farm.member("home", "h-1", Stage::Creating).reached = false;
    farm.member("x-l1", "w-3", Stage::Creating).reached = true;
    let held = farm.see(held_back);
    assert_eq!(
        held,
        [(ServerId::new("w-2"), HeldBack::Ramp(main()))].into()
    );
    farm.policy.gates.ramps.clear();
    assert!(farm.see(held_back).is_empty());
}

proptest! {
    #[test]
    fn never_more_than_so_many_are_started_in_any_minute_and_all_are_in_the_end(
        arrivals in prop::collection::vec(0_i64..300, 1..40),
        looks in prop::collection::vec(1_i64..25, 200),
        ramp in 1_u32..8,
    ) {
        let mut farm = Farm::new();
        farm.policy.gates.ramps.insert(main(), ramp);
        let mut starts: Vec<i64> = Vec::new();
        let mut now = NOW;
        for step in looks {
            now += step;
            farm.fleet_at = now;
            for (number, arrival) in arrivals.iter().enumerate() {
                let host = format!("w-{number:02}");
                let known = farm.ledger.members.contains_key(&ServerId::new(&*host));
                if !known && NOW + arrival <= now {
                    let pool = if number % 2 == 0 { "x-l1" } else { "a-l1" };
                    farm.member(pool, &host, Stage::Creating).reached = false;
                }
            }
            let held = farm.see_at(now, held_back);
            for member in farm.ledger.members.values_mut() {
                let active = at(now);
                member.stage = match (&member.stage, held.contains_key(&member.server)) {
                    (Stage::Creating, true) => Stage::Standby { active },
                    (Stage::Creating | Stage::Standby { .. }, false) => {
                        starts.push(now);
                        farm.ledger.started.insert(member.server.clone(), active);
                        Stage::Booting { active }
                    }
                    (stage, _) => stage.clone(),
                };
            }
        }
        for first in &starts {
            let within = |at: &&i64| (0..60).contains(&(**at - first));
            prop_assert!(starts.iter().filter(within).count() <= ramp as usize);
        }
        let time = elapsed(at(NOW), at(now));
        let enough = 300 + (40 / ramp + 1) * 90;
        if time > Duration::from_secs(enough.into()) {
            prop_assert_eq!(starts.len(), arrivals.len());
        }
        prop_assert_eq!(RAMP, Duration::from_secs(60));
    }
}
