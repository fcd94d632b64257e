//! The resource use of workers is read from the real node_exporter, over the real ssh, and from the real
//! Prometheus, which finds the workers by itself. Each part on a free port of loopback.

use crate::sshd::Machine;
use jiff::Timestamp;
use obs_scaler::adoption::{Adopt, AdoptionError, Disown};
use obs_scaler::clock::Clock;
use obs_scaler::config::{Config, ResourceUse, SecretPlace};
use obs_scaler::configure::Configure;
use obs_scaler::exclusive::Ask;
use obs_scaler::hosts::{Reader, Target};
use obs_scaler::inspect::CheckAsked;
use obs_scaler::metrics::{Configured, FleetCollector, Metrics, Own, Source};
use obs_scaler::model::{
    Alarms, FlavorName, Fleet, HostName, HostUse, Observed, OrderId, PoolName, Server, ServerId,
    ServerStatus, Snapshot, Tags, Vcpus,
};
use obs_scaler::present::Present;
use obs_scaler::reconcile::InHand;
use obs_scaler::roster::NotAnswered;
use obs_scaler::ssh::HostKeys;
use obs_scaler::web::{self, AT_ONCE, Answered, App, Checked, Doorbell, People, Scrapes, Tokens};
use prometheus_client::registry::Registry;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(package: &str, arguments: &[String]) -> Program {
    let name = format!("/usr/bin/{package}");
    let mut command = Command::new(&name);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = command.spawn();
    Program(started.unwrap_or_else(|e| panic!("{name} is needed ({e}): apt-get install {package}")))
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

async fn get(url: &str) -> Option<String> {
    let client = obs_scaler::obs::http_client(Duration::from_secs(5), true).unwrap();
    let answer = client.get(url).send().await.ok()?;
    answer.error_for_status().ok()?.text().await.ok()
}

/// Asks until `wanted` is found in the answer.
async fn until<T>(url: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = get(url).await.as_deref().and_then(&wanted) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(60), asking).await;
    asked.unwrap_or_else(|_| panic!("{url} never said it"))
}

async fn node_exporter() -> (Program, u16) {
    let port = free_port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let program = start("prometheus-node-exporter", &[listen]);
    until(&format!("http://127.0.0.1:{port}/metrics"), |_| Some(())).await;
    (program, port)
}

/// The shipped configuration.
fn config(way: ResourceUse) -> Config {
    let secret = |_: &SecretPlace| Ok(SecretString::from("s".repeat(32)));
    let mut config = Config::parse(include_str!("../../config.yaml"), &secret).unwrap();
    config.hosts.resource_use = way;
    config
}

fn order() -> OrderId {
    OrderId::new("0b6f1f3c-8a43-4a0e-9d27-5d0f5f9d3f10")
}

/// One worker, on this machine.
fn fleet() -> Fleet {
    let server = Server {
        id: ServerId::new("s-1"),
        name: HostName::new("w-1"),
        status: ServerStatus::Active,
        ip: Some([127, 0, 0, 1].into()),
        flavor: FlavorName::new("ki1.8xlarge.4"),
        vcpus: Vcpus(32),
        created: Timestamp::UNIX_EPOCH,
        tags: Tags {
            pool: PoolName::try_from("aarch64-l1").ok(),
            order: Some(order()),
            protected: false,
            ..Tags::default()
        },
    };
    Fleet {
        servers: [(server.id.clone(), server)].into(),
    }
}

/// Reads the worker until its CPUs have been seen to do something, or nothing.
async fn read(config: &Config) -> HostUse {
    let reader = Reader::new(config).unwrap().unwrap();
    let mut before = None;
    for _ in 0..100 {
        let targets = Target::all_of(&fleet());
        let mut read = reader.read(targets, Clock::default().now()).await.unwrap();
        let reading = read.remove(&HostName::new("w-1")).unwrap().unwrap();
        let used = HostUse::next(before.as_ref(), reading.at, reading.counters);
        if used.cpu_usage_ratio.is_some() {
            return used;
        }
        before = Some(used);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("its CPUs stand still: {before:?}");
}

/// What the kernel says itself, of what does not move much.
fn assert_plausible(used: &HostUse) {
    let ratio = used.cpu_usage_ratio.unwrap();
    assert!((0.0..=1.0).contains(&ratio), "{used:?}");
    let memory = used.counters.memory_usage_ratio.unwrap();
    assert!(memory > 0.0 && memory < 1.0, "{used:?}");
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let cpu = used.counters.cpu.unwrap();
    let counted = cpu.busy + cpu.idle + cpu.waiting;
    assert!(counted > 0.5 * uptime, "{counted} s of {uptime} s");
}

#[tokio::test]
async fn resource_use_is_read_from_node_exporter() {
    let (_running, port) = node_exporter().await;
    let mut config = config(ResourceUse::NodeExporter);
    config.hosts.node_exporter_port = port;
    assert_plausible(&read(&config).await);
}

#[tokio::test]
async fn resource_use_is_read_over_ssh_from_a_host_whose_key_is_derived() {
    let mut config = config(ResourceUse::Ssh);
    let keys = HostKeys::new(&config.ssh.host_key_secret);
    let key = keys.derive(&order()).unwrap();
    let machine = Machine::boot_with(|host| {
        use std::os::unix::fs::PermissionsExt;
        fs::write(host, key.openssh_private().expose_secret()).unwrap();
        fs::set_permissions(host, PermissionsExt::from_mode(0o600)).unwrap();
    });
    config.ssh = machine.config("client");
    assert_plausible(&read(&config).await);

    config.ssh.host_key_secret = SecretString::from("another secret, of thirty-two bytes");
    let reader = Reader::new(&config).unwrap().unwrap();
    let read = reader
        .read(Target::all_of(&fleet()), Clock::default().now())
        .await;
    let refused = read.unwrap().remove(&HostName::new("w-1")).unwrap();
    assert_eq!(refused.unwrap_err().label(), "host_key");
}

/// Does nothing for people: they ask for nothing here.
struct Nobody;

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

impl People for Nobody {
    fn configure(&self, _: Configure) -> Pin<Box<dyn Future<Output = web::Refitted> + Send>> {
        Box::pin(std::future::ready(None))
    }

    fn maintain(
        &self,
        _: obs_scaler::model::BackendName,
        _: Option<Timestamp>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(std::future::ready(false))
    }

    fn be_exclusive(&self, _: Option<Ask>) -> Pin<Box<dyn Future<Output = web::Noted> + Send>> {
        Box::pin(std::future::ready(None))
    }

    fn adopt(&self, _: Adopt) -> Answering {
        Box::pin(std::future::ready(Err(AdoptionError::Stopping)))
    }

    fn disown(&self, _: Disown) -> Answering {
        Box::pin(std::future::ready(Err(AdoptionError::Stopping)))
    }

    fn check(&self, _: CheckAsked) -> Pin<Box<dyn Future<Output = Checked> + Send>> {
        Box::pin(std::future::ready(Err(NotAnswered::NotRead)))
    }
}

/// The daemon's web server over this snapshot.
async fn serve(config: Config, snapshot: watch::Receiver<Snapshot>) -> SocketAddr {
    let (alarms, (speak, _)) = (watch::Sender::new(Alarms::default()), mpsc::channel(1));
    let present = Arc::new(Present {
        config: Arc::new(config),
        clock: Clock::default(),
        snapshot,
        in_hand: watch::Sender::new(InHand::default()).subscribe(),
        alarms: alarms.subscribe(),
        speak,
    });
    let mut registry = Registry::default();
    let own = Own::register(&mut registry, &Default::default(), &[]);
    let source = Arc::clone(&present) as Arc<dyn Source>;
    let farm = FleetCollector::new(Configured::from(&*present.config), Arc::clone(&source));
    let app = App {
        doorbell: Doorbell {
            tokens: Tokens::new([&SecretString::from("token")]),
            max_body_bytes: 4096,
            pools: Default::default(),
            alarms,
            wake: Arc::new(Notify::new()),
            own,
            places: Semaphore::new(AT_ONCE),
            stopping: CancellationToken::new(),
        },
        scrapes: Scrapes::new(Metrics::new(registry, farm)),
        source,
        answers: present,
        people: Arc::new(Nobody),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(web::serve(
        listener,
        Arc::new(app),
        CancellationToken::new(),
    ));
    at
}

/// A Prometheus that asks `at` for its targets; its base URL.
async fn prometheus(dir: &std::path::Path, at: SocketAddr) -> (Program, String) {
    let settings = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: obs-workers\n    \
         http_sd_configs: [{{url: 'http://{at}/api/v1/sd', refresh_interval: 1s}}]\n"
    );
    let file = dir.join("prometheus.yml");
    fs::write(&file, settings).unwrap();
    let url = format!("http://127.0.0.1:{}", free_port());
    let arguments = [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", dir.join("data").display()),
        format!("--web.listen-address={}", url.trim_start_matches("http://")),
    ];
    let program = start("prometheus", &arguments);
    (program, url)
}

/// The labels of the one target that answers.
fn up(targets: &str) -> Option<Value> {
    let targets: Value = serde_json::from_str(targets).ok()?;
    let [target] = targets["data"]["activeTargets"].as_array()?.as_slice() else {
        return None;
    };
    (target["health"] == "up").then(|| target["labels"].clone())
}

#[tokio::test]
async fn prometheus_finds_the_workers_and_keeps_them_while_the_cloud_is_not_known() {
    let (_node, port) = node_exporter().await;
    let mut config = config(ResourceUse::Prometheus);
    config.hosts.node_exporter_port = port;
    let listed = |at| Snapshot {
        fleet: Arc::new(Observed::known(at, fleet())),
        ..Snapshot::default()
    };
    let snapshot = watch::Sender::new(listed(Clock::default().now()));
    let daemon = serve(config.clone(), snapshot.subscribe()).await;
    let dir = tempfile::tempdir().unwrap();
    let (_prometheus, url) = prometheus(dir.path(), daemon).await;

    let targets = format!("{url}/api/v1/targets");
    let expected = json!({
        "job": "obs-workers", "instance": format!("127.0.0.1:{port}"),
        "pool": "aarch64-l1", "arch": "aarch64", "level": "l1", "worker": "w-1",
    });
    assert_eq!(until(&targets, up).await, expected);

    config.hosts.prometheus = url.clone();
    assert_plausible(&read(&config).await);

    snapshot.send_replace(listed(Timestamp::UNIX_EPOCH));
    let failed = |page: &str| {
        let failures = page.lines();
        let mut failures =
            failures.filter(|line| line.starts_with("prometheus_sd_http_failures_total "));
        (!failures.next()?.ends_with(" 0")).then_some(())
    };
    until(&format!("{url}/metrics"), failed).await;
    assert_eq!(until(&targets, up).await, expected);
}
