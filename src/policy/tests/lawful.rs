//! The auditor refuses what a faulty planner might propose.

use super::super::fixtures::{Farm, NOW, at, pool};
use super::super::{Law, Plan, Refusal, Step, audit, plan};
use crate::config::Mode;
use crate::model::{
    Action, Alarms, Capabilities, Constraints, FlavorName, Hardware, HostName, InstanceState,
    JobState, Offer, ServerId, ServerStatus, Stage, Supply, Vcpus, WantedHardware, Why,
};
use std::collections::BTreeMap;

/// A farm in which both steps below are lawful.
fn farm() -> Farm {
    let mut farm = Farm::new();
    farm.worker("x-l1", "w-1", 7);
    farm.worker("x-l1", "w-2", 7);
    farm.ring(Action::Release, "x-l1");
    farm.ring(Action::Apply, "x-l1");
    farm
}

fn order(count: u32) -> Step {
    Step::Order {
        pool: pool("x-l1"),
        count,
        offer: Offer {
            flavor: FlavorName::new("x86_64.32"),
            zone: None,
        },
        vcpus: Vcpus(32),
    }
}

fn release(host: &str) -> Step {
    Step::Release {
        server: ServerId::new(host),
        pool: pool("x-l1"),
    }
}

/// The laws that these steps are refused by.
fn broken(farm: &Farm, steps: &[Step]) -> Vec<Law> {
    let proposed = Plan {
        steps: steps.to_vec(),
        ..Plan::default()
    };
    let (lawful, refusals) = farm.see(|view| audit(proposed, view));
    assert_eq!(lawful.get().steps.len() + refusals.len(), steps.len());
    refusals
        .into_iter()
        .map(|Refusal { law, .. }| law)
        .collect()
}

#[test]
fn what_is_lawful_passes() {
    assert_eq!(broken(&farm(), &[order(1), release("w-1")]), []);
}

#[test]
fn an_unlawful_order_is_refused_by_name() {
    type Case = (Law, fn(&mut Farm));
    let cases: [Case; 8] = [
        (Law::Fresh, |f| f.backend("main").results_at = 0),
        (Law::Fresh, |f| f.backend("main").workers_at = 0),
        (Law::Fresh, |f| f.fleet_at = 0),
        (Law::Mode, |f| f.pool("x-l1").mode = Mode::Observe),
        (Law::Alarm, |f| f.alarms = Alarms::default()),
        (Law::Halt, |f| halt(f, Some(20), BTreeMap::new())),
        (Law::Halt, |f| halt(f, None, [(at(NOW), 21)].into())),
        (Law::Ceiling, |f| f.policy.ceiling = Vcpus(95)),
    ];
    for (law, change) in cases {
        let mut farm = farm();
        change(&mut farm);
        assert_eq!(broken(&farm, &[order(1)]), [law], "{law}");
    }
    assert_eq!(broken(&farm(), &[order(0), order(101)]), [Law::Order; 2]);
}

fn halt(farm: &mut Farm, halted_below: Option<u32>, peaks: BTreeMap<jiff::Timestamp, u32>) {
    let supply = Supply {
        peaks,
        halted_below,
    };
    farm.ledger.supply.insert(pool("x-l1"), supply);
}

#[test]
fn orders_of_one_plan_are_held_against_the_ceiling_together() {
    let mut farm = farm();
    farm.policy.ceiling = Vcpus(128);
    assert_eq!(
        broken(&farm, &[order(1), order(1), order(1)]),
        [Law::Ceiling]
    );
    farm.order("x-l2", 1);
    assert_eq!(broken(&farm, &[order(1)]), [Law::Ceiling]);
}

#[test]
fn an_unlawful_release_is_refused_by_name() {
    type Case = (Law, fn(&mut Farm));
    let cases: [Case; 14] = [
        (Law::Fresh, |f| f.backend("main").workers_at = 0),
        (Law::Fresh, |f| f.fleet_at = 0),
        (Law::Mode, |f| f.pool("x-l1").mode = Mode::Apply),
        (Law::Watchdog, |f| {
            f.alarms = Alarms::default();
            f.ring(Action::Release, "x-l1");
        }),
        (Law::Managed, |f| f.fleet.servers.clear()),
        (Law::Managed, |f| f.ledger.members.clear()),
        (Law::Managed, |f| {
            f.server("x-l1", "w-1").status = ServerStatus::Other("SHUTOFF".to_owned());
        }),
        (Law::Protected, |f| {
            f.server("x-l1", "w-1").tags.protected = true
        }),
        (Law::Reserve, |f| f.pool("x-l1").reserve = 2),
        (Law::Building, |f| {
            f.list("x-l1", "w-1", InstanceState::Building, 1)
        }),
        (Law::Building, |f| {
            f.list("x-l1", "w-1", InstanceState::Away, 1);
        }),
        (Law::Unknown, |f| {
            f.list("x-l1", "w-1", InstanceState::Dead, 1);
        }),
        (Law::Unknown, |f| f.pool("x-l1").instances = 8),
        (Law::Releases, |f| {
            f.policy.max_releases = 1;
            f.member("x-l1", "gone", Stage::Cordoned { why: Why::Idle });
        }),
    ];
    for (law, change) in cases {
        let mut farm = farm();
        change(&mut farm);
        assert_eq!(broken(&farm, &[release("w-1")]), [law], "{law}");
    }
}

#[test]
fn a_build_at_any_backend_of_the_pool_refuses_the_release() {
    let mut farm = farm();
    let home = crate::model::BackendName::new("home");
    farm.pool("x-l1").backends.push(home);
    let mut workers = farm.backend("main").workers.clone();
    for instance in workers.instances.values_mut() {
        instance.state = InstanceState::Building;
    }
    farm.backend("home").workers = workers;
    assert_eq!(broken(&farm, &[release("w-1")]), [Law::Building]);
}

#[test]
fn one_worker_is_released_once_and_the_reserve_counts_the_steps_before() {
    let mut farm = farm();
    assert_eq!(
        broken(&farm, &[release("w-1"), release("w-1")]),
        [Law::Managed]
    );
    farm.pool("x-l1").reserve = 1;
    assert_eq!(
        broken(&farm, &[release("w-1"), release("w-2")]),
        [Law::Reserve]
    );
}

/// A job that asks for 32 processors, which these hosts have.
fn asking(state: JobState, hosts: &[&str]) -> Farm {
    let mut farm = farm();
    farm.job("main", "i586", "wide", state);
    let main = farm.backend("main");
    let asks = Constraints {
        hardware: Some(WantedHardware {
            processors: Some(32),
            ..WantedHardware::default()
        }),
        ..Constraints::default()
    };
    main.asks.insert("wide".to_owned(), asks);
    for host in ["w-1", "w-2"] {
        let fits = hosts.contains(&host);
        let hardware = Hardware {
            processors: if fits { 32 } else { 8 },
            ..Hardware::default()
        };
        let has = Capabilities {
            hardware: Some(hardware),
            ..Capabilities::default()
        };
        main.has.insert(HostName::new(host), has);
    }
    farm
}

#[test]
fn the_last_worker_that_meets_a_job_is_never_released() {
    let both = [release("w-1"), release("w-2")];
    for state in [JobState::Scheduled, JobState::Blocked] {
        let one = asking(state, &["w-1"]);
        assert_eq!(broken(&one, &both), [Law::LastFit]);
        assert_eq!(broken(&one, &[release("w-2")]), [], "it is not the one");
        let two = asking(state, &["w-1", "w-2"]);
        assert_eq!(broken(&two, &[release("w-1")]), []);
        assert_eq!(broken(&two, &both), [Law::LastFit], "after the first");
        assert_eq!(broken(&asking(state, &[]), &both), [], "none meets it");
    }
    let built = asking(JobState::Building, &["w-1"]);
    assert_eq!(broken(&built, &both), []);

    let mut leaving = asking(JobState::Blocked, &["w-1", "w-2"]);
    leaving.member("x-l1", "w-2", Stage::Serving).stage = Stage::Cordoned { why: Why::Idle };
    assert_eq!(broken(&leaving, &[release("w-1")]), [Law::LastFit]);
}

#[test]
fn what_is_not_known_of_a_job_or_a_worker_may_be_the_last_fit() {
    let mut unread = asking(JobState::Blocked, &["w-1", "w-2"]);
    unread.backend("main").unread.insert("wide".to_owned());
    assert_eq!(broken(&unread, &[release("w-1")]), [Law::LastFit]);
    let mut stranger = asking(JobState::Blocked, &["w-1", "w-2"]);
    stranger.backend("main").has.remove(&HostName::new("w-2"));
    let both = [release("w-1"), release("w-2")];
    assert_eq!(broken(&stranger, &both), [Law::LastFit; 2]);
    stranger.backend("main").asks.clear();
    assert_eq!(broken(&stranger, &both), [], "nothing is asked");
}

#[test]
fn a_plan_keeps_its_verdicts_through_the_audit() {
    let farm = farm();
    let proposed = farm.see(plan);
    let (lawful, refusals) = farm.see(|view| audit(proposed.clone(), view));
    assert_eq!((lawful.into_inner(), refusals), (proposed, Vec::new()));
}
