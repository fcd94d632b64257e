//! The whole farm on one machine: started in order, stopped in order, by process id.

use crate::files::{self, Places};
use crate::process::{Process, script, usage};
use crate::watch::{self, Ledger};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// What is started, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The checkout.
    pub repository: PathBuf,
    /// Where `obs-scaler` and `obs-sim` were built.
    pub binaries: PathBuf,
    /// The rig's root: everything that is made lies there.
    pub root: PathBuf,
    /// Whether obs-scaler logs in with a key that the workers do not know.
    pub wrong_credential: bool,
    /// A fault of the worker machines (tests/rig/README.md names them).
    pub machine_fault: Option<&'static str>,
    /// Whether two Alertmanagers that do not know each other deliver every alert.
    pub two_alertmanagers: bool,
    /// Whether there is a second OBS backend, and a pool that serves both.
    pub two_backends: bool,
    /// How many workers of x86_64 are never given back.
    pub reserve: u32,
    /// Seconds after `ACTIVE` by which a server must be in service.
    pub check_deadline: u32,
}

impl Options {
    /// The defaults, for binaries built in `binaries`.
    #[must_use]
    pub fn new(repository: PathBuf, binaries: PathBuf) -> Self {
        Self {
            repository,
            binaries,
            root: PathBuf::from("/var/tmp/obs-scaler-rig"),
            wrong_credential: false,
            machine_fault: None,
            two_alertmanagers: false,
            two_backends: false,
            reserve: 0,
            check_deadline: 120,
        }
    }
}

/// How much faster than the real one the simulated cloud creates and deletes.
const CLOUD_SPEED: &str = "20";
const GRACE: Duration = Duration::from_secs(30);

/// The running farm. [`Farm::stop`] takes it down; dropping it kills what it started directly.
#[derive(Debug)]
pub struct Farm {
    options: Options,
    places: Places,
    client: reqwest::Client,
    sim: Process,
    scaler: Option<Process>,
    second_alertmanager: Option<Process>,
}

pub(crate) fn say(text: &str) {
    let _nobody_reads = writeln!(std::io::stdout(), "{text}");
}

pub(crate) fn http() -> Result<reqwest::Client> {
    // a second call finds the provider installed, which is all that is wanted
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10));
    Ok(client.build()?)
}

impl Farm {
    /// Starts everything, down to a project in OBS that has no packages yet.
    ///
    /// # Errors
    /// Says which part did not start, and what it said. What had started is stopped.
    pub async fn start(options: Options) -> Result<Self> {
        let rig = options.script("rig.sh");
        script(&rig, &options.root, &["up"]).await?;
        match Self::start_rest(options.clone()).await {
            Ok(farm) => Ok(farm),
            Err(error) => {
                keep_logs(&options.root)?;
                clean_up(&options).await?;
                Err(error)
            }
        }
    }

    async fn start_rest(options: Options) -> Result<Self> {
        let rig = options.script("rig.sh");
        script(&rig, &options.root, &["seed"]).await?;
        if options.two_backends {
            script(&rig, &options.root, &["--backend", "2", "up"]).await?;
            script(&rig, &options.root, &["--backend", "2", "seed"]).await?;
        }
        if let Some(fault) = options.machine_fault {
            script(&rig, &options.root, &["fault", fault]).await?;
        }
        let places = files::write(&options).await?;
        let sim = start_sim(&options, &places)?;
        let mut farm = Self {
            client: http()?,
            places,
            sim,
            scaler: None,
            second_alertmanager: None,
            options,
        };
        let sim_url = format!("http://{}/_sim/ledger", files::SIM);
        farm.answers(&sim_url)
            .await
            .context("the simulated cloud")?;
        farm.start_scaler().await?;
        farm.start_monitoring().await?;
        Ok(farm)
    }

    /// Starts obs-scaler (again).
    ///
    /// # Errors
    /// Where it does not answer; its log says why.
    pub async fn start_scaler(&mut self) -> Result<()> {
        let mut command = Command::new(self.options.binaries.join("obs-scaler"));
        command
            .arg("--config")
            .arg(&self.places.config)
            .arg("serve");
        command.env("RUST_LOG", "info,obs_scaler=debug");
        self.scaler = Some(Process::start("obs-scaler", command, &self.scaler_log())?);
        let url = format!("http://{}/-/healthy", files::SCALER);
        self.answers(&url).await.context("obs-scaler")
    }

    async fn start_monitoring(&mut self) -> Result<()> {
        let monitoring = self.options.script("monitoring.sh");
        let (prometheus, alertmanager) = (&self.places.prometheus, &self.places.alertmanager);
        let (prometheus, alertmanager) = (text(prometheus)?, text(alertmanager)?);
        let arguments = [
            "up",
            "--prometheus-config",
            prometheus,
            "--alertmanager-config",
            alertmanager,
            "--prometheus-port",
            files::PROMETHEUS_PORT,
            "--alertmanager-port",
            files::ALERTMANAGER_PORT,
        ];
        script(&monitoring, &self.options.root, &arguments).await?;
        if self.options.two_alertmanagers {
            let mut second = Command::new("prometheus-alertmanager");
            second
                .arg(format!("--config.file={alertmanager}"))
                .arg(format!(
                    "--web.listen-address={}",
                    files::SECOND_ALERTMANAGER
                ))
                .arg("--cluster.listen-address=")
                .arg(format!(
                    "--storage.path={}/alertmanager-2",
                    self.options.root.display()
                ));
            let log = self.options.root.join("log/alertmanager-2.log");
            self.second_alertmanager = Some(Process::start("Alertmanager 2", second, &log)?);
        }
        Ok(())
    }

    /// Runs the rig's own script.
    pub(crate) async fn rig(&self, arguments: &[&str]) -> Result<()> {
        let rig = self.options.script("rig.sh");
        script(&rig, &self.options.root, arguments).await?;
        Ok(())
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    /// obs-scaler's configuration.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.places.config
    }

    pub(crate) const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The simulated cloud's books.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn ledger(&self) -> Result<Ledger> {
        let url = format!("http://{}/_sim/ledger", files::SIM);
        Ok(Ledger(serde_json::from_str(
            &watch::get(&self.client, &url).await?,
        )?))
    }

    /// Replaces the simulated cloud's faults.
    ///
    /// # Errors
    /// Where it does not take them.
    pub async fn cloud_faults(&self, faults: &str) -> Result<()> {
        let url = format!("http://{}/_sim/faults", files::SIM);
        let answer = self.client.put(&url).body(faults.to_owned()).send().await?;
        answer.error_for_status().context("faults")?;
        Ok(())
    }

    /// The names of the alerts that Prometheus fires now, with their pools.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn firing(&self) -> Result<Vec<(String, String)>> {
        let url = format!("http://127.0.0.1:{}/api/v1/alerts", files::PROMETHEUS_PORT);
        let answer: serde_json::Value =
            serde_json::from_str(&watch::get(&self.client, &url).await?)?;
        let alerts = answer.pointer("/data/alerts").and_then(|a| a.as_array());
        let label = |alert: &serde_json::Value, name: &str| {
            let value = alert.pointer(&format!("/labels/{name}"));
            value
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let firing = |alert: &&serde_json::Value| {
            alert.get("state").and_then(|s| s.as_str()) == Some("firing")
        };
        let alerts = alerts.map(Vec::as_slice).unwrap_or_default().iter();
        Ok(alerts
            .filter(firing)
            .map(|alert| (label(alert, "alertname"), label(alert, "pool")))
            .collect())
    }

    /// One sample of what `address` shows under `/metrics`, summed over its series whose text holds
    /// every one of `labels`; `None` where there is no such series.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn metric(
        &self,
        address: SocketAddr,
        name: &str,
        labels: &[&str],
    ) -> Result<Option<f64>> {
        let page = watch::get(&self.client, &format!("http://{address}/metrics")).await?;
        let mut sum = None;
        for line in page.lines().filter(|line| line.starts_with(name)) {
            let (series, value) = line.rsplit_once(' ').context("a sample has a value")?;
            let rest = series.strip_prefix(name).unwrap_or_default();
            let whole_name = rest.is_empty() || rest.starts_with('{');
            if whole_name && labels.iter().all(|label| series.contains(label)) {
                sum = Some(sum.unwrap_or(0.0) + value.parse::<f64>()?);
            }
        }
        Ok(sum)
    }

    /// Where obs-scaler listens.
    #[must_use]
    pub const fn scaler_address(&self) -> SocketAddr {
        files::SCALER
    }

    /// Where the Alertmanagers listen.
    #[must_use]
    pub fn alertmanagers(&self) -> Vec<SocketAddr> {
        let second = self
            .second_alertmanager
            .as_ref()
            .map(|_| files::SECOND_ALERTMANAGER);
        [files::ALERTMANAGER].into_iter().chain(second).collect()
    }

    /// obs-scaler's process id while it runs.
    #[must_use]
    pub fn scaler_pid(&self) -> Option<u32> {
        self.scaler.as_ref().and_then(Process::id)
    }

    /// What obs-scaler has used so far: the most memory (`VmHWM`, in KiB) and processor time.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn scaler_usage(&self) -> Result<(u64, Duration)> {
        usage(self.scaler_pid().context("obs-scaler does not run")?)
    }

    /// obs-scaler's log.
    #[must_use]
    pub fn scaler_log(&self) -> PathBuf {
        self.options.root.join("log/obs-scaler.log")
    }

    /// Kills obs-scaler where it stands.
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn kill_scaler(&mut self) -> Result<()> {
        self.scaler
            .take()
            .context("obs-scaler does not run")?
            .kill()
            .await
    }

    /// Waits until `reached` says so.
    ///
    /// # Errors
    /// Where it does not within `limit`, or a part of the farm has ended.
    pub async fn wait<F>(&mut self, what: &str, limit: Duration, reached: F) -> Result<()>
    where
        F: AsyncFn(&Self) -> Result<bool>,
    {
        let end = Instant::now() + limit;
        loop {
            self.sim.check()?;
            self.scaler.as_mut().map_or(Ok(()), Process::check)?;
            if reached(self).await? {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("not within {} s: {what}", limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn answers(&mut self, url: &str) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            self.sim.check()?;
            self.scaler.as_mut().map_or(Ok(()), Process::check)?;
            match watch::get(&self.client, url).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Fails where a worker's process or mount outlived its machine.
    ///
    /// # Errors
    /// Says what is left.
    pub async fn nothing_left(&self) -> Result<()> {
        let machines = self.options.root.join("machines");
        let left: Vec<_> = std::fs::read_dir(&machines)?
            .filter_map(Result::ok)
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        bail!("{} machines in {}", left.len(), machines.display())
    }

    /// Keeps the logs where `stop` does not take them away, and says where.
    ///
    /// # Errors
    /// Where they can not be copied.
    pub fn keep_logs(&self) -> Result<()> {
        keep_logs(&self.options.root)
    }

    /// Stops everything, in order, and leaves nothing behind but the logs of a failure.
    ///
    /// # Errors
    /// Says what did not end as it should: obs-scaler's exit status is part of it.
    pub async fn stop(mut self) -> Result<()> {
        let mut ends = Vec::new();
        if let Some(scaler) = self.scaler.take() {
            ends.push(scaler.stop(GRACE).await);
        }
        if let Some(second) = self.second_alertmanager.take() {
            ends.push(second.stop(GRACE).await);
        }
        ends.push(self.sim.stop(GRACE).await);
        ends.push(clean_up(&self.options).await);
        ends.into_iter().collect()
    }
}

impl Options {
    /// One of the rig's scripts.
    pub(crate) fn script(&self, name: &str) -> PathBuf {
        self.repository.join("tests/rig").join(name)
    }
}

/// Takes down whatever of a farm is there, also of one that was only half started.
///
/// # Errors
/// Says what could not be taken down.
pub async fn clean_up(options: &Options) -> Result<()> {
    let mut ends = Vec::new();
    for (name, verb) in [("monitoring.sh", "down"), ("rig.sh", "wipe")] {
        let done = script(&options.script(name), &options.root, &[verb]).await;
        ends.push(done.map(|_said| ()));
    }
    ends.into_iter().collect()
}

pub(crate) fn keep_logs(root: &Path) -> Result<()> {
    let kept = PathBuf::from(format!("{}-logs", root.display()));
    std::fs::create_dir_all(&kept)?;
    for log in std::fs::read_dir(root.join("log"))?.filter_map(Result::ok) {
        if log.path().is_file() {
            std::fs::copy(log.path(), kept.join(log.file_name()))?;
        }
    }
    say(&format!("the logs are kept in {}", kept.display()));
    Ok(())
}

fn start_sim(options: &Options, places: &Places) -> Result<Process> {
    let mut command = Command::new(options.binaries.join("obs-sim"));
    command
        .args(["ecs", "--speed", CLOUD_SPEED, "--seed", "1", "--listen"])
        .arg(files::SIM.to_string())
        .args(["--project-id", files::PROJECT_ID])
        .args(["--access-key", files::ACCESS_KEY])
        .args(["--secret-key", files::SECRET_KEY])
        .args(["--addresses", "127.0.2.1-127.0.2.250"])
        .arg("--machines")
        .arg(options.script("machine.sh"))
        .env("RIG_ROOT", &options.root);
    Process::start("obs-sim", command, &places.logs.join("obs-sim.log"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
