//! The processes of the simulated demo, and what they say of themselves.

use super::doorbell::Doorbell;
use crate::farm::Options;
use crate::files::{self, Places};
use crate::process::Process;
use crate::story::Load;
use crate::watch::{self, Ledger};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

const GRACE: Duration = Duration::from_secs(30);
/// How much faster than the real one the simulated cloud creates and deletes.
const CLOUD_SPEED: &str = "20";

/// What the simulated OBS counts: `GET /_sim/state`.
pub(super) struct State(Value);

impl State {
    fn count(&self, path: &str) -> u64 {
        self.0.pointer(path).and_then(Value::as_u64).unwrap_or(0)
    }

    pub(super) fn packages(&self, code: &str) -> u64 {
        self.count(&format!("/packages/{code}"))
    }

    pub(super) fn instances(&self, list: &str) -> u64 {
        self.count(&format!("/instances/{list}"))
    }

    pub(super) fn ghosts(&self) -> u64 {
        self.count("/ghosts")
    }
}

/// Where everything listens.
#[derive(Debug, Clone, Copy)]
struct Ports {
    scaler: SocketAddr,
    cloud: SocketAddr,
    obs: SocketAddr,
    ssh: u16,
    prometheus: SocketAddr,
    alertmanager: SocketAddr,
}

impl Ports {
    /// Free ones. All are held until the last is found, so that no two are the same.
    fn free() -> Result<Self> {
        let held: Vec<TcpListener> = (0..6)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()?;
        let addresses: Vec<SocketAddr> = held
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let &[scaler, cloud, obs, ssh, prometheus, alertmanager] = addresses.as_slice() else {
            bail!("six ports were asked for");
        };
        Ok(Self {
            scaler,
            cloud,
            obs,
            ssh: ssh.port(),
            prometheus,
            alertmanager,
        })
    }
}

/// The running parts, in the order of their start.
pub(super) struct Parts {
    options: Options,
    ports: Ports,
    client: reqwest::Client,
    running: Vec<Process>,
    doorbell: Option<Doorbell>,
}

impl Parts {
    pub(super) fn new(repository: &Path, binaries: &Path) -> Result<Self> {
        let name = format!("obs-scaler-demo-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        // its keys open nothing but this demo, and are nobody else's business all the same
        std::fs::DirBuilder::new().mode(0o700).create(&root)?;
        let mut options = Options::new(repository.to_owned(), binaries.to_owned());
        options.root = root;
        Ok(Self {
            options,
            ports: Ports::free()?,
            client: crate::farm::http()?,
            running: Vec::new(),
            doorbell: None,
        })
    }

    /// Starts everything; says where it can be looked at.
    pub(super) async fn start(&mut self) -> Result<String> {
        for folder in ["keys", "log"] {
            std::fs::create_dir(self.options.root.join(folder))?;
        }
        let places = files::write(&self.options).await?;
        self.rewire(&places)?;
        self.start_obs().await?;
        self.start_cloud().await?;
        self.start_scaler(&places).await?;
        let monitoring = self.start_monitoring(&places).await?;
        let Ports { scaler, .. } = self.ports;
        Ok(format!(
            "obs-scaler shows http://{scaler}/metrics; {monitoring}"
        ))
    }

    /// The rig's files, with this demo's addresses.
    fn rewire(&self, places: &Places) -> Result<()> {
        let Ports {
            scaler,
            cloud,
            obs,
            ssh,
            alertmanager,
            ..
        } = self.ports;
        let to_scaler = (files::SCALER.to_string(), scaler.to_string());
        rewrite(
            &places.config,
            &[
                to_scaler.clone(),
                (files::SIM.to_string(), cloud.to_string()),
                ("127.0.0.1:5352".to_owned(), obs.to_string()),
                ("127.0.0.1:5252".to_owned(), obs.to_string()),
                ("port: 2222".to_owned(), format!("port: {ssh}")),
                // a record has no /proc
                (
                    "resource_use: ssh".to_owned(),
                    "resource_use: none".to_owned(),
                ),
            ],
        )?;
        let to_alertmanager = (files::ALERTMANAGER.to_string(), alertmanager.to_string());
        rewrite(&places.prometheus, &[to_scaler.clone(), to_alertmanager])?;
        rewrite(&places.alertmanager, &[to_scaler])
    }

    async fn start_obs(&mut self) -> Result<()> {
        let mut command = Command::new(self.options.binaries.join("obs-sim"));
        command
            .args(["obs", "--listen"])
            .arg(self.ports.obs.to_string());
        for empty in ["--workers", "--jobs", "--packages", "--rate"] {
            command.args([empty, "0"]);
        }
        self.run("obs-sim obs", command, "obs-sim-obs")?;
        let url = format!("http://{}/_sim/state", self.ports.obs);
        self.answers("the simulated OBS", &url).await
    }

    async fn start_cloud(&mut self) -> Result<()> {
        let mut command = Command::new(self.options.binaries.join("obs-sim"));
        command
            .args(["ecs", "--speed", CLOUD_SPEED, "--seed", "1", "--listen"])
            .arg(self.ports.cloud.to_string())
            .args(["--project-id", files::PROJECT_ID])
            .args(["--access-key", files::ACCESS_KEY])
            .args(["--secret-key", files::SECRET_KEY])
            .args(["--stand-ins", &self.ports.obs.to_string()])
            .args(["--ssh-port", &self.ports.ssh.to_string()])
            .arg("--authorized-key")
            .arg(self.options.root.join("keys/rig.pub"));
        self.run("obs-sim ecs", command, "obs-sim-ecs")?;
        let url = format!("http://{}/_sim/ledger", self.ports.cloud);
        self.answers("the simulated cloud", &url).await
    }

    async fn start_scaler(&mut self, places: &Places) -> Result<()> {
        let mut command = Command::new(self.options.binaries.join("obs-scaler"));
        command.arg("--config").arg(&places.config).arg("serve");
        command.env("RUST_LOG", "info,obs_scaler=debug");
        self.run("obs-scaler", command, "obs-scaler")?;
        let url = format!("http://{}/-/healthy", self.ports.scaler);
        self.answers("obs-scaler", &url).await
    }

    /// The real Prometheus and Alertmanager where both are on the PATH; else a doorbell.
    async fn start_monitoring(&mut self, places: &Places) -> Result<String> {
        let alertmanager = on_path("alertmanager").or_else(|| on_path("prometheus-alertmanager"));
        let (Some(prometheus), Some(alertmanager)) = (on_path("prometheus"), alertmanager) else {
            let token = std::fs::read_to_string(self.options.root.join("scaler/token"))?;
            let bell = Doorbell::start(&self.client, self.ports.scaler, self.ports.obs, token);
            self.doorbell = Some(bell);
            return Ok(
                "NO Prometheus and Alertmanager on the PATH: the demo itself posts the alerts, \
                       apply while jobs wait, release when all is idle; no rule is evaluated"
                    .to_owned(),
            );
        };
        let mut command = Command::new(alertmanager);
        command
            .arg(format!("--config.file={}", places.alertmanager.display()))
            .arg(format!("--web.listen-address={}", self.ports.alertmanager))
            .arg("--cluster.listen-address=")
            .arg(self.storage("storage.path", "alertmanager"));
        self.run("Alertmanager", command, "alertmanager")?;
        let url = format!("http://{}/-/ready", self.ports.alertmanager);
        self.answers("Alertmanager", &url).await?;
        let mut command = Command::new(prometheus);
        command
            .arg(format!("--config.file={}", places.prometheus.display()))
            .arg(format!("--web.listen-address={}", self.ports.prometheus))
            // an alert that fires before the Alertmanager is discovered is lost until it is sent again
            .arg("--rules.alert.resend-delay=5s")
            .arg(self.storage("storage.tsdb.path", "prometheus"));
        self.run("Prometheus", command, "prometheus")?;
        let url = format!("http://{}/-/ready", self.ports.prometheus);
        self.answers("Prometheus", &url).await?;
        let Ports { prometheus, .. } = self.ports;
        Ok(format!("a real Prometheus http://{prometheus}"))
    }

    fn storage(&self, option: &str, name: &str) -> String {
        format!("--{option}={}", self.options.root.join(name).display())
    }

    /// Who told obs-scaler.
    pub(super) fn who_rings(&self) -> &'static str {
        if self.doorbell.is_some() {
            "the demo's doorbell rings"
        } else {
            "Alertmanager calls"
        }
    }

    fn run(&mut self, name: &'static str, command: Command, log: &str) -> Result<()> {
        let log = self.options.root.join("log").join(format!("{log}.log"));
        self.running.push(Process::start(name, command, &log)?);
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        self.running.iter_mut().try_for_each(Process::check)
    }

    /// The part that ended where one did, else `error`: the kernel closes the connections of one that is
    /// killed a moment before it can be waited for.
    pub(super) async fn cause(&mut self, error: anyhow::Error) -> anyhow::Error {
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            if let Err(ended) = self.check() {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        error
    }

    async fn answers(&mut self, what: &str, url: &str) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            self.check()?;
            match watch::get(&self.client, url).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > end => return Err(error).context(what.to_owned()),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Waits until `reached` says so.
    pub(super) async fn wait<F>(&mut self, what: &str, limit: Duration, reached: F) -> Result<()>
    where
        F: AsyncFn(&Self) -> Result<bool>,
    {
        let end = Instant::now() + limit;
        loop {
            self.check()?;
            if reached(self).await? {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("not within {} s: {what}", limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Puts the load into the queue of both architectures.
    pub(super) async fn queue(&self, load: Load) -> Result<()> {
        let url = format!("http://{}/_sim/jobs", self.ports.obs);
        for arch in ["x86_64", "aarch64"] {
            let jobs = json!({
                "arch": arch, "count": load.jobs, "seconds": load.seconds, "prefix": "pkg",
            });
            let answer = self.client.post(&url).body(jobs.to_string()).send().await?;
            answer.error_for_status().context("jobs")?;
        }
        Ok(())
    }

    pub(super) async fn state(&self) -> Result<State> {
        let url = format!("http://{}/_sim/state", self.ports.obs);
        let text = watch::get(&self.client, &url).await?;
        Ok(State(serde_json::from_str(&text)?))
    }

    pub(super) async fn ledger(&self) -> Result<Ledger> {
        let url = format!("http://{}/_sim/ledger", self.ports.cloud);
        let text = watch::get(&self.client, &url).await?;
        Ok(Ledger(serde_json::from_str(&text)?))
    }

    /// Every build that has ended, from OBS' job histories: package and architecture.
    pub(super) async fn builds(&self) -> Result<Vec<String>> {
        let mut builds = Vec::new();
        for arch in ["x86_64", "aarch64"] {
            let url = format!(
                "http://{}/build/openEuler:Mainline/standard_{arch}/{arch}/_jobhistory?limit=100000",
                self.ports.obs
            );
            let history = watch::get(&self.client, &url).await?;
            let named = history.split("<jobhist package=\"").skip(1);
            let names = named.filter_map(|rest| rest.split('"').next());
            builds.extend(names.map(|name| format!("{name} for {arch}")));
        }
        Ok(builds)
    }

    /// The first command of obs-scaler that a record had no answer to, as `obs-sim ecs` tells of it.
    pub(super) fn unknown_command(&self) -> Result<Option<String>> {
        let log = self.options.root.join("log/obs-sim-ecs.log");
        let log = std::fs::read_to_string(log)?;
        let unknown = log.lines().find(|line| line.contains("unknown command"));
        Ok(unknown.map(str::to_owned))
    }

    /// Copies the logs beside the folder, which goes.
    pub(super) fn keep_logs(&self) -> Result<()> {
        let kept = PathBuf::from(format!("{}-logs", self.options.root.display()));
        std::fs::create_dir_all(&kept)?;
        for log in std::fs::read_dir(self.options.root.join("log"))?.filter_map(Result::ok) {
            std::fs::copy(log.path(), kept.join(log.file_name()))?;
        }
        crate::farm::say(&format!("the logs are kept in {}", kept.display()));
        Ok(())
    }

    /// Ends everything, obs-scaler before what it talks to, and removes the folder.
    pub(super) async fn stop(mut self) -> Result<()> {
        if let Some(bell) = self.doorbell.take() {
            bell.stop();
        }
        let mut ends = Vec::new();
        while let Some(process) = self.running.pop() {
            ends.push(process.stop(GRACE).await);
        }
        ends.push(std::fs::remove_dir_all(&self.options.root).context("the demo's folder"));
        ends.into_iter().collect()
    }
}

/// Replaces in a file of ours; fails where there is nothing to replace.
fn rewrite(path: &Path, changes: &[(String, String)]) -> Result<()> {
    let mut text = std::fs::read_to_string(path)?;
    for (from, to) in changes {
        if !text.contains(from) {
            bail!("{} does not hold {from:?}", path.display());
        }
        text = text.replace(from, to);
    }
    Ok(std::fs::write(path, text)?)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|folder| folder.join(program));
    found.into_iter().find(|file| file.is_file())
}
