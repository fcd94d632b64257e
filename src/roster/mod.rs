//! Who builds here: every worker, ours or not, with its address and its instances. Pure: drawn from the latest
//! readings, and what these do not tell is `None`, never zero.

mod answers;
mod question;
#[cfg(test)]
mod tests;

use crate::model::{
    Arch, BackendName, FlavorName, Fleet, HostName, HostUse, InstanceCounts, InstanceId,
    InstanceState, Level, Member, PoolName, Server, ServerId, ServerStatus, Snapshot, Workers,
};
use crate::policy::{HeldBack, Hosts, Placement, Standing, View, held_back};
pub use answers::answer;
pub use question::{Asked, NotAnswered, Question, Resource, UsageAsked};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// One worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Its host name.
    pub host: HostName,
    /// Its address: by the cloud's list, else as the repository server sees it.
    pub ip: Option<IpAddr>,
    /// Its architecture.
    pub arch: Option<Arch>,
    /// Whether it is ours; not known where the cloud's list is not.
    pub managed: Option<bool>,
    /// The server, where it is ours.
    pub server: Option<Server>,
    /// What we know of the server.
    pub member: Option<Member>,
    /// The pool in which its instances count.
    pub pool: Option<PoolName>,
    /// The level of that pool.
    pub level: Option<Level>,
    /// Whether it may take a job: in service, or not ours.
    pub in_service: bool,
    /// Its instances, each counted once over the backends of its pool; not known while one of these is not.
    pub instances: Option<InstanceCounts>,
    /// What it does, where that is read.
    pub using: Option<HostUse>,
    /// What it waits for before it is started.
    pub waits_for: Option<String>,
}

impl Worker {
    /// Whether it could take a job and has none: some instance waits, and none is known to build.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_service
            && self.instances.is_some_and(|counts| {
                let none = |state| counts.get(state) == 0;
                none(InstanceState::Building)
                    && none(InstanceState::Away)
                    && counts.get(InstanceState::Idle) > 0
            })
    }

    /// The word for where it stands in its life, where it is ours.
    #[must_use]
    pub fn state(&self) -> Option<&'static str> {
        self.member.as_ref().map(|member| member.stage.label())
    }
}

/// The state of a machine in the words of `check_worker_status` of the original design (5.1.5).
#[must_use]
pub const fn machine_status(status: &ServerStatus) -> &'static str {
    match status {
        ServerStatus::Active => "active",
        ServerStatus::Building => "building",
        ServerStatus::Deleting => "deleted",
        ServerStatus::Error(_) | ServerStatus::Other(_) => "other",
    }
}

/// Every worker, by address and name. A host of others that OBS only remembers (all its instances are `down`) is
/// none: OBS never forgets one.
#[must_use]
pub fn roster(view: &View<'_>) -> Vec<Worker> {
    let none = Fleet::default();
    let last = view.snapshot.fleet.last();
    let fleet = last.map_or(&none, |reading| &reading.value);
    let placement = Placement::new(view.policy, &view.snapshot.build_times);
    let hosts = Hosts::new(fleet, view.ledger).and_unmanaged(view.snapshot, fleet, &placement);
    let ours: BTreeSet<&HostName> = fleet.servers.values().map(|server| &server.name).collect();
    let seen = listed(view.snapshot);
    let names: BTreeSet<&HostName> = ours.iter().copied().chain(seen.keys().copied()).collect();
    let draw = Draw {
        view,
        fleet,
        hosts: &hosts,
        seen: &seen,
        held_back: held_back(view),
    };
    let mut workers: Vec<Worker> = names.into_iter().map(|name| draw.worker(name)).collect();
    workers.sort_by(|a, b| (a.ip, &a.host).cmp(&(b.ip, &b.host)));
    workers
}

/// What OBS says of a host, however old.
#[derive(Debug, Default)]
struct Listed {
    arch: Option<Arch>,
    ip: Option<IpAddr>,
}

fn listed(snapshot: &Snapshot) -> BTreeMap<&HostName, Listed> {
    let mut hosts = BTreeMap::<_, Listed>::new();
    for view in snapshot.backends.values() {
        let Some(reading) = view.workers.last() else {
            continue;
        };
        let there = |state: InstanceState| state.is_live() || state == InstanceState::Dead;
        let instances = reading.value.instances.values();
        for instance in instances.filter(|instance| there(instance.state)) {
            let host = hosts.entry(&instance.id.host).or_default();
            host.arch = host.arch.or(instance.arch);
            let ip = reading.value.addresses.get(&instance.id.host).copied();
            host.ip = host.ip.or(ip);
        }
    }
    hosts
}

struct Draw<'a> {
    view: &'a View<'a>,
    fleet: &'a Fleet,
    hosts: &'a Hosts<'a>,
    seen: &'a BTreeMap<&'a HostName, Listed>,
    held_back: BTreeMap<ServerId, HeldBack>,
}

impl Draw<'_> {
    fn worker(&self, host: &HostName) -> Worker {
        let server = self.fleet.by_name(host);
        let placed = self.hosts.of(host);
        let pool = placed.and_then(|(name, _)| self.view.policy.pools.get(name));
        let seen = self.seen.get(host);
        let certain = self.view.fleet().is_ok();
        let member = self.view.ledger.by_host(host);
        let ours = server.is_some() || member.is_some();
        let in_service = match placed {
            Some((_, Standing::Leaving | Standing::InFlight | Standing::Refitting)) => false,
            Some((_, Standing::Serving | Standing::Unmanaged | Standing::Unsized)) => true,
            None => !ours,
        };
        let reading = self.view.snapshot.hosts.last();
        Worker {
            host: host.clone(),
            ip: server.and_then(|s| s.ip).or(seen.and_then(|s| s.ip)),
            arch: pool.map(|pool| pool.arch).or(seen.and_then(|s| s.arch)),
            managed: (ours || certain).then_some(ours),
            server: server.cloned(),
            member: member.cloned(),
            pool: pool.map(|pool| pool.name.clone()),
            level: pool.map(|pool| pool.level),
            in_service,
            instances: counts(self.view, pool.map(|pool| &*pool.backends), host),
            using: reading.and_then(|reading| reading.value.get(host)).cloned(),
            waits_for: member.and_then(|member| self.awaited(member)),
        }
    }

    fn awaited(&self, member: &Member) -> Option<String> {
        Some(match self.held_back.get(&member.server)? {
            HeldBack::Ramp(backend) => {
                let ramp = self.view.policy.gates.ramps.get(backend);
                let ramp = ramp.map(|ramp| format!(": {ramp} a minute"));
                format!("the ramp of {backend}{}", ramp.unwrap_or_default())
            }
            HeldBack::Canary(server) => {
                let canary = self.view.ledger.members.get(server);
                let name = canary.and_then(|canary| canary.name.as_ref());
                let name = name.map_or_else(|| server.to_string(), ToString::to_string);
                format!("a build on its order's canary {name}")
            }
        })
    }
}

/// The instances of a host at these backends, or at all; `None` while one of them is not fresh.
fn counts(
    view: &View<'_>,
    backends: Option<&[BackendName]>,
    host: &HostName,
) -> Option<InstanceCounts> {
    let all: Vec<BackendName>;
    let backends = match backends {
        Some(backends) => backends,
        None => {
            all = view.snapshot.backends.keys().cloned().collect();
            &all
        }
    };
    let mut states = BTreeMap::<&InstanceId, InstanceState>::new();
    for backend in backends {
        for instance in fresh(view, backend)?.of_host(host) {
            let state = states.entry(&instance.id).or_insert(instance.state);
            *state = (*state).min(instance.state);
        }
    }
    let mut counts = InstanceCounts::default();
    states.into_values().for_each(|state| counts.add(state));
    Some(counts)
}

/// A backend's workers, where they are young enough.
fn fresh<'a>(view: &View<'a>, backend: &BackendName) -> Option<&'a Workers> {
    let backend = view.snapshot.backends.get(backend)?;
    let workers = backend.workers.fresh(view.now, view.policy.max_age);
    workers.ok().map(|workers| workers.value())
}

/// How many instances of a host each backend lists as there; `None` where that is not known.
#[must_use]
pub fn registered(
    view: &View<'_>,
    backends: &[BackendName],
    host: &HostName,
) -> Vec<(BackendName, Option<u32>)> {
    let at = |backend: &BackendName| {
        let live = |workers: &Workers| {
            let live = workers.of_host(host).filter(|i| i.state.is_live());
            u32::try_from(live.count()).unwrap_or(u32::MAX)
        };
        (backend.clone(), fresh(view, backend).map(live))
    };
    backends.iter().map(at).collect()
}

/// The flavor that the worker has, where the cloud says.
fn flavor(worker: &Worker) -> Option<&FlavorName> {
    worker.server.as_ref().map(|server| &server.flavor)
}
