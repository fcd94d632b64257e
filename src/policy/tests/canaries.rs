//! The canary of an order.

use super::super::fixtures::{Farm, NOW, at, key, minutes};
use super::super::{Act, HeldBack, Trial, held_back, trial};
use super::life::{Case, cordoned};
use crate::model::{
    BackendName, BuildEnd, Came, HostName, Member, Observed, OrderId, ServerId, ServerStatus,
    Stage, Why,
};

fn farm() -> Farm {
    let mut farm = Farm::new();
    farm.policy.gates.canary = minutes(10);
    farm
}

/// A new server of this order.
fn bought<'a>(farm: &'a mut Farm, host: &str, order: &str, stage: Stage) -> &'a mut Member {
    let member = farm.member("x-l1", host, stage);
    member.reached = false;
    member.order = Some(OrderId::new(order));
    member
}

fn ended(farm: &mut Farm, host: &str, package: &str, came: Came, second: i64) {
    let build = BuildEnd {
        package: key("x86_64", package),
        began: at(second - 1),
        ended: at(second),
        came,
    };
    let record = &mut farm.backend("main").record;
    record.add([(HostName::new(host), build)], at(0));
}

fn held(farm: &Farm) -> Vec<(String, HeldBack)> {
    let held = farm.see(held_back).into_iter();
    held.map(|(server, why)| (server.to_string(), why))
        .collect()
}

fn waits_for(canary: &str) -> HeldBack {
    HeldBack::Canary(ServerId::new(canary))
}

#[test]
fn of_each_order_one_is_started_and_the_others_wait_until_it_is_in_service() {
    let mut farm = farm();
    for (host, order) in [("a-1", "a"), ("a-2", "a"), ("a-3", "a"), ("b-1", "b")] {
        bought(&mut farm, host, order, Stage::Creating);
    }
    let two = [
        ("a-2".to_owned(), waits_for("a-1")),
        ("a-3".to_owned(), waits_for("a-1")),
    ];
    assert_eq!(held(&farm), two);
    for stage in [
        Stage::Booting { active: at(NOW) },
        Stage::Checking { active: at(NOW) },
        Stage::Joining { active: at(NOW) },
        Stage::Proving,
    ] {
        bought(&mut farm, "a-1", "a", Stage::Creating).stage = stage;
        assert_eq!(held(&farm), two);
    }
    for stage in [Stage::Serving, Stage::Refitting] {
        bought(&mut farm, "a-1", "a", Stage::Creating).stage = stage;
        assert_eq!(held(&farm), []);
    }
    bought(&mut farm, "a-1", "a", Stage::Creating).stage = cordoned(Why::NotActive);
    let next = [("a-3".to_owned(), waits_for("a-2"))];
    assert_eq!(held(&farm), next, "the next one takes its place");
}

#[test]
fn without_the_setting_and_without_an_order_nobody_waits_and_nobody_is_tried() {
    let mut farm = farm();
    for host in ["w-1", "w-2"] {
        bought(&mut farm, host, "a", Stage::Creating).order = None;
    }
    assert_eq!(held(&farm), []);
    farm.policy.gates.canary = minutes(0);
    for host in ["w-1", "w-2"] {
        bought(&mut farm, host, "a", Stage::Creating).order = Some(OrderId::new("a"));
    }
    assert_eq!(held(&farm), []);
    let member = bought(&mut farm, "w-1", "a", Stage::Creating).clone();
    assert_eq!(farm.see(|view| trial(view, &member)), Trial::Passed);
}

/// What is said at `NOW` of a canary that registered so many seconds ago, when its backend was read at `read`.
fn said(farm: &mut Farm, registered: i64, read: i64) -> Trial {
    let canary = bought(farm, "w-1", "a", Stage::Proving);
    canary.since = at(NOW - registered);
    let canary = canary.clone();
    judged(farm, &canary, read)
}

/// What is said of it at `NOW`, when its backend was read at `read`.
fn judged(farm: &Farm, canary: &Member, read: i64) -> Trial {
    farm.see(|view| {
        let mut snapshot = view.snapshot.clone();
        let main = snapshot.backends.get_mut(&BackendName::new("main"));
        let main = std::sync::Arc::make_mut(main.unwrap());
        main.history = Observed::known(at(read), ());
        let view = super::super::View {
            snapshot: &snapshot,
            ..*view
        };
        trial(&view, canary)
    })
}

#[test]
fn it_passes_with_its_first_build_and_else_once_it_has_had_its_time() {
    let mut farm = farm();
    bought(&mut farm, "w-1", "a", Stage::Proving);
    assert_eq!(said(&mut farm, 599, NOW), Trial::Pending);
    assert_eq!(said(&mut farm, 600, NOW), Trial::Unproved);
    let joining = Stage::Joining { active: at(0) };
    let joining = bought(&mut farm.clone(), "w-2", "b", joining).clone();
    assert_eq!(
        judged(&farm, &joining, NOW),
        Trial::Pending,
        "its time begins when it has registered"
    );
    assert_eq!(
        said(&mut farm, 600, NOW - 1),
        Trial::Pending,
        "of a backend that was not read since nothing is known"
    );
    ended(&mut farm, "w-1", "fails", Came::Failed, NOW - 50);
    assert_eq!(said(&mut farm, 60, NOW), Trial::Pending);
    ended(&mut farm, "w-1", "builds", Came::Built, NOW - 40);
    assert_eq!(said(&mut farm, 60, NOW), Trial::Passed);
}

#[test]
fn it_fails_by_three_packages_that_no_other_host_loses() {
    let mut farm = farm();
    bought(&mut farm, "w-1", "a", Stage::Proving);
    for package in ["p-1", "p-2", "p-2", "p-3"] {
        ended(&mut farm, "w-1", package, Came::Failed, NOW - 50);
    }
    assert_eq!(said(&mut farm, 60, NOW), Trial::Failed { lost: 3 });
    ended(&mut farm, "other", "p-3", Came::Vanished, NOW - 90);
    assert_eq!(said(&mut farm, 60, NOW), Trial::Pending, "it is broken");
    ended(&mut farm, "other", "p-3", Came::Built, NOW - 80);
    assert_eq!(said(&mut farm, 60, NOW), Trial::Failed { lost: 3 });
    let built_before = farm.fleet.servers.get_mut(&ServerId::new("w-1")).unwrap();
    built_before.created = at(NOW - 10);
    assert_eq!(
        said(&mut farm, 60, NOW),
        Trial::Pending,
        "those of a worker that had its name before say nothing"
    );
}

#[test]
fn once_another_of_its_order_serves_nothing_is_asked_of_it() {
    let mut farm = farm();
    bought(&mut farm, "w-1", "a", Stage::Proving);
    bought(&mut farm, "w-2", "a", Stage::Serving);
    assert_eq!(said(&mut farm, 60, NOW), Trial::Passed);
}

#[test]
fn a_canary_is_tried_when_it_has_registered_and_is_withdrawn_or_serves_by_what_it_builds() {
    let mut case = Case::new(Stage::Proving);
    let mut sight = case.listed();
    sight.trial = Trial::Pending;
    assert_eq!(case.next(&sight), (Stage::Proving, Act::None));
    for passed in [Trial::Passed, Trial::Unproved] {
        sight.trial = passed;
        assert_eq!(case.next(&sight), (Stage::Serving, Act::None));
    }
    sight.trial = Trial::Failed { lost: 3 };
    let (stage, act) = case.next(&sight);
    assert_eq!(act, Act::Cordon);
    let why = stage.why().unwrap();
    assert!(why.is_withdrawal());
    assert_eq!(
        why.to_string(),
        "it did not come into service: canary: found 3 packages lost on it and on no other host, \
         expected one that is built"
    );
    case.server.status = ServerStatus::Error("no host".to_owned());
    assert!(
        matches!(case.next(&case.listed()).0, Stage::Cordoned { why } if why != *stage.why().unwrap())
    );
}
