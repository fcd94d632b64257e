//! A real OBS with bare worker machines, and nothing that scales: for tests that lay hands on the machines.

use crate::backend::Backend;
use crate::farm::{http, keep_logs};
use crate::process::script;
use crate::trace::{self, Trace};
use crate::watch::Obs;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The running yard. [`Yard::stop`] takes it down.
#[derive(Debug)]
pub struct Yard {
    scripts: PathBuf,
    root: PathBuf,
    client: reqwest::Client,
}

/// A machine to be booted.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its id and host name.
    pub name: String,
    /// Its address, of 127.0.0.0/8; its ssh server listens on port 2222.
    pub ip: String,
    /// What cloud-init is given.
    pub user_data: String,
    /// The public key that it lets in.
    pub public_key: String,
}

impl Yard {
    /// Starts a backend that has no packages yet, on a machine where no rig is up.
    ///
    /// # Errors
    /// Says what did not start.
    pub async fn start(repository: &Path, root: PathBuf) -> Result<Self> {
        let yard = Self {
            scripts: repository.join("tests/rig"),
            root,
            client: http()?,
        };
        match yard.open().await {
            Ok(()) => Ok(yard),
            Err(error) => {
                yard.stop().await?;
                Err(error)
            }
        }
    }

    async fn open(&self) -> Result<()> {
        self.rig(&["up"]).await?;
        self.rig(&["seed"]).await
    }

    async fn rig(&self, arguments: &[&str]) -> Result<()> {
        script(&self.scripts.join("rig.sh"), &self.root, arguments).await?;
        Ok(())
    }

    /// Launches a machine of 4 vCPU; its ssh server comes up a moment later.
    ///
    /// # Errors
    /// Where it can not be launched.
    pub async fn boot(&self, machine: &Machine) -> Result<()> {
        let name = &machine.name;
        let user_data = self.root.join(format!("{name}.user-data"));
        std::fs::write(&user_data, &machine.user_data)?;
        std::fs::write(
            self.root.join(format!("keys/{name}.pub")),
            &machine.public_key,
        )?;
        let user_data = user_data.to_str().context("a path in UTF-8")?;
        let order = format!(
            "boot --id {name} --name {name} --ip {} --arch x86_64 --vcpus 4 --user-data {user_data} --key-name {name}",
            machine.ip
        );
        let order: Vec<&str> = order.split(' ').collect();
        script(&self.scripts.join("machine.sh"), &self.root, &order).await?;
        Ok(())
    }

    /// Puts `count` jobs for `x86_64` into the queue, each of so many seconds.
    ///
    /// # Errors
    /// Where OBS does not take them.
    pub async fn queue(&self, count: u32, seconds: u32, prefix: &str) -> Result<()> {
        let (count, seconds) = (count.to_string(), seconds.to_string());
        self.rig(&["queue", &count, "x86_64", &seconds, prefix])
            .await
    }

    /// The backend, as it tells of itself.
    #[must_use]
    pub fn obs(&self) -> Obs {
        Obs::new(self.client.clone(), Backend::First)
    }

    /// Where the repository server keeps its workers.
    #[must_use]
    pub fn workers_dir(&self) -> PathBuf {
        self.root.join("obs/workers")
    }

    /// What the builds on all machines have left so far.
    ///
    /// # Errors
    /// A line that is not understood.
    pub fn trace(&self) -> Result<Vec<Trace>> {
        trace::read(&self.root)
    }

    /// Copies the logs to a folder that stays.
    ///
    /// # Errors
    /// Where they can not be copied.
    pub fn keep_logs(&self) -> Result<()> {
        std::fs::copy(
            self.root.join("builds.trace"),
            self.root.join("log/builds.trace"),
        )?;
        keep_logs(&self.root)
    }

    /// Takes everything down, and leaves nothing behind.
    ///
    /// # Errors
    /// Where something does not end.
    pub async fn stop(self) -> Result<()> {
        self.rig(&["wipe"]).await
    }
}
