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

/// Runs one of the rig's scripts to its end.
pub(crate) async fn script(path: &Path, root: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(path)
        .args(args)
        .env("RIG_ROOT", root)
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
