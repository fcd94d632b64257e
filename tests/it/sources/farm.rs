//! Two simulated backends and a simulated cloud, the real obs-scaler and the real Prometheus.

use obs_sim::{ecs, obs};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PROJECT: &str = "00000000000000000000000000000000";

/// What is seen from outside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// `obs_up` of a and b.
    pub(super) up: [bool; 2],
    /// Why `plan apply` buys nothing for the pools of a, of both, and of b.
    pub(super) plan: [String; 3],
    /// The collectors whose last success, of a or of the cloud, is older than `max_age`.
    pub(super) stands: Vec<&'static str>,
    /// Whether the pools of a, of both, and of b show their jobs, instances and workers.
    pub(super) shown: [bool; 3],
    /// Of b's own pool.
    pub(super) instances_of_b: f64,
    /// Those alerts that are looked for, and pending or firing.
    pub(super) alerts: Vec<&'static str>,
}

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

pub(super) struct Farm {
    a: Option<obs::Simulator>,
    b: obs::Simulator,
    cloud: ecs::Running,
    a_at: SocketAddr,
    scaler: SocketAddr,
    prometheus: SocketAddr,
    client: reqwest::Client,
    running: Option<Program>,
    _prometheus: Program,
    folder: TempDir,
}

/// The pools that are looked at: of a, of both, of b.
const POOLS: [&str; 3] = ["x86-a-l1", "arm-l1", "x86-b-l1"];

fn free() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

/// A backend with workers of its own: six, of two instances.
async fn backend(listen: SocketAddr, project: &str) -> obs::Simulator {
    let options = obs::Options {
        listen,
        size: obs::Size {
            workers: 0,
            instances: 2,
            packages: 400,
            jobs: 100,
            jobs_per_hour: 0.0,
            projects: vec![project.to_owned()],
            seed: 1,
            speed: 1.0,
        },
        frontend: None,
        clock: obs_sim::Clock::default(),
    };
    let backend = obs::Simulator::start(options).await.unwrap();
    let url = format!("http://{}/_sim/hosts", backend.address());
    let client = obs_scaler::obs::http_client(Duration::from_secs(5), true).unwrap();
    for number in 0..6 {
        let arch = ["x86_64", "aarch64"][number % 2];
        let host = format!(
            "{{\"name\":\"{project}-{number}\",\"ip\":\"127.0.0.1\",\"arch\":\"{arch}\",\"instances\":2}}"
        );
        let answer = client.post(&url).body(host).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
    backend
}

impl Farm {
    pub(super) async fn start() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let a = backend(loopback, "a").await;
        let b = backend(loopback, "b").await;
        let cloud = ecs::Simulator::start(ecs::Options::new(PROJECT, "AK", "SK"))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (scaler, prometheus) = (free(), free());
        let dir = folder.path();
        configure(dir, scaler, [a.address(), b.address()], cloud.addr);
        rules(dir, scaler);
        let (running, watching) = (start_scaler(dir), start_prometheus(dir, prometheus));
        Self {
            a_at: a.address(),
            a: Some(a),
            b,
            cloud,
            scaler,
            prometheus,
            client: obs_scaler::obs::http_client(Duration::from_secs(5), true).unwrap(),
            running: Some(running),
            _prometheus: watching,
            folder,
        }
    }

    pub(super) async fn stop(self) {
        if let Some(a) = self.a {
            a.stop().await;
        }
        self.b.stop().await;
        self.cloud.stop().await.unwrap();
    }

    async fn put(&self, at: SocketAddr, body: String) {
        let url = format!("http://{at}/_sim/faults");
        let answer = self.client.put(url).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    pub(super) async fn backend_fault(&self, routes: &str) {
        self.put(self.a_at, format!("{{\"routes\":{routes}}}"))
            .await;
    }

    pub(super) async fn daemon_dies(&self, name: &str) {
        let faults = format!("{{\"daemons\":{{\"{name}\":\"dead\"}}}}");
        self.put(self.a_at, faults).await;
    }

    pub(super) async fn cloud_fault(&self, faults: &str) {
        self.put(self.cloud.addr, faults.to_owned()).await;
    }

    pub(super) async fn backend_goes(&mut self) {
        self.a.take().unwrap().stop().await;
    }

    /// As a crash would.
    pub(super) fn scaler_dies(&mut self) {
        self.running = None;
    }

    /// Waits until Prometheus has no series of obs-scaler any more, and these alerts.
    pub(super) async fn is_absent(&self, wanted: &[&'static str]) {
        let url = format!(
            "http://{}/api/v1/query?query=%7Bjob%3D%22obs-scaler%22%2C__name__%3D~%22obs_.*%22%7D",
            self.prometheus
        );
        let look = async {
            loop {
                let series = self.json(&url).await;
                let series = series.as_ref().and_then(|s| s.pointer("/data/result"));
                let none = series.and_then(Value::as_array).is_some_and(Vec::is_empty);
                if none && self.alerts(wanted).await.as_deref() == Some(wanted) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(30), look).await;
        assert!(seen.is_ok(), "{:?}", self.alerts(wanted).await);
    }

    /// Ends every fault.
    pub(super) async fn mend(&mut self) {
        if self.running.is_none() {
            self.running = Some(start_scaler(self.folder.path()));
        }
        if self.a.is_none() {
            self.a = Some(backend(self.a_at, "a").await);
        }
        self.put(self.a_at, "{}".to_owned()).await;
        self.put(self.cloud.addr, "{}".to_owned()).await;
    }

    /// Waits until this, all of it at once, is seen.
    pub(super) async fn shows(&self, wanted: &Seen, when: &str) {
        let mut last = None;
        let look = async {
            loop {
                last = self.look(&wanted.alerts).await;
                if last.as_ref() == Some(wanted) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(30), look).await;
        assert!(seen.is_ok(), "{when}: wanted {wanted:?}, seen {last:?}");
    }

    /// `None` while obs-scaler or Prometheus does not answer, or something that must be known is not.
    async fn look(&self, named: &[&'static str]) -> Option<Seen> {
        let page = self.get(format!("http://{}/metrics", self.scaler)).await?;
        let up = |backend: &str| Some(value(&page, "obs_up", &[("backend", backend)])? == 1.0);
        let plan = format!("http://{}/api/v1/plan/apply", self.scaler);
        let plan = self.json(&plan).await?;
        let [a, both, b] = POOLS;
        Some(Seen {
            up: [up("a")?, up("b")?],
            plan: [why(&plan, a)?, why(&plan, both)?, why(&plan, b)?],
            stands: self.stands(&page).await?,
            shown: [shown(&page, a)?, shown(&page, both)?, shown(&page, b)?],
            instances_of_b: values(&page, "obs_instances", &[("pool", b)]).sum(),
            alerts: self.alerts(named).await?,
        })
    }

    /// Of those alerts that faults bring about, the ones that are pending or firing, `named` ones first.
    async fn alerts(&self, named: &[&'static str]) -> Option<Vec<&'static str>> {
        let alerts = format!("http://{}/api/v1/alerts", self.prometheus);
        let alerts = self.json(&alerts).await?;
        let active: BTreeSet<&str> = (alerts.pointer("/data/alerts")?.as_array()?.iter())
            .filter_map(|alert| alert.pointer("/labels/alertname")?.as_str())
            .collect();
        let known = [
            "ObsBackendUnreachable",
            "ObsPoolHalted",
            "ObsDaemonDown",
            "ObsScalerAbsent",
        ];
        let mut seen: Vec<&'static str> =
            known.into_iter().filter(|n| active.contains(n)).collect();
        seen.sort_by_key(|name| named.iter().position(|n| n == name));
        Some(seen)
    }

    /// By Prometheus' clock, which is ours.
    async fn stands(&self, page: &str) -> Option<Vec<&'static str>> {
        let now = format!("http://{}/api/v1/query?query=time()", self.prometheus);
        let now = self.json(&now).await?;
        let now: f64 = now.pointer("/data/result/1")?.as_str()?.parse().ok()?;
        let name = "obs_scaler_last_success_timestamp_seconds";
        let at = |collector: &str| {
            let mut labels = vec![("collector", collector)];
            if collector != "ecs" {
                labels.push(("backend", "a"));
            }
            value(page, name, &labels)
        };
        let sources = ["workers", "results", "history", "ecs"];
        let old = |collector: &&str| at(collector).is_none_or(|at| now - at > 3.0);
        Some(sources.into_iter().filter(old).collect())
    }

    async fn json(&self, url: &str) -> Option<Value> {
        serde_json::from_str(&self.get(url.to_owned()).await?).ok()
    }

    async fn get(&self, url: String) -> Option<String> {
        let answer = self.client.get(url).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }
}

/// Why the plan buys nothing for a pool.
fn why(plan: &Value, pool: &str) -> Option<String> {
    let verdicts = plan.pointer("/verdicts")?.as_array()?;
    let verdict = verdicts.iter().find(|v| v["pool"] == pool)?;
    Some(verdict["reason"].as_str()?.to_owned())
}

/// Whether a pool shows what it has; `None` where it shows some of it only.
fn shown(page: &str, pool: &str) -> Option<bool> {
    let families = [
        "obs_jobs",
        "obs_jobs_expected_work_seconds",
        "obs_instances",
        "obs_workers",
    ];
    let there = families.map(|name| value(page, name, &[("pool", pool)]).is_some());
    there.iter().all(|t| *t == there[0]).then_some(there[0])
}

/// The value of the first series of this name with these labels.
fn value(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    values(page, name, labels).next()
}

/// The values of the series of this name with these labels.
fn values(page: &str, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = f64> {
    let of_name = page
        .lines()
        .filter_map(move |line| line.strip_prefix(name)?.strip_prefix('{'));
    let has = move |series: &str| {
        let has = |(key, value): &(&str, &str)| series.contains(&format!("{key}=\"{value}\""));
        labels.iter().all(has)
    };
    let samples = of_name.filter_map(|rest| rest.rsplit_once("} "));
    let samples = samples.filter(move |(series, _)| has(series));
    samples.filter_map(|(_, value)| value.parse().ok())
}

/// The shipped configuration with the places, backends and pools of this run, and polls of half a second.
fn configure(dir: &Path, listen: SocketAddr, [a, b]: [SocketAddr; 2], cloud: SocketAddr) {
    let shipped = include_str!("../../../config.yaml");
    let parsed: serde_yaml::Value = serde_yaml::from_str(shipped).unwrap();
    let serde_yaml::Value::Mapping(mut config) = parsed else {
        panic!("config.yaml is no mapping");
    };
    let mut set = |key: &str, yaml: String| {
        let value: serde_yaml::Value = serde_yaml::from_str(&yaml).unwrap();
        config.insert(key.into(), value);
    };
    let here = dir.display();
    set("state_dir", format!("{here}/state"));
    set(
        "web",
        format!("{{listen: '{listen}', token_file: {here}/secret}}"),
    );
    let backend = |name: &str, at: SocketAddr| {
        format!(
            "{{name: {name}, source_server: 'http://{at}', repository_server: 'http://{at}', projects: [{name}]}}"
        )
    };
    set(
        "backends",
        format!("[{}, {}]", backend("a", a), backend("b", b)),
    );
    let mut pools = String::new();
    for level in ["l1", "l2", "l3"] {
        for (name, arch, serves) in [
            ("x86-a", "x86_64", "a"),
            ("x86-b", "x86_64", "b"),
            ("arm", "aarch64", "a, b"),
        ] {
            let _infallible = writeln!(
                pools,
                "- {{name: {name}-{level}, arch: {arch}, level: {level}, backends: [{serves}]}}"
            );
        }
    }
    set("pools", pools);
    set(
        "poll",
        "{workers: 500ms, results: 500ms, history: 500ms, ecs: 500ms, market: 500ms, hosts: 500ms, timeout: 1s}"
            .to_owned(),
    );
    set("scaling", "{max_age: 3s, tick: 500ms}".to_owned());
    set(
        "ssh",
        format!("{{private_key_file: {here}/key, host_key_secret_file: {here}/secret}}"),
    );
    let serde_yaml::Value::Mapping(ecs) = &mut config["ecs"] else {
        panic!("config.yaml has no ecs");
    };
    ecs.insert("endpoint".into(), format!("http://{cloud}").into());
    std::fs::write(
        dir.join("config.yaml"),
        serde_yaml::to_string(&config).unwrap(),
    )
    .unwrap();
    let secret = dir.join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let keygen = ["-q", "-t", "ed25519", "-N", "", "-f"];
    let made = Command::new("ssh-keygen")
        .args(keygen)
        .arg(dir.join("key"))
        .status();
    assert!(made.unwrap().success());
}

/// The shipped rules and how Prometheus comes to them, every second.
fn rules(dir: &Path, scaler: SocketAddr) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerting-rules");
    let files: Vec<PathBuf> = std::fs::read_dir(shipped)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "yml"))
    {
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.replace("interval: 15s", "interval: 1s");
        std::fs::write(dir.join(file.file_name().unwrap()), text).unwrap();
    }
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}/[a-b,p-w]*.yml']\n\
         scrape_configs:\n- job_name: obs-scaler\n  static_configs: [{{targets: ['{scaler}']}}]\n",
        dir.display()
    );
    std::fs::create_dir(dir.join("prometheus")).unwrap();
    std::fs::write(dir.join("prometheus/prometheus.yaml"), config).unwrap();
}

fn start_scaler(dir: &Path) -> Program {
    let log = std::fs::File::create(dir.join("obs-scaler.log")).unwrap();
    let started = Command::new(env!("CARGO_BIN_EXE_obs-scaler"))
        .arg("--config")
        .arg(dir.join("config.yaml"))
        .arg("serve")
        .env("OBS_SCALER_ACCESS_KEY", "AK")
        .env("OBS_SCALER_SECRET_KEY", "SK")
        .stdin(Stdio::null())
        .stderr(log)
        .spawn();
    Program(started.unwrap())
}

fn start_prometheus(dir: &Path, listen: SocketAddr) -> Program {
    let dir = dir.join("prometheus");
    let started = Command::new("prometheus")
        .arg(format!("--config.file={}/prometheus.yaml", dir.display()))
        .arg(format!("--storage.tsdb.path={}", dir.display()))
        .arg(format!("--web.listen-address={listen}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Program(started.unwrap_or_else(|e| panic!("prometheus is needed ({e}): tests/rig/install.sh")))
}
