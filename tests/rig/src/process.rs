//! Children that end with us, each with a log file of its own.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// A program that was started and is ended by its process id.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command` in a process group of its own (Ctrl-C on the terminal reaches us only), with
    /// its output in `log`.
    pub(crate) fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("log file {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { name, child })
    }

    /// Its process id while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Fails where it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Sends SIGTERM, waits for the end, and says how it ended.
    pub(crate) async fn stop(mut self, grace: Duration) -> Result<()> {
        if let Some(pid) = self.child.id() {
            signal("-TERM", pid).await?;
        }
        match tokio::time::timeout(grace, self.child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(|s| s.success()) => Ok(()),
            Ok(status) => bail!("{} ended with {}", self.name, status?),
            Err(_) => {
                self.child.kill().await?;
                bail!("{} did not end within {grace:?} of SIGTERM", self.name)
            }
        }
    }

    /// Kills it where it stands, as a crash would.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("kill {}", self.name))
    }
}

async fn signal(signal: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .arg(signal)
        .arg(pid.to_string())
        .status()
        .await?;
    if status.success() {
        Ok(())
    } else {
        bail!("kill {signal} {pid}: {status}")
    }
}

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that Debian builds.
const TICKS: u64 = 100;

/// The most memory (`VmHWM`, in KiB) and the processor time that a process has used.
pub(crate) fn usage(pid: u32) -> Result<(u64, Duration)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("/proc/PID/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| -> Result<u64> { Ok(fields.get(at).context("stat")?.parse()?) };
    let millis = (ticks(11)? + ticks(12)?) * 1000 / TICKS;
    Ok((
        peak.context("VmHWM")?.parse()?,
        Duration::from_millis(millis),
    ))
}

/// Runs one of the rig's scripts to its end.
pub(crate) async fn script(path: &Path, root: &Path, args: &[&str]) -> Result<String> {
    script_with(path, root, args, &[]).await
}

/// Runs one of the rig's scripts with more in its environment.
pub(crate) async fn script_with(
    path: &Path,
    root: &Path,
    args: &[&str],
    environment: &[(&str, &str)],
) -> Result<String> {
    let output = Command::new(path)
        .args(args)
        .env("RIG_ROOT", root)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("run {}", path.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    bail!(
        "{} {}: {}\n{said}{errors}",
        path.display(),
        args.join(" "),
        output.status
    )
}
