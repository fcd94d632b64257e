//! `/metrics`: what is asked for, and clients that do not read.

use super::super::scrape::MAX_SCRAPES;
use super::connections::*;
use super::*;
use crate::model::Results;

/// A farm whose page takes tens of megabytes, many times what sockets hold.
fn large() -> Snapshot {
    let key = |n: u32| (format!("P:{n}"), "r".repeat(300), "aarch64", "succeeded");
    let key = |n| {
        let (project, repository, arch, code) = key(n);
        (project, repository, arch.to_owned(), code.to_owned())
    };
    let results = Results {
        jobs: vec![],
        packages: (0..50_000).map(|n| (key(n), 1)).collect(),
    };
    let view = BackendView {
        results: Observed::known(now(), results),
        ..BackendView::default()
    };
    Snapshot {
        backends: BTreeMap::from([(BackendName::new("a"), view.into())]),
        ..Snapshot::default()
    }
}

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

fn patience(stall: Duration, drain: Duration) -> Patience {
    Patience {
        head: LONG,
        stall,
        drain,
    }
}

/// Asks for a page and reads only the beginning of the answer.
async fn begin_to_read(client: &mut TcpStream) {
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

/// Waits until no scrape is under way; every place is given back only when the answer is dropped.
async fn all_ended(app: &App) {
    let all = u32::try_from(MAX_SCRAPES).unwrap();
    let places = tokio::time::timeout(LONG, app.scrapes.places().acquire_many(all)).await;
    assert!(places.is_ok(), "a scrape is still under way");
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let app = app(Snapshot::default());
    let accept = [(
        "accept",
        "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5",
    )];
    let (_, page) = send(&app, "GET", "/metrics", &accept, "").await;
    assert!(page.ends_with("# EOF\n"), "{page}");
    let (_, page) = get(&app, "/metrics").await;
    assert!(
        page.contains("# TYPE obs_scaler_build_info gauge") && !page.contains("EOF"),
        "{page}"
    );
}

#[tokio::test]
async fn a_page_is_packed_for_who_accepts_that_and_says_so() {
    let app = app(Snapshot::default());
    for (accept, coding) in [("gzip", Some("gzip")), ("gzip;q=0", None), ("br", None)] {
        for method in ["GET", "HEAD"] {
            let request = Request::builder().method(method).uri("/metrics");
            let request = request.header("accept-encoding", accept);
            let answer = app
                .answer(request.body(Full::<Bytes>::default()).unwrap())
                .await;
            let headers = answer.headers();
            let found = headers.get("content-encoding").map(|v| v.to_str().unwrap());
            assert_eq!(found, coding, "{method} {accept}");
            assert_eq!(headers["vary"], "accept, accept-encoding");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let packed = body.starts_with(&[0x1f, 0x8b]);
            assert_eq!(
                packed,
                coding.is_some() && method == "GET",
                "{method} {accept}"
            );
            assert_eq!(body.is_empty(), method == "HEAD");
        }
    }
}

#[tokio::test]
async fn the_head_of_a_page_tells_no_length() {
    let (mut client, _cancel, _server) = serving(LONG).await;
    let request = b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("content-length"), "{answer}");
}

#[tokio::test]
async fn scrapes_beyond_the_limit_are_refused_until_one_ends() {
    let app = app(large());
    let mut under_way = Vec::new();
    for _ in 0..MAX_SCRAPES {
        let request = Request::get("/metrics").body(Full::<Bytes>::default());
        under_way.push(app.answer(request.unwrap()).await);
    }
    let (status, said) = get(&app, "/metrics").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{said}");
    under_way.pop();
    assert_eq!(get(&app, "/metrics").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_let_go() {
    let app = Arc::new(app(large()));
    let (mut client, _cancel, _server) = serving_app(Arc::clone(&app), patience(SHORT, LONG)).await;
    begin_to_read(&mut client).await;
    all_ended(&app).await;
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_for_the_whole_page_is_let_go() {
    let app = Arc::new(app_within(large(), SHORT));
    let (mut client, _cancel, _server) = serving_app(Arc::clone(&app), patience(LONG, LONG)).await;
    begin_to_read(&mut client).await;
    tokio::time::sleep(SHORT).await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(LONG, client.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "the page was whole all the same"
    );
    all_ended(&app).await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_scrape() {
    let app = Arc::new(app(large()));
    let (mut client, _cancel, _server) = serving_app(Arc::clone(&app), patience(LONG, LONG)).await;
    begin_to_read(&mut client).await;
    drop(client);
    all_ended(&app).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_hold_up_the_end() {
    let app = Arc::new(app(large()));
    let (mut client, cancel, server) = serving_app(Arc::clone(&app), patience(LONG, SHORT)).await;
    begin_to_read(&mut client).await;
    cancel.cancel();
    let ended = tokio::time::timeout(LONG / 2, server).await;
    assert!(ended.is_ok(), "the server still serves");
    all_ended(&app).await;
}
