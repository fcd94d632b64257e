//! Which pool a job, and a host, belongs to.

use crate::config::{Policy, Pool, pool_of_project, rest_of};
use crate::model::{
    Arch, BackendName, BuildTimes, Fleet, HostName, Instance, Job, Ledger, Level, PackageKey,
    PoolName, Server, ServerStatus, Snapshot, Stage, Vcpus,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Finds the pools of jobs and of hosts.
#[derive(Debug)]
pub struct Placement<'a> {
    policy: &'a Policy,
    times: &'a BuildTimes,
    /// In the order of their names. One is for the rest of the projects, the others for some.
    pools: BTreeMap<(&'a BackendName, Arch, Level), Vec<&'a Pool>>,
}

impl<'a> Placement<'a> {
    /// Of these pools, with what is known of build times.
    #[must_use]
    pub fn new(policy: &'a Policy, times: &'a BuildTimes) -> Self {
        let mut pools = BTreeMap::<_, Vec<_>>::new();
        for pool in policy.pools.values() {
            for backend in &pool.backends {
                let place = pools.entry((backend, pool.arch, pool.level));
                place.or_default().push(pool);
            }
        }
        Self {
            policy,
            times,
            pools,
        }
    }

    /// The level of a package: by its name where a pattern matches, else by its last successful
    /// builds, else that of a package never built.
    #[must_use]
    pub fn level(&self, key: &PackageKey) -> Level {
        let name = base_name(&key.package);
        let levels = &self.policy.levels;
        let named = levels.packages.iter();
        let named = named.filter(|(pattern, _)| pattern.is_match(name));
        if let Some((_, level)) = named.into_iter().next() {
            return *level;
        }
        let built = self.times.of(key);
        built.map_or(levels.never_built, |expected| expected.level)
    }

    /// The pool whose workers a job of this backend waits for: that of its project, where one is for it,
    /// else the one for the rest. `None` where this farm has no hosts of its architecture.
    #[must_use]
    pub fn of_job(&self, backend: &BackendName, job: &Job) -> Option<&'a Pool> {
        let arch = self.policy.host_arch(&job.key.arch)?;
        let pools = self.pools.get(&(backend, arch, self.level(&job.key)))?;
        pool_of_project(pools.iter().copied(), &job.key.project)
    }

    /// The pools that have the jobs of this project: one for each arch and level of the backend.
    pub fn of_project<'s>(
        &'s self,
        backend: &'s BackendName,
        project: &'s str,
    ) -> impl Iterator<Item = &'a Pool> + 's {
        let of_backend = self.pools.iter().filter(move |(key, _)| key.0 == backend);
        of_backend.filter_map(move |(_, pools)| pool_of_project(pools.iter().copied(), project))
    }

    /// The pool in which an instance that this backend lists is counted: that of its host, at the
    /// backends of that pool and nowhere else.
    #[must_use]
    pub fn of_instance(
        &self,
        backend: &BackendName,
        instance: &Instance,
        hosts: &Hosts<'a>,
    ) -> Option<(PoolName, Standing)> {
        let (pool, standing) = hosts.of(&instance.id.host)?;
        let serves = self.policy.pools.get(pool)?.backends.contains(backend);
        serves.then(|| (pool.clone(), standing))
    }

    /// The pools in which an instance that this backend lists could stand, and does not count as supply: an
    /// unmanaged host that two backends list stands in a pool of one of them, and goes to the other's when the
    /// one does not list it; one whose size is not known yet may go to any level.
    pub(super) fn could_be_of(
        &self,
        backend: &'a BackendName,
        instance: &Instance,
        hosts: &Hosts<'a>,
    ) -> Vec<&'a PoolName> {
        let host = &instance.id.host;
        let (Some(arch), Some((own, standing))) = (instance.arch, hosts.of(host)) else {
            return Vec::new();
        };
        let at = |level| rest_of(self.pools.get(&(backend, arch, level))?.iter().copied());
        match standing {
            Standing::Unsized => {
                let pools = Level::ALL.into_iter().filter_map(at);
                pools.map(|pool| &pool.name).collect()
            }
            Standing::Unmanaged => {
                let size = hosts.sizes.get(host).copied().flatten();
                let pool = self.of_unmanaged(backend, arch, size);
                let other = pool.filter(|pool| pool.name != *own);
                other.map(|pool| &pool.name).into_iter().collect()
            }
            Standing::Serving | Standing::InFlight | Standing::Refitting | Standing::Leaving => {
                Vec::new()
            }
        }
    }

    /// The pool of an unmanaged host at this backend, by its size where that is known. What private
    /// projects have is bought for them: such a host is in a pool for the rest.
    fn of_unmanaged(
        &self,
        backend: &BackendName,
        arch: Arch,
        size: Option<Vcpus>,
    ) -> Option<&'a Pool> {
        let at = |level| rest_of(self.pools.get(&(backend, arch, level))?.iter().copied());
        let pools = || Level::ALL.into_iter().filter_map(at);
        let level = level_of_size(pools().map(|pool| (pool.level, pool.vcpus)), size);
        pools().find(|pool| pool.level == level)
    }
}

/// The level of a host that no order bought, among levels with the size of a worker: the one whose size
/// is the nearest at or below its own, the lowest of several; the lowest of all where its size is not
/// known or below every other.
fn level_of_size(sizes: impl Iterator<Item = (Level, Vcpus)>, size: Option<Vcpus>) -> Level {
    let fits = sizes.filter(|(_, of_level)| Some(*of_level) <= size);
    let nearest = fits.max_by_key(|(level, of_level)| (*of_level, Reverse(*level)));
    nearest.map_or(Level::L1, |(level, _)| level)
}

/// The pool that a server of ours serves: the one that its tag names; for one that carries our owner's tag
/// alone, and that no order bought, the one pool of its flavor. `None` where none or several have it: that
/// has to be said by the tag.
#[must_use]
pub fn pool_of_server<'a>(server: &'a Server, policy: &'a Policy) -> Option<&'a PoolName> {
    if server.tags.pool.is_some() || server.tags.order.is_some() {
        return server.tags.pool.as_ref();
    }
    let mut same = policy
        .pools
        .values()
        .filter(|p| p.flavors().any(|f| *f == server.flavor));
    let only = same.next().filter(|_| same.next().is_none())?;
    Some(&only.name)
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
    /// Not ours either, and its size has not been read yet: at the lowest level until it is.
    Unsized,
    /// Ours and in service.
    Serving,
    /// Ours and on its way into service. The worker as a whole is counted as in flight, so the
    /// instances that have registered already are not idle supply besides.
    InFlight,
    /// Ours, in service, and on its way to other settings.
    Refitting,
    /// Ours and on its way out: no supply any more.
    Leaving,
}

/// The pool and the standing of every host, by name.
#[derive(Debug)]
pub struct Hosts<'a> {
    by_name: BTreeMap<&'a HostName, (&'a PoolName, Standing)>,
    sizes: BTreeMap<&'a HostName, Option<Vcpus>>,
}

impl<'a> Hosts<'a> {
    /// The managed hosts, from what the cloud lists and what we know of it. What we know wins, since it is what we
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
            } else if member.stage == Stage::Refitting {
                Standing::Refitting
            } else if member.stage.is_in_flight() {
                Standing::InFlight
            } else {
                Standing::Serving
            };
            Some((name, (&member.pool, standing)))
        });
        Self {
            by_name: listed.chain(known).collect(),
            sizes: BTreeMap::new(),
        }
    }

    /// And every other that some backend lists. It is in one pool, whoever lists it: the first by name
    /// of those that it could be in, one where it is live before others. A backend's last reading
    /// counts however old it is: that a backend is stale must move no host to the pool of another.
    /// It is at the level of its size, which the cloud tells of servers, and a worker of itself.
    #[must_use]
    pub fn and_unmanaged(
        mut self,
        snapshot: &'a Snapshot,
        fleet: &'a Fleet,
        placement: &Placement<'a>,
    ) -> Self {
        let sizes = sizes(snapshot, fleet);
        let mut unmanaged = BTreeMap::<&HostName, (bool, &PoolName)>::new();
        for (backend, view) in &snapshot.backends {
            let last = view.workers.last().into_iter();
            for instance in last.flat_map(|reading| reading.value.instances.values()) {
                let host = &instance.id.host;
                let size = sizes.get(host).copied().flatten();
                let pool = instance.arch.filter(|_| self.of(host).is_none());
                let pool = pool.and_then(|arch| placement.of_unmanaged(backend, arch, size));
                if let Some(pool) = pool {
                    let new = (!instance.state.is_live(), &pool.name);
                    let best = unmanaged.entry(host).or_insert(new);
                    *best = new.min(*best);
                }
            }
        }
        let unmanaged = unmanaged.into_iter();
        let standing = |host| match sizes.contains_key(host) {
            true => Standing::Unmanaged,
            false => Standing::Unsized,
        };
        let unmanaged = unmanaged.map(|(host, (_, pool))| (host, (pool, standing(host))));
        self.by_name.extend(unmanaged);
        self.sizes = sizes;
        self
    }

    /// The pool and the standing of a host.
    #[must_use]
    pub fn of(&self, host: &HostName) -> Option<(&'a PoolName, Standing)> {
        self.by_name.get(host).copied()
    }
}

/// How large each host is: by the cloud's list, else by the worker's own account, the most of several.
/// `None` where that was read and tells no size; what was not read is not in there.
fn sizes<'a>(snapshot: &'a Snapshot, fleet: &'a Fleet) -> BTreeMap<&'a HostName, Option<Vcpus>> {
    let mut sizes = BTreeMap::<_, Option<Vcpus>>::new();
    for view in snapshot.backends.values() {
        let known = view.requirements.last().into_iter();
        for (host, has) in known.flat_map(|reading| &reading.value.workers) {
            let size = has.hardware.as_ref().map(|it| Vcpus(it.processors));
            let most = sizes.entry(host).or_default();
            *most = size.max(*most);
        }
    }
    let listed = fleet.servers.values();
    sizes.extend(listed.map(|server| (&server.name, Some(server.vcpus))));
    sizes
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
