use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use obs_sim::obs::{Fault, Faults, NewHost, Options, Part, Simulator};

use super::obs::{get, request, send, small_farm};

const PATH: &str = "/workerstatus";

async fn with(fault: Fault) -> obs_sim::obs::Running {
    let farm = small_farm().await;
    farm.set_faults(Faults::one(Part::WorkerStatus, fault));
    farm
}

#[tokio::test]
async fn a_document_is_cut_off_with_its_connection_or_truncated_as_if_it_were_whole() {
    let farm = with(Fault::CutOff).await;
    let cut = get(farm.addr, PATH).await;
    assert!(
        cut.length.unwrap() > cut.body.len() && !cut.body.is_empty(),
        "{cut:?}"
    );
    farm.set_faults(Faults::one(Part::WorkerStatus, Fault::Truncated));
    let short = get(farm.addr, PATH).await;
    assert_eq!(short.length, Some(cut.length.unwrap() / 2));
    assert_eq!(short.body.len(), cut.length.unwrap() / 2);
    farm.set_faults(Faults::default());
    assert_eq!(get(farm.addr, PATH).await.length, cut.length);
}

#[tokio::test]
async fn a_route_that_hangs_answers_nothing_and_the_others_do() {
    let farm = with(Fault::Hang).await;
    let addr = farm.addr;
    let hung = tokio::spawn(async move { send(addr, "GET", PATH, "").await });
    assert_eq!(
        get(addr, "/build/openEuler:Mainline/_result").await.status,
        200
    );
    let patience = Duration::from_millis(100);
    tokio::time::sleep(patience).await;
    assert!(!hung.is_finished());
    farm.set_faults(Faults::default());
    assert!(hung.await.unwrap().is_none(), "it never gets an answer");
    assert_eq!(get(addr, PATH).await.status, 200);
}

#[tokio::test]
async fn a_route_fails_lies_and_talks_nonsense_as_asked() {
    let farm = with(Fault::Status500).await;
    let failed = get(farm.addr, PATH).await;
    assert_eq!(failed.status, 500);
    assert!(
        failed.body.starts_with("<status code=\"500\">"),
        "{}",
        failed.body
    );
    farm.set_faults(Faults::one(Part::WorkerStatus, Fault::Empty));
    let lie = get(farm.addr, PATH).await;
    assert!(
        lie.body.starts_with("<workerstatus clients=\"0\">"),
        "{}",
        lie.body
    );
    assert!(
        !lie.body.contains("workerid") && lie.body.contains("<daemon"),
        "{}",
        lie.body
    );
    farm.set_faults(Faults::one(Part::WorkerStatus, Fault::Garbage));
    let garbage = get(farm.addr, PATH).await;
    assert_eq!(garbage.status, 200);
    assert!(garbage.body.starts_with("<html>"), "{}", garbage.body);
}

#[tokio::test]
async fn a_frozen_route_repeats_its_first_answer() {
    let farm = with(Fault::Frozen).await;
    let first = get(farm.addr, PATH).await.body;
    farm.attach(&NewHost::new("late", "x86_64", 1));
    assert_eq!(get(farm.addr, PATH).await.body, first);
    farm.set_faults(Faults::default());
    assert!(get(farm.addr, PATH).await.body.contains("late:1"));
}

#[tokio::test]
async fn a_slow_route_sends_the_whole_in_ten_seconds() {
    let farm = small_farm().await;
    let whole = get(farm.addr, PATH).await.body;
    farm.set_faults(Faults(BTreeMap::from([(Part::WorkerStatus, Fault::Slow)])));
    let start = Instant::now();
    assert_eq!(get(farm.addr, PATH).await.body, whole);
    assert!(start.elapsed() > Duration::from_secs(9));
}

#[tokio::test]
async fn faults_are_set_over_http_and_unknown_ones_refused() {
    let farm = small_farm().await;
    let set = send(farm.addr, "PUT", "/_sim/faults", r#"{"result": "cutoff"}"#).await;
    assert_eq!(set.unwrap().body, r#"{"result":"cutoff"}"#);
    assert_eq!(
        get(farm.addr, "/_sim/faults").await.body,
        r#"{"result":"cutoff"}"#
    );
    for wrong in [r#"{"result": "sulks"}"#, r#"{"everything": "hang"}"#] {
        let refused = send(farm.addr, "PUT", "/_sim/faults", wrong).await.unwrap();
        assert_eq!(refused.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_frontend_wants_credentials_and_is_minutes_behind() {
    let options = Options {
        frontend: Some("robot:secret".to_owned()),
        ..Options::default()
    };
    let farm = Simulator::start(options).await.unwrap();
    let ask = async |path, credentials| {
        let answer = request(farm.addr, "GET", path, "", credentials).await;
        answer.unwrap()
    };
    for path in ["/worker/_status", "/build/_workerstatus", "/worker/status"] {
        assert_eq!(ask(path, None).await.status, 401);
        assert_eq!(ask(path, Some("robot:wrong")).await.status, 401);
        let status = ask(path, Some("robot:secret")).await;
        assert_eq!(status.status, 200);
        assert!(status.body.contains("srcserver"), "{}", status.body);
        farm.attach(&NewHost::new("late", "x86_64", 1));
    }
    let status = ask("/worker/_status", Some("robot:secret")).await.body;
    assert!(!status.contains("late:1"), "{status}");
    assert_eq!(ask("/workerstatus", Some("robot:secret")).await.status, 400);
}
