use super::*;
use crate::model::BackendView;
use crate::model::{Job, JobState};
use crate::obs::testing::{Answer as Reply, backend, serve};
use std::sync::{Arc, Mutex};

const REASON: &str = "<reason><explain>new build</explain><time>1795377823</time></reason>";
const ASKS: &str = "<constraints><hardware><processors>8</processors></hardware></constraints>";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn job(package: &str, state: JobState) -> Job {
    let key = PackageKey {
        project: "P".to_owned(),
        repository: "r".to_owned(),
        arch: "x86_64".to_owned(),
        package: package.to_owned(),
    };
    let seen_waiting = (state == JobState::Scheduled).then(|| at(5));
    Job {
        key,
        state,
        seen_waiting,
    }
}

/// A source that reads what these jobs ask, and the routes that it asked for.
async fn source(jobs: Vec<Job>) -> (NeedsSource, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let server = serve(move |route| {
        noted.lock().unwrap().push(route.clone());
        async move {
            match route {
                r if r.contains("/broken") => Reply::with(500, ""),
                r if r.contains("/gcc/_constraints") => Reply::ok(ASKS),
                r if r.contains("_constraints") => Reply::with(404, "<status code='404'/>"),
                r if r.contains("_reason") => Reply::ok(REASON),
                _ => Reply::ok("Prefer: gcc\n"),
            }
        }
    });
    let backend = backend("b", server.await);
    let client = ObsClient::new(&backend, Duration::from_secs(60)).unwrap();
    let results = Results {
        jobs,
        ..Results::default()
    };
    let view = BackendView {
        workers: Observed::known(at(0), Workers::default()),
        results: Observed::known(at(0), results),
        ..BackendView::default()
    };
    let snapshot = Snapshot {
        backends: BTreeMap::from([(BackendName::new("b"), Arc::new(view))]),
        ..Snapshot::default()
    };
    let snapshot = watch::Sender::new(snapshot);
    (NeedsSource::new(client, snapshot), asked)
}

fn package(name: &str) -> (String, String) {
    ("P".to_owned(), name.to_owned())
}

#[tokio::test]
async fn what_waits_or_is_blocked_is_asked_for_once_and_flavors_share_a_file() {
    let jobs = vec![
        job("gcc", JobState::Scheduled),
        job("gcc:cross", JobState::Blocked),
        job("zlib", JobState::Blocked),
        job("built", JobState::Building),
    ];
    let (mut source, asked) = source(jobs).await;
    let known = source.read(at(10)).await.unwrap();
    assert_eq!(known.packages.len(), 2);
    let asks = known.packages[&package("gcc")].base.hardware.as_ref();
    assert_eq!(asks.unwrap().processors, Some(8));
    let none = PackageConstraints::default();
    assert_eq!(
        known.packages[&package("zlib")],
        none,
        "404 is no constraints"
    );
    let ready: Vec<_> = known.ready.values().copied().collect();
    assert_eq!((ready, known.unread), (vec![at(1_795_377_823)], 0));

    let mut routes = std::mem::take(&mut *asked.lock().unwrap());
    routes.sort();
    let expected = [
        "/build/P/r/_buildconfig",
        "/build/P/r/x86_64/gcc/_reason",
        "/source/P/gcc/_constraints?expand=1",
        "/source/P/zlib/_constraints?expand=1",
    ];
    assert_eq!(routes, expected);
    source.read(at(609)).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 0, "all of it is known");
    source.read(at(610)).await.unwrap();
    assert_eq!(
        asked.lock().unwrap().len(),
        3,
        "a job's readiness does not change"
    );
}

#[tokio::test]
async fn what_fails_is_unread_and_keeps_nothing_else_from_being_read() {
    let jobs = vec![
        job("broken", JobState::Blocked),
        job("gcc", JobState::Blocked),
    ];
    let (mut source, _) = source(jobs).await;
    let known = source.read(at(10)).await.unwrap();
    assert_eq!(known.unread, 1);
    assert!(known.packages.contains_key(&package("gcc")));
    assert!(!known.packages.contains_key(&package("broken")));
}

#[tokio::test]
async fn a_long_queue_is_read_over_several_polls() {
    let jobs = (0..250).map(|n| job(&format!("p{n}"), JobState::Blocked));
    let (mut source, asked) = source(jobs.collect()).await;
    let first = source.read(at(10)).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), MOST_REQUESTS);
    assert_eq!(first.unread, 51, "250 packages and their configuration");
    assert_eq!(source.read(at(20)).await.unwrap().unread, 0);
}

#[tokio::test]
async fn many_that_fail_keep_no_other_from_being_read() {
    let failing = (0..250).map(|n| job(&format!("broken{n}"), JobState::Blocked));
    let jobs = failing.chain([job("gcc", JobState::Scheduled)]);
    let (mut source, _) = source(jobs.collect()).await;
    source.read(at(10)).await.unwrap();
    let known = source.read(at(20)).await.unwrap();
    assert!(known.packages.contains_key(&package("gcc")));
    assert_eq!((known.ready.len(), known.unread), (1, 250));
    for second in (620..650).step_by(10) {
        source.read(at(second)).await.unwrap();
    }
    let again = source
        .answered
        .values()
        .filter(|second| **second >= at(620));
    assert_eq!(again.count(), 2, "what is old is read again");
}

#[tokio::test]
async fn what_a_host_has_is_known_for_an_hour_after_it_is_listed_no_more() {
    let (mut source, _) = source(Vec::new()).await;
    let id = InstanceId::parse("w:1").unwrap();
    let question = Question::Worker("x86_64".to_owned(), id);
    source.learn(question, Answer::Worker(Capabilities::default()), at(0));
    assert_eq!(source.read(at(3600)).await.unwrap().workers.len(), 1);
    assert_eq!(source.read(at(3601)).await.unwrap().workers.len(), 0);
}
