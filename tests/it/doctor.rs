//! `doctor` finds nothing wrong with a farm that is in order, and names whatever is made wrong in it.

mod wrongs;

use crate::sshd::generate_key;
use jiff::SignedDuration;
use obs_scaler::clock::Clock;
use obs_scaler::cloud::Cloud;
use obs_scaler::config::{Config, SecretPlace};
use obs_scaler::doctor::{Finding, Verdict, examine};
use obs_scaler::ecs::EcsClient;
use obs_scaler::execute::Hands;
use obs_scaler::model::{Order, ServerStatus};
use obs_sim::{ecs, machine, obs};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use wrongs::{forbidden, lacking};

const ARM: &str = "dry run of an order of ki1.8xlarge.4 for pool arm-1";
const X86: &str = "dry run of an order of c7.8xlarge.4 for pool x86-1";

const PROJECT: &str = "0605767d5a00d5762fb7c00a3d5f1b9c";
const ARM_IMAGE: &str = "1189efbf-d48b-46ad-a823-94b942e2a000";
const X86_IMAGE: &str = "1189efbf-d48b-46ad-a823-94b942e2a001";
const VPC: &str = "0dae26c9-9a70-4392-93f3-87d53115d171";
const SUBNET: &str = "157ee789-03ea-45b1-a698-76c92660dd83";
const GROUP: &str = "507ca48f-814c-4293-8706-300564d54620";

const CONFIG: &str = "
owner: patient
web: { token_env: SECRET }
levels: { never_built: l1 }
flavors:
  aarch64:
    l1: &arm { name: ki1.8xlarge.4, vcpus: 32, instances: 2, jobs: 1, price: 4.2 }
    l2: *arm
    l3: *arm
  x86_64:
    l1: &x86 { name: c7.8xlarge.4, vcpus: 32, instances: 2, jobs: 1, price: 5.6 }
    l2: *x86
    l3: *x86
pools:
  - { name: arm-1, arch: aarch64, level: l1, backends: [main] }
  - { name: arm-2, arch: aarch64, level: l2, backends: [main] }
  - { name: arm-3, arch: aarch64, level: l3, backends: [main] }
  - { name: x86-1, arch: x86_64, level: l1, backends: [main] }
  - { name: x86-2, arch: x86_64, level: l2, backends: [main] }
  - { name: x86-3, arch: x86_64, level: l3, backends: [main] }
scaling: { ceiling_vcpus: 64, availability_zones: [cn-north-4a, cn-north-4b] }
hosts: { resource_use: none }
";

struct Farm {
    cloud: ecs::Running,
    obs: obs::Simulator,
    ssh_port: u16,
    http: reqwest::Client,
    folder: TempDir,
}

/// What a configuration may have otherwise.
struct Changes {
    ssh_port: u16,
    state: &'static str,
    key: &'static str,
    secret: &'static str,
}

impl Farm {
    /// Its servers have addresses in 127.0.`network`: those of no other test.
    async fn start(network: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for key in ["key", "other"] {
            generate_key(&folder.path().join(key), &["-t", "ed25519"]);
        }
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let obs = backend().await;
        let first = format!("127.0.{network}.1");
        let free = TcpListener::bind((first.as_str(), 0)).unwrap();
        let ssh_port = free.local_addr().unwrap().port();
        drop(free);
        let mut options = ecs::Options::new(PROJECT, "AK", "sk");
        options.speed = 200.0;
        options.addresses = format!("{first}-127.0.{network}.40").parse().unwrap();
        options.arm_images = vec![ARM_IMAGE.to_owned()];
        options.stand_ins = Some(machine::Options {
            obs: vec![obs.address()],
            ssh_port,
            authorized_key: std::fs::read_to_string(folder.path().join("key.pub")).unwrap(),
        });
        Self {
            cloud: ecs::Simulator::start(options).await.unwrap(),
            obs,
            ssh_port,
            http: obs_scaler::obs::http_client(Duration::from_secs(5), true).unwrap(),
            folder,
        }
    }

    fn config(&self, change: impl FnOnce(&mut Changes)) -> Arc<Config> {
        let mut changes = Changes {
            ssh_port: self.ssh_port,
            state: "state",
            key: "key",
            secret: "s",
        };
        change(&mut changes);
        let Changes { ssh_port, .. } = changes;
        let (obs, state) = (self.obs.address(), self.folder.path().join(changes.state));
        let text = format!(
            "state_dir: {}
backends:
  - {{ name: main, source_server: 'http://{obs}', repository_server: 'http://{obs}', projects: [P] }}
ecs:
  endpoint: {}
  region: cn-north-4
  project_id: \"{PROJECT}\"
  access_key_env: AK
  secret_key_env: SK
  images: {{ aarch64: {ARM_IMAGE}, x86_64: {X86_IMAGE} }}
  vpc_id: {VPC}
  subnet_id: {SUBNET}
  security_groups: [{GROUP}]
  key_name: patient
  root_volume_gib: 40
ssh: {{ port: {ssh_port}, private_key_env: KEY, host_key_secret_env: SECRET }}
{CONFIG}",
            state.display(),
            self.cloud.endpoint(),
        );
        let key = std::fs::read_to_string(self.folder.path().join(changes.key)).unwrap();
        let secrets = |place: &SecretPlace| {
            let SecretPlace::Variable(name) = place else {
                return Err("no files here".to_owned());
            };
            Ok(SecretString::from(match name.as_str() {
                "AK" => "AK".to_owned(),
                "SK" => "sk".to_owned(),
                "KEY" => key.clone(),
                _ => changes.secret.repeat(32),
            }))
        };
        Arc::new(Config::parse(&text, &secrets).unwrap_or_else(|faults| panic!("{faults}")))
    }

    /// Buys one server for the arm pool, and waits until it is there.
    async fn buy(&self) {
        let config = self.config(|_| {});
        let clock = Clock::default();
        let client = EcsClient::new(&config.ecs, config.policy.owner.clone(), clock).unwrap();
        let cloud: Arc<dyn Cloud> = Arc::new(client);
        let hands = Hands::new(Arc::clone(&config), Arc::clone(&cloud), clock).unwrap();
        let pool = config.policy.pools.values().next().unwrap();
        let order = Order {
            id: hands.new_order_id().unwrap(),
            pool: pool.name.clone(),
            flavor: pool.flavor.clone(),
            zone: None,
            vcpus: pool.vcpus,
            count: 1,
            names: None,
            at: clock.now(),
            job: None,
            body_sha256: String::new(),
            closed: None,
        };
        cloud.create(&hands.request(&order).unwrap()).await.unwrap();
        let mut active = false;
        while !active {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let fleet = cloud.list().await.unwrap();
            let mut servers = fleet.servers.values();
            active = servers.any(|server| server.status == ServerStatus::Active);
        }
    }

    async fn control(&self, at: SocketAddr, method: Method, route: &str, body: &Value) {
        let url = format!("http://{at}/_sim/{route}");
        let call = self.http.request(method, url).body(body.to_string());
        let answer = call.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{route} {body}: {status} {text}");
    }

    async fn stop(self) {
        self.cloud.stop().await.unwrap();
        self.obs.stop().await;
    }

    async fn faults(&self, faults: &Value) {
        self.control(self.cloud.addr, Method::PUT, "faults", faults)
            .await;
    }
}

async fn backend() -> obs::Simulator {
    let options = obs::Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        size: obs::Size {
            workers: 0,
            instances: 0,
            packages: 0,
            jobs: 0,
            jobs_per_hour: 0.0,
            projects: vec!["P".to_owned()],
            seed: 0,
            speed: 1.0,
        },
        frontend: None,
        clock: obs_sim::Clock::default(),
    };
    obs::Simulator::start(options).await.unwrap()
}

async fn look(config: &Arc<Config>) -> Vec<Finding> {
    examine(config, Clock::default()).await
}

/// Those that are not well, by what they looked at, in the order of their names.
fn wrong(findings: &[Finding]) -> Vec<(String, Verdict)> {
    let wrong = findings.iter().filter(|f| f.verdict != Verdict::Ok);
    let mut wrong: Vec<_> = wrong.map(|f| (f.what.clone(), f.verdict)).collect();
    wrong.sort();
    wrong
}

/// Exactly these checks end badly, and each says these words.
#[track_caller]
fn assert_wrong(because: &str, findings: &[Finding], expected: &[(&str, Verdict)], words: &str) {
    let named = expected.iter().map(|(what, v)| ((*what).to_owned(), *v));
    let mut expected: Vec<_> = named.collect();
    expected.sort();
    assert_eq!(wrong(findings), expected, "{because}: {findings:#?}");
    for finding in findings.iter().filter(|f| f.verdict != Verdict::Ok) {
        assert!(finding.to_string().contains(words), "{because}: {finding}");
    }
}

use Verdict::{Fail, Warn};

#[tokio::test]
async fn a_farm_in_order_has_nothing_wrong_and_every_fault_is_named() {
    let farm = Farm::start(204).await;
    farm.buy().await;
    let config = farm.config(|_| {});
    let findings = look(&config).await;
    assert_wrong("nothing", &findings, &[], "");
    assert!(findings.len() > 20, "{}", findings.len());
    let before = farm.cloud.ledger();
    for (fault, fails, words) in forbidden().chain(lacking()) {
        farm.faults(&fault).await;
        // costs are shown wrongly without prices, and nothing else
        let verdict = |what: &str| if what == "prices" { Warn } else { Fail };
        let expected: Vec<_> = fails.iter().map(|what| (*what, verdict(what))).collect();
        assert_wrong(&fault.to_string(), &look(&config).await, &expected, words);
    }
    farm.faults(&json!({})).await;
    assert_wrong("mended", &look(&config).await, &[], "");
    let after = farm.cloud.ledger();
    let done = |ledger: &ecs::Ledger| {
        let servers = ledger.servers.iter();
        let volume = |disk: &ecs::VolumeEntry| (disk.id.clone(), disk.deleted_at);
        let volumes = |s: &ecs::ServerEntry| s.volumes.iter().map(volume).collect::<Vec<_>>();
        let each = servers.map(|s| (s.tags.clone(), s.deleted_at, volumes(s)));
        (ledger.create_calls.len(), each.collect::<Vec<_>>())
    };
    assert_eq!(done(&after), done(&before), "changed something");
    farm.stop().await;
}

#[tokio::test]
async fn flavors_prices_and_images_that_are_not_what_the_configuration_says_are_named() {
    let farm = Farm::start(205).await;
    farm.buy().await;
    let config = farm.config(|_| {});
    farm.faults(&json!({"sold_out": ["ki1.8xlarge.4"]})).await;
    let expected = [
        ("flavor ki1.8xlarge.4 of pool arm-1", Warn),
        ("flavor ki1.8xlarge.4 of pool arm-2", Warn),
        ("flavor ki1.8xlarge.4 of pool arm-3", Warn),
        (ARM, Warn),
    ];
    let further = "name further flavors or zones";
    assert_wrong("sold out", &look(&config).await, &expected, further);
    farm.faults(&json!({})).await;

    let flavors = json!({"ki1.8xlarge.4": 4.2, "c7.8xlarge.4": 9.9});
    let prices = json!({"currency": "CNY", "flavors": flavors, "volumes": {}});
    let cloud = farm.cloud.addr;
    farm.control(cloud, Method::PUT, "prices", &prices).await;
    let price = ("price of c7.8xlarge.4", Warn);
    let found = look(&config).await;
    assert_wrong("prices", &found, &[price], "expected 9.9 CNY");
    let route = format!("arm-images/{X86_IMAGE}");
    farm.control(cloud, Method::PUT, &route, &json!({})).await;
    let expected = [("image of x86_64", Fail), price];
    assert_wrong("image", &look(&config).await, &expected, "correct ");
    farm.stop().await;
}

#[tokio::test]
async fn keys_clocks_backends_and_workers_that_are_wrong_are_named() {
    let farm = Farm::start(206).await;
    farm.buy().await;
    let worker = look(&farm.config(|_| {})).await;
    let worker = worker.iter().find(|f| f.what.starts_with("ssh to worker"));
    let worker = worker.unwrap().what.clone();
    let worker = worker.as_str();

    let found = look(&farm.config(|c| c.secret = "t")).await;
    assert_wrong(
        "another secret",
        &found,
        &[(worker, Fail)],
        "ssh.host_key_secret",
    );
    let found = look(&farm.config(|c| c.key = "other")).await;
    let expected = [("key pair patient", Fail), (worker, Fail)];
    assert_wrong("another key", &found, &expected, "->");
    let found = look(&farm.config(|c| c.ssh_port = 1)).await;
    assert_wrong("no ssh", &found, &[(worker, Fail)], "security group");
    let found = look(&farm.config(|c| c.state = "none")).await;
    assert_wrong(
        "no state",
        &found,
        &[("state_dir", Fail)],
        "give it to the service's user",
    );

    let half_a_minute = SignedDuration::from_secs(30);
    let fast = Clock::fast(Clock::default().now() - half_a_minute, 60);
    let found = examine(&farm.config(|_| {}), fast).await;
    let obs = format!(
        "clock against backend main at http://{}",
        farm.obs.address()
    );
    let expected = [
        ("clock against the cloud", Fail),
        ("list of servers", Fail),
        (obs.as_str(), Warn),
        (obs.as_str(), Warn),
    ];
    assert_wrong("the clock", &found, &expected, "clock");

    for (route, what) in [("workerstatus", "workers"), ("result", "results")] {
        let fault = json!({"routes": {route: "error"}});
        farm.control(farm.obs.address(), Method::PUT, "faults", &fault)
            .await;
        let what = format!("{what} of backend main");
        assert_wrong(
            route,
            &look(&farm.config(|_| {})).await,
            &[(&what, Fail)],
            "backend's addresses",
        );
    }
    farm.stop().await;
}
