//! A farm that vanished is a broken view, and one that takes new code is not.

use super::super::fixtures::{Farm, NOW, at, pool};
use super::super::{Reason, assess, audit, next_gaps, plan, supply};
use super::{absent, decided, ordered, released};
use crate::model::{
    Action, Capabilities, Hardware, HostName, InstanceState, ServerId, Stage, Supply, Why,
};
use InstanceState::{Away, Building, Dead, Down, Idle};

#[test]
fn a_pool_whose_farm_vanished_is_halted_until_it_is_back_or_accepted() {
    let mut supply = Supply::default();
    let see = |supply: &mut Supply, live, second| {
        *supply = supply::observe(supply, live, 0, at(second), 0.7);
        supply.halted_below
    };
    assert_eq!(see(&mut supply, 100, 0), None);
    assert_eq!(see(&mut supply, 70, 60), None);
    assert_eq!(see(&mut supply, 69, 120), Some(100));
    assert_eq!(
        see(&mut supply, 69, 9_000),
        Some(100),
        "time alone ends nothing"
    );
    assert_eq!(see(&mut supply, 70, 9_060), None);
    assert_eq!(see(&mut supply, 0, 9_120), Some(70));
    supply = supply::accept();
    assert_eq!(see(&mut supply, 0, 9_180), None);
}

#[test]
fn what_we_give_back_does_not_halt() {
    let before = supply::observe(&Supply::default(), 100, 0, at(0), 0.7);
    let after = supply::observe(&supply::gave_back(&before, 40), 60, 0, at(60), 0.7);
    assert_eq!(after.halted_below, None);
    let unasked = supply::observe(&before, 60, 0, at(60), 0.7);
    assert_eq!(unasked.halted_below, Some(100));
}

#[test]
fn only_what_we_give_up_is_no_loss_and_all_of_a_worker_goes_with_it() {
    let cordoned = |why| Stage::Cordoned { why };
    let given_up = |to: Stage, live| supply::given_up(&Stage::Serving, &to, live, 7);
    assert_eq!(given_up(cordoned(Why::Idle), 7), 7);
    assert_eq!(given_up(cordoned(Why::Idle), 5), 7, "two are between jobs");
    assert_eq!(given_up(cordoned(Why::NotActive), 0), 0, "never there");
    assert_eq!(given_up(cordoned(Why::Vanished), 7), 0, "not our doing");
    assert_eq!(given_up(Stage::Gone { why: Why::Vanished }, 7), 0);
    let again = supply::given_up(
        &cordoned(Why::Idle),
        &Stage::Deleting { why: Why::Idle },
        7,
        7,
    );
    assert_eq!(again, 0, "once");
    let joining = Stage::Joining { active: at(0) };
    let withdrawn = supply::given_up(&joining, &cordoned(Why::NotActive), 7, 7);
    assert_eq!(withdrawn, 0, "it never counted");
}

/// Two workers in service, whose instances the last hour saw.
fn farm(first: InstanceState, second: InstanceState) -> Farm {
    let mut farm = Farm::new();
    for (host, state) in [("w-1", first), ("w-2", second)] {
        farm.worker("x-l1", host, 0);
        farm.list("x-l1", host, state, 7);
    }
    let seen = supply::observe(&Supply::default(), 14, 0, at(NOW - 60), 0.7);
    farm.ledger.supply.insert(pool("x-l1"), seen);
    farm
}

/// One more look at the pool, as the reconciler takes it: what it is held against if it is halted.
fn look(farm: &mut Farm) -> Option<u32> {
    let states = farm.see(assess);
    let state = states[&pool("x-l1")].as_ref().unwrap();
    farm.ledger.gaps = farm.see(|view| next_gaps(view, &states));
    let known = farm.ledger.supply.entry(pool("x-l1")).or_default();
    *known = supply::observe(known, state.supply.live(), state.excused(), at(NOW), 0.7);
    known.halted_below
}

#[test]
fn workers_that_take_new_code_did_not_vanish_for_half_a_minute() {
    let mut farm = farm(Building, Down);
    assert_eq!(look(&mut farm), None);
    assert_eq!(farm.ledger.gaps, absent("w-2", 1..=7, NOW));
    farm.ledger.gaps = absent("w-2", 1..=7, NOW - 30);
    assert_eq!(look(&mut farm), Some(14), "they do not come back");
}

#[test]
fn a_worker_that_does_not_answer_or_that_nobody_manages_has_no_excuse() {
    assert_eq!(look(&mut farm(Building, Dead)), Some(14));
    let mut unmanaged = farm(Building, Down);
    unmanaged.ledger.members.remove(&ServerId::new("w-2"));
    unmanaged.fleet.servers.remove(&ServerId::new("w-2"));
    assert_eq!(look(&mut unmanaged), Some(14));
}

#[test]
fn an_excuse_ends_no_halt_and_raises_no_bar() {
    let mut farm = farm(Building, Down);
    let halted = Supply {
        halted_below: Some(14),
        ..Supply::default()
    };
    farm.ledger.supply.insert(pool("x-l1"), halted);
    assert_eq!(look(&mut farm), Some(14), "after a restart, say");
    farm.ledger.supply.clear();
    look(&mut farm);
    let known = &farm.ledger.supply[&pool("x-l1")];
    assert_eq!(known.peaks.values().max(), Some(&7));
}

#[test]
fn what_was_absent_before_its_backend_turned_stale_is_absent_since_then() {
    let mut farm = farm(Building, Down);
    farm.ledger.gaps = absent("w-2", 1..=7, NOW - 20);
    farm.backend("main").workers_at = 0;
    let look = |farm: &Farm| farm.see(|view| next_gaps(view, &assess(view)));
    assert_eq!(look(&farm), farm.ledger.gaps);
    farm.ledger.members.remove(&ServerId::new("w-2"));
    assert!(look(&farm).is_empty());
}

#[test]
fn instances_of_joining_workers_raise_no_bar() {
    let mut farm = farm(Building, Building);
    farm.member("x-l1", "new", Stage::Joining { active: at(NOW) });
    farm.list("x-l1", "new", Idle, 7);
    look(&mut farm);
    let most = farm.ledger.supply[&pool("x-l1")].peaks.values().max();
    assert_eq!(most, Some(&14));
}

#[test]
fn while_workers_are_excused_others_are_bought_and_none_is_given_up() {
    let mut farm = farm(Idle, Down);
    farm.ring(Action::Apply, "x-l1");
    farm.ring(Action::Release, "x-l1");
    let below = Reason::Halted { below: 14 };
    assert_eq!(decided(&farm, "x-l1", Action::Release).1, below);
    farm.schedule("x-l1", 21);
    let proposed = farm.see(plan);
    assert_eq!(ordered(&proposed, "x-l1"), 1, "21 - 7 - 7 over 7");
    let mut gone = farm.clone();
    gone.ledger.gaps = absent("w-2", 1..=7, NOW - 30);
    let (lawful, _) = gone.see(|view| audit(proposed.clone(), view));
    assert_eq!(ordered(lawful.get(), "x-l1"), 0, "for too long");
    let (lawful, refusals) = farm.see(|view| audit(proposed, view));
    assert_eq!((ordered(lawful.get(), "x-l1"), refusals), (1, Vec::new()));
    let mut unlisted = farm.clone();
    unlisted.fleet.servers.remove(&ServerId::new("w-2"));
    let (lawful, refusals) = unlisted.see(|view| audit(plan(view), view));
    assert_eq!((ordered(lawful.get(), "x-l1"), refusals), (1, Vec::new()));

    farm.backend("main").results.jobs.clear();
    farm.ledger.supply.clear();
    assert_eq!(released(&farm.see(plan)), ["w-1"], "but for the rule");
}

#[test]
fn unmanaged_hosts_whose_size_is_learnt_vanish_from_no_pool() {
    let mut farm = farm(Building, Building);
    let mut unmanaged = farm.backend("main").workers.instances.clone();
    unmanaged.retain(|id, _| id.host == HostName::new("w-2"));
    farm.ledger.members.remove(&ServerId::new("w-2"));
    farm.fleet.servers.remove(&ServerId::new("w-2"));
    assert_eq!(look(&mut farm), None, "after a restart: it is there");
    let known = &farm.ledger.supply[&pool("x-l1")];
    assert_eq!(known.peaks[&at(NOW - NOW % 60)], 7, "and may be another's");

    let size = |processors| Capabilities {
        hardware: Some(Hardware {
            processors,
            ..Hardware::default()
        }),
        ..Capabilities::default()
    };
    let has = &mut farm.backend("main").has;
    has.insert(HostName::new("w-2"), size(32));
    assert_eq!(look(&mut farm), None);
    assert_eq!(
        farm.ledger.supply[&pool("x-l1")].peaks[&at(NOW - NOW % 60)],
        14
    );
    let instances = &mut farm.backend("main").workers.instances;
    instances.retain(|id, _| !unmanaged.contains_key(id));
    assert_eq!(look(&mut farm), Some(14), "now it is gone");
}

#[test]
fn an_unmanaged_host_that_goes_to_the_pool_of_another_backend_vanishes_from_none() {
    let mut farm = Farm::new();
    farm.list("home", "w", Building, 7);
    farm.list("x-l1", "w", Away, 7);
    let has = Capabilities::default();
    farm.backend("home").has.insert(HostName::new("w"), has);
    let seen = supply::observe(&Supply::default(), 7, 0, at(NOW - 60), 0.7);
    farm.ledger.supply.insert(pool("x-l1"), seen);
    assert_eq!(
        look(&mut farm),
        None,
        "it stood here while home did not list it"
    );
    farm.backend("main").workers.instances.clear();
    assert_eq!(look(&mut farm), Some(7), "main does not list it, either");
}
