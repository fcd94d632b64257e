//! How long a scrape of 100,000 series takes, and how much memory: this program's page beside what the
//! metrics library needs for the same series out of its own `Family`.
//!
//! `cargo bench --bench metrics` prints a table. `cargo bench --bench metrics -- serve ADDR` serves the
//! page until it is ended, for the comparison over HTTP (`benches/side-by-side.sh`).
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)] // a tool for figures

use jiff::Timestamp;
use obs_scaler::adoption::{Adopt, Disown};
use obs_scaler::config::{Mode, Pool, Projects};
use obs_scaler::configure::{self, Configure};
use obs_scaler::exclusive::Ask;
use obs_scaler::inspect::CheckAsked;
use obs_scaler::metrics::{
    Coding, Configured, FleetCollector, FleetState, Format, Metrics, Own, PoolFacts, Source,
};
use obs_scaler::model::{
    Alarms, Arch, BackendName, BackendView, FlavorName, HostName, Instance, InstanceId,
    InstanceState, Level, Observed, PoolName, Results, Snapshot, Unknown, Vcpus, Workers,
};
use obs_scaler::roster::{NotAnswered, Question};
use obs_scaler::web::{
    Answered, Answers, App, Checked, Doorbell, Noted, People, Refitted, Scrapes, Tokens,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// 24 codes × 8 targets × 500 projects of packages, and 800 workers in 5 states: 100,000 series.
const PROJECTS: usize = 500;
const TARGETS: [(&str, &str); 8] = [
    ("standard_aarch64", "aarch64"),
    ("standard_x86_64", "x86_64"),
    ("epol", "aarch64"),
    ("epol", "x86_64"),
    ("20.03_LTS", "aarch64"),
    ("20.03_LTS", "x86_64"),
    ("images", "aarch64"),
    ("images", "x86_64"),
];
const CODES: usize = 24;
const WORKERS: usize = 800;
const ROUNDS: usize = 15;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("serve"), Some(address)) => serve(&address),
        _ => figures(),
    }
}

fn packages() -> impl Iterator<Item = [String; 4]> {
    let targets = |project: usize| TARGETS.into_iter().map(move |target| (project, target));
    (0..PROJECTS)
        .flat_map(targets)
        .flat_map(|(project, (repository, arch))| {
            (0..CODES).map(move |code| {
                let project = format!("openEuler:Factory:Stage:{project}");
                [
                    project,
                    repository.to_owned(),
                    arch.to_owned(),
                    format!("code{code:02}"),
                ]
            })
        })
}

fn hosts() -> impl Iterator<Item = HostName> {
    (0..WORKERS).map(|n| HostName::new(format!("obs-aarch64-l1-0f3c9a1b-{n:04}")))
}

#[derive(Debug)]
struct Farm(FleetState);

impl Source for Farm {
    fn state(&self) -> FleetState {
        self.0.clone()
    }
}

fn pool() -> Pool {
    Pool {
        name: PoolName::try_from("aarch64-l1").unwrap(),
        arch: Arch::Aarch64,
        level: Level::L1,
        backends: vec![BackendName::new("main")],
        mode: Mode::Full,
        reserve: 0,
        flavor: FlavorName::new("ki1.8xlarge.4"),
        alternatives: Vec::new(),
        vcpus: Vcpus(32),
        instances: 7,
        jobs: 32,
        cache_mib: None,
        workers: obs_scaler::config::Workers::default(),
        projects: Projects::default(),
    }
}

fn state() -> FleetState {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let instances = hosts().flat_map(|host| {
        (1..=7).map(move |number| {
            let id = InstanceId {
                host: host.clone(),
                number,
            };
            let instance = Instance {
                id: id.clone(),
                arch: Some(Arch::Aarch64),
                state: InstanceState::Idle,
                job: None,
            };
            (id, instance)
        })
    });
    let workers = Workers {
        instances: instances.collect(),
        daemons: vec![],
        ..Workers::default()
    };
    let results = Results {
        jobs: vec![],
        packages: packages().map(|key| (key.into(), 12)).collect(),
    };
    let view = BackendView {
        workers: Observed::known(now, workers),
        results: Observed::known(now, results),
        history: Observed::known(now, ()),
        ..BackendView::default()
    };
    let facts = PoolFacts {
        hosts: hosts().collect::<BTreeSet<_>>(),
        ..PoolFacts::default()
    };
    FleetState {
        now,
        snapshot: Arc::new(Snapshot {
            backends: BTreeMap::from([(BackendName::new("main"), Arc::new(view))]),
            ..Snapshot::default()
        }),
        ledger: Arc::default(),
        alarms: Alarms::default(),
        checks: Arc::default(),
        costs: None,
        pools: BTreeMap::from([(pool().name, facts)]),
    }
}

fn ours() -> (Metrics, Arc<Farm>, Own) {
    let farm = Arc::new(Farm(state()));
    let configured = Configured {
        pools: BTreeMap::from([(pool().name, pool())]),
        projects: BTreeMap::new(),
        ceiling: Vcpus(1792),
        max_age: Duration::from_secs(120),
        workers_cached_for: BTreeMap::new(),
    };
    let mut registry = Registry::default();
    let own = Own::register(&mut registry, &configured.pools, &[]);
    let collector = FleetCollector::new(configured, Arc::clone(&farm) as _);
    (Metrics::new(registry, collector), farm, own)
}

type Pairs = Vec<(String, String)>;

/// The same series in the library's own `Family`, with labels as pairs of strings.
fn library_with_pairs() -> Registry {
    let packages_family = Family::<Pairs, Gauge>::default();
    let instances_family = Family::<Pairs, Gauge>::default();
    let pairs = |names: &[&str], values: Vec<String>| -> Pairs {
        names.iter().map(|n| (*n).to_owned()).zip(values).collect()
    };
    for values in packages() {
        let values = [vec!["main".to_owned()], values.to_vec()].concat();
        let names = ["backend", "project", "repository", "arch", "code"];
        packages_family
            .get_or_create(&pairs(&names, values))
            .set(12);
    }
    for (host, state) in per_worker() {
        let labels = pairs(&["worker", "state"], vec![host, state]);
        instances_family.get_or_create(&labels).set(1);
    }
    registered(packages_family, instances_family)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PackageLabels {
    backend: String,
    project: String,
    repository: String,
    arch: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    worker: String,
    state: String,
}

/// The same series in the library's own `Family`, with labels as derived structs.
fn library_with_structs() -> Registry {
    let packages_family = Family::<PackageLabels, Gauge>::default();
    let instances_family = Family::<InstanceLabels, Gauge>::default();
    for [project, repository, arch, code] in packages() {
        let backend = "main".to_owned();
        let labels = PackageLabels {
            backend,
            project,
            repository,
            arch,
            code,
        };
        packages_family.get_or_create(&labels).set(12);
    }
    for (worker, state) in per_worker() {
        instances_family
            .get_or_create(&InstanceLabels { worker, state })
            .set(1);
    }
    registered(packages_family, instances_family)
}

fn per_worker() -> impl Iterator<Item = (String, String)> {
    hosts().flat_map(|host| {
        InstanceState::ALL.map(|state| (host.to_string(), state.as_str().to_owned()))
    })
}

fn registered<A, B>(packages: Family<A, Gauge>, instances: Family<B, Gauge>) -> Registry
where
    Family<A, Gauge>: prometheus_client::registry::Metric,
    Family<B, Gauge>: prometheus_client::registry::Metric,
{
    let mut registry = Registry::default();
    registry.register("obs_packages", "Packages by OBS status code", packages);
    registry.register(
        "obs_worker_instances",
        "Build instances of one worker",
        instances,
    );
    registry
}

/// What one round took, and how many bytes it made.
struct Figure {
    median: Duration,
    best: Duration,
    bytes: usize,
    /// Growth of the largest resident set while it ran, in KiB.
    peak_kib: u64,
}

fn measure(mut round: impl FnMut() -> usize) -> Figure {
    let before = resident("VmRSS:");
    reset_peak();
    let bytes = round();
    let peak_kib = resident("VmHWM:").saturating_sub(before);
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            std::hint::black_box(round());
            begun.elapsed()
        })
        .collect();
    times.sort();
    Figure {
        median: times[ROUNDS / 2],
        best: times[0],
        bytes,
        peak_kib,
    }
}

fn write(metrics: &Metrics, format: Format, coding: Coding) -> usize {
    let mut bytes = 0;
    let mut take = |piece: Vec<u8>| {
        bytes += piece.len();
        Ok(())
    };
    metrics.write(format, coding, &mut take).unwrap();
    bytes
}

fn library(registry: &Registry) -> usize {
    let mut page = String::new();
    encode(&mut page, registry).unwrap();
    page.len()
}

/// A line of `/proc/self/status`, in KiB.
fn resident(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Lets `VmHWM` begin anew (proc(5), `clear_refs`).
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn figures() {
    let (metrics, ..) = ours();
    let series = String::from_utf8(whole(&metrics)).unwrap();
    let series = series.lines().filter(|line| !line.starts_with('#')).count();
    println!("{series} series; the median, and the best, of {ROUNDS} rounds");
    println!("| what | ms | best ms | MB | peak KiB | best against the library's best |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let structs = library_with_structs();
    let base = measure(|| library(&structs));
    line("prometheus-client, `Family<struct, Gauge>`", &base, &base);
    drop(structs);
    let pairs = library_with_pairs();
    let with_pairs = measure(|| library(&pairs));
    line(
        "prometheus-client, `Family<Vec<(String, String)>, Gauge>`",
        &with_pairs,
        &base,
    );
    drop(pairs);
    for (name, format) in [
        ("OpenMetrics", Format::OpenMetrics),
        ("0.0.4", Format::Prometheus),
    ] {
        for (packed, coding) in [("", Coding::Identity), (", gzip", Coding::Gzip)] {
            let figure = measure(|| write(&metrics, format, coding));
            line(&format!("obs-scaler, {name}{packed}"), &figure, &base);
        }
    }
}

fn whole(metrics: &Metrics) -> Vec<u8> {
    let mut page = Vec::new();
    let mut take = |piece: Vec<u8>| {
        page.extend(piece);
        Ok(())
    };
    metrics
        .write(Format::Prometheus, Coding::Identity, &mut take)
        .unwrap();
    page
}

fn line(what: &str, figure: &Figure, base: &Figure) {
    println!(
        "| {what} | {:.1} | {:.1} | {:.1} | {} | {:.2} |",
        figure.median.as_secs_f64() * 1e3,
        figure.best.as_secs_f64() * 1e3,
        figure.bytes as f64 / 1e6,
        figure.peak_kib,
        figure.best.as_secs_f64() / base.best.as_secs_f64(),
    );
}

struct Nobody;

impl Answers for Nobody {
    fn exclusive(&self) -> Value {
        serde_json::json!({ "mode": "off", "workers": [] })
    }

    fn configured(&self) -> Vec<configure::Row> {
        Vec::new()
    }

    fn cost(&self, _since: Option<jiff::Timestamp>) -> Value {
        Value::Null
    }

    fn maintenance(&self) -> Value {
        Value::Null
    }

    fn discover(&self) -> Result<Value, Unknown> {
        Ok(Value::Null)
    }

    fn of_workers(&self, _: &Question) -> Result<Value, NotAnswered> {
        Ok(Value::Null)
    }

    fn plan_apply(&self) -> Value {
        Value::Null
    }

    fn accept(&self, _: &PoolName) -> bool {
        false
    }

    fn plan_release(&self, _: Option<u32>, _: Option<Duration>) -> Value {
        Value::Null
    }
}

impl People for Nobody {
    fn configure(&self, _: Configure) -> Pin<Box<dyn Future<Output = Refitted> + Send>> {
        Box::pin(ready(None))
    }

    fn maintain(
        &self,
        _: BackendName,
        _: Option<Timestamp>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(ready(false))
    }

    fn be_exclusive(&self, _: Option<Ask>) -> Pin<Box<dyn Future<Output = Noted> + Send>> {
        Box::pin(ready(None))
    }

    fn adopt(&self, _: Adopt) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn disown(&self, _: Disown) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn check(&self, _: CheckAsked) -> Pin<Box<dyn Future<Output = Checked> + Send>> {
        Box::pin(ready(Ok(Value::Null)))
    }
}

fn serve(address: &str) {
    let (metrics, source, own) = ours();
    let app = App {
        doorbell: Doorbell {
            tokens: Tokens::new(&[]),
            max_body_bytes: 0,
            pools: BTreeSet::new(),
            alarms: watch::Sender::default(),
            wake: Arc::new(Notify::new()),
            own,
            places: Semaphore::new(1),
            stopping: CancellationToken::new(),
        },
        scrapes: Scrapes::new(metrics),
        source,
        answers: Arc::new(Nobody),
        people: Arc::new(Nobody),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        obs_scaler::web::serve(listener, Arc::new(app), CancellationToken::new()).await;
    });
}
