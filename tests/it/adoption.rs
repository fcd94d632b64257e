//! `adopt` and `disown` as people call them, against the simulators: by the daemon where one runs, and under
//! the journal's lock where none does.

use crate::sshd::generate_key;
use obs_sim::{ecs, obs};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROJECT: &str = "0605767d5a00d5762fb7c00a3d5f1b9c";

/// A farm with a worker that nobody adopted, a server that is no worker, and one of another owner.
pub(crate) struct Farm {
    cloud: ecs::Running,
    obs: obs::Simulator,
    folder: TempDir,
    ips: [String; 3],
}

fn foreign(name: &str, tags: &[&str]) -> ecs::Foreign {
    ecs::Foreign {
        name: name.to_owned(),
        flavor: "ki1.8xlarge.4".to_owned(),
        tags: tags.iter().map(ToString::to_string).collect(),
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

impl Farm {
    pub(crate) async fn start() -> Self {
        let size = obs::Size {
            workers: 2,
            instances: 7,
            packages: 0,
            jobs: 0,
            jobs_per_hour: 0.0,
            projects: vec!["openEuler:Mainline".to_owned()],
            seed: 1,
            speed: 1.0,
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = obs::Options {
            listen,
            size,
            frontend: None,
            clock: obs_sim::Clock::default(),
        };
        let obs = obs::Simulator::start(options).await.unwrap();
        let (worker, ip) = a_worker(&obs).await;
        let mut options = ecs::Options::new(PROJECT, "AK", "sk");
        // the first server gets the worker's address
        options.addresses = format!("{ip}-127.3.0.250").parse().unwrap();
        let cloud = ecs::Simulator::start(options).await.unwrap();
        let servers = [
            foreign(&worker, &["team=build"]),
            foreign("database", &[]),
            foreign("theirs", &["obs-scaler-owner=obs-scaler-2"]),
        ];
        let ids = servers.map(|server| cloud.add_foreign(server).unwrap());
        let listed = cloud.ledger().servers;
        let ip = |id: String| listed.iter().find(|s| s.id == id).unwrap().ip.clone();
        let farm = Self {
            ips: ids.map(|id| ip(id).unwrap()),
            cloud,
            obs,
            folder: tempfile::tempdir().unwrap(),
        };
        farm.write_config();
        farm
    }

    /// The shipped configuration, but for what lies outside.
    fn write_config(&self) {
        generate_key(&self.folder.path().join("key"), &["-t", "ed25519"]);
        let place = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let text = include_str!("../../config.yaml")
            .replace("/var/lib/obs-scaler", &place("state"))
            .replace("127.0.0.1:17790", &format!("127.0.0.1:{}", free_port()))
            .replace(
                "http://127.0.0.1:5352",
                &format!("http://{}", self.obs.address()),
            )
            .replace(
                "http://127.0.0.1:5252",
                &format!("http://{}", self.obs.address()),
            )
            .replace(
                "https://ecs.cn-north-4.myhuaweicloud.com",
                &self.cloud.endpoint(),
            )
            .replace("00000000000000000000000000000000", PROJECT)
            .replace(
                "token_file: /etc/obs-scaler/webhook-token",
                "token_env: TOKEN",
            )
            .replace("/etc/obs-scaler/id_ed25519", &place("key"))
            .replace(
                "host_key_secret_file: /etc/obs-scaler/host-key-secret",
                "host_key_secret_env: SECRET",
            );
        std::fs::write(place("config.yaml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_obs-scaler"));
        command
            .arg("--config")
            .arg(self.folder.path().join("config.yaml"))
            .args(arguments)
            .env("TOKEN", "t".repeat(20))
            .env("SECRET", "s".repeat(40))
            .env("OBS_SCALER_ACCESS_KEY", "AK")
            .env("OBS_SCALER_SECRET_KEY", "sk")
            .env("RUST_LOG", "info");
        command
    }

    /// Runs one to its end, beside the simulators.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output());
        let Output {
            status,
            stdout,
            stderr,
        } = output.await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    /// The tags of the worker's server.
    fn tags(&self) -> Vec<String> {
        let servers = self.cloud.ledger().servers;
        let worker = servers.iter().find(|s| s.ip.as_ref() == Some(&self.ips[0]));
        let mut tags = worker.unwrap().tags.clone();
        tags.sort();
        tags
    }

    pub(crate) fn serve(&self) -> Daemon {
        let log = self.folder.path().join("log");
        let mut command = self.command(&["serve"]);
        let file = std::fs::File::create(&log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Daemon { child, log }
    }

    pub(crate) async fn stop(self) {
        self.cloud.stop().await.unwrap();
        self.obs.stop().await;
    }
}

/// A daemon that is ended with its test.
pub(crate) struct Daemon {
    child: Child,
    log: std::path::PathBuf,
}

impl Daemon {
    pub(crate) async fn until(&self, words: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        let said = || std::fs::read_to_string(&self.log).unwrap();
        while !said().contains(words) {
            assert!(Instant::now() < end, "never: {words}\n{}", said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The name and the address of a worker that OBS lists for aarch64.
async fn a_worker(obs: &obs::Simulator) -> (String, String) {
    let url = format!("http://{}/workerstatus", obs.address());
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let line = text
        .split('<')
        .find(|element| element.contains("hostarch=\"aarch64\""))
        .unwrap();
    let after = |begin: &str| {
        let rest = line.split(begin).nth(1).unwrap();
        rest.split(':').next().unwrap().to_owned()
    };
    (after("workerid=\""), after("uri=\"http://"))
}

fn outcomes(stdout: &str) -> Vec<String> {
    let rows: Vec<Value> = serde_json::from_str(stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"));
    let outcome = |row: &Value| row["outcome"].as_str().unwrap().to_owned();
    rows.iter().map(outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_servers_are_adopted_and_let_go_under_the_journals_lock() {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let farm = Farm::start().await;
    let [worker, database, theirs] = farm.ips.each_ref().map(String::as_str);
    let all = [worker, database, theirs, "192.0.2.1"];
    let (code, table, stderr) = farm
        .run(&[&["adopt", "--dry-run"], &all[..]].concat())
        .await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("acting under the journal's lock"),
        "{stderr}"
    );
    for (ip, words) in [
        (worker, "would adopt"),
        (worker, "it can not be reached, so it is never released"),
        (
            database,
            "no configured OBS backend lists a worker of host database;",
        ),
        (theirs, "belongs to the owner \"obs-scaler-2\""),
        (
            "192.0.2.1",
            "no server of the cloud project has this address",
        ),
    ] {
        let line = table
            .lines()
            .find(|line| line.starts_with(&format!("{ip} ")));
        assert!(
            line.is_some_and(|line| line.contains(words)),
            "{words}: {table}"
        );
    }
    assert_eq!(farm.tags(), ["team=build"], "a dry run changes nothing");

    let (code, stdout, stderr) = farm.run(&["adopt", "-o", "json", worker]).await;
    assert_eq!(
        (code, outcomes(&stdout)),
        (Some(0), vec!["adopted".to_owned()]),
        "{stderr}"
    );
    let ours = [
        "obs-scaler-owner=obs-scaler",
        "obs-scaler-pool=aarch64-l1",
        "team=build",
    ];
    assert_eq!(farm.tags(), ours);
    let (code, stdout, _) = farm.run(&["adopt", "-o", "json", worker]).await;
    assert_eq!(
        (code, outcomes(&stdout)),
        (Some(0), vec!["ours".to_owned()])
    );
    let (code, stdout, stderr) = farm.run(&["disown", "-o", "json", worker, database]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(outcomes(&stdout), ["disowned", "refused"]);
    assert_eq!(farm.tags(), ["team=build"]);
    let (_, _, stderr) = farm.run(&["adopt", "--pool", "no-such", worker]).await;
    assert!(
        stderr.contains("no pool \"no-such\" is configured"),
        "{stderr}"
    );
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_running_daemon_adopts_follows_and_lets_go() {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let farm = Farm::start().await;
    let daemon = farm.serve();
    daemon
        .until("whether another obs-scaler has the same owner can not be known")
        .await;
    let worker = &*farm.ips[0];
    let (code, stdout, stderr) = farm.run(&["adopt", "-o", "json", worker]).await;
    assert_eq!(
        (code, outcomes(&stdout)),
        (Some(0), vec!["adopted".to_owned()]),
        "{stderr}"
    );
    assert!(!stderr.contains("lock"), "{stderr}");
    daemon
        .until("a server of ours that the journal does not know: taken up")
        .await;
    daemon
        .until("no other obs-scaler of this owner is at work")
        .await;
    let leases = |tags: Vec<String>| {
        let lease = |tag: &&String| tag.starts_with("obs-scaler-lease-");
        tags.iter().filter(lease).count()
    };
    assert_eq!(leases(farm.tags()), 1);
    let (code, stdout, stderr) = farm.run(&["disown", "-o", "json", worker]).await;
    assert_eq!(
        (code, outcomes(&stdout)),
        (Some(0), vec!["disowned".to_owned()]),
        "{stderr}"
    );
    assert_eq!(farm.tags(), ["team=build"]);
    daemon.until("not ours any more").await;
    drop(daemon);
    farm.stop().await;
}
