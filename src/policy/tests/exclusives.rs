//! Exclusive mode: who is bound, who is kept for the others, and when it is over.

use super::super::exclusive::{Exclusion, Progress, exclusion};
use super::super::fixtures::{Farm, NOW, at, pool};
use super::super::{Reason, Step, View, assess, audit, plan};
use super::fits::{has, processors};
use crate::model::{
    Action, BackendName, Exclusive, InstanceState, JobState, ServerId, Stage, TurnedBack,
};

/// `main` is to be served alone; the pools `x-l1` and `x-l2` serve `home` as well.
fn exclusive_farm() -> Farm {
    let mut farm = Farm::new();
    farm.policy.pools.remove(&pool("home"));
    for name in ["x-l1", "x-l2"] {
        farm.pool(name).backends = ["main", "home"].map(BackendName::new).to_vec();
    }
    farm.ledger.exclusive = Some(Exclusive {
        backend: BackendName::new("main"),
        pools: ["x-l1", "x-l2"].map(pool).into(),
        at_once: 2,
        since: at(NOW - 60),
        ending: false,
    });
    farm
}

fn look(farm: &Farm) -> Exclusion {
    farm.see(exclusion)
}

/// Writes the changes down as the reconciler does.
fn write(farm: &mut Farm, all: &Exclusion) {
    for change in &all.changes {
        let member = farm.ledger.members.get_mut(&change.server).unwrap();
        member.bound = change.bound.clone();
        member.due = change.due.or(member.due);
    }
}

fn stands(all: &Exclusion, host: &str) -> Progress {
    let row = all.rows.iter().find(|row| row.server.as_str() == host);
    row.unwrap().progress
}

/// Sends those on their way that the plan sends, all lawful, and has them back with their settings.
fn refit_round(farm: &mut Farm) -> Vec<String> {
    let (plan, refused) = farm.see(|view| audit(plan(view), view));
    assert!(refused.is_empty(), "{refused:?}");
    let mut sent = Vec::new();
    for step in plan.into_inner().steps {
        if let Step::Refit { server, .. } = step {
            let member = farm.ledger.members.get_mut(&server).unwrap();
            member.stage = Stage::Serving;
            member.due = None;
            sent.push(server.as_str().to_owned());
        }
    }
    sent
}

fn asks(farm: &mut Farm, backend: &str, package: &str, least: u32, state: JobState) {
    farm.job(backend, "x86_64", package, state);
    let asking = &mut farm.backend(backend).asks;
    asking.insert(package.to_owned(), processors(least));
}

/// `home` lists these hosts as well, and knows what they have.
fn at_home_too(farm: &mut Farm, hosts: &[(&str, u32)]) {
    for (host, processors) in hosts {
        has(farm, host, *processors);
    }
    let (workers, known) = {
        let main = farm.backend("main");
        (main.workers.clone(), main.has.clone())
    };
    farm.backend("home").workers = workers;
    farm.backend("home").has = known;
}

#[test]
fn every_worker_is_bound_few_at_once_and_then_nothing_is_left_to_do() {
    let mut farm = exclusive_farm();
    for host in ["a", "b", "c"] {
        farm.worker("x-l1", host, 7);
    }
    let first = look(&farm);
    assert_eq!(first.changes.len(), 3);
    write(&mut farm, &first);
    assert_eq!(refit_round(&mut farm).len(), 2, "at most so many at once");
    assert_eq!(stands(&look(&farm), "c"), Progress::Due);
    assert_eq!(refit_round(&mut farm), ["c"]);
    let last = look(&farm);
    assert!(last.changes.is_empty());
    assert!(
        last.rows
            .iter()
            .all(|row| row.progress == Progress::Settled)
    );
    assert!(!last.over, "it was not taken back");
}

#[test]
fn one_worker_stays_for_what_a_job_of_another_backend_asks_and_is_bound_when_none_asks_any_more() {
    let mut farm = exclusive_farm();
    for host in ["a", "b", "c"] {
        farm.worker("x-l2", host, 7);
    }
    at_home_too(&mut farm, &[("a", 8), ("b", 64), ("c", 64)]);
    asks(&mut farm, "home", "large", 64, JobState::Blocked);
    farm.job("home", "x86_64", "any", JobState::Scheduled);
    let first = look(&farm);
    assert_eq!(stands(&first, "b"), Progress::Kept);
    write(&mut farm, &first);
    while !refit_round(&mut farm).is_empty() {}
    // what is bound is still listed by the other backend: it is none of the workers that the job has
    let all = look(&farm);
    assert_eq!(stands(&all, "b"), Progress::Kept);
    assert_eq!(stands(&all, "a"), Progress::Settled);
    assert_eq!(stands(&all, "c"), Progress::Settled);
    farm.backend("home").results.jobs.clear();
    let none_asks = look(&farm);
    assert_eq!(none_asks.changes.len(), 1);
    assert_eq!(none_asks.changes[0].server, ServerId::new("b"));
}

#[test]
fn a_worker_is_given_back_to_the_others_when_a_job_of_theirs_comes_to_need_it() {
    let mut farm = exclusive_farm();
    for host in ["a", "b"] {
        farm.worker("x-l2", host, 7);
    }
    at_home_too(&mut farm, &[("a", 64), ("b", 64)]);
    let all = look(&farm);
    write(&mut farm, &all);
    while !refit_round(&mut farm).is_empty() {}
    // their machines said goodbye there, or did not answer the dispatcher
    let listed = &mut farm.backend("home").workers.instances;
    listed
        .values_mut()
        .for_each(|i| i.state = InstanceState::Down);
    asks(&mut farm, "home", "large", 64, JobState::Scheduled);
    let all = look(&farm);
    assert_eq!(all.changes.len(), 1);
    assert_eq!(all.changes[0].bound, None);
    write(&mut farm, &all);
    assert_eq!(refit_round(&mut farm), ["a"]);
    assert!(
        look(&farm).changes.is_empty(),
        "it stays the one that is kept"
    );
}

#[test]
fn a_bound_worker_that_a_backend_still_lists_does_not_stand_in_for_the_kept_one() {
    let mut farm = exclusive_farm();
    farm.worker("x-l2", "kept", 7);
    farm.worker("x-l2", "bound", 7);
    at_home_too(&mut farm, &[("kept", 64), ("bound", 64)]);
    asks(&mut farm, "home", "large", 64, JobState::Blocked);
    let member = farm.ledger.members.get_mut(&ServerId::new("bound"));
    member.unwrap().bound = Some(BackendName::new("main"));
    farm.ring(Action::Release, "x-l2");
    let (plan, refused) = farm.see(|view| audit(plan(view), view));
    assert!(refused.is_empty(), "{refused:?}");
    let steps = plan.into_inner().steps;
    let released: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Release { server, .. } => Some(server.as_str()),
            Step::Order { .. }
            | Step::TakeBack { .. }
            | Step::Refit { .. }
            | Step::Isolate { .. } => None,
        })
        .collect();
    assert_eq!(released, ["bound"]);
    let forced = super::super::Plan {
        steps: vec![Step::Release {
            server: ServerId::new("kept"),
            pool: pool("x-l2"),
        }],
        ..super::super::Plan::default()
    };
    let (_, refused) = farm.see(|view| audit(forced, view));
    assert_eq!(refused[0].law, super::super::Law::LastFit);
}

#[test]
fn jobs_of_other_backends_are_no_reason_to_buy_and_are_told_of() {
    let mut farm = exclusive_farm();
    farm.schedule("x-l1", 7);
    let jobs = std::mem::take(&mut farm.backend("main").results.jobs);
    farm.backend("home").results.jobs = jobs;
    let state = |farm: &Farm| {
        farm.see(|view: &View<'_>| {
            let states = assess(view);
            let state = states[&pool("x-l1")].as_ref().unwrap();
            (state.needed(), state.set_aside)
        })
    };
    assert_eq!(state(&farm), (0, 7));
    farm.ledger.exclusive.as_mut().unwrap().ending = true;
    assert_eq!(state(&farm), (1, 0));
}

#[test]
fn a_new_server_is_told_from_the_start_and_one_that_is_being_checked_once_it_serves() {
    let mut farm = exclusive_farm();
    farm.member("x-l1", "new", Stage::Creating);
    let active = at(NOW - 100);
    farm.member("x-l1", "checked", Stage::Checking { active });
    let all = look(&farm);
    assert_eq!(all.changes.len(), 1);
    assert_eq!(all.changes[0].server, ServerId::new("new"));
    assert_eq!(all.changes[0].due, None);
    assert_eq!(stands(&all, "checked"), Progress::Joining);
}

#[test]
fn what_can_not_be_reached_or_serves_that_backend_alone_is_not_touched() {
    let mut farm = exclusive_farm();
    let far = farm.worker("x-l1", "far", 7);
    farm.fleet.servers.get_mut(&far).unwrap().tags.order = None;
    farm.worker("x-l1", "own", 7);
    let own = farm.ledger.members.get_mut(&ServerId::new("own")).unwrap();
    own.own.backends = Some(vec![BackendName::new("main")]);
    let all = look(&farm);
    assert!(all.changes.is_empty(), "{all:?}");
    assert_eq!(stands(&all, "far"), Progress::Unreachable);
    assert_eq!(stands(&all, "own"), Progress::Settled);
}

#[test]
fn while_a_backend_is_not_seen_nobody_in_service_is_bound() {
    let mut farm = exclusive_farm();
    farm.worker("x-l1", "a", 7);
    farm.backend("home").results_at = NOW - 121;
    let all = look(&farm);
    assert!(all.changes.is_empty());
    assert!(all.held.is_some());
}

#[test]
fn what_the_others_build_already_holds_nobody_up_and_what_they_have_not_been_asked_does() {
    let mut farm = exclusive_farm();
    farm.worker("x-l1", "w-1", 7);
    asks(&mut farm, "home", "building", 16, JobState::Building);
    assert_eq!(look(&farm).held, None);
    assert_eq!(stands(&look(&farm), "w-1"), Progress::Due);
    let back = TurnedBack {
        at: at(NOW - 60),
        why: "no room".to_owned(),
    };
    farm.ledger.turned_back.insert(ServerId::new("w-1"), back);
    assert_eq!(look(&farm).rows[0].why.as_deref(), Some("no room"));
    asks(&mut farm, "home", "waiting", 16, JobState::Blocked);
    farm.backend("home").unread.insert("waiting".to_owned());
    assert_eq!(look(&farm).held, Some(Reason::Unread));
    assert_eq!(look(&farm).changes, []);
}

#[test]
fn an_adopted_worker_has_the_list_that_it_was_found_with_again() {
    let mut farm = exclusive_farm();
    for host in ["ours", "theirs"] {
        farm.worker("x-l1", host, 7);
    }
    // `main` lists both, `home` the first
    let mut at_home = farm.backend("main").workers.clone();
    at_home.instances.retain(|id, _| id.host.as_str() == "ours");
    farm.backend("home").workers = at_home;
    let id = ServerId::new("theirs");
    farm.fleet.servers.get_mut(&id).unwrap().tags.order = None;
    farm.ledger.members.get_mut(&id).unwrap().order = None;
    farm.ledger.pinned.insert(id.clone());
    farm.ledger.exclusive.as_mut().unwrap().backend = BackendName::new("home");
    let own = |all: &Exclusion, id: &str| {
        let change = all.changes.iter().find(|c| c.server.as_str() == id);
        change.unwrap().own.clone()
    };
    let all = look(&farm);
    assert_eq!(own(&all, "theirs"), Some(vec![BackendName::new("main")]));
    assert_eq!(own(&all, "ours"), None, "it has its pool's");
}

#[test]
fn taken_back_it_is_over_once_every_worker_has_its_own_list_again() {
    let mut farm = exclusive_farm();
    let worker = farm.worker("x-l1", "a", 7);
    let all = look(&farm);
    write(&mut farm, &all);
    refit_round(&mut farm);
    farm.ledger.exclusive.as_mut().unwrap().ending = true;
    let all = look(&farm);
    assert_eq!(all.changes[0].bound, None);
    assert!(!all.over);
    write(&mut farm, &all);
    assert!(!look(&farm).over, "its settings are due");
    farm.ledger.members.get_mut(&worker).unwrap().stage = Stage::Refitting;
    assert!(!look(&farm).over, "it is on its way");
    farm.ledger.members.get_mut(&worker).unwrap().stage = Stage::Serving;
    refit_round(&mut farm);
    assert!(look(&farm).over);
}

#[test]
fn whoever_is_still_bound_without_the_mode_gets_its_own_list_back() {
    let mut farm = exclusive_farm();
    let worker = farm.worker("x-l1", "a", 7);
    farm.ledger.exclusive = None;
    let member = farm.ledger.members.get_mut(&worker).unwrap();
    member.bound = Some(BackendName::new("main"));
    let all = look(&farm);
    assert_eq!((all.changes.len(), all.rows.len()), (1, 0));
    assert_eq!(all.changes[0].bound, None);
    assert!(!all.over);
}
