//! The outside world: a simulated cloud with machines that are records, and a simulated OBS.

use crate::sshd::generate_key;
use jiff::Timestamp;
use obs_scaler::clock::Clock;
use obs_scaler::config::{Config, SecretPlace};
use obs_sim::{ecs, machine, obs};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(super) const OWNER: &str = "walk";
pub(super) const PROJECT: &str = "0605767d5a00d5762fb7c00a3d5f1b9c";
pub(super) const ACCESS_KEY: &str = "AKWALK";
pub(super) const SUBNET: &str = "157ee789-03ea-45b1-a698-76c92660dd83";
pub(super) const SECRET_KEY: &str = "sk-walk";

/// Times of the program are those of `config.yaml`, where nothing else is said; those of sockets and of
/// polling are true ones.
const CONFIG: &str = "
owner: walk
web: { token_env: SECRET }
levels:
  never_built: l1
  packages: [{ pattern: big.*, level: l3 }]
ghosts: { free: true, after: 1m }
flavors:
  aarch64:
    l1: { name: ki1.8xlarge.4, vcpus: 32, instances: 2, jobs: 1, price: 4.2 }
    l2: { name: ki1.16xlarge.4, vcpus: 64, instances: 2, jobs: 1, price: 8.4 }
    l3: { name: ki1.16xlarge.4, vcpus: 64, instances: 1, jobs: 1, price: 8.4 }
  x86_64:
    l1: { name: c7.8xlarge.4, vcpus: 32, instances: 2, jobs: 1, price: 5.6 }
    l2: { name: c7.16xlarge.4, vcpus: 64, instances: 2, jobs: 1, price: 11.2 }
    l3: { name: c7.32xlarge.4, vcpus: 128, instances: 1, jobs: 1, price: 22.4 }
pools:
  - { name: arm-l1, arch: aarch64, level: l1, backends: [SERVED], mode: full }
  - { name: arm-l2, arch: aarch64, level: l2, backends: [SERVED] }
  - { name: arm-l3, arch: aarch64, level: l3, backends: [SERVED] }
  - { name: x86-l1, arch: x86_64, level: l1, backends: [SERVED], mode: full }
  - { name: x86-l2, arch: x86_64, level: l2, backends: [SERVED] }
  - { name: x86-l3, arch: x86_64, level: l3, backends: [SERVED], mode: full }
scaling:
  availability_zones: [cn-north-4a, cn-north-4b]
  max_order: 4
  settling: 0s
  release: { at_once: 4 }
DEADLINESpoll: { workers: 200ms, results: 300ms, history: 1s, ecs: 300ms, market: 300ms, hosts: 1s, timeout: PATIENCE }
hosts: { resource_use: none }
checks: { max_clock_difference: 24h } # machines keep the true time
";

/// The backends, as many as a farm has, each with its project.
const BACKENDS: [(&str, &str); 2] = [("main", "P"), ("lts", "Q")];

/// The pools that buy.
pub(super) const POOLS: [&str; 3] = ["arm-l1", "x86-l1", "x86-l3"];
/// The flavors that they buy.
pub(super) const FLAVORS: [&str; 3] = ["ki1.8xlarge.4", "c7.8xlarge.4", "c7.32xlarge.4"];

/// What differs from farm to farm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) ceiling: u32,
    /// How many times as fast as the true time everything goes by.
    pub(super) times: i32,
    /// How long an answer is waited for, in true time: `1s` and the like.
    pub(super) patience: &'static str,
    /// Lines of the section `scaling`.
    pub(super) deadlines: &'static str,
    /// The servers' addresses: no other test has them.
    pub(super) network: [u8; 3],
}

pub(super) struct Farm {
    pub(super) clock: Clock,
    pub(super) cloud: ecs::Running,
    pub(super) obs: obs::Simulator,
    /// The second backend, which every worker serves as well.
    second: Option<obs::Simulator>,
    pub(super) config: Arc<Config>,
    pub(super) http: reqwest::Client,
    folder: TempDir,
}

impl Farm {
    pub(super) async fn start(setup: Setup) -> Self {
        Self::of(setup, false).await
    }

    /// Its workers serve `main` and `lts`.
    pub(super) async fn of_two_backends(setup: Setup) -> Self {
        Self::of(setup, true).await
    }

    async fn of(setup: Setup, two: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        generate_key(&key, &["-t", "ed25519"]);
        let since = Clock::default().now();
        let shared = obs::SharedWorkers::default();
        let obs = backend(setup, "P", since, &shared).await;
        let second = match two {
            true => Some(backend(setup, "Q", since, &shared).await),
            false => None,
        };
        let backends = [Some(&obs), second.as_ref()].into_iter().flatten();
        let backends: Vec<SocketAddr> = backends.map(obs::Simulator::address).collect();
        let port = free_port();
        let machines = machine::Options {
            obs: backends.clone(),
            ssh_port: port,
            authorized_key: std::fs::read_to_string(key.with_extension("pub")).unwrap(),
        };
        let cloud = cloud(setup, since, machines).await;
        let places = Places {
            state: folder.path().join("state"),
            backends,
            cloud: cloud.addr,
            ssh: port,
        };
        let key = std::fs::read_to_string(key).unwrap();
        Self {
            clock: Clock::fast(since, setup.times),
            config: Arc::new(configure(setup, &places, &key)),
            cloud,
            obs,
            second,
            http: obs_scaler::obs::http_client(Duration::from_secs(5), true).unwrap(),
            folder,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(super) async fn stop(self) {
        self.cloud.stop().await.unwrap();
        self.obs.stop().await;
        if let Some(second) = self.second {
            second.stop().await;
        }
    }

    /// Says something to the simulated OBS over its control route, and hears its state.
    pub(super) async fn obs(&self, method: reqwest::Method, route: &str, body: Value) -> Value {
        self.tell(self.obs.address(), method, route, body).await
    }

    /// The same to the second backend.
    pub(super) async fn second(&self, method: reqwest::Method, route: &str, body: Value) -> Value {
        let second = self.second.as_ref().expect("a farm of two backends");
        self.tell(second.address(), method, route, body).await
    }

    /// How each build ended at each backend, `succeeded` and the like, of this architecture.
    pub(super) async fn ended(&self, arch: &str) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        let backends = [Some(&self.obs), self.second.as_ref()];
        for (obs, (_, project)) in backends.into_iter().flatten().zip(BACKENDS) {
            let path = format!("build/{project}/standard_{arch}/{arch}/_jobhistory");
            let url = format!("http://{}/{path}?limit=1000", obs.address());
            let answer = self.http.get(url).send().await.unwrap();
            let answer = answer.error_for_status().unwrap().text().await.unwrap();
            let codes = answer.split(" code=\"").skip(1);
            let codes = codes.filter_map(|rest| rest.split('"').next());
            all.push(codes.map(str::to_owned).collect());
        }
        all
    }

    async fn tell(
        &self,
        obs: SocketAddr,
        method: reqwest::Method,
        route: &str,
        body: Value,
    ) -> Value {
        let url = format!("http://{obs}/_sim/{route}");
        let call = self.http.request(method, url).body(body.to_string());
        let answer = call.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{route} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The state of the simulated OBS: `{"packages": {CODE: N}, "instances": {…}, "ghosts": N, …}`.
    pub(super) async fn obs_state(&self) -> Value {
        self.obs(reqwest::Method::GET, "state", json!({})).await
    }

    pub(super) async fn queue(&self, arch: &str, prefix: &str, count: u64, seconds: u64) {
        let jobs = json!({"arch": arch, "count": count, "seconds": seconds, "prefix": prefix});
        self.obs(reqwest::Method::POST, "jobs", jobs).await;
    }
}

struct Places {
    state: PathBuf,
    backends: Vec<SocketAddr>,
    cloud: SocketAddr,
    ssh: u16,
}

fn configure(setup: Setup, places: &Places, key: &str) -> Config {
    let Places {
        state,
        backends,
        cloud,
        ssh,
    } = places;
    let named = BACKENDS.iter().zip(backends);
    let lines: String = named
        .clone()
        .map(|((name, project), obs)| {
            format!(
                "  - {{ name: {name}, source_server: 'http://{obs}', repository_server: 'http://{obs}', \
                 projects: [{project}] }}\n"
            )
        })
        .collect();
    let served: Vec<&str> = named.map(|((name, _), _)| *name).collect();
    let served = served.join(", ");
    let ceiling = setup.ceiling;
    let patience = setup.patience;
    let scaling = format!("scaling:\n  ceiling_vcpus: {ceiling}\n");
    let common = CONFIG
        .replace("scaling:\n", &scaling)
        .replace("DEADLINES", setup.deadlines)
        .replace("SERVED", &served)
        .replace("PATIENCE", patience);
    let text = format!(
        "state_dir: {}
backends:
{lines}ecs:
  endpoint: http://{cloud}
  project_id: \"{PROJECT}\"
  access_key_env: ACCESS_KEY
  secret_key_env: SECRET_KEY
  images:
    aarch64: 1189efbf-d48b-46ad-a823-94b942e2a000
    x86_64: 1189efbf-d48b-46ad-a823-94b942e2a001
  vpc_id: 0dae26c9-9a70-4392-93f3-87d53115d171
  subnet_id: {SUBNET}
  security_groups: [507ca48f-814c-4293-8706-300564d54620]
  key_name: walk
  root_volume_gib: 40
  root_volume_price: 0.0123
  timeout: {patience}
  reads_per_second: 1000
  writes_per_minute: 1800
ssh: {{ port: {ssh}, private_key_env: PRIVATE_KEY, host_key_secret_env: SECRET, connect_timeout: 5s, command_timeout: 5s }}
{common}",
        state.display()
    );
    let secrets = |place: &SecretPlace| {
        let SecretPlace::Variable(name) = place else {
            return Err("no files here".to_owned());
        };
        Ok(SecretString::from(match name.as_str() {
            "ACCESS_KEY" => ACCESS_KEY.to_owned(),
            "SECRET_KEY" => SECRET_KEY.to_owned(),
            "PRIVATE_KEY" => key.to_owned(),
            _ => "s".repeat(32),
        }))
    };
    Config::parse(&text, &secrets).unwrap_or_else(|faults| panic!("{faults}"))
}

async fn backend(
    setup: Setup,
    project: &str,
    since: Timestamp,
    shared: &obs::SharedWorkers,
) -> obs::Simulator {
    let size = obs::Size {
        workers: 0,
        instances: 0,
        packages: 0,
        jobs: 0,
        jobs_per_hour: 0.0,
        projects: vec![project.to_owned()],
        seed: setup.seed,
        speed: 1.0,
    };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = obs::Options {
        listen,
        size,
        frontend: None,
        clock: obs_sim::Clock::fast(since, setup.times),
    };
    obs::Simulator::start_beside(options, shared).await.unwrap()
}

async fn cloud(setup: Setup, since: Timestamp, machines: machine::Options) -> ecs::Running {
    let [a, b, c] = setup.network;
    let mut options = ecs::Options::new(PROJECT, ACCESS_KEY, SECRET_KEY);
    options.clock = obs_sim::Clock::fast(since, setup.times);
    options.seed = setup.seed;
    options.addresses = format!("{a}.{b}.{c}.1-{a}.{b}.{c}.250").parse().unwrap();
    // as configured
    options.prices.volumes.insert("SSD".to_owned(), 0.0123);
    options.stand_ins = Some(machines);
    ecs::Simulator::start(options).await.unwrap()
}

fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    free.local_addr().unwrap().port()
}
