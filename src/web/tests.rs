mod answers;
mod connections;
mod people;
mod scrapes;

use super::routes::Answer;
use super::*;
use crate::metrics::{Configured, FleetCollector, FleetState, Metrics, Own, Source};
use crate::model::{Action, Alarms, BackendName, BackendView, Observed, PoolName, Snapshot, Vcpus};
use answers::Echo;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "s3cret-token";
const GROUPED: &str = include_str!("../../tests/data/alertmanager/grouped_firing_2.json");
const RESOLVED: &str = include_str!("../../tests/data/alertmanager/grouped_resolved_1.json");
const TRUNCATED: &str = include_str!("../../tests/data/alertmanager/truncated_firing_1.json");
const WATCHDOG: &str = include_str!("../../tests/data/alertmanager/watchdog_firing_1.json");

/// A little after the captured alerts began.
const NOW: &str = "2026-11-22T20:00:30Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn name() -> PoolName {
    PoolName::try_from("aarch64-l1").unwrap()
}

#[derive(Debug)]
struct Seen(Snapshot);

impl Source for Seen {
    fn state(&self) -> FleetState {
        FleetState {
            now: now(),
            snapshot: Arc::new(self.0.clone()),
            ledger: Arc::default(),
            alarms: Alarms::default(),
            checks: Arc::default(),
            costs: None,
            pools: BTreeMap::new(),
        }
    }
}

fn app(snapshot: Snapshot) -> App {
    app_within(snapshot, super::scrape::SCRAPE_TIMEOUT)
}

fn app_within(snapshot: Snapshot, scrape: Duration) -> App {
    let mut registry = Registry::default();
    let own = Own::register(&mut registry, &BTreeMap::new(), &[]);
    let source = Arc::new(Seen(snapshot));
    let configured = Configured {
        pools: BTreeMap::new(),
        projects: BTreeMap::new(),
        ceiling: Vcpus(0),
        max_age: Duration::from_secs(120),
        workers_cached_for: BTreeMap::new(),
    };
    let farm = FleetCollector::new(configured, Arc::clone(&source) as _);
    App {
        doorbell: Doorbell {
            tokens: Tokens::new(&[SecretString::from(TOKEN)]),
            max_body_bytes: 4096,
            pools: [name()].into(),
            alarms: watch::Sender::default(),
            wake: Arc::new(Notify::new()),
            own,
            places: Semaphore::new(AT_ONCE),
            stopping: CancellationToken::new(),
        },
        scrapes: Scrapes::within(Metrics::new(registry, farm), scrape),
        source,
        answers: Arc::new(Echo { stale: false }),
        people: Arc::new(people::Desk),
    }
}

/// The body of a capture, its alerts labelled as our rules do: with the pool.
fn notification(capture: &str) -> Value {
    let mut body = serde_json::from_str::<Value>(capture).unwrap()["body"].take();
    for alert in body["alerts"].as_array_mut().unwrap() {
        let labels = alert["labels"].as_object_mut().unwrap();
        if let (Some(arch), Some(level)) = (labels.get("arch"), labels.get("level")) {
            let pool = format!("{}-{}", arch.as_str().unwrap(), level.as_str().unwrap());
            labels.insert("pool".to_owned(), json!(pool));
        }
    }
    body
}

fn ring(app: &App, body: &Value) -> Taken {
    app.doorbell
        .ring(body.to_string().as_bytes(), now())
        .unwrap()
}

/// Whether the reconciler was woken since the last call.
async fn woken(app: &App) -> bool {
    let long = Duration::from_millis(20);
    tokio::time::timeout(long, app.doorbell.wake.notified())
        .await
        .is_ok()
}

fn held(app: &App) -> usize {
    app.doorbell.alarms.borrow().iter().count()
}

async fn send(
    app: &App,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::<Bytes>::from(body.to_owned());
    let answer = app.answer(request.body(body).unwrap()).await;
    let status = answer.status();
    (status, text(answer).await)
}

async fn text(answer: Answer) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn post(app: &App, token: &str, body: &str) -> (StatusCode, String) {
    send(
        app,
        "POST",
        "/api/v1/alerts",
        &[("authorization", &format!("Bearer {token}"))],
        body,
    )
    .await
}

async fn get(app: &App, path: &str) -> (StatusCode, String) {
    send(app, "GET", path, &[], "").await
}

async fn counted(app: &App, series: &str) -> bool {
    get(app, "/metrics")
        .await
        .1
        .lines()
        .any(|line| line == series)
}

#[tokio::test]
async fn a_notification_ten_times_or_from_two_alertmanagers_is_one_alarm() {
    let app = app(Snapshot::default());
    let mut body = notification(GROUPED);
    assert_eq!(ring(&app, &body).taken, 1);
    for _ in 0..9 {
        assert_eq!(ring(&app, &body).taken, 0);
    }
    body["externalURL"] = json!("http://other:9093");
    assert_eq!(ring(&app, &body).repeated, 1);
    assert_eq!(held(&app), 1);
    assert!(app.doorbell.alarms.borrow().rings(Action::Apply, &name()));
    assert!(woken(&app).await);
    assert!(counted(&app, "obs_scaler_webhooks_total{outcome=\"duplicate\"} 10").await);
}

#[tokio::test]
async fn an_alert_for_a_pool_that_is_not_configured_is_refused_and_the_others_are_taken() {
    let app = app(Snapshot::default());
    let taken = ring(&app, &notification(GROUPED));
    assert_eq!((taken.taken, taken.refused.len()), (1, 4), "{taken:?}");
    assert!(
        counted(
            &app,
            "obs_scaler_webhook_alerts_total{outcome=\"refused\"} 4"
        )
        .await
    );
}

#[tokio::test]
async fn an_alert_that_starts_in_the_future_is_refused() {
    let app = app(Snapshot::default());
    let mut body = notification(GROUPED);
    body["alerts"][0]["startsAt"] = json!("2026-11-22T20:01:31Z");
    assert_eq!(ring(&app, &body).refused.len(), 5);
    assert_eq!(held(&app), 0);
    body["alerts"][0]["startsAt"] = json!("2026-11-22T20:01:29Z");
    assert_eq!(ring(&app, &body).taken, 1);
}

#[tokio::test]
async fn resolved_clears_the_alarm_and_asks_for_nothing() {
    let app = app(Snapshot::default());
    ring(&app, &notification(GROUPED));
    let taken = ring(&app, &notification(RESOLVED));
    assert_eq!((taken.cleared, held(&app)), (1, 0));
    assert!(!app.doorbell.alarms.borrow().rings(Action::Release, &name()));
}

#[tokio::test]
async fn a_member_that_resolved_in_a_firing_group_is_resolved() {
    let app = app(Snapshot::default());
    ring(&app, &notification(GROUPED));
    let mut body = notification(GROUPED);
    body["alerts"][0]["status"] = json!("resolved");
    assert_eq!(body["status"], "firing");
    assert_eq!(ring(&app, &body).cleared, 1);
    assert_eq!(held(&app), 0);
}

#[tokio::test]
async fn the_watchdog_is_noted_and_alerts_for_others_are_ignored() {
    let app = app(Snapshot::default());
    assert_eq!(ring(&app, &notification(WATCHDOG)).watchdog, 1);
    assert_eq!(app.doorbell.alarms.borrow().watchdog(), Some(now()));
    let mut other = notification(WATCHDOG);
    other["alerts"][0]["labels"]["alertname"] = json!("DiskFull");
    assert_eq!(ring(&app, &other).ignored, 1);
    assert!(!woken(&app).await);
}

#[tokio::test]
async fn a_notification_that_was_cut_off_wakes_the_reconciler_and_is_counted() {
    let app = app(Snapshot::default());
    let mut body = notification(TRUNCATED);
    body["alerts"] = json!([]);
    assert_eq!(ring(&app, &body).truncated, 2);
    assert!(woken(&app).await);
    assert!(
        counted(
            &app,
            "obs_scaler_webhook_alerts_total{outcome=\"truncated\"} 2"
        )
        .await
    );
}

#[tokio::test]
async fn who_has_no_token_is_turned_away_and_the_token_is_not_told() {
    let app = app(Snapshot::default());
    let body = notification(GROUPED).to_string();
    for wrong in ["", "s3cret", "s3cret-tokenn"] {
        let (status, said) = post(&app, wrong, &body).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{wrong}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    assert_eq!(held(&app), 0);
    assert!(!format!("{app:?} {:?}", app.doorbell).contains("s3cret"));
    assert!(
        counted(
            &app,
            "obs_scaler_webhooks_total{outcome=\"unauthorized\"} 3"
        )
        .await
    );
}

#[tokio::test]
async fn what_can_never_succeed_is_a_4xx_and_says_why() {
    let app = app(Snapshot::default());
    let mut old = notification(GROUPED);
    old["version"] = json!("3");
    for (body, why) in [
        ("{\"version\":", "EOF"),
        (&*old.to_string(), "its version is \\\"3\\\""),
        ("[]", "version 4"),
    ] {
        let (status, said) = post(&app, TOKEN, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(said.contains(why), "{said}");
    }
    let (status, _) = post(&app, TOKEN, &" ".repeat(4097)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(counted(&app, "obs_scaler_webhooks_total{outcome=\"malformed\"} 3").await);
}

#[tokio::test]
async fn what_may_succeed_later_is_a_503() {
    let app = app(Snapshot::default());
    let body = notification(WATCHDOG).to_string();
    let others = app
        .doorbell
        .places
        .acquire_many(AT_ONCE as u32)
        .await
        .unwrap();
    let (status, _) = post(&app, TOKEN, &body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    drop(others);
    assert_eq!(post(&app, TOKEN, &body).await.0, StatusCode::OK);
    app.doorbell.stopping.cancel();
    assert_eq!(
        post(&app, TOKEN, &body).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(get(&app, "/metrics").await.0, StatusCode::OK);
    assert!(counted(&app, "obs_scaler_webhooks_total{outcome=\"overloaded\"} 2").await);
}

#[tokio::test]
async fn ready_waits_for_every_source_and_names_the_missing_ones() {
    let failing = Observed::default().failed(now(), "connection refused".to_owned());
    let mut view = BackendView {
        workers: Observed::known(now(), Default::default()),
        results: failing,
        history: Observed::known(now(), ()),
        ..BackendView::default()
    };
    let snapshot = |view: &BackendView| Snapshot {
        backends: BTreeMap::from([(BackendName::new("a"), Arc::new(view.clone()))]),
        fleet: Arc::new(Observed::known(now(), Default::default())),
        market: Arc::default(),
        hosts: Arc::default(),
        build_times: Arc::default(),
    };
    let (status, said) = get(&app(snapshot(&view)), "/-/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(said, "a: results never read: connection refused\n");
    view.results = Observed::known(now(), Default::default()).failed(now(), "timed out".to_owned());
    assert_eq!(
        get(&app(snapshot(&view)), "/-/ready").await.0,
        StatusCode::OK
    );
    let (_, said) = get(&app(Snapshot::default()), "/-/ready").await;
    assert_eq!(said, "ecs never read: not yet\n");
}

#[tokio::test]
async fn each_route_answers_its_method_and_no_other() {
    let app = app(Snapshot::default());
    for path in [
        "/",
        "/metrics",
        "/-/healthy",
        "/api/v1/sd",
        "/api/v1/plan/apply",
        "/api/v1/plan/release",
    ] {
        assert_eq!(get(&app, path).await.0, StatusCode::OK, "{path}");
        assert_eq!(
            post_to(&app, path).await,
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD".to_owned())
        );
    }
    let (status, _) = get(&app, "/api/v1/alerts").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    for path in ["/metric", "/metrics/", "//"] {
        assert_eq!(get(&app, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

async fn post_to(app: &App, path: &str) -> (StatusCode, String) {
    let request = Request::post(path).body(Full::<Bytes>::default()).unwrap();
    let answer = app.answer(request).await;
    let allow = answer.headers()["allow"].to_str().unwrap().to_owned();
    (answer.status(), allow)
}

#[tokio::test]
async fn the_release_plan_takes_checks_and_interval_and_refuses_what_it_does_not_know() {
    let app = app(Snapshot::default());
    let (_, said) = get(&app, "/api/v1/plan/release?checks=3&interval=1m30s").await;
    assert_eq!(said, "{\"checks\":3,\"interval\":90}");
    let (_, said) = get(&app, "/api/v1/plan/release").await;
    assert_eq!(said, "{\"checks\":null,\"interval\":null}");
    for query in [
        "checks=0",
        "checks=-1",
        "interval=5",
        "interval=-5s",
        "check=3",
    ] {
        let (status, said) = get(&app, &format!("/api/v1/plan/release?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {said}");
    }
}
