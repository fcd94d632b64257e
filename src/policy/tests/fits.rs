//! Jobs that ask for certain workers, and jobs that are shown on workers which do not build them.

use super::super::fixtures::{Farm, NOW, at, key, pool};
use super::super::{Reason, View, assess, ghost_jobs, next_ghosts, plan, to_be_freed};
use super::{decided, ordered, released};
use crate::config;
use crate::model::{
    Action, Build, Capabilities, Constraints, Ghosts, Hardware, HostName, InstanceId,
    InstanceState, JobState, Stage, WantedHardware,
};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) fn processors(least: u32) -> Constraints {
    let hardware = WantedHardware {
        processors: Some(least),
        ..WantedHardware::default()
    };
    Constraints {
        hardware: Some(hardware),
        ..Constraints::default()
    }
}

fn memory() -> Constraints {
    let hardware = WantedHardware {
        memory: Some(1 << 30),
        ..WantedHardware::default()
    };
    Constraints {
        hardware: Some(hardware),
        ..Constraints::default()
    }
}

pub(super) fn has(farm: &mut Farm, host: &str, processors: u32) {
    let hardware = Hardware {
        processors,
        ..Hardware::default()
    };
    let has = Capabilities {
        hardware: Some(hardware),
        ..Capabilities::default()
    };
    farm.backend("main").has.insert(HostName::new(host), has);
}

/// A job of `x-l2`, whose workers have 64 processors, that asks for something.
pub(super) fn job(farm: &mut Farm, package: &str, asks: Constraints, state: JobState) {
    farm.job("main", "x86_64", package, state);
    let asking = &mut farm.backend("main").asks;
    asking.insert(package.to_owned(), asks);
}

/// Scheduled, no idle fit, no compliant, needed: of `x-l2`.
fn counts(farm: &Farm) -> [u32; 4] {
    farm.see(|view: &View<'_>| {
        let states = assess(view);
        let state = states[&pool("x-l2")].as_ref().unwrap();
        [
            state.scheduled,
            state.no_idle_fit,
            state.no_compliant,
            state.needed(),
        ]
    })
}

#[test]
fn a_job_that_neither_a_worker_nor_the_flavor_meets_is_not_bought_for() {
    let mut farm = Farm::new();
    job(&mut farm, "huge", processors(65), JobState::Scheduled);
    assert_eq!(counts(&farm), [0, 0, 1, 0]);
    farm.ring(Action::Apply, "x-l2");
    assert_eq!(ordered(&farm.see(plan), "x-l2"), 0);

    farm.list("x-l2", "big", InstanceState::Building, 1);
    assert_eq!(counts(&farm), [1, 1, 0, 1], "it is not known what big has");
    has(&mut farm, "big", 64);
    assert_eq!(counts(&farm), [0, 0, 1, 0]);
    has(&mut farm, "big", 65);
    assert_eq!(counts(&farm), [1, 1, 0, 1], "it waits for big");
}

#[test]
fn a_job_that_only_the_flavor_meets_is_bought_for() {
    let mut farm = Farm::new();
    farm.list("x-l2", "small", InstanceState::Idle, 5);
    has(&mut farm, "small", 8);
    job(&mut farm, "wide", processors(64), JobState::Scheduled);
    assert_eq!(counts(&farm), [1, 1, 0, 1]);
    farm.ring(Action::Apply, "x-l2");
    assert_eq!(ordered(&farm.see(plan), "x-l2"), 1);
}

#[test]
fn what_the_image_decides_is_taken_from_a_worker_of_the_pool() {
    let mut farm = Farm::new();
    job(&mut farm, "fat", memory(), JobState::Scheduled);
    assert_eq!(counts(&farm), [1, 1, 0, 1], "no worker is known");
    farm.member("x-l2", "w", Stage::Serving);
    farm.list("x-l2", "w", InstanceState::Down, 7);
    has(&mut farm, "w", 64);
    assert_eq!(counts(&farm), [0, 0, 1, 0], "w tells no memory");
}

#[test]
fn an_idle_instance_is_given_to_the_job_that_asks_for_it_first() {
    let mut farm = Farm::new();
    farm.worker("x-l2", "w", 2);
    farm.worker("x-l2", "v", 1);
    has(&mut farm, "w", 64);
    has(&mut farm, "v", 32);
    farm.schedule("x-l2", 2);
    job(&mut farm, "wide", processors(64), JobState::Scheduled);
    assert_eq!(counts(&farm), [3, 0, 0, 0]);
    farm.backend("main").results.jobs.clear();
    for package in ["wide", "wider", "widest"] {
        job(&mut farm, package, processors(64), JobState::Scheduled);
    }
    assert_eq!(counts(&farm)[..3], [3, 1, 0], "v is idle, and too small");
}

/// Two idle workers of `x-l1` that might both go.
fn leaving() -> Farm {
    let mut farm = Farm::new();
    farm.worker("x-l1", "w-1", 7);
    farm.worker("x-l1", "w-2", 7);
    farm.ring(Action::Release, "x-l1");
    farm
}

#[test]
fn the_last_worker_that_meets_a_blocked_job_is_kept() {
    let mut farm = leaving();
    assert_eq!(released(&farm.see(plan)).len(), 2);
    job(&mut farm, "wide", processors(32), JobState::Blocked);
    for host in ["w-1", "w-2"] {
        has(&mut farm, host, 32);
    }
    assert_eq!(
        released(&farm.see(plan)),
        ["w-1"],
        "the other one is the last"
    );
    let kept = farm.see(plan).kept;
    assert_eq!(kept[0].reason, Reason::LastFit);

    has(&mut farm, "w-1", 16);
    assert_eq!(released(&farm.see(plan)), ["w-1"], "w-2 is the only one");
    has(&mut farm, "w-2", 16);
    assert_eq!(released(&farm.see(plan)).len(), 2, "none meets it");
    farm.backend("main").has.clear();
    assert_eq!(
        released(&farm.see(plan)),
        [""; 0],
        "it is not known what they have"
    );
    job(&mut farm, "wide", Constraints::default(), JobState::Blocked);
    assert_eq!(released(&farm.see(plan)).len(), 2, "nothing is asked");
}

#[test]
fn a_down_or_leaving_worker_is_no_reason_to_give_up_the_last_one() {
    for state in [InstanceState::Down, InstanceState::Dead] {
        let mut farm = leaving();
        job(&mut farm, "wide", processors(32), JobState::Blocked);
        has(&mut farm, "w-1", 32);
        has(&mut farm, "gone", 32);
        has(&mut farm, "w-2", 8);
        farm.list("x-l1", "gone", state, 7);
        assert_eq!(released(&farm.see(plan)), ["w-2"]);
    }
}

#[test]
fn nothing_is_released_while_it_is_not_known_what_a_job_asks() {
    let mut farm = leaving();
    farm.job("main", "x86_64", "odd", JobState::Blocked);
    farm.backend("main").unread = BTreeSet::from(["odd".to_owned()]);
    assert_eq!(decided(&farm, "x-l1", Action::Release).1, Reason::Unread);
    assert_eq!(released(&farm.see(plan)), [""; 0]);
    farm.backend("main").unread.clear();
    assert_eq!(released(&farm.see(plan)).len(), 2);
}

fn ghost() -> Build {
    Build {
        job: key("x86_64", "odd"),
        instance: InstanceId::parse("w-1:1").unwrap(),
        started: Some(at(NOW - 500)),
        uri: None,
    }
}

#[test]
fn a_ghost_is_one_after_half_a_minute_of_readings_with_the_same_build() {
    let look = |before: &Ghosts, build: Option<Build>, second| {
        next_ghosts(before, build.into_iter().collect(), at(second))
    };
    let first = look(&Ghosts::default(), Some(ghost()), 100);
    assert!(ghost_jobs(&look(&first, Some(ghost()), 129)).is_empty());
    assert_eq!(ghost_jobs(&look(&first, Some(ghost()), 130)).len(), 1);
    assert!(ghost_jobs(&look(&first, Some(ghost()), 100)).is_empty());

    let another = Build {
        started: Some(at(NOW)),
        ..ghost()
    };
    let handed_out_anew = look(&first, Some(another), 200);
    assert!(ghost_jobs(&handed_out_anew).is_empty());
    let gone = look(&first, None, 110);
    assert!(ghost_jobs(&look(&gone, Some(ghost()), 200)).is_empty());
}

#[test]
fn a_ghost_is_freed_when_it_may_be_and_has_lasted() {
    let first = next_ghosts(&Ghosts::default(), BTreeSet::from([ghost()]), at(0));
    let freed = |free, second| {
        let known = next_ghosts(&first, BTreeSet::from([ghost()]), at(second));
        let after = Duration::from_secs(300);
        to_be_freed(&known, &config::Ghosts { free, after }).count()
    };
    assert_eq!([freed(true, 299), freed(true, 300)], [0, 1]);
    assert_eq!(freed(false, 3000), 0);
}

#[test]
fn a_ghosts_job_neither_builds_nor_waits() {
    let mut farm = Farm::new();
    farm.job("main", "x86_64", "odd", JobState::Building);
    farm.job("main", "x86_64", "even", JobState::Building);
    let first = next_ghosts(&Ghosts::default(), BTreeSet::from([ghost()]), at(NOW - 30));
    farm.backend("main").ghosts = next_ghosts(&first, BTreeSet::from([ghost()]), at(NOW));
    farm.see(|view| {
        let states = assess(view);
        let state = states[&pool("x-l2")].as_ref().unwrap();
        assert_eq!([state.ghosts, state.building, state.scheduled], [1, 1, 0]);
        let facts = &crate::metrics::facts(view)[&pool("x-l2")];
        assert_eq!((facts.ghosts, facts.jobs.values().sum::<u64>()), (1, 1));
    });
}
