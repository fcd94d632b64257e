//! What people ask of workers: the daemon's answers on the command line, and a look at a worker over ssh that changes
//! nothing there.

use crate::adoption::Farm;
use crate::ssh::{checked, expected, settings};
use crate::sshd::Machine;
use obs_scaler::clock::Clock;
use obs_scaler::ssh::{CheckOutcome, Expected, ExpectedService, Finding, Verdict, look};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn looked(machine: &Machine, expected: &Expected) -> Vec<Finding> {
    let (access, host) = (machine.access("client"), machine.pinned("host"));
    let service = ExpectedService::of(settings());
    look(&access, &host, expected, &service, Clock::default().now()).await
}

/// The names of what is not right.
fn wrong(findings: &[Finding]) -> Vec<&str> {
    let bad = |f: &&Finding| matches!(f.verdict, Verdict::Wrong | Verdict::Unknown);
    findings.iter().filter(bad).map(|f| &*f.what).collect()
}

#[tokio::test]
async fn a_look_finds_everything_that_is_wrong_and_mends_nothing() {
    let machine = Machine::boot();
    machine.command("nproc", "echo 2");
    machine.command("date", "echo 1000");
    machine.write("obs-server", "OBS_WORKER_JOBS=\"1\"\n");
    let wanted = Expected {
        vcpus: Some(32),
        ..expected()
    };
    let found = looked(&machine, &wanted).await;
    assert_eq!(
        wrong(&found),
        [
            "vcpus",
            "seconds off",
            "OBS_SRC_SERVER",
            "OBS_REPO_SERVERS",
            "OBS_WORKER_INSTANCES",
            "OBS_WORKER_JOBS",
            "unit",
            "instances"
        ]
    );
    assert_eq!(machine.read("log"), "");
    assert_eq!(machine.read("obs-server"), "OBS_WORKER_JOBS=\"1\"\n");
}

#[tokio::test]
async fn a_worker_that_passed_its_checks_is_found_right_by_a_look() {
    let machine = Machine::boot();
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    let before = (machine.read("log"), machine.read("obs-server"));
    let found = looked(&machine, &expected()).await;
    assert_eq!(wrong(&found), [""; 0], "{found:?}");
    assert_eq!((machine.read("log"), machine.read("obs-server")), before);
}

#[tokio::test]
async fn what_can_only_be_looked_at_is_right_before_anything_is_set_or_started() {
    let machine = Machine::boot();
    machine.command("date", "echo 1000");
    let outcome = checked(&machine).await;
    let CheckOutcome::Failed { check, found, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(check.as_str(), "clock", "{found}");
    assert_eq!(machine.read("log") + &machine.read("obs-server"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_tells_what_its_workers_are_and_names_what_it_does_not_know() {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let farm = Farm::start().await;
    let daemon = farm.serve();
    daemon.until("serving listen=").await;
    let ask = async |arguments: &[&str]| {
        let arguments = [arguments, &["-o", "json"]].concat();
        let (code, stdout, stderr) = farm.run(&arguments).await;
        let answer: Value = serde_json::from_str(&stdout).unwrap_or_default();
        (code, answer, stderr)
    };
    let end = Instant::now() + Duration::from_secs(30);
    let list = loop {
        let (code, list, stderr) = ask(&["worker", "list"]).await;
        assert_eq!(code, Some(0), "{stderr}");
        let first = &list[0]["workers"][0];
        if first["managed"] == json!(false) && first["idle"] == json!(true) {
            break list;
        }
        assert!(Instant::now() < end, "{list}");
    };
    let ip = list[0]["aarch64"][0].as_str().unwrap().to_owned();

    let (_, rows, _) = ask(&["worker", "instances", &ip]).await;
    assert_eq!(rows[0]["instance_all"], json!(7), "{rows}");
    let (_, idle, _) = ask(&["instance", "idle"]).await;
    let sum: u64 = ["l1", "l2", "l3"]
        .iter()
        .map(|level| idle[0]["aarch64"][level].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 7, "{idle}");

    let (code, rows, stderr) = ask(&["worker", "check", &ip]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(rows[0]["service_OK"], Value::Null, "{rows}");
    assert!(
        rows[0]["why"].as_str().unwrap().contains("known_hosts"),
        "{rows}"
    );
    let (code, _, stderr) = ask(&["worker", "instances", "192.0.2.1"]).await;
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("no worker has the address 192.0.2.1"),
        "{stderr}"
    );
    let (code, _, stderr) = ask(&["worker", "usage", &ip]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("hosts.resource_use is none"), "{stderr}");
    drop(daemon);
    farm.stop().await;
}
