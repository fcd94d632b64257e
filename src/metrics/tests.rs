mod cloud;
mod hosts;

use super::*;
use crate::config::{Mode, Pool};
use crate::model::{
    Action, Alarm, Alarms, Arch, BackendName, BackendView, Daemon, DaemonState, FlavorName, Fleet,
    Gap, HostName, Instance, InstanceCounts, InstanceId, InstanceState, JobState, Ledger, Level,
    Member, Observed, OrderId, PoolName, Requirements, Results, Server, ServerId, ServerStatus,
    Snapshot, Stage, Supply, Tags, Vcpus, Workers,
};
use crate::obs::BuildOutcome;
use crate::policy::{CheckOutcome, CheckReport, Cost};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

mod docs;
mod hostile;
mod pages;
mod rules;
mod sources;
mod workers;

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn name(text: &str) -> PoolName {
    PoolName::try_from(text).unwrap()
}

fn pool(of: &str, backends: &[&str]) -> Pool {
    Pool {
        name: name(of),
        arch: Arch::Aarch64,
        level: Level::L2,
        backends: backends.iter().copied().map(BackendName::new).collect(),
        mode: Mode::Apply,
        projects: crate::config::Projects::default(),
        reserve: 1,
        flavor: FlavorName::new("ki1.16xlarge.4"),
        alternatives: Vec::new(),
        vcpus: Vcpus(64),
        instances: 7,
        jobs: 64,
        cache_mib: None,
        workers: crate::config::Workers::default(),
    }
}

/// Pool `near` lives on backend `a`, pool `far` on `a` and `b`.
fn configured() -> Configured {
    let pools = [pool("near", &["a"]), pool("far", &["a", "b"])];
    let projects = [("a", vec!["P:A".to_owned()]), ("b", vec!["P:B".to_owned()])];
    Configured {
        pools: pools.into_iter().map(|p| (p.name.clone(), p)).collect(),
        projects: projects
            .into_iter()
            .map(|(b, p)| (BackendName::new(b), p))
            .collect(),
        ceiling: Vcpus(1792),
        max_age: Duration::from_secs(120),
        workers_cached_for: BTreeMap::new(),
    }
}

fn workers(states: &[(u32, InstanceState)]) -> Workers {
    let instance = |(number, state): &(u32, InstanceState)| {
        let host = HostName::new("w1");
        let id = InstanceId {
            host,
            number: *number,
        };
        let arch = Some(Arch::Aarch64);
        (
            id.clone(),
            Instance {
                id,
                arch,
                state: *state,
                job: None,
            },
        )
    };
    let daemon = |arch: &str, state| Daemon {
        kind: "scheduler".to_owned(),
        arch: Some(arch.to_owned()),
        state,
        started: None,
        queue: BTreeMap::from([("high".to_owned(), 3)]),
    };
    Workers {
        instances: states.iter().map(instance).collect(),
        daemons: vec![
            daemon("aarch64", DaemonState::Running),
            daemon("x86_64", DaemonState::Dead),
        ],
        ..Workers::default()
    }
}

fn backend(read: i64, states: &[(u32, InstanceState)]) -> Arc<BackendView> {
    let key = ["P:A", "standard", "aarch64", "succeeded"].map(str::to_owned);
    let results = Results {
        jobs: vec![],
        packages: BTreeMap::from([(key.into(), 12)]),
    };
    Arc::new(BackendView {
        workers: Observed::known(at(read), workers(states)),
        results: Observed::known(at(read), results),
        history: Observed::known(at(read), ()),
        requirements: Observed::known(
            at(read),
            Requirements {
                unread: 3,
                ..Requirements::default()
            },
        ),
        ..BackendView::default()
    })
}

fn fleet() -> Fleet {
    let server = Server {
        id: ServerId::new("s1"),
        name: HostName::new("w1"),
        status: ServerStatus::Active,
        ip: Some("10.0.0.7".parse().unwrap()),
        flavor: FlavorName::new("ki1.16xlarge.4"),
        vcpus: Vcpus(64),
        created: at(1),
        tags: Tags {
            pool: Some(name("near")),
            order: None,
            protected: true,
            ..Tags::default()
        },
    };
    Fleet {
        servers: BTreeMap::from([(server.id.clone(), server)]),
    }
}

fn ledger() -> Ledger {
    let bought = |id: &str, stage| Member {
        server: ServerId::new(id),
        name: (id == "s1").then(|| HostName::new("w1")),
        pool: name("near"),
        order: Some(OrderId::new("o1")),
        vcpus: Vcpus(64),
        stage,
        since: at(1),
        reached: true,
        ordered_here: true,
        own: crate::model::Overrides::default(),
        bound: None,
        due: None,
    };
    let adopted = Member {
        order: None,
        ..bought("s0", Stage::Serving)
    };
    let members = [
        adopted,
        bought("s1", Stage::Serving),
        bought("s2", Stage::Creating),
    ];
    let members = members.into_iter().map(|m| (m.server.clone(), m)).collect();
    let halted = Supply {
        halted_below: Some(14),
        ..Supply::default()
    };
    Ledger {
        members,
        supply: BTreeMap::from([(name("near"), halted)]),
        setbacks: cloud::refused(),
        ..Ledger::default()
    }
}

fn facts() -> PoolFacts {
    let mut instances = InstanceCounts::default();
    instances.add(InstanceState::Idle);
    PoolFacts {
        jobs: BTreeMap::from([(
            (BackendName::new("a"), "P:A".to_owned(), JobState::Scheduled),
            40,
        )]),
        ghosts: 2,
        no_idle_fit: 39,
        no_compliant: Some(1),
        watched: BTreeMap::from([(
            ("kernel".to_owned(), "P:A".to_owned(), "aarch64".to_owned()),
            at(NOW - 900),
        )]),
        oldest: Some(at(NOW - 600)),
        expected_work: Duration::from_secs(90),
        instances,
        workers: BTreeMap::from([("serving", 2)]),
        releasable: 1,
        hosts: BTreeSet::from([HostName::new("w1")]),
    }
}

/// A check of which this one failed.
fn checked(failed: &str) -> CheckReport {
    CheckReport {
        untouched: false,
        at: at(NOW),
        outcome: CheckOutcome::Failed {
            check: failed.to_owned(),
            found: String::new(),
            expected: String::new(),
        },
    }
}

/// Everything read just now, and `near` with facts.
fn state() -> FleetState {
    let mut alarms = Alarms::default();
    alarms.hear_watchdog(at(NOW - 30));
    let alarm = Alarm {
        action: Action::Apply,
        pool: name("near"),
        starts_at: at(NOW),
        heard: at(NOW),
    };
    alarms.fire("f", alarm);
    let idle = [(1, InstanceState::Idle), (2, InstanceState::Building)];
    let away = [(1, InstanceState::Building), (2, InstanceState::Away)];
    let backends = [("a", backend(NOW, &idle)), ("b", backend(NOW, &away))];
    FleetState {
        now: at(NOW),
        snapshot: Arc::new(Snapshot {
            backends: backends
                .into_iter()
                .map(|(n, b)| (BackendName::new(n), b))
                .collect(),
            fleet: Arc::new(Observed::known(at(NOW), fleet())),
            market: Arc::default(),
            hosts: hosts::read(),
            build_times: Arc::default(),
        }),
        ledger: Arc::new(ledger()),
        alarms,
        checks: Arc::new(BTreeMap::from([(ServerId::new("s1"), checked("config"))])),
        costs: Some(BTreeMap::from([(
            (name("near"), FlavorName::new("ki1.16xlarge.4")),
            Cost {
                per_hour: 8.4,
                idle_per_hour: 0.0,
            },
        )])),
        pools: BTreeMap::from([(name("near"), facts()), (name("far"), PoolFacts::default())]),
    }
}

#[derive(Debug)]
struct Fixed(FleetState);

impl Source for Fixed {
    fn state(&self) -> FleetState {
        self.0.clone()
    }
}

fn page(state: FleetState) -> String {
    let mut registry = Registry::default();
    let reasons = [(Direction::Apply, "queue")];
    let own = Own::register(&mut registry, &configured().pools, &reasons);
    let builds = WorkerBuilds::register(&mut registry);
    builds.ended(&HostName::new("w1"), BuildOutcome::Succeeded, NOW);
    own.ecs_call("create", "200", Duration::from_millis(80));
    own.cost(&name("near"), &FlavorName::new("ki1.16xlarge.4"), 8.4, 4.2);
    let fleet = FleetCollector::new(configured(), Arc::new(Fixed(state)));
    let metrics = Metrics::new(registry, fleet);
    String::from_utf8(whole(&metrics, Format::Prometheus, Coding::Identity)).unwrap()
}

/// Every piece of a page.
fn whole(metrics: &Metrics, format: Format, coding: Coding) -> Vec<u8> {
    let mut whole = Vec::new();
    let mut take = |piece: Vec<u8>| {
        whole.extend(piece);
        Ok(())
    };
    metrics.write(format, coding, &mut take).unwrap();
    whole
}

fn has(page: &str, series: &str) -> bool {
    page.lines().any(|line| line == series)
}

fn assert_shows(page: &str, series: &[&str]) {
    for series in series {
        assert!(has(page, series), "{series} is not in\n{page}");
    }
}

#[test]
fn every_series_of_a_pool_with_nothing_to_show_is_an_explicit_zero() {
    let far = "pool=\"far\",arch=\"aarch64\",level=\"l2\"";
    let page = page(state());
    for zero in [
        format!("obs_jobs{{{far},backend=\"b\",project=\"P:B\",state=\"scheduled\"}} 0"),
        format!("obs_jobs_unplaceable{{{far},reason=\"no_idle_fit\"}} 0"),
        format!("obs_jobs_ghost{{{far}}} 0"),
        format!("obs_job_oldest_scheduled_timestamp_seconds{{{far}}} 0.0"),
        format!("obs_jobs_expected_work_seconds{{{far}}} 0.0"),
        format!("obs_instances{{{far},state=\"away\"}} 0"),
        format!("obs_workers{{{far},state=\"unmanaged\"}} 0"),
        format!("obs_workers_releasable{{{far}}} 0"),
        format!("obs_scaler_alarms{{action=\"release\",{far}}} 0"),
        format!("obs_scaler_pool_halted{{{far}}} 0"),
        format!("obs_scaler_orders_total{{{far},outcome=\"in_service\"}} 0"),
        "obs_scaler_decisions_total{direction=\"apply\",pool=\"far\",reason=\"queue\"} 0"
            .to_owned(),
    ] {
        assert_shows(&page, &[&zero]);
    }
}

#[test]
fn what_is_known_is_shown() {
    let near = "pool=\"near\",arch=\"aarch64\",level=\"l2\"";
    let page = page(state());
    for series in [
        format!("obs_jobs{{{near},backend=\"a\",project=\"P:A\",state=\"scheduled\"}} 40"),
        format!("obs_job_oldest_scheduled_timestamp_seconds{{{near}}} 999400.0"),
        format!("obs_jobs_unplaceable{{{near},reason=\"no_compliant\"}} 1"),
        format!("obs_jobs_ghost{{{near}}} 2"),
        "obs_watched_job_scheduled_timestamp_seconds{package=\"kernel\",project=\"P:A\",arch=\"aarch64\"} 999100.0".to_owned(),
        format!(
            "obs_worker_info{{{near},worker=\"w1\",flavor=\"ki1.16xlarge.4\",managed=\"true\",protected=\"true\",ip=\"10.0.0.7\"}} 1"
        ),
        format!("obs_scaler_alarms{{action=\"apply\",{near}}} 1"),
        format!("obs_scaler_pool_reserve_workers{{{near}}} 1"),
        format!("obs_scaler_pool_halted{{{near}}} 1"),
    ] {
        assert_shows(&page, &[&series]);
    }
    assert_shows(
        &page,
        &[
            "obs_up{backend=\"a\"} 1",
            "obs_daemon_up{backend=\"a\",daemon=\"scheduler\",arch=\"x86_64\"} 0",
            "obs_scheduler_queue{backend=\"a\",arch=\"aarch64\",priority=\"high\"} 3",
            "obs_packages{backend=\"a\",project=\"P:A\",repository=\"standard\",arch=\"aarch64\",code=\"succeeded\"} 12",
            "obs_scaler_last_success_timestamp_seconds{collector=\"ecs\"} 1000000.0",
            "obs_scaler_last_watchdog_timestamp_seconds 999970.0",
            "obs_scaler_constraints_unread{backend=\"b\"} 3",
            "obs_scaler_pool_mode{pool=\"near\",mode=\"apply\"} 1",
            "obs_scaler_vcpus{kind=\"bought\"} 128",
            "obs_scaler_vcpus{kind=\"in_flight\"} 64",
            "obs_scaler_vcpus{kind=\"room\"} 1664",
        ],
    );
}

#[test]
fn an_instance_that_two_backends_list_is_counted_once_and_building_wins() {
    let mut state = state();
    let hosts = BTreeSet::from([HostName::new("w1")]);
    state.pools = BTreeMap::from([(
        name("far"),
        PoolFacts {
            hosts,
            ..PoolFacts::default()
        },
    )]);
    assert_shows(
        &page(state),
        &[
            "obs_worker_instances{worker=\"w1\",state=\"building\"} 2",
            "obs_worker_instances{worker=\"w1\",state=\"idle\"} 0",
            "obs_worker_instances{worker=\"w1\",state=\"away\"} 0",
        ],
    );
}

#[test]
fn a_stale_source_takes_its_own_series_away_and_no_others() {
    let mut state = state();
    let snapshot = Arc::make_mut(&mut state.snapshot);
    snapshot
        .backends
        .insert(BackendName::new("b"), backend(NOW - 121, &[]));
    snapshot.fleet = Arc::default();
    state.pools.remove(&name("far"));
    let page = page(state);
    let gone = [
        "obs_packages{backend=\"b\"",
        "obs_daemon_up{backend=\"b\"",
        "obs_worker_info",
        "kind=\"bought\"",
    ];
    for gone in gone {
        assert!(!page.contains(gone), "{gone} is in\n{page}");
    }
    let of_far = |line: &str| line.contains("pool=\"far\"") && !line.starts_with("obs_scaler_");
    assert!(!page.lines().any(of_far), "{page}");
    assert!(page.contains("obs_jobs{pool=\"near\""), "{page}");
    assert_shows(
        &page,
        &[
            "obs_up{backend=\"b\"} 1",
            "obs_scaler_vcpus{kind=\"ceiling\"} 1792",
        ],
    );
}

#[test]
fn a_backend_never_read_is_down_and_has_no_age() {
    let mut state = state();
    let snapshot = Arc::make_mut(&mut state.snapshot);
    snapshot
        .backends
        .insert(BackendName::new("b"), Arc::default());
    let page = page(state);
    assert_shows(&page, &["obs_up{backend=\"b\"} 0"]);
    assert!(
        !page.contains("collector=\"workers\",backend=\"b\""),
        "{page}"
    );
}
