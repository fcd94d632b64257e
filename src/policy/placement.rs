//! Which pool a job, and a host, belongs to.

use crate::config::{Levels, Policy, Pool};
use crate::model::{
    Arch, BackendName, BuildTimes, Fleet, HostName, Instance, Job, Ledger, Level, PackageKey,
    PoolName, Server, ServerStatus,
};
use std::collections::BTreeMap;

/// Finds the pool of a job. Each backend × arch × level belongs to exactly one.
#[derive(Debug)]
pub struct Placement<'a> {
    levels: &'a Levels,
    times: &'a BuildTimes,
    pools: BTreeMap<(&'a BackendName, Arch, Level), &'a Pool>,
}

impl<'a> Placement<'a> {
    /// Of these pools, with what is known of build times.
    #[must_use]
    pub fn new(policy: &'a Policy, times: &'a BuildTimes) -> Self {
        let places = policy.pools.values().flat_map(|pool| {
            let key = move |backend| ((backend, pool.arch, pool.level), pool);
            pool.backends.iter().map(key)
        });
        Self {
            levels: &policy.levels,
            times,
            pools: places.collect(),
        }
    }

    /// The level of a package: by its name where a pattern matches, else by its last successful
    /// builds, else that of a package never built.
    #[must_use]
    pub fn level(&self, key: &PackageKey) -> Level {
        let name = base_name(&key.package);
        let named = self.levels.packages.iter();
        let named = named.filter(|(pattern, _)| pattern.is_match(name));
        if let Some((_, level)) = named.into_iter().next() {
            return *level;
        }
        let built = self.times.of(key);
        built.map_or(self.levels.never_built, |expected| expected.level)
    }

    /// The pool whose workers a job of this backend waits for; `None` where this farm has no hosts
    /// of its architecture.
    #[must_use]
    pub fn of_job(&self, backend: &BackendName, job: &Job) -> Option<&'a Pool> {
        let arch = Arch::of_host_for(&job.key.arch)?;
        self.at(backend, arch, self.level(&job.key))
    }

    /// The pool in which an instance that this backend lists is counted: its server's, and for an
    /// unmanaged host the l1 pool of its architecture.
    #[must_use]
    pub fn of_instance(
        &self,
        backend: &BackendName,
        instance: &Instance,
        hosts: &Hosts<'a>,
    ) -> Option<(PoolName, Standing)> {
        if let Some((pool, standing)) = hosts.of(&instance.id.host) {
            return Some((pool.clone(), standing));
        }
        let pool = self.at(backend, instance.arch?, Level::L1)?;
        Some((pool.name.clone(), Standing::Unmanaged))
    }

    fn at(&self, backend: &BackendName, arch: Arch, level: Level) -> Option<&'a Pool> {
        self.pools.get(&(backend, arch, level)).copied()
    }
}

/// A package's name without the flavor of a multibuild one (`gcc:cross` → `gcc`).
fn base_name(package: &str) -> &str {
    package.split_once(':').map_or(package, |(name, _)| name)
}

/// What a host's instances count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Not ours: supply that is never touched.
    Unmanaged,
    /// Ours and in service.
    Serving,
    /// Ours and on its way into service. The worker as a whole is counted as in flight, so the
    /// instances that have registered already are not idle supply besides.
    InFlight,
    /// Ours and on its way out: no supply any more.
    Leaving,
}

/// Every managed host by name.
#[derive(Debug)]
pub struct Hosts<'a> {
    by_name: BTreeMap<&'a HostName, (&'a PoolName, Standing)>,
}

impl<'a> Hosts<'a> {
    /// From what the cloud lists, and what we know of it. What we know wins, since it is what we
    /// act on; a server without a pool's tag and unknown to us stands in no pool.
    #[must_use]
    pub fn new(fleet: &'a Fleet, ledger: &'a Ledger) -> Self {
        let listed = fleet.servers.values().filter_map(|server| {
            let pool = server.tags.pool.as_ref()?;
            Some((&server.name, (pool, standing_of_listed(server))))
        });
        let known = ledger.members.values().filter_map(|member| {
            let server = fleet.servers.get(&member.server);
            let name = server.map(|s| &s.name).or(member.name.as_ref())?;
            let deleted = server.is_some_and(|s| s.status == ServerStatus::Deleting);
            let standing = if member.stage.is_leaving() || deleted {
                Standing::Leaving
            } else if member.stage.is_in_flight() {
                Standing::InFlight
            } else {
                Standing::Serving
            };
            Some((name, (&member.pool, standing)))
        });
        Self {
            by_name: listed.chain(known).collect(),
        }
    }

    /// The pool and the standing of a managed host.
    #[must_use]
    pub fn of(&self, host: &HostName) -> Option<(&'a PoolName, Standing)> {
        self.by_name.get(host).copied()
    }
}

/// The standing of a server that the cloud lists and no member knows: one that was ordered is on
/// its way in until it has been taken up, and an adopted one serves.
fn standing_of_listed(server: &Server) -> Standing {
    match (&server.status, &server.tags.order) {
        (ServerStatus::Building | ServerStatus::Active, Some(_)) => Standing::InFlight,
        (ServerStatus::Active, None) => Standing::Serving,
        (
            ServerStatus::Building
            | ServerStatus::Deleting
            | ServerStatus::Error(_)
            | ServerStatus::Other(_),
            _,
        ) => Standing::Leaving,
    }
}
