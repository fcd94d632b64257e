//! Small farms for tests.

use super::{View, level_with_hysteresis};
use crate::config::{Levels, Mode, Naming, Policy, Pool, Projects};
use crate::model::{
    Action, Alarm, Alarms, Arch, BackendName, BackendView, BuildTimes, Capabilities, Constraints,
    Expected, FlavorName, Fleet, Ghosts, HostName, IdleStreak, Instance, InstanceId, InstanceState,
    Job, JobState, Ledger, Level, Market, Member, Observed, Order, OrderId, PackageConstraints,
    PackageKey, PoolName, Record, Requirements, Results, Server, ServerId, ServerStatus, Snapshot,
    Stage, Tags, Vcpus, Workers,
};
use jiff::Timestamp;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const NOW: i64 = 1_000_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn pool(name: &str) -> PoolName {
    PoolName::try_from(name).unwrap()
}

pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// One backend's documents and when each was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backend {
    pub(crate) workers: Workers,
    pub(crate) workers_at: i64,
    pub(crate) results: Results,
    pub(crate) results_at: i64,
    /// What packages ask; the others ask for nothing.
    pub(crate) asks: BTreeMap<String, Constraints>,
    /// Packages of which it has not been read what they ask.
    pub(crate) unread: BTreeSet<String>,
    pub(crate) has: BTreeMap<HostName, Capabilities>,
    pub(crate) ghosts: Ghosts,
    pub(crate) record: Record,
}

impl Backend {
    fn requirements(&self) -> Requirements {
        let jobs = &self.results.jobs;
        let read = jobs
            .iter()
            .filter(|job| job.state.is_pending() && !self.unread.contains(&job.key.package));
        let package = |job: &Job| {
            let base = self.asks.get(&job.key.package).cloned().unwrap_or_default();
            let asks = PackageConstraints {
                base,
                overwrites: Vec::new(),
            };
            (
                (job.key.project.clone(), job.key.base_name().to_owned()),
                asks,
            )
        };
        Requirements {
            packages: read.map(package).collect(),
            targets: jobs
                .iter()
                .map(|job| (job.key.target(), Some(Constraints::default())))
                .collect(),
            workers: self.has.clone(),
            ..Requirements::default()
        }
    }
}

/// A farm of two backends: `main` with the pools `x-l1`, `x-l2`, `x-l3` (32, 64, 128 vCPU) and `a-l1`;
/// `home` with `home`.
#[derive(Debug, Clone)]
pub(crate) struct Farm {
    pub(crate) policy: Policy,
    pub(crate) backends: BTreeMap<BackendName, Backend>,
    pub(crate) fleet: Fleet,
    pub(crate) fleet_at: i64,
    pub(crate) market: Observed<Market>,
    pub(crate) times: BuildTimes,
    pub(crate) ledger: Ledger,
    pub(crate) alarms: Alarms,
    next: usize,
}

fn configured(name: &str, backend: &str, arch: Arch, level: Level, size: u32) -> Pool {
    Pool {
        name: pool(name),
        arch,
        level,
        backends: vec![BackendName::new(backend)],
        projects: Projects::default(),
        mode: Mode::Full,
        reserve: 0,
        flavor: FlavorName::new(format!("{arch}.{size}")),
        alternatives: Vec::new(),
        vcpus: Vcpus(size),
        instances: if level == Level::L3 { 12 } else { 7 },
        jobs: size,
        cache_mib: None,
        workers: crate::config::Workers::default(),
    }
}

fn policy() -> Policy {
    let pools = [
        configured("x-l1", "main", Arch::X86_64, Level::L1, 32),
        configured("x-l2", "main", Arch::X86_64, Level::L2, 64),
        configured("x-l3", "main", Arch::X86_64, Level::L3, 128),
        configured("a-l1", "main", Arch::Aarch64, Level::L1, 32),
        configured("home", "home", Arch::X86_64, Level::L1, 32),
    ];
    Policy {
        naming: Naming {
            prefix: "obs".to_owned(),
            range: 199,
        },
        owner: "test".to_owned(),
        pools: pools.into_iter().map(|p| (p.name.clone(), p)).collect(),
        zones: Vec::new(),
        archs: [("i586".to_owned(), Arch::X86_64)].into(),
        levels: Levels {
            l1_below: minutes(5),
            l2_below: minutes(10),
            hysteresis: 0.1,
            last_successes: 4,
            never_built: Level::L2,
            packages: vec![(Regex::new("^(?:gcc|kernel.*)$").unwrap(), Level::L3)],
        },
        watched: vec![Regex::new("^kernel$").unwrap()],
        ghosts: crate::config::Ghosts::default(),
        black_holes: crate::config::BlackHoles::default(),
        ceiling: Vcpus(1792),
        max_order: 100,
        create_deadline: minutes(10),
        check_deadline: minutes(5),
        alarm_expiry: minutes(5),
        watchdog_expiry: minutes(5),
        max_age: minutes(2),
        release_checks: 2,
        release_interval: minutes(1),
        max_releases: 10,
        known_instances_ratio: 0.7,
        gates: crate::config::Gates::default(),
        tick: Duration::from_secs(15),
    }
}

impl Farm {
    pub(crate) fn new() -> Self {
        let backend = Backend {
            workers_at: NOW,
            results_at: NOW,
            ..Backend::default()
        };
        let names = ["main", "home"].map(BackendName::new);
        let mut alarms = Alarms::default();
        alarms.hear_watchdog(at(NOW));
        Self {
            policy: policy(),
            backends: names.map(|name| (name, backend.clone())).into(),
            fleet: Fleet::default(),
            fleet_at: NOW,
            market: Observed::default(),
            times: BuildTimes::default(),
            ledger: Ledger::default(),
            alarms,
            next: 0,
        }
    }

    /// Calls with a view of the farm at [`NOW`].
    pub(crate) fn see<T>(&self, call: impl FnOnce(&View<'_>) -> T) -> T {
        self.see_at(NOW, call)
    }

    /// Calls with a view of the farm at this second.
    pub(crate) fn see_at<T>(&self, now: i64, call: impl FnOnce(&View<'_>) -> T) -> T {
        let backend = |(name, b): (&BackendName, &Backend)| {
            let view = BackendView {
                workers: Observed::known(at(b.workers_at), b.workers.clone()),
                results: Observed::known(at(b.results_at), b.results.clone()),
                history: Observed::default(),
                requirements: Observed::known(at(NOW), b.requirements()),
                ghosts: Observed::known(at(NOW), b.ghosts.clone()),
                record: Arc::new(b.record.clone()),
            };
            (name.clone(), Arc::new(view))
        };
        let snapshot = Snapshot {
            backends: self.backends.iter().map(backend).collect(),
            fleet: Arc::new(Observed::known(at(self.fleet_at), self.fleet.clone())),
            hosts: Arc::default(),
            market: Arc::new(self.market.clone()),
            build_times: Arc::new(self.times.clone()),
        };
        call(&View {
            snapshot: &snapshot,
            ledger: &self.ledger,
            alarms: &self.alarms,
            policy: &self.policy,
            now: at(now),
        })
    }

    pub(crate) fn pool(&mut self, name: &str) -> &mut Pool {
        self.policy.pools.get_mut(&pool(name)).unwrap()
    }

    pub(crate) fn backend(&mut self, name: &str) -> &mut Backend {
        self.backends.get_mut(&BackendName::new(name)).unwrap()
    }

    /// Adds one job of this package to a backend.
    pub(crate) fn job(&mut self, backend: &str, arch: &str, package: &str, state: JobState) {
        let job = Job {
            key: key(arch, package),
            state,
            seen_waiting: None,
        };
        self.backend(backend).results.jobs.push(job);
    }

    /// Makes a package's builds take this long.
    pub(crate) fn takes(&mut self, key: &PackageKey, mean: Duration) {
        let level = level_with_hysteresis(None, mean, &self.policy.levels);
        let target = [&key.project, &key.repository, &key.arch].map(|name| &**name);
        let expected = Some(Expected { mean, level });
        self.times.change(target, [(key.package.clone(), expected)]);
    }

    /// Adds jobs of the pool's level, told by their build times.
    pub(crate) fn schedule(&mut self, name: &str, count: u32) {
        let pool = self.pool(name).clone();
        let mean = match pool.level {
            Level::L1 => minutes(1),
            Level::L2 => minutes(7),
            Level::L3 => minutes(60),
        };
        for _ in 0..count {
            let package = self.fresh("package");
            let arch = pool.arch.as_str();
            self.takes(&key(arch, &package), mean);
            self.job(
                pool.backends[0].as_str(),
                arch,
                &package,
                JobState::Scheduled,
            );
        }
    }

    /// Lists instances of a host at the first backend of the pool.
    pub(crate) fn list(&mut self, name: &str, host: &str, state: InstanceState, count: u32) {
        let pool = self.pool(name).clone();
        let backend = pool.backends[0].clone();
        for _ in 0..count {
            let host = HostName::new(host);
            let workers = &mut self.backends.get_mut(&backend).unwrap().workers;
            let number = u32::try_from(workers.of_host(&host).count()).unwrap() + 1;
            let id = InstanceId { host, number };
            let instance = Instance {
                id: id.clone(),
                arch: Some(pool.arch),
                state,
                job: None,
            };
            workers.instances.insert(id, instance);
        }
    }

    /// Adds a server that an order bought, to the cloud's list only.
    pub(crate) fn server(&mut self, name: &str, host: &str) -> &mut Server {
        let pool = self.pool(name).clone();
        let id = ServerId::new(host);
        let server = Server {
            id: id.clone(),
            name: HostName::new(host),
            status: ServerStatus::Active,
            ip: Some([10, 0, 0, 1].into()),
            flavor: pool.flavor,
            vcpus: pool.vcpus,
            created: at(0),
            tags: Tags {
                pool: Some(pool.name),
                order: Some(OrderId::new("settled")),
                ..Tags::default()
            },
        };
        self.fleet.servers.entry(id).or_insert(server)
    }

    /// Adds a server that an order bought, and that we follow.
    pub(crate) fn member(&mut self, name: &str, host: &str, stage: Stage) -> &mut Member {
        let server = self.server(name, host).clone();
        let member = Member {
            server: server.id.clone(),
            name: Some(server.name),
            pool: pool(name),
            order: server.tags.order,
            vcpus: server.vcpus,
            stage,
            since: at(0),
            reached: true,
            ordered_here: true,
            own: crate::model::Overrides::default(),
            bound: None,
            due: None,
        };
        self.ledger.members.entry(server.id).or_insert(member)
    }

    /// Adds a worker in service, with this many instances idle, that has been idle long enough.
    pub(crate) fn worker(&mut self, name: &str, host: &str, idle: u32) -> ServerId {
        self.list(name, host, InstanceState::Idle, idle);
        let id = self.member(name, host, Stage::Serving).server.clone();
        let streak = IdleStreak {
            since: at(NOW - 600),
            last: at(NOW),
            looks: self.policy.release_checks,
        };
        self.ledger.streaks.insert(id.clone(), streak);
        id
    }

    /// Adds an order that the cloud has not answered.
    pub(crate) fn order(&mut self, name: &str, count: u32) -> OrderId {
        let pool = self.pool(name).clone();
        let id = OrderId::new(self.fresh("order"));
        let order = Order {
            id: id.clone(),
            pool: pool.name,
            flavor: pool.flavor,
            vcpus: pool.vcpus,
            count,
            at: at(NOW),
            job: None,
            body_sha256: String::new(),
            closed: None,
            names: None,
            zone: None,
        };
        self.ledger.orders.insert(id.clone(), order);
        id
    }

    pub(crate) fn ring(&mut self, action: Action, name: &str) {
        let alarm = Alarm {
            action,
            pool: pool(name),
            starts_at: at(NOW - 60),
            heard: at(NOW - 30),
        };
        self.alarms.fire(&format!("{action} {name}"), alarm);
    }

    fn fresh(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{what}-{}", self.next)
    }
}

pub(crate) fn key(arch: &str, package: &str) -> PackageKey {
    PackageKey {
        project: "openEuler:Mainline".to_owned(),
        repository: format!("standard_{arch}"),
        arch: arch.to_owned(),
        package: package.to_owned(),
    }
}
