//! The rig's OBS backends: where each listens, and what it is asked to do.

use crate::farm::Farm;
use crate::watch::Obs;
use anyhow::Result;

/// One of the rig's backends (tests/rig/lib.sh has the same ports and projects).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The one that is always there, `main` in the configuration.
    First,
    /// The one beside it, `lts` in the configuration.
    Second,
}

impl Backend {
    /// What `rig.sh --backend` calls it.
    const fn number(self) -> &'static str {
        match self {
            Self::First => "1",
            Self::Second => "2",
        }
    }

    /// Its name in obs-scaler's configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::First => "main",
            Self::Second => "lts",
        }
    }

    /// The project that it schedules.
    pub(crate) const fn project(self) -> &'static str {
        match self {
            Self::First => "openEuler:Mainline",
            Self::Second => "openEuler:24.03:LTS",
        }
    }

    /// The base URL of its source server.
    pub(crate) const fn source_server(self) -> &'static str {
        match self {
            Self::First => "http://127.0.0.1:5352",
            Self::Second => "http://127.0.0.1:5353",
        }
    }

    /// The base URL of its repository server.
    pub(crate) const fn repository_server(self) -> &'static str {
        match self {
            Self::First => "http://127.0.0.1:5252",
            Self::Second => "http://127.0.0.1:5253",
        }
    }
}

impl Farm {
    /// Puts `count` jobs for `arch` (`x86_64`, `aarch64`, `both`) into the first backend's queue.
    ///
    /// # Errors
    /// Where OBS does not take them.
    pub async fn queue(&self, count: u32, arch: &str, seconds: u32, prefix: &str) -> Result<()> {
        self.queue_at(Backend::First, count, arch, seconds, prefix)
            .await
    }

    /// Puts jobs into the queue of this backend.
    ///
    /// # Errors
    /// Where OBS does not take them.
    pub async fn queue_at(
        &self,
        backend: Backend,
        count: u32,
        arch: &str,
        seconds: u32,
        prefix: &str,
    ) -> Result<()> {
        let (count, seconds) = (count.to_string(), seconds.to_string());
        self.rig_at(backend, &["queue", &count, arch, &seconds, prefix])
            .await
    }

    /// One new package that builds for `seconds`, asks `asks` (`processors=16`) of its worker, and is built with
    /// the package `needs`, where it is given.
    ///
    /// # Errors
    /// Where OBS does not take it.
    pub async fn package(
        &self,
        name: &str,
        seconds: u32,
        asks: &str,
        needs: Option<&str>,
    ) -> Result<()> {
        let seconds = seconds.to_string();
        let needs = needs.unwrap_or("-");
        self.rig(&["package", name, "x86_64", &seconds, asks, needs])
            .await
    }

    /// Builds a package once more, for `seconds`.
    ///
    /// # Errors
    /// Where OBS does not take it.
    pub async fn rebuild(&self, package: &str, seconds: u32) -> Result<()> {
        self.rig(&["outcome", package, "ok", &seconds.to_string()])
            .await?;
        self.rig(&["rebuild", package, "x86_64"]).await
    }

    /// Takes a worker out of OBS' lists, whatever state it is listed in.
    ///
    /// # Errors
    /// Where the rig is not up.
    pub async fn forget(&self, worker: &str) -> Result<()> {
        self.rig(&["forget", worker]).await
    }

    /// Stops or starts (`verb`) one of a backend's daemons.
    ///
    /// # Errors
    /// Where there is no such daemon, or it does not come up.
    pub async fn daemon_at(&self, backend: Backend, verb: &str, name: &str) -> Result<()> {
        self.rig_at(backend, &["daemon", verb, name]).await
    }

    async fn rig_at(&self, backend: Backend, verb: &[&str]) -> Result<()> {
        let arguments = [&["--backend", backend.number()], verb].concat();
        self.rig(&arguments).await
    }

    /// The first backend, as it tells of itself.
    #[must_use]
    pub fn obs(&self) -> Obs {
        self.obs_at(Backend::First)
    }

    /// A backend, as it tells of itself.
    #[must_use]
    pub fn obs_at(&self, backend: Backend) -> Obs {
        Obs::new(self.client().clone(), backend)
    }
}
