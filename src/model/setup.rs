//! What a worker is told to be: for whom it builds, with how many instances.

use super::{BackendName, PoolName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a worker is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The backends that it serves, the first of them as the source server.
    pub backends: Vec<BackendName>,
    /// Its build instances (`OBS_WORKER_INSTANCES`).
    pub instances: u32,
    /// The processes of one build (`OBS_WORKER_JOBS`).
    pub jobs: u32,
    /// The size of its cache of binaries, in MiB (`OBS_CACHE_SIZE`); `None` leaves it as it is.
    pub cache_mib: Option<u64>,
    /// Where that cache is (`OBS_CACHE_DIR`); `None` leaves it as it is.
    pub cache_dir: Option<String>,
    /// The base URL of a proxy that it fetches binaries from (`OBS_WORKER_BINARIES_PROXY`); `None` leaves it as it is.
    pub binaries_proxy: Option<String>,
}

/// What a person wants to be otherwise on one worker than its pool has it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// The backends that it serves.
    pub backends: Option<Vec<BackendName>>,
    /// Its build instances.
    pub instances: Option<u32>,
    /// The processes of one build.
    pub jobs: Option<u32>,
    /// The size of its cache, in MiB.
    pub cache_mib: Option<u64>,
}

/// A person's word that workers are to serve one backend alone, until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusive {
    /// The backend.
    pub backend: BackendName,
    /// The pools whose workers are meant.
    pub pools: BTreeSet<PoolName>,
    /// How many workers may be on their way to other settings at once.
    pub at_once: u32,
    /// Since when.
    pub since: Timestamp,
    /// It was taken back: the workers get their own backends again, and then it is over.
    pub ending: bool,
}
