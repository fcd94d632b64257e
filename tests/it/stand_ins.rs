//! The simulators' machines that are records answer what the daemon asks over ssh, as a worker would:
//! the simulated demo rests on it.

use obs_scaler::clock::Clock;
use obs_scaler::config::{self, Backend, Discovery};
use obs_scaler::model::{Arch, BackendName, HostName, OrderId, Setup};
use obs_scaler::ssh::{
    Access, CheckOutcome, DrainOutcome, Expected, HostKeys, Pinned, WorkerSettings, check, drain,
    user_data,
};
use obs_sim::machine::{self, NewMachine, StandIns};
use obs_sim::obs;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::sshd::generate_key;

const IP: &str = "127.0.201.7";
const SYSCONFIG: &str = "/etc/sysconfig/obs-server";

fn settings() -> WorkerSettings {
    let name = BackendName::new("main");
    let backend = Backend {
        name: name.clone(),
        access: config::Access::Servers {
            source: "http://10.0.0.5:5352".to_owned(),
            repository: "http://10.0.0.5:5252".to_owned(),
        },
        worker_source_server: "10.0.0.5:5352".to_owned(),
        worker_repository_server: "10.0.0.5:5252".to_owned(),
        projects: Vec::new(),
        discovery: Discovery::default(),
        ramp: 0,
    };
    let setup = Setup {
        backends: vec![name.clone()],
        instances: 2,
        jobs: 4,
        cache_mib: Some(4096),
        cache_dir: Some("/var/cache/obs-worker".to_owned()),
        binaries_proxy: Some("http://10.0.0.7:5254".to_owned()),
    };
    WorkerSettings::of(&setup, &BTreeMap::from([(name, backend)])).unwrap()
}

async fn empty_farm() -> obs::Simulator {
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

fn free_port() -> u16 {
    let free = std::net::TcpListener::bind((IP, 0)).unwrap();
    free.local_addr().unwrap().port()
}

async fn workers(farm: &obs::Simulator) -> String {
    let url = format!("http://{}/workerstatus", farm.address());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// A job of a second and a half for aarch64.
async fn queue_one(farm: &obs::Simulator) {
    let jobs = r#"{"arch": "aarch64", "count": 1, "seconds": 1.5, "prefix": "job"}"#;
    let url = format!("http://{}/_sim/jobs", farm.address());
    let client = reqwest::Client::new();
    let queued = client.post(url).body(jobs).send().await.unwrap();
    assert!(queued.status().is_success());
}

fn access(key: &Path, port: u16) -> Access {
    let key = SecretString::from(std::fs::read_to_string(key).unwrap());
    let config = config::Ssh {
        user: "root".to_owned(),
        port,
        forced_command: false,
        login: config::Login::Key(key),
        host_key_secret: SecretString::from("s".repeat(32)),
        known_hosts_file: None,
        connect_timeout: Duration::from_secs(10),
        command_timeout: Duration::from_secs(10),
        session_timeout: Duration::from_secs(60),
        sysconfig: SYSCONFIG.to_owned(),
        proved_worker_code: Vec::new(),
        backend_hosts: BTreeMap::new(),
    };
    Access::new(&config).unwrap()
}

#[tokio::test]
async fn a_record_is_checked_put_in_service_and_drained_over_ssh() {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (known, other) = (dir.path().join("known"), dir.path().join("other"));
    for key in [&known, &other] {
        generate_key(key, &["-t", "ed25519"]);
    }
    let port = free_port();
    let access = |key| access(key, port);
    let farm = empty_farm().await;
    let machines = StandIns::new(&machine::Options {
        obs: vec![farm.address()],
        ssh_port: port,
        authorized_key: std::fs::read_to_string(known.with_extension("pub")).unwrap(),
    })
    .unwrap();
    let keys = HostKeys::new(&SecretString::from("s".repeat(32)));
    let key = keys.derive(&OrderId::new("order-1")).unwrap();
    let user_data = user_data(&settings(), SYSCONFIG, &key, false).unwrap();
    let machine = NewMachine {
        id: "id".to_owned(),
        name: "sim-1".to_owned(),
        ip: IP.to_owned(),
        arch: "aarch64".to_owned(),
        vcpus: 32,
        memory_mib: 131_072,
        local_disk: true,
        user_data: user_data.expose_secret().as_bytes().to_vec(),
    };
    machines.boot(&machine).await.unwrap();
    let host = Pinned::new(
        SocketAddr::new(IP.parse().unwrap(), port),
        key.pin().clone(),
    );
    let checked = async |key, arch: Arch| {
        let (access, settings) = (access(key), settings());
        let expected = Expected {
            arch: Some(arch.to_string()),
            vcpus: Some(32),
            memory_gib: Some(128.0),
            host: Some(HostName::new("sim-1")),
            local_disk: true,
            free_gib: 10,
            clock: Duration::from_secs(5),
        };
        let welcome = || async { Ok(()) };
        let now = Clock::default().now();
        let report = check(&access, &host, &expected, &settings, welcome, now);
        report.await.outcome
    };

    let refused = checked(&other, Arch::Aarch64).await;
    assert!(
        matches!(refused, CheckOutcome::Unreachable(_)),
        "{refused:?}"
    );
    let wrong = checked(&known, Arch::X86_64).await;
    assert!(matches!(wrong, CheckOutcome::Failed { .. }), "{wrong:?}");
    assert!(!workers(&farm).await.contains("sim-1"));

    assert_eq!(checked(&known, Arch::Aarch64).await, CheckOutcome::Passed);
    assert_eq!(workers(&farm).await.matches("workerid=\"sim-1:").count(), 2);

    queue_one(&farm).await;
    let busy = drain(&access(&known), &host).await.outcome;
    assert_eq!(busy, DrainOutcome::Remaining(1));
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while drain(&access(&known), &host).await.outcome != DrainOutcome::Drained {
        assert!(std::time::Instant::now() < end, "it never drains");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    machines.destroy("id").await.unwrap();
    let gone = checked(&known, Arch::Aarch64).await;
    assert!(matches!(gone, CheckOutcome::Unreachable(_)), "{gone:?}");
}
