//! Farms of several backends: each instance counts once, in one pool, and a stale backend holds the
//! pools that it feeds.

use super::super::fixtures::{Farm, NOW, minutes, pool};
use super::super::{InstancesSeen, PoolState, assess, instances_seen, pool_of_server};
use crate::config::Projects;
use crate::model::{
    Arch, BackendName, Capabilities, FlavorName, Hardware, HostName, Instance, InstanceId,
    InstanceState, JobState, Stage, Tags, Vcpus,
};
use InstanceState::{Away, Building, Dead, Down, Idle};
use proptest::prelude::*;
use proptest::sample::select;
use regex::Regex;
use std::collections::BTreeSet;

/// Lists an instance at a backend.
fn list(farm: &mut Farm, backend: &str, workerid: &str, state: InstanceState) {
    let id = InstanceId::parse(workerid).unwrap();
    let instance = Instance {
        id: id.clone(),
        arch: Some(Arch::X86_64),
        state,
        job: None,
    };
    let instances = &mut farm.backend(backend).workers.instances;
    instances.insert(id, instance);
}

/// `x-l1` serves both backends; `home` has no pool of its own then.
fn shared() -> Farm {
    let mut farm = Farm::new();
    farm.policy.pools.remove(&pool("home"));
    farm.pool("x-l1").backends = ["home", "main"].map(BackendName::new).to_vec();
    farm
}

fn known(farm: &Farm, name: &str) -> PoolState {
    farm.see(assess)[&pool(name)].clone().unwrap()
}

/// Idle, building, dead, down, away.
fn counts(state: &PoolState) -> [u32; 5] {
    [Idle, Building, Dead, Down, Away].map(|s| state.instances.get(s))
}

#[test]
fn an_instance_at_two_backends_counts_once_in_the_state_that_comes_first() {
    let table = [
        (Away, Building, Building),
        (Idle, Building, Building),
        (Idle, Idle, Idle),
        // between two readings: it has just taken a job of the one, or just ended one of the other
        (Idle, Away, Idle),
        (Down, Idle, Idle),
        (Dead, Away, Dead),
        (Away, Down, Down),
        (Away, Away, Away),
    ];
    for (one, other, counted) in table {
        for (at_main, at_home) in [(one, other), (other, one)] {
            let mut farm = shared();
            farm.member("x-l1", "w", Stage::Serving);
            list(&mut farm, "main", "w:1", at_main);
            list(&mut farm, "home", "w:1", at_home);
            list(&mut farm, "main", "unmanaged:1", at_main);
            list(&mut farm, "home", "unmanaged:1", at_home);
            let state = known(&farm, "x-l1");
            assert_eq!(state.instances.get(counted), 2, "{at_main:?} {at_home:?}");
            assert_eq!(state.instances.listed(), 2);
            let host = HostName::new("w");
            let seen = farm.see(|view| instances_seen(view, &pool("x-l1"), &host));
            let InstancesSeen { counts, .. } = seen.unwrap();
            assert_eq!((counts.get(counted), counts.listed()), (1, 1));
            assert_eq!(state.workers[0].instances, counts);
        }
    }
}

#[test]
fn an_unmanaged_host_of_two_pools_is_in_the_first_by_name_where_it_lives() {
    let mut farm = Farm::new();
    list(&mut farm, "main", "w:1", Away);
    list(&mut farm, "home", "w:1", Building);
    assert_eq!(counts(&known(&farm, "home")), [0, 1, 0, 0, 0]);
    assert_eq!(counts(&known(&farm, "x-l1")), [0; 5]);
    list(&mut farm, "home", "w:1", Down);
    assert_eq!(
        counts(&known(&farm, "home")),
        [0; 5],
        "remembered there only"
    );
    assert_eq!(counts(&known(&farm, "x-l1")), [0, 0, 0, 0, 1]);
}

#[test]
fn a_managed_worker_counts_at_the_backends_of_its_pool_only() {
    let mut farm = Farm::new();
    farm.member("x-l2", "w", Stage::Serving);
    list(&mut farm, "main", "w:1", Away);
    list(&mut farm, "home", "w:1", Building);
    assert_eq!(counts(&known(&farm, "x-l2")), [0, 0, 0, 0, 1]);
    assert_eq!(counts(&known(&farm, "home")), [0; 5]);
}

#[test]
fn an_unmanaged_host_is_at_the_level_whose_size_is_the_nearest_at_or_below() {
    let mut farm = Farm::new();
    for (host, size) in [("small", 16), ("middling", 100), ("large", 256)] {
        let server = farm.server("x-l1", host);
        server.tags = Tags::default();
        server.flavor = FlavorName::new("odd");
        server.vcpus = Vcpus(size);
        list(&mut farm, "main", &format!("{host}:1"), Idle);
    }
    list(&mut farm, "main", "unknown:1", Idle);
    let idle = ["x-l1", "x-l2", "x-l3"].map(|name| known(&farm, name).idle);
    assert_eq!(idle, [2, 1, 1]);
    farm.pool("x-l3").vcpus = Vcpus(64);
    let idle = ["x-l1", "x-l2", "x-l3"].map(|name| known(&farm, name).idle);
    assert_eq!(idle, [2, 2, 0], "the lower of two levels of one size");
}

#[test]
fn an_unmanaged_host_that_the_cloud_does_not_list_has_the_size_that_it_tells() {
    let mut farm = Farm::new();
    list(&mut farm, "main", "w:1", Idle);
    let idle = |farm: &Farm| ["x-l1", "x-l2", "x-l3"].map(|name| known(farm, name).idle);
    let unmanaged = |farm: &Farm| {
        let facts = farm.see(crate::metrics::facts);
        ["x-l1", "x-l2"].map(|name| facts[&pool(name)].workers.get("unmanaged").copied())
    };
    assert_eq!(idle(&farm), [1, 0, 0], "not read yet");
    assert_eq!(unmanaged(&farm), [Some(1), None]);
    let tells = |farm: &mut Farm, hardware| {
        let has = Capabilities {
            hardware,
            ..Capabilities::default()
        };
        let workers = &mut farm.backend("main").has;
        workers.insert(HostName::new("w"), has);
    };
    let hardware = |processors| Hardware {
        processors,
        ..Hardware::default()
    };
    tells(&mut farm, Some(hardware(100)));
    assert_eq!(idle(&farm), [0, 1, 0]);
    assert_eq!(unmanaged(&farm), [None, Some(1)]);
    assert_eq!(known(&farm, "x-l2").supply.get(Idle), 1);
    tells(&mut farm, None);
    assert_eq!(idle(&farm), [1, 0, 0], "it tells none");
    assert_eq!(known(&farm, "x-l1").supply.get(Idle), 1);
}

#[test]
fn a_server_without_a_pools_tag_serves_the_one_pool_of_its_flavor() {
    let mut farm = Farm::new();
    farm.server("x-l2", "w").tags = Tags::default();
    let of = |farm: &mut Farm| {
        let server = farm.server("x-l2", "w").clone();
        pool_of_server(&server, &farm.policy).cloned()
    };
    assert_eq!(of(&mut farm), Some(pool("x-l2")));
    farm.pool("x-l3").flavor = farm.pool("x-l2").flavor.clone();
    assert_eq!(of(&mut farm), None, "two pools have it");
    farm.server("x-l2", "w").tags.pool = Some(pool("x-l3"));
    assert_eq!(of(&mut farm), Some(pool("x-l3")), "the tag says it");
    farm.server("x-l2", "w").flavor = FlavorName::new("odd");
    farm.server("x-l2", "w").tags.pool = None;
    assert_eq!(of(&mut farm), None);
}

#[test]
fn jobs_of_private_projects_are_in_their_own_pool_and_unmanaged_hosts_never() {
    let mut farm = Farm::new();
    let mut private = farm.pool("x-l1").clone();
    private.name = pool("a-private");
    private.projects = Projects::from(vec![Regex::new("^(?:home:.*)$").unwrap()]);
    farm.policy.pools.insert(private.name.clone(), private);
    farm.schedule("x-l1", 2);
    farm.schedule("x-l2", 1);
    let jobs = farm.backend("main").results.jobs.clone();
    for (number, mut job) in jobs.into_iter().enumerate().skip(1) {
        job.key.project = "home:someone".to_owned();
        farm.takes(&job.key, minutes([9, 1, 7][number]));
        farm.backend("main").results.jobs[number] = job;
    }
    list(&mut farm, "main", "w:1", Idle);
    let of = |name| (known(&farm, name).scheduled, known(&farm, name).idle);
    assert_eq!(of("a-private"), (1, 0));
    assert_eq!(of("x-l1"), (1, 1));
    assert_eq!(of("x-l2"), (1, 0), "no private pool at this level");
}

const POOLS: [&str; 5] = ["x-l1", "x-l2", "x-l3", "a-l1", "home"];
const HOSTS: [&str; 6] = ["m1", "m2", "m3", "u1", "u2", "u3"];

prop_compose! {
    /// Hosts of ours and others, each instance of which is listed by none, one or both backends.
    fn any_world()(
        shares: bool,
        mains in proptest::collection::vec(proptest::option::of(select(&InstanceState::ALL[..])), 18),
        homes in proptest::collection::vec(proptest::option::of(select(&InstanceState::ALL[..])), 18),
        pools in proptest::collection::vec(select(&POOLS[..]), 3),
        jobs in 0..20u32,
    ) -> Farm {
        let mut farm = if shares { shared() } else { Farm::new() };
        for (host, name) in HOSTS.iter().zip(pools) {
            if farm.policy.pools.contains_key(&pool(name)) {
                farm.member(name, host, Stage::Serving);
            }
        }
        for (backend, states) in [("main", mains), ("home", homes)] {
            for (n, state) in states.into_iter().enumerate() {
                if let Some(state) = state {
                    list(&mut farm, backend, &format!("{}:{}", HOSTS[n / 3], n % 3), state);
                }
            }
        }
        farm.schedule("x-l1", jobs);
        farm
    }
}

proptest! {
    #[test]
    fn no_instance_is_counted_twice(farm in any_world()) {
        let states = farm.see(assess);
        let counted: u32 = states.values().map(|s| s.as_ref().unwrap().instances.listed()).sum();
        let all = farm.backends.values().flat_map(|b| b.workers.instances.keys());
        let distinct: BTreeSet<_> = all.collect();
        prop_assert!(counted as usize <= distinct.len());
        let others = distinct.iter().map(|id| id.host.as_str()).filter(|host| host.starts_with('u'));
        prop_assert!(counted as usize >= others.collect::<BTreeSet<_>>().len(), "all have a pool");
        for state in states.values().flatten() {
            prop_assert!(state.idle >= state.supply.get(Idle));
        }
    }

    #[test]
    fn metrics_count_what_the_planner_counts(farm in any_world()) {
        let states = farm.see(assess);
        for (name, facts) in farm.see(crate::metrics::facts) {
            let state = states[&name].as_ref().unwrap();
            prop_assert_eq!(facts.instances, state.instances);
            let scheduled: u64 = facts.jobs.iter()
                .filter(|((_, _, s), _)| *s == JobState::Scheduled).map(|(_, n)| n).sum();
            prop_assert_eq!(scheduled, u64::from(state.scheduled));
        }
        let facts = farm.see(crate::metrics::facts);
        let hosts: Vec<_> = facts.values().flat_map(|f| &f.hosts).collect();
        let distinct: BTreeSet<_> = hosts.iter().collect();
        prop_assert_eq!(hosts.len(), distinct.len(), "a worker of one pool only");
    }

    #[test]
    fn a_stale_backend_holds_the_pools_that_it_feeds_and_changes_no_other(
        mut farm in any_world(),
        main: bool,
        results: bool,
    ) {
        let before = farm.see(assess);
        let stale = if main { "main" } else { "home" };
        let backend = farm.backend(stale);
        *(if results { &mut backend.results_at } else { &mut backend.workers_at }) = NOW - 121;
        for (name, state) in farm.see(assess) {
            let fed = farm.policy.pools[&name].backends.contains(&BackendName::new(stale));
            prop_assert_eq!(state.is_err(), fed, "{}", name);
            if !fed {
                prop_assert_eq!(&state, &before[&name]);
            }
        }
    }
}

#[test]
fn a_project_that_was_read_shows_a_zero_in_each_pool_of_its_backend_and_in_no_other() {
    let mut farm = Farm::new();
    let target = ["home:me", "standard", "x86_64", "succeeded"].map(str::to_owned);
    let packages = &mut farm.backend("home").results.packages;
    packages.insert(target.into(), 3);
    let facts = farm.see(crate::metrics::facts);
    let backend = BackendName::new("home");
    let jobs = (backend.clone(), "home:me".to_owned(), JobState::Scheduled);
    for (name, pool) in &farm.policy.pools {
        let shown = facts[name].jobs.get(&jobs).copied();
        let own = pool.backends.contains(&backend).then_some(0);
        assert_eq!(shown, own, "{name}");
    }
}
