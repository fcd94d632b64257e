use super::*;
use crate::config::Levels;
use crate::model::{HostName, JobState, Level, Unknown};
use crate::obs::testing::{Answer, backend, hangs, serve};
use crate::obs::{BuildOutcome, Learnt, Target, TargetHistory};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

const WORKERS: &str = include_str!("../../tests/data/obs/workerstatus-building.xml");
const RESULT: &str = include_str!("../../tests/data/obs/result-building.xml");
const HISTORY: &str = include_str!("../../tests/data/obs/jobhistory-ghosts.xml");

/// Longer than any test: what takes this long hangs.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(5);

/// A store in memory.
#[derive(Default)]
struct Kept(Mutex<BTreeMap<Target, TargetHistory>>);

impl HistoryStore for Kept {
    fn load(&self, _: usize) -> Result<BTreeMap<Target, TargetHistory>, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn keep(&self, target: &Target, learnt: &Learnt) -> Result<(), StoreError> {
        let mut kept = self.0.lock().unwrap();
        kept.entry(target.clone()).or_default().take(learnt);
        Ok(())
    }

    fn forget(&self, _: i64) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What runs until the test ends.
struct Running {
    snapshots: watch::Receiver<Snapshot>,
    look: LookAgain,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    async fn until(&mut self, what: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        let seen = tokio::time::timeout(Duration::from_secs(60), self.snapshots.wait_for(what));
        seen.await.expect("came to nothing").unwrap().clone()
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn gather(backends: &[(&str, SocketAddr)], timeout: Duration, every: Duration) -> Gather {
    let client = |(name, at): &(&str, SocketAddr)| ObsClient::new(&backend(name, *at), timeout);
    Gather {
        clients: backends.iter().map(|b| client(b).unwrap()).collect(),
        poll: Poll {
            market: Duration::from_secs(60),
            workers: every,
            results: every,
            history: every,
            ecs: every,
            hosts: every,
            timeout,
        },
        hosts: None,
        market: None,
        max_age: LONG,
        store: Arc::new(Kept::default()),
        history: Terms {
            levels: Levels {
                l1_below: Duration::from_secs(300),
                l2_below: Duration::from_secs(600),
                hysteresis: 0.1,
                last_successes: 4,
                never_built: Level::L3,
                packages: Vec::new(),
            },
            // the captures are as old as they are
            retention: Duration::from_hours(100 * 365 * 24),
        },
        window: Duration::from_hours(6),
        clock: Clock::default(),
        on_reading: Arc::new(|_, _, _| ()),
        on_ended: Arc::new(|_, _, _| ()),
    }
}

fn run<F>(gather: Gather, fleet: impl FnMut() -> F + Send + 'static) -> Running
where
    F: Future<Output = Result<Fleet, Infallible>> + Send + 'static,
{
    let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (snapshots, look) = gather.spawn(fleet, &cancel, &tasks).unwrap();
    Running {
        snapshots,
        look,
        cancel,
        tasks,
    }
}

async fn no_servers() -> Result<Fleet, Infallible> {
    Ok(Fleet::default())
}

async fn as_captured(route: String) -> Answer {
    match route {
        r if r.ends_with("workerstatus") => Answer::ok(WORKERS),
        r if r.contains("/_result") => Answer::ok(RESULT),
        _ => Answer::ok(HISTORY),
    }
}

fn view(snapshot: &Snapshot, backend: &str) -> BackendView {
    let view = &snapshot.backends[&BackendName::new(backend)];
    view.as_ref().clone()
}

fn workers_at(snapshot: &Snapshot, backend: &str) -> Option<Timestamp> {
    view(snapshot, backend).workers.last().map(|r| r.at)
}

#[tokio::test]
async fn a_source_that_hangs_delays_no_other() {
    let good = serve(as_captured).await;
    let silent = serve(hangs).await;
    let gather = gather(&[("good", good), ("silent", silent)], LONG, SHORT);
    let mut running = run(gather, std::future::pending);
    let mut last = None;
    for _ in 0..5 {
        let newer = |s: &Snapshot| workers_at(s, "good") > last;
        last = workers_at(&running.until(newer).await, "good");
    }
    let whole = |s: &Snapshot| {
        let good = view(s, "good");
        good.results.is_up() && good.history.is_up()
    };
    let snapshot = running.until(whole).await;
    let silent = view(&snapshot, "silent");
    assert!(silent.workers.last().is_none() && silent.workers.failing().is_none());
    assert!(snapshot.fleet.last().is_none());
    running.stop().await;
}

#[tokio::test]
async fn what_a_frontend_says_of_workers_is_as_old_as_its_cache_may_be() {
    let at = serve(as_captured).await;
    let mut frontend = backend("b", at);
    frontend.access = crate::config::Access::Frontend {
        url: format!("http://{at}"),
        user: "u".to_owned(),
        password: "p".into(),
    };
    let mut gather = gather(&[], LONG, LONG);
    gather.clients = vec![ObsClient::new(&frontend, LONG).unwrap()];
    let before = Clock::default().now();
    let mut running = run(gather, no_servers);
    let whole = |s: &Snapshot| view(s, "b").workers.is_up() && view(s, "b").results.is_up();
    let snapshot = running.until(whole).await;
    let cached = Duration::from_secs(180);
    let asked = workers_at(&snapshot, "b").unwrap() + cached;
    assert!(before <= asked && asked <= Clock::default().now());
    assert!(view(&snapshot, "b").results.last().unwrap().at >= before);
    running.stop().await;
}

#[tokio::test]
async fn a_source_that_fails_says_why_and_keeps_its_last_reading() {
    let asked = AtomicUsize::new(0);
    let at = serve(move |route| {
        let later = route == "/workerstatus" && asked.fetch_add(1, Ordering::SeqCst) > 0;
        async move {
            if later {
                return Answer::ok(&WORKERS[..WORKERS.len() / 2]);
            }
            as_captured(route).await
        }
    });
    let mut running = run(gather(&[("b", at.await)], LONG, SHORT), no_servers);
    let fails = |s: &Snapshot| view(s, "b").workers.failing().is_some();
    let snapshot = running.until(fails).await;
    running.stop().await;
    let workers = view(&snapshot, "b").workers;
    assert_eq!(workers.last().unwrap().value.instances.len(), 5);
    let (_, why) = workers.failing().unwrap();
    assert!(why.starts_with("GET /workerstatus: "), "{why}");
}

#[tokio::test]
async fn a_backend_never_read_is_known_to_exist_and_not_to_be_empty() {
    let silent = serve(hangs).await;
    let running = run(gather(&[("b", silent)], LONG, LONG), no_servers);
    let workers = view(&running.snapshots.borrow(), "b").workers;
    let fresh = workers.fresh(Clock::default().now(), LONG);
    assert_eq!(fresh.map(|_| ()), Err(Unknown::Never { why: None }));
    running.stop().await;
}

#[tokio::test]
async fn a_look_asked_for_during_a_reading_is_taken_after_it() {
    let gate = Arc::new(Semaphore::new(0));
    let arrived = Arc::new(Semaphore::new(0));
    let (behind, come) = (Arc::clone(&gate), Arc::clone(&arrived));
    let at = serve(move |route| {
        let (behind, come) = (Arc::clone(&behind), Arc::clone(&come));
        async move {
            if route.starts_with("/workerstatus") {
                come.add_permits(1);
                behind.acquire().await.unwrap().forget();
            }
            as_captured(route).await
        }
    });
    let mut running = run(gather(&[("b", at.await)], LONG, LONG), no_servers);
    arrived.acquire().await.unwrap().forget();
    let cordoned = Clock::default().now();
    running.look.now();
    gate.add_permits(2);
    let after = |s: &Snapshot| workers_at(s, "b").is_some_and(|at| at >= cordoned);
    running.until(after).await;
    running.stop().await;
}

#[tokio::test]
async fn a_job_waits_since_it_was_first_seen_to() {
    let at = serve(as_captured).await;
    let mut running = run(gather(&[("b", at)], LONG, SHORT), no_servers);
    let results = |s: &Snapshot| view(s, "b").results.last().cloned();
    let first = results(&running.until(|s| results(s).is_some()).await).unwrap();
    let later = |s: &Snapshot| results(s).is_some_and(|r| r.at > first.at);
    let later = results(&running.until(later).await).unwrap();
    for job in later.value.jobs {
        let waits = job.state == JobState::Scheduled;
        assert_eq!(job.seen_waiting.is_some(), waits);
        assert!(job.seen_waiting.is_none_or(|since| since <= first.at));
    }
    running.stop().await;
}

fn target(arch: &str) -> Target {
    Target {
        project: "openEuler:Mainline".to_owned(),
        repository: format!("standard_{arch}"),
        arch: arch.to_owned(),
    }
}

fn history_at(snapshot: &Snapshot) -> Option<Timestamp> {
    view(snapshot, "b").history.last().map(|r| r.at)
}

/// Two more readings of the job histories.
async fn read_twice(running: &mut Running) -> Snapshot {
    let once = running.until(|s| history_at(s).is_some()).await;
    running.until(|s| history_at(s) > history_at(&once)).await
}

#[tokio::test]
async fn build_times_are_learnt_kept_and_known_at_once_after_a_restart() {
    let at = serve(as_captured).await;
    let mut first = gather(&[("b", at)], LONG, SHORT);
    let store = Arc::new(Kept::default());
    first.store = Arc::clone(&store) as _;
    let mut running = run(first, no_servers);
    let snapshot = read_twice(&mut running).await;
    let gcc = target("aarch64").package("gcc".to_owned());
    let expected = *snapshot.build_times.of(&gcc).unwrap();
    assert_eq!((expected.mean.as_secs(), expected.level), (33, Level::L1));
    running.stop().await;
    // 15 builds for each of two targets, each kept once however often it was read.
    let kept = store.0.lock().unwrap().clone();
    let packages = kept.values().flat_map(|target| target.packages.values());
    assert_eq!(packages.map(|p| p.builds.len()).sum::<usize>(), 30);

    let silent = serve(hangs).await;
    let mut again = gather(&[("b", silent)], LONG, LONG);
    again.store = store;
    let running = run(again, no_servers);
    let known = running.snapshots.borrow().build_times.of(&gcc).copied();
    assert_eq!(known, Some(expected));
    running.stop().await;
}

/// A backend whose one target has 300 failed jobs, and then one more each time that `more` is raised.
async fn failing(asked: Arc<Mutex<Vec<usize>>>, more: Arc<AtomicUsize>) -> SocketAddr {
    let now = Clock::default().now().as_second();
    serve(move |route| {
        let lines = route.rsplit_once("_jobhistory?limit=").map(|(_, limit)| {
            let limit: usize = limit.parse().unwrap();
            asked.lock().unwrap().push(limit);
            let last = 300 + more.load(Ordering::SeqCst);
            let line = |n: usize| {
                // what is added ends after the program has started
                let end = if n > 300 { now + 600 } else { now - 600 };
                format!(
                    "<jobhist package='p{n}' code='failed' starttime='1' endtime='{end}' workerid='w:1'/>"
                )
            };
            (last.saturating_sub(limit) + 1..=last).map(line).collect::<String>()
        });
        async move {
            match lines {
                Some(lines) => Answer::ok(format!("<jobhistlist>{lines}</jobhistlist>")),
                None if route.contains("/_result") => Answer::ok(
                    "<resultlist><result project='p' repository='r' arch='x86_64'>\
                     <status package='a' code='failed'/></result></resultlist>",
                ),
                None => Answer::ok(WORKERS),
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_restart_reads_only_what_is_new_and_each_end_of_a_build_is_counted_once() {
    let (asked, more) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let at = failing(Arc::clone(&asked), Arc::clone(&more)).await;
    let store = Arc::new(Kept::default());
    let ended = Arc::new(Mutex::new(Vec::new()));
    for process in 0..3 {
        let mut gather = gather(&[("b", at)], LONG, SHORT);
        gather.store = Arc::clone(&store) as _;
        let counts = Arc::clone(&ended);
        gather.on_ended = Arc::new(move |host: &HostName, outcome, _| {
            counts.lock().unwrap().push((host.clone(), outcome));
        });
        let mut running = run(gather, no_servers);
        read_twice(&mut running).await;
        more.fetch_add(1, Ordering::SeqCst);
        let counted = || ended.lock().unwrap().len() > process;
        running.until(|_| counted()).await;
        let snapshot = read_twice(&mut running).await;
        let record = &snapshot.backends[&BackendName::new("b")].record;
        let known = record.of(&HostName::new("w")).len();
        assert_eq!(
            known,
            if process == 0 { 301 } else { 1 },
            "what a worker lost"
        );
        running.stop().await;
    }
    let one = (HostName::new("w"), BuildOutcome::Failed);
    assert_eq!(*ended.lock().unwrap(), vec![one; 3]);
    let asked: Vec<usize> = std::mem::take(&mut asked.lock().unwrap());
    assert_eq!(asked[..3], [100, 1_000, 100], "the first reading is whole");
    assert!(asked[3..].iter().all(|limit| *limit == 100), "{asked:?}");
}

#[tokio::test]
async fn every_reading_is_told_of() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let at = serve(|_| async { Answer::with(500, "") }).await;
    let mut gather = gather(&[("b", at)], LONG, LONG);
    gather.on_reading = Arc::new(move |what, _, ok| hears.lock().unwrap().push((what, ok)));
    let mut running = run(gather, no_servers);
    let over = |s: &Snapshot| {
        let view = view(s, "b");
        view.workers.failing().is_some() && view.results.failing().is_some() && s.fleet.is_up()
    };
    running.until(over).await;
    running.stop().await;
    let mut told = told.lock().unwrap().clone();
    told.sort_unstable();
    let expected = [
        (Collector::Workers, false),
        (Collector::Results, false),
        (Collector::Ecs, true),
    ];
    assert_eq!(told, expected);
}
