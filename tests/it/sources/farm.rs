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
    /// The collectors whose last success, of a or of the cloud, is older than `max_age`.
    pub(super) stands: Vec<&'static str>,
    /// Whether the pools of a, of both, and of b show their jobs.
    pub(super) shown: [bool; 3],
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
    _programs: [Program; 2],
    _folder: TempDir,
}

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
        let programs = [start_scaler(dir), start_prometheus(dir, prometheus)];
        Self {
            a_at: a.address(),
            a: Some(a),
            b,
            cloud,
            scaler,
            prometheus,
            client: obs_scaler::obs::http_client(Duration::from_secs(5), true).unwrap(),
            _programs: programs,
            _folder: folder,
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

    pub(super) async fn cloud_fault(&self, faults: &str) {
        self.put(self.cloud.addr, faults.to_owned()).await;
    }

    pub(super) async fn backend_goes(&mut self) {
        self.a.take().unwrap().stop().await;
    }

    /// Ends every fault.
    pub(super) async fn mend(&mut self) {
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

    /// `None` while obs-scaler or Prometheus does not answer.
    async fn look(&self, named: &[&'static str]) -> Option<Seen> {
        let page = self.get(format!("http://{}/metrics", self.scaler)).await?;
        let alerts = self.get(format!("http://{}/api/v1/alerts", self.prometheus));
        let alerts: Value = serde_json::from_str(&alerts.await?).ok()?;
        let active: BTreeSet<&str> = (alerts.pointer("/data/alerts")?.as_array()?.iter())
            .filter_map(|alert| alert.pointer("/labels/alertname")?.as_str())
            .collect();
        let known = ["ObsBackendUnreachable", "ObsPoolHalted", "ObsDaemonDown"];
        let mut seen: Vec<&'static str> =
            known.into_iter().filter(|n| active.contains(n)).collect();
        seen.sort_by_key(|name| named.iter().position(|n| n == name));
        let up = |backend: &str| value(&page, "obs_up", &[("backend", backend)]) == Some(1.0);
        let shown = |pool: &str| {
            value(&page, "obs_jobs_expected_work_seconds", &[("pool", pool)]).is_some()
        };
        Some(Seen {
            up: [up("a"), up("b")],
            stands: self.stands(&page).await?,
            shown: [shown("x86-a-l1"), shown("arm-l1"), shown("x86-b-l1")],
            alerts: seen,
        })
    }

    /// By Prometheus' clock, which is ours.
    async fn stands(&self, page: &str) -> Option<Vec<&'static str>> {
        let now = self.get(format!(
            "http://{}/api/v1/query?query=time()",
            self.prometheus
        ));
        let now: Value = serde_json::from_str(&now.await?).ok()?;
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

    async fn get(&self, url: String) -> Option<String> {
        let answer = self.client.get(url).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }
}

/// The value of the first series of this name with these labels.
fn value(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let of_name = page
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let has = |series: &str| {
        let has = |(key, value): &(&str, &str)| series.contains(&format!("{key}=\"{value}\""));
        labels.iter().all(has)
    };
    let mut samples = of_name.filter_map(|rest| rest.rsplit_once("} "));
    let (_, value) = samples.find(|(series, _)| has(series))?;
    value.parse().ok()
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
        "{workers: 500ms, results: 500ms, history: 500ms, ecs: 500ms, hosts: 500ms, timeout: 1s}"
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
