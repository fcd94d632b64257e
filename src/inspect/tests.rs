use super::*;
use crate::model::{FlavorName, HostName, ServerId, Vcpus};
use crate::policy::fixtures::Farm;
use jiff::Timestamp;
use std::collections::BTreeMap;

fn worker() -> Worker {
    Worker {
        host: HostName::new("w-1"),
        ip: Some("10.0.0.11".parse().unwrap()),
        arch: None,
        managed: Some(false),
        server: None,
        member: None,
        pool: None,
        level: None,
        in_service: true,
        instances: None,
        using: None,
        waits_for: None,
    }
}

fn same(check: Check, what: &str, found: u32, expected: u32) -> Finding {
    Finding::same(check, what, found, Some(expected))
}

fn told(findings: &[Finding]) -> Value {
    as_json(&worker(), &Ok(None), findings)
}

#[test]
fn each_mismatch_with_the_configuration_is_named_with_numbers() {
    let row = told(&[
        same(Check::Machine, "vcpus", 2, 32),
        Finding::same(Check::Machine, "ram", 62, None::<u32>),
        same(Check::Config, "OBS_WORKER_INSTANCES", 7, 7),
        same(Check::Config, "OBS_WORKER_JOBS", 8, 32),
    ]);
    let named = json!([{"name": "vcpus", "found": 2, "expected": 32},
        {"name": "jobs", "found": 8, "expected": 32}]);
    assert_eq!(row["mismatches"], named);
    assert_eq!(
        (&row["consistency_result"], &row["ok"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(row["service_OK"], Value::Null);
}

#[test]
fn a_service_is_healthy_or_not_and_why() {
    let unit = |found: &str| Finding::same(Check::Service, "unit", found, Some("active"));
    let healthy = told(&[unit("active"), same(Check::Service, "instances", 7, 7)]);
    assert_eq!(
        (&healthy["service_OK"], &healthy["why"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(healthy["ok"], json!(true));
    let sick = told(&[unit("failed"), same(Check::Service, "instances", 0, 7)]);
    assert_eq!(
        (&sick["service_OK"], &sick["why"]),
        (&json!(1), &json!("unit failed"))
    );
}

#[test]
fn a_worker_that_was_not_reached_is_neither_healthy_nor_consistent_nor_otherwise() {
    let lost = Finding::unknown(Check::Session, "ssh", "connection refused");
    let row = told(&[lost]);
    for key in ["service_OK", "consistency_result"] {
        assert_eq!(row[key], Value::Null, "{key}");
    }
    assert_eq!(row["why"], json!("ssh connection refused"));
    assert_eq!(
        (&row["ok"], &row["status"]),
        (&json!(false), &json!("other"))
    );
}

fn record(flavor: &str, status: ServerStatus) -> ProjectServer {
    ProjectServer {
        id: ServerId::new("w-1"),
        name: HostName::new("w-1"),
        ips: Vec::new(),
        status,
        flavor: FlavorName::new(flavor),
        vcpus: Vcpus(32),
        zone: None,
        created: Timestamp::UNIX_EPOCH,
        charging: None,
        tags: BTreeMap::new(),
    }
}

/// A worker of pool `x-l1` (flavor `x86_64.32`, 7 instances) of which OBS lists so many.
fn farm(instances: u32) -> Farm {
    let mut farm = Farm::new();
    farm.worker("x-l1", "w-1", instances);
    farm
}

fn asked<T>(farm: &Farm, ask: impl FnOnce(&View<'_>, &Worker) -> T) -> T {
    farm.see(|view| ask(view, roster::roster(view).first().unwrap()))
}

fn verdicts(findings: &[Finding]) -> Vec<(&str, Verdict)> {
    let each = findings.iter();
    each.map(|f| (&*f.what, f.verdict)).collect()
}

#[test]
fn what_the_cloud_has_of_a_worker_is_held_against_its_pool() {
    use Verdict::{Right, Unknown, Wrong};
    let farm = farm(7);
    let said = |record: &Record<'_>| asked(&farm, |view, worker| of_cloud(view, worker, record));
    let has = |flavor, status| said(&Ok(Some(&record(flavor, status))));
    assert_eq!(
        verdicts(&has("x86_64.32", ServerStatus::Active)),
        [("status", Right), ("flavor", Right)]
    );
    let other = has("x86_64.64", ServerStatus::Active);
    assert_eq!(verdicts(&other), [("status", Right), ("flavor", Wrong)]);
    let fact = |fact: &Option<Fact>| fact.as_ref().map(Fact::as_json);
    let words = (fact(&other[1].found), fact(&other[1].expected));
    assert_eq!(words, (Some(json!("x86_64.64")), Some(json!("x86_64.32"))));
    assert_eq!(
        verdicts(&has("x86_64.32", ServerStatus::Building)),
        [("status", Wrong), ("flavor", Right)]
    );
    assert_eq!(verdicts(&said(&Ok(None))), [("status", Wrong)]);
    let lost = said(&Err("no answer".to_owned()));
    assert_eq!(verdicts(&lost), [("status", Unknown)]);
}

#[test]
fn the_cloud_need_not_have_a_worker_that_is_not_ours() {
    let said = farm(7).see(|view| of_cloud(view, &worker(), &Ok(None)));
    assert_eq!(verdicts(&said), []);
}

#[test]
fn the_instances_that_a_backend_lists_are_counted_and_unknown_where_it_is_not_read() {
    let said = |farm: &Farm, expect| {
        let all = asked(farm, |view, worker| of_obs(view, worker, expect));
        assert_eq!(all[0].what, "instances at main");
        verdicts(&all)[0].1
    };
    let five = Expect {
        instances: Some(5),
        ..Expect::default()
    };
    let usual = Expect::default();
    assert_eq!(said(&farm(7), usual), Verdict::Right);
    assert_eq!(said(&farm(6), usual), Verdict::Wrong);
    assert_eq!(said(&farm(7), five), Verdict::Wrong);
    assert_eq!(said(&farm(5), five), Verdict::Right);
    let mut old = farm(7);
    old.backend("main").workers_at = 0;
    assert_eq!(said(&old, usual), Verdict::Unknown);
}
