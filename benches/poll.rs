//! One full poll of 10,000 instances and 100,000 packages, from the first connection to the first
//! scrape: `cargo bench --bench poll`. The backend is a process of its own (`-- serve`); the journal is
//! a real one, in the folder for temporary files.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, missing_docs)] // a tool for figures

mod backend;

use backend::{client, cpu_seconds, peak_mib, resident_mib, serve};
use hyper::body::Bytes;
use obs_scaler::clock::Clock;
use obs_scaler::config::{Config, SecretPlace};
use obs_scaler::gather::{Collector, Gather};
use obs_scaler::journal::Journal;
use obs_scaler::metrics::{
    Coding, Configured, FleetCollector, FleetState, Format, Metrics, Source, facts,
};
use obs_scaler::model::{Alarms, Fleet, Ledger, Snapshot};
use obs_scaler::obs::Terms;
use obs_scaler::policy::{View, assess};
use prometheus_client::registry::Registry;
use secrecy::SecretString;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const INSTANCES: usize = 10_000;
const PROJECTS: usize = 20;
const ARCHS: [&str; 2] = ["aarch64", "x86_64"];
/// In each project and arch: 100,000 packages in all.
const PACKAGES: usize = 2_500;
/// Of each package, in the histories.
const BUILDS: usize = 4;

fn main() {
    if std::env::args().any(|argument| argument == "serve") {
        return backend_process();
    }
    let mut backend = Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(poll(&mut backend));
    backend.kill().unwrap();
    backend.wait().unwrap();
}

async fn poll(backend: &mut Child) {
    let mut line = String::new();
    let mut said = std::io::BufReader::new(backend.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let projects: Vec<String> = (0..PROJECTS).map(project).collect();
    let projects: Vec<&str> = projects.iter().map(String::as_str).collect();
    let client = client(line.trim().parse().unwrap(), &projects);
    let given = |_: &SecretPlace| Ok(SecretString::from("x".repeat(64)));
    let config = Config::parse(include_str!("../config.yaml"), &given).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let took = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&took);

    println!("| step | seconds | on a core | peak memory |");
    println!("| --- | --- | --- | --- |");
    row("start", 0.0);
    let begun = Instant::now();
    let gather = Gather {
        window: Duration::from_hours(6),
        clients: vec![client],
        poll: config.poll.clone(),
        hosts: None,
        market: None,
        max_age: config.policy.max_age,
        store: Arc::new(Journal::open(folder.path()).unwrap()),
        history: Terms {
            levels: config.policy.levels.clone(),
            retention: Duration::from_hours(100 * 365 * 24),
        },
        clock: Clock::default(),
        on_reading: Arc::new(move |what, took, whole| {
            assert!(whole, "{what:?}");
            told.lock().unwrap().push((what, took, peak_mib()));
        }),
        on_ended: Arc::new(|_, _, _| ()),
    };
    let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
    let no_servers = || async { Ok::<_, Infallible>(Fleet::default()) };
    let (mut snapshots, _look) = gather.spawn(no_servers, &cancel, &tasks).unwrap();
    let read = |s: &Snapshot| {
        let view = s.backends.values().next().unwrap();
        view.workers.is_up() && view.results.is_up() && view.history.is_up() && s.fleet.is_up()
    };
    let snapshot = snapshots.wait_for(read).await.unwrap().clone();
    let seconds = begun.elapsed().as_secs_f64();
    for (what, took, peak) in took.lock().unwrap().iter() {
        if *what != Collector::Ecs {
            let seconds = took.as_secs_f64();
            println!("| {} | {seconds:.2} | | {peak:.0} MiB |", what.as_str());
        }
    }
    row("all of these, side by side", seconds);
    look_at(&config, snapshot);
    cancel.cancel();
    tasks.close();
    tasks.wait().await;
}

/// What the reconciler and a scrape make of it.
fn look_at(config: &Config, snapshot: Snapshot) {
    let snapshot = Arc::new(snapshot);
    let (ledger, alarms) = (Arc::new(Ledger::default()), Alarms::default());
    let view = View {
        snapshot: &snapshot,
        ledger: &ledger,
        alarms: &alarms,
        policy: &config.policy,
        now: Clock::default().now(),
    };
    let begun = Instant::now();
    let known = assess(&view).into_values().filter(Result::is_ok).count();
    assert_eq!(known, config.policy.pools.len());
    row(
        "one look of the reconciler (assess)",
        begun.elapsed().as_secs_f64(),
    );

    let begun = Instant::now();
    let pools = facts(&view);
    let now = view.now;
    let state = FleetState {
        now,
        snapshot,
        ledger,
        alarms,
        checks: Arc::default(),
        costs: None,
        pools,
    };
    let farm = FleetCollector::new(Configured::from(config), Arc::new(Farm(state)));
    let mut bytes = 0;
    let page = Metrics::new(Registry::default(), farm);
    page.write(Format::OpenMetrics, Coding::Identity, &mut |piece| {
        bytes += piece.len();
        Ok(())
    })
    .unwrap();
    assert!(bytes > 10_000);
    row("one scrape", begun.elapsed().as_secs_f64());
    println!("\nIn memory at the end: {:.0} MiB", resident_mib());
}

fn row(step: &str, seconds: f64) {
    println!(
        "| {step} | {seconds:.2} | {:.2} so far | {:.0} MiB |",
        cpu_seconds(),
        peak_mib()
    );
}

#[derive(Debug)]
struct Farm(FleetState);

impl Source for Farm {
    fn state(&self) -> FleetState {
        self.0.clone()
    }
}

fn backend_process() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!("{}", serve(answer).await);
        std::future::pending::<()>().await;
    });
}

fn project(number: usize) -> String {
    format!("openEuler:{number}")
}

fn answer(route: &str) -> Bytes {
    let (path, query) = route.split_once('?').unwrap_or((route, ""));
    let mut steps = path.split('/').skip(2);
    if path == "/workerstatus" {
        return workers().into();
    }
    let project = steps.next().unwrap();
    match path.rsplit('/').next() {
        Some("_result") => results(project).into(),
        Some("_jobhistory") => {
            let arch = steps.nth(1).unwrap();
            let limit = query.rsplit_once('=').unwrap().1.parse().unwrap();
            history(arch, limit).into()
        }
        Some("_reason") => {
            "<reason><explain>new build</explain><time>1795377844</time></reason>".into()
        }
        _ if path.starts_with("/worker/") => {
            "<worker><hardware><processors>32</processors></hardware></worker>".into()
        }
        // most packages have no constraints
        _ => "<status code=\"404\"><summary>no such file</summary></status>".into(),
    }
}

fn workers() -> String {
    let mut text = "<workerstatus clients=\"10000\">\n".to_owned();
    for number in 0..INSTANCES {
        let (host, slot) = (number / 12, number % 12 + 1);
        let arch = ARCHS.get(host % 2).unwrap();
        let uri = format!(
            "http://10.{}.{}.{}:40000",
            host >> 16,
            host >> 8 & 255,
            host & 255
        );
        let at = format!("uri=\"{uri}\" workerid=\"worker-{host}:{slot}\" hostarch=\"{arch}\"");
        match number % 3 {
            0 => writeln!(text, "  <idle {at} />"),
            _ => writeln!(text, "  <building {at} project=\"openEuler:1\" repository=\"standard\" package=\"package-{number}\" arch=\"{arch}\" starttime=\"1795377844\" />"),
        }
        .unwrap();
    }
    text + "</workerstatus>\n"
}

/// A job in ten packages: 10,000.
fn results(project: &str) -> String {
    let mut text = "<resultlist state=\"63e6\">\n".to_owned();
    for arch in ARCHS {
        writeln!(text, "  <result project=\"{project}\" repository=\"standard\" arch=\"{arch}\" code=\"building\" state=\"building\">").unwrap();
        for number in 0..PACKAGES {
            let code = match number % 20 {
                0 => "scheduled",
                10 => "blocked",
                _ => "succeeded",
            };
            writeln!(
                text,
                "    <status package=\"package-{number}\" code=\"{code}\" />"
            )
            .unwrap();
        }
        text.push_str("  </result>\n");
    }
    text + "</resultlist>\n"
}

fn history(arch: &str, limit: usize) -> String {
    let all = PACKAGES * BUILDS;
    let mut text = "<jobhistlist>\n".to_owned();
    for line in all.saturating_sub(limit)..all {
        let (number, end) = (line % PACKAGES, 1_795_000_000 + line * 10);
        let start = end - 60 - number % 900;
        writeln!(text, "  <jobhist package=\"package-{number}\" rev=\"1\" srcmd5=\"2615f7a4f3b7b0c2d1e0aa61c2a4b7ff\" versrel=\"1.0-1\" bcnt=\"2\" readytime=\"{start}\" starttime=\"{start}\" endtime=\"{end}\" code=\"succeeded\" uri=\"http://10.0.0.1:44723\" workerid=\"worker-{}:2\" hostarch=\"{arch}\" reason=\"new build\" verifymd5=\"2615f7a4f3b7b0c2d1e0aa61c2a4b7ff\" />", line % 800).unwrap();
    }
    text + "</jobhistlist>\n"
}
