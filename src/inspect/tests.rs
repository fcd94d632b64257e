use super::*;

fn worker() -> Worker {
    Worker {
        host: crate::model::HostName::new("w-1"),
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
