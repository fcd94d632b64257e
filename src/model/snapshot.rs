//! Everything that is known of the outside world at one moment.

use super::{
    BackendName, BuildTimes, Flavor, Fleet, Ghosts, HostName, HostUse, Market, Observed, Record,
    Requirements, Results, Server, Workers,
};
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
    /// How the builds of the last hours came out, as far as its job histories and its ghosts tell.
    pub record: Arc<Record>,
    /// What its jobs ask of workers, and what its workers have.
    pub requirements: Observed<Requirements>,
    /// The builds that are none.
    pub ghosts: Observed<Ghosts>,
}

/// One immutable picture of the farm. Missing and stale parts say so themselves.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    /// Every configured backend.
    pub backends: BTreeMap<BackendName, Arc<BackendView>>,
    /// The managed servers.
    pub fleet: Arc<Observed<Fleet>>,
    /// The resource use of each worker that was read. Each has an age of its own.
    pub hosts: Arc<Observed<BTreeMap<HostName, HostUse>>>,
    /// What the cloud can give.
    pub market: Arc<Observed<Market>>,
    /// Expected build times.
    pub build_times: Arc<BuildTimes>,
}

impl Snapshot {
    /// The flavor of a server. What it is does not change: the last answer about it is good, however old.
    #[must_use]
    pub fn flavor_of(&self, server: &Server) -> Flavor {
        let name = server.flavor.clone();
        let market = self.market.last();
        let offer = market.and_then(|market| market.value.stock.flavors.get(&name).cloned());
        Flavor { name, offer }
    }
}
