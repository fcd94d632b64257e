//! The daemon at the size of the mission, with the shipped configuration: 60 workers of 7 instances, 5,000
//! packages of which 1,000 are jobs, polls and scrapes at their usual pace. Prints its time on a core and
//! its memory over two minutes. OBS and the cloud are simulated, in this process.
//!
//! `cargo bench --bench mission`, or with another number of seconds: `cargo bench --bench mission -- 600`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs
)] // a tool for figures

use obs_sim::{ecs, obs};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROJECT: &str = "00000000000000000000000000000000";
const SCRAPE: Duration = Duration::from_secs(15);
/// What the first readings take does not come again.
const WARM_UP: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() {
    let seconds = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(120);
    let farm = obs::Simulator::start(obs::Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        size: obs::Size {
            workers: 60,
            instances: 7,
            packages: 5_000,
            jobs: 1_000,
            jobs_per_hour: 600.0,
            projects: vec!["openEuler:Mainline".to_owned()],
            seed: 1,
            speed: 1.0,
        },
        frontend: None,
        clock: obs_sim::Clock::default(),
    });
    let farm = farm.await.unwrap();
    let cloud = ecs::Simulator::start(ecs::Options::new(PROJECT, "AK", "SK"))
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listen = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    configure(folder.path(), listen, farm.address(), cloud.addr);
    let mut daemon = start(folder.path());
    tokio::time::sleep(WARM_UP).await;

    let (begun, before) = (Instant::now(), cpu_seconds(&daemon));
    let client = obs_scaler::obs::http_client(SCRAPE, true).unwrap();
    let mut bytes = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(SCRAPE).await;
        assert!(daemon.try_wait().unwrap().is_none(), "obs-scaler ended");
        let page = client
            .get(format!("http://{listen}/metrics"))
            .send()
            .await
            .unwrap();
        bytes = page.text().await.unwrap().len();
    }
    assert!(bytes > 20_000, "a page of {bytes} bytes");
    let used = (cpu_seconds(&daemon) - before) / begun.elapsed().as_secs_f64();
    println!("| what | at mission size | aim |");
    println!("| --- | ---: | ---: |");
    println!("| share of a core | {:.2} % | 1 % |", used * 100.0);
    println!("| most memory | {:.1} MB | 40 MB |", memory_mb(&daemon));
    println!("| a scrape | {} KB | |", bytes / 1000);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    farm.stop().await;
    cloud.stop().await.unwrap();
}

/// The shipped configuration, with the places of this run.
fn configure(folder: &Path, listen: SocketAddr, farm: SocketAddr, cloud: SocketAddr) {
    let mut config = include_str!("../config.yaml").to_owned();
    let here = folder.display();
    for (from, to) in [
        (
            "state_dir: /var/lib/obs-scaler",
            format!("state_dir: {here}/state"),
        ),
        ("listen: 127.0.0.1:17790", format!("listen: {listen}")),
        ("http://127.0.0.1:5352", format!("http://{farm}")),
        ("http://127.0.0.1:5252", format!("http://{farm}")),
        (
            "https://ecs.cn-north-4.myhuaweicloud.com",
            format!("http://{cloud}"),
        ),
        ("/etc/obs-scaler/", format!("{here}/")),
    ] {
        assert!(config.contains(from), "config.yaml has no {from}");
        config = config.replace(from, &to);
    }
    std::fs::write(folder.join("config.yaml"), config).unwrap();
    for secret in ["webhook-token", "host-key-secret"] {
        let path = folder.join(secret);
        std::fs::write(&path, "0123456789abcdef0123456789abcdef").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let keygen = ["-q", "-t", "ed25519", "-N", "", "-f"];
    let made = Command::new("ssh-keygen")
        .args(keygen)
        .arg(folder.join("id_ed25519"))
        .status();
    assert!(made.unwrap().success());
}

fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_obs-scaler"))
        .arg("--config")
        .arg(folder.join("config.yaml"))
        .arg("serve")
        .env("OBS_SCALER_ACCESS_KEY", "AK")
        .env("OBS_SCALER_SECRET_KEY", "SK")
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// User and system time, in ticks of 10 ms (`proc_pid_stat(5)`).
fn cpu_seconds(daemon: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |n: usize| fields[n].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn memory_mb(daemon: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kib * 1024.0 / 1e6
}
