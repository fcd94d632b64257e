//! Everything that is known of the outside world at one moment.

use super::{BackendName, BuildTimes, Fleet, Observed, Results, Workers};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of one backend. Each source has its own age.
#[derive(Debug, Default, Clone)]
pub struct BackendView {
    /// Its workers and daemons.
    pub workers: Observed<Workers>,
    /// The jobs of its projects.
    pub results: Observed<Results>,
    /// Its job histories; what they say stands in [`Snapshot::build_times`].
    pub history: Observed<()>,
}

/// One immutable picture of the farm. Missing and stale parts say so themselves.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    /// Every configured backend.
    pub backends: BTreeMap<BackendName, Arc<BackendView>>,
    /// The managed servers.
    pub fleet: Arc<Observed<Fleet>>,
    /// Expected build times.
    pub build_times: Arc<BuildTimes>,
}
