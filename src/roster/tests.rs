use super::*;
use crate::config::{Config, Policy, ResourceUse, SecretPlace};
use crate::model::{
    Alarms, BackendView, HostCounters, Instance, Ledger, Observed, OrderId, Overrides, ServerId,
    Stage, Tags, Vcpus,
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn policy() -> Policy {
    let given = |_: &SecretPlace| Ok(SecretString::from("swordfish".repeat(4)));
    let config = Config::parse(include_str!("../../config.yaml"), &given);
    config.unwrap().policy
}

fn instance(workers: &mut Workers, id: &str, arch: Arch, state: InstanceState) {
    let id = InstanceId::parse(id).unwrap();
    let arch = Some(arch);
    let instance = Instance {
        id: id.clone(),
        arch,
        state,
        job: None,
    };
    workers.instances.insert(id, instance);
}

fn server(name: &str, ip: &str) -> Server {
    Server {
        id: ServerId::new(format!("id-{name}")),
        name: HostName::new(name),
        status: ServerStatus::Active,
        ip: Some(ip.parse().unwrap()),
        flavor: FlavorName::new("ki1.8xlarge.4"),
        vcpus: Vcpus(32),
        created: at(0),
        tags: Tags {
            pool: Some(PoolName::try_from("aarch64-l1").unwrap()),
            ..Tags::default()
        },
    }
}

/// Ours: `ours` (two idle, one builds) and `free` (one idle, one down). Not ours: `other` (x86_64, idle), and `past`,
/// which OBS only remembers.
fn snapshot(read: i64) -> Snapshot {
    use InstanceState::{Building, Down, Idle};
    let mut workers = Workers::default();
    for (id, state) in [
        ("ours:1", Idle),
        ("ours:2", Building),
        ("ours:3", Idle),
        ("free:1", Idle),
        ("free:2", Down),
        ("past:1", Down),
    ] {
        instance(&mut workers, id, Arch::Aarch64, state);
    }
    instance(&mut workers, "other:1", Arch::X86_64, Idle);
    let seen_at = "10.0.0.30".parse().unwrap();
    workers.addresses.insert(HostName::new("other"), seen_at);
    let view = BackendView {
        workers: Observed::known(at(read), workers),
        ..BackendView::default()
    };
    let servers = [server("ours", "10.0.0.11"), server("free", "10.0.0.12")];
    let servers = servers.map(|server| (server.id.clone(), server));
    Snapshot {
        backends: [(BackendName::new("main"), Arc::new(view))].into(),
        fleet: Arc::new(Observed::known(
            at(NOW),
            Fleet {
                servers: servers.into(),
            },
        )),
        ..Snapshot::default()
    }
}

/// One of an order that has not been reached yet.
fn bought(name: &str, stage: Stage) -> Member {
    Member {
        server: ServerId::new(format!("id-{name}")),
        name: Some(HostName::new(name)),
        pool: PoolName::try_from("aarch64-l1").unwrap(),
        order: Some(OrderId::new("an-order")),
        vcpus: Vcpus(32),
        stage,
        since: at(NOW),
        reached: false,
        ordered_here: true,
        own: Overrides::default(),
        due: None,
        bound: None,
    }
}

fn ask(snapshot: &Snapshot, path: &str, query: &str) -> Result<Value, NotAnswered> {
    ask_with(snapshot, &Ledger::default(), &policy(), path, query)
}

fn ask_with(
    snapshot: &Snapshot,
    ledger: &Ledger,
    policy: &Policy,
    path: &str,
    query: &str,
) -> Result<Value, NotAnswered> {
    let view = View {
        snapshot,
        ledger,
        alarms: &Alarms::default(),
        policy,
        now: at(NOW),
    };
    let question = Question::read(path, query)?.unwrap();
    answer(&view, &question, ResourceUse::NodeExporter)
}

#[test]
fn every_worker_is_listed_by_arch_ours_and_others_and_no_host_that_is_only_remembered() {
    let list = ask(&snapshot(NOW), "workers", "").unwrap();
    assert_eq!(list[0]["aarch64"], json!(["10.0.0.11", "10.0.0.12"]));
    assert_eq!(list[1]["x86_64"], json!(["10.0.0.30"]));
    assert_eq!(list.as_array().unwrap().len(), 2);
    let other = &list[1]["workers"][0];
    assert_eq!(other["managed"], json!(false));
    assert_eq!(
        (&other["flavor"], &other["state"]),
        (&Value::Null, &Value::Null)
    );
    let ours = &list[0]["workers"][0];
    assert_eq!(
        (
            &ours["managed"],
            &ours["pool"],
            &ours["level"],
            &ours["flavor"]
        ),
        (
            &json!(true),
            &json!("aarch64-l1"),
            &json!("l1"),
            &json!("ki1.8xlarge.4")
        )
    );
}

#[test]
fn where_the_clouds_list_is_not_known_nobody_is_called_unmanaged() {
    let mut snapshot = snapshot(NOW);
    snapshot.fleet = Arc::default();
    let list = ask(&snapshot, "workers", "").unwrap();
    for of_arch in list.as_array().unwrap() {
        for worker in of_arch["workers"].as_array().unwrap() {
            assert_eq!(worker["managed"], Value::Null, "{worker}");
        }
    }
}

#[test]
fn instances_are_counted_in_the_shape_of_the_original_design() {
    let rows = ask(&snapshot(NOW), "instances", "ip=10.0.0.12&ip=10.0.0.11").unwrap();
    let keys = [
        "ip",
        "instance_all",
        "instance_run",
        "instance_idle",
        "instance_down",
    ];
    let row = |n: usize| keys.map(|key| rows[n][key].clone());
    assert_eq!(
        row(0),
        [json!("10.0.0.11"), json!(3), json!(1), json!(2), json!(0)]
    );
    assert_eq!(
        row(1),
        [json!("10.0.0.12"), json!(2), json!(0), json!(1), json!(1)]
    );
    assert_eq!(rows.as_array().unwrap().len(), 2);
}

#[test]
fn what_obs_did_not_say_of_late_is_null_and_never_zero() {
    let old = snapshot(NOW - 1000);
    let rows = ask(&old, "instances", "").unwrap();
    for row in rows.as_array().unwrap() {
        assert_eq!(row["instance_all"], Value::Null);
        assert_eq!(row["instance_idle"], Value::Null);
    }
    let idle = ask(&old, "instances/idle", "").unwrap();
    assert_eq!(idle[0]["aarch64"]["l1"], Value::Null);
    let workers = ask(&old, "workers", "idle=true").unwrap();
    assert_eq!(workers[0]["aarch64"], json!([]));
    assert_eq!(workers[0]["unknown"], json!(["10.0.0.11", "10.0.0.12"]));
}

#[test]
fn idle_instances_stand_by_arch_and_level_and_idle_workers_by_arch() {
    let now = snapshot(NOW);
    let idle = ask(&now, "instances/idle", "").unwrap();
    let levels = |l1: u32| json!({"l1": l1, "l2": 0, "l3": 0});
    assert_eq!(idle, json!([{"aarch64": levels(3)}, {"x86_64": levels(1)}]));
    let one = ask(&now, "instances/idle", "ip=10.0.0.12").unwrap();
    assert_eq!(one, json!([{"aarch64": levels(1)}, {"x86_64": levels(0)}]));
    let workers = ask(&now, "workers", "idle=true").unwrap();
    assert_eq!(workers[0]["aarch64"], json!(["10.0.0.12"]));
    assert_eq!(workers[1]["x86_64"], json!(["10.0.0.30"]));
}

#[test]
fn a_worker_on_its_way_out_is_not_idle_whatever_obs_lists() {
    let mut snapshot = snapshot(NOW);
    let mut leaving = server("free", "10.0.0.12");
    leaving.status = ServerStatus::Deleting;
    let servers = [server("ours", "10.0.0.11"), leaving].map(|s| (s.id.clone(), s));
    let fleet = Fleet {
        servers: servers.into(),
    };
    snapshot.fleet = Arc::new(Observed::known(at(NOW), fleet));
    let workers = ask(&snapshot, "workers", "idle=true").unwrap();
    assert_eq!(workers[0]["aarch64"], json!([]));
    let idle = ask(&snapshot, "instances/idle", "").unwrap();
    assert_eq!(idle[0]["aarch64"]["l1"], json!(2));
}

#[test]
fn of_a_new_worker_that_is_held_back_it_is_said_what_it_waits_for() {
    let mut ledger = Ledger::default();
    for (name, stage) in [
        ("ours", Stage::Booting { active: at(NOW) }),
        ("free", Stage::Standby { active: at(NOW) }),
    ] {
        let member = bought(name, stage);
        ledger.members.insert(member.server.clone(), member);
    }
    let mut policy = policy();
    let waits = |policy: &Policy, ledger: &Ledger| {
        let list = ask_with(&snapshot(NOW), ledger, policy, "workers", "").unwrap();
        [0, 1].map(|n: usize| list[0]["workers"][n]["waits_for"].clone())
    };
    let main = BackendName::new("main");
    assert_eq!(waits(&policy, &ledger), [Value::Null, Value::Null]);

    policy.gates.ramps = [(main, 1)].into();
    ledger.started.insert(ServerId::new("id-ours"), at(NOW));
    let ramp = json!("the ramp of main: 1 a minute");
    assert_eq!(waits(&policy, &ledger), [Value::Null, ramp]);

    policy.gates.canary = std::time::Duration::from_secs(600);
    let canary = json!("a build on its order's canary ours");
    assert_eq!(waits(&policy, &ledger), [Value::Null, canary]);
}

#[test]
fn an_address_that_no_worker_has_and_a_wrong_question_are_errors_with_names() {
    let now = snapshot(NOW);
    let unknown = ask(&now, "workers", "ip=10.0.0.11&ip=10.9.9.9").unwrap_err();
    assert_eq!(unknown, NotAnswered::UnknownAddress("10.9.9.9".to_owned()));
    for (path, query) in [
        ("workers", "ip=here"),
        ("workers", "idle=perhaps"),
        ("instances", "window=5m"),
        ("workers/usage", "window=2h"),
        ("workers/usage", "window=0s"),
        ("workers/usage", "resource=cpu,disk"),
    ] {
        let refused = ask(&now, path, query).unwrap_err();
        assert!(matches!(refused, NotAnswered::Question { .. }), "{query}");
    }
}

#[test]
fn use_is_told_in_numbers_of_the_resources_that_were_asked_for() {
    let mut snapshot = snapshot(NOW);
    let counters = |busy: f64| HostCounters {
        cpu: Some(crate::model::CpuTime {
            busy,
            idle: 100.0 - busy,
            waiting: 0.0,
        }),
        memory_usage_ratio: Some(0.2),
        ..HostCounters::default()
    };
    let first = HostUse::next(
        None,
        at(NOW - 100),
        HostCounters {
            cpu: Some(crate::model::CpuTime::default()),
            ..counters(0.0)
        },
    );
    let used = HostUse::next(Some(&first), at(NOW), counters(95.0));
    let hosts = [(HostName::new("ours"), used)].into();
    snapshot.hosts = Arc::new(Observed::known(at(NOW), hosts));
    let query = "ip=10.0.0.11&ip=10.0.0.30&window=5m&resource=CPU,mem,iops";
    let rows = ask(&snapshot, "workers/usage", query).unwrap();
    let expected = json!({"ip": "10.0.0.11", "host": "ours", "times": "5m", "seconds": 100.0, "why": null,
        "CPU": 95.0, "mem": 20.0, "IOPS": null});
    assert_eq!(rows[0], expected);
    assert_eq!(rows[1]["CPU"], Value::Null);
    assert_eq!(rows[1]["why"], json!("it is not ours: nobody reads it"));
    assert_eq!(rows[1].get("net"), None);
}
