//! The configuration, valid by construction: what exists here was checked.
//!
//! A [`Config`] comes from [`Config::load`] or [`Config::parse`] and from nowhere else: its fields can
//! be read, and a `Config` put together by hand would be one that nobody checked. [`check`] looks at a
//! document where its secrets are not: it gives no `Config`, so none exists without its secrets.

mod archs;
mod backend_hosts;
mod backends;
mod black_holes;
mod cloud;
mod document;
mod fault;
mod hosts;
mod jobs;
mod load;
mod pools;
mod prices;
mod projects;
mod reader;
mod secret;
mod ssh;
#[cfg(test)]
mod tests;
mod units;
mod workers;
mod yaml;

pub use backend_hosts::BackendHost;
pub use backends::{Access, Backend, Discovery};
pub use black_holes::{BlackHoleAction, BlackHoles};
pub use cloud::{CreateApi, Credentials, Rates};
pub use fault::{Fault, Faults};
pub use hosts::{Hosts, ResourceUse};
pub use jobs::Ghosts;
pub use load::{ConfigError, Notices, check};
pub use projects::{Projects, pool_of_project, rest_of};
pub use secret::{Outside, SecretPlace, SecretSource};
pub use ssh::{Login, Ssh};
pub use workers::Workers;

use crate::model::{
    Arch, BackendName, FlavorName, Level, Numbering, Offer, PoolName, Price, Vcpus, ZoneName,
};
use regex::Regex;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the program was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the journal is kept.
    pub state_dir: PathBuf,
    /// The HTTP server.
    pub web: Web,
    /// The OBS backends.
    pub backends: BTreeMap<BackendName, Backend>,
    /// What decisions rest on.
    pub policy: Policy,
    /// What is remembered of the job histories.
    pub history: History,
    /// What servers cost, where it is known.
    pub prices: BTreeMap<FlavorName, Price>,
    /// How often, and how patiently, the outside world is read.
    pub poll: Poll,
    /// The cloud.
    pub ecs: Ecs,
    /// How workers are reached.
    pub ssh: Ssh,
    /// How the resource use of workers is read.
    pub hosts: Hosts,
    /// What is valid, and less than what the program can do.
    pub warnings: Faults,
    /// Nothing outside of this room can write this field, and so make a `Config` that nobody checked.
    _checked: Checked,
}

/// Only the loading makes one.
#[derive(Debug, Clone, Copy)]
struct Checked;

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct Web {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What Alertmanager must send as its bearer token.
    pub token: SecretString,
    /// The largest notification accepted, in bytes.
    pub max_body_bytes: u64,
}

/// What may be done for a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Decide and say, do nothing.
    Observe,
    /// Buy, never release.
    Apply,
    /// Buy and release.
    Full,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Observe, Self::Apply, Self::Full];

    /// The word in the configuration and in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Apply => "apply",
            Self::Full => "full",
        }
    }
}

/// One pool: the workers of one arch and one level that serve the same backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// The architecture of its hosts.
    pub arch: Arch,
    /// The level of its jobs.
    pub level: Level,
    /// The backends that its workers serve; never empty.
    pub backends: Vec<BackendName>,
    /// The projects that it is for.
    pub projects: Projects,
    /// What may be done for it.
    pub mode: Mode,
    /// The number of its workers that are never released.
    pub reserve: u32,
    /// The flavor that is bought for it.
    pub flavor: FlavorName,
    /// Flavors of the same size that are bought where that one can not be had, in this order.
    pub alternatives: Vec<FlavorName>,
    /// The size of that flavor.
    pub vcpus: Vcpus,
    /// `OBS_WORKER_INSTANCES`; at least 1.
    pub instances: u32,
    /// `OBS_WORKER_JOBS`; at least 1.
    pub jobs: u32,
    /// `OBS_CACHE_SIZE`, in MiB: its own, or what the section `workers` says; `None` where neither says one.
    pub cache_mib: Option<u64>,
    /// What the workers of all pools are told.
    pub workers: Workers,
}

impl Pool {
    /// Every flavor that may be bought for it, the one that is preferred first.
    pub fn flavors(&self) -> impl Iterator<Item = &FlavorName> {
        std::iter::once(&self.flavor).chain(&self.alternatives)
    }
}

/// How a job gets its level.
#[derive(Debug, Clone)]
pub struct Levels {
    /// Expected build times below this are l1.
    pub l1_below: Duration,
    /// Expected build times below this, and not l1, are l2; the rest is l3.
    pub l2_below: Duration,
    /// By which share of a boundary the mean of a package has to pass it before its level changes.
    pub hysteresis: f64,
    /// Of how many last successful builds the mean is taken, at most 32.
    pub last_successes: usize,
    /// The level of a package that was never built.
    pub never_built: Level,
    /// Packages whose level is set by name, first match wins. A pattern matches the whole name,
    /// without a multibuild flavor.
    pub packages: Vec<(Regex, Level)>,
}

/// What new servers are called: `PREFIX-POOL-NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// What names begin with.
    pub prefix: String,
    /// The largest number; the smallest is 1.
    pub range: u32,
}

impl Naming {
    /// How many digits a number has: as many as the largest.
    #[must_use]
    pub const fn digits(&self) -> u8 {
        match self.range.checked_ilog10() {
            Some(3..) => 4,
            Some(2) => 3,
            Some(1) => 2,
            Some(0) | None => 1,
        }
    }

    /// The names of a pool's servers from this number on.
    #[must_use]
    pub fn of(&self, pool: &PoolName, first: u32) -> Numbering {
        Numbering {
            stem: format!("{}-{pool}-", self.prefix),
            first,
            digits: self.digits(),
        }
    }
}

/// What decisions rest on.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What new servers are called.
    pub naming: Naming,
    /// The value of the owner tag: servers that carry it are ours.
    pub owner: String,
    /// The pools.
    pub pools: BTreeMap<PoolName, Pool>,
    /// The zones to buy in, the one that is preferred first; none: the cloud chooses.
    pub zones: Vec<ZoneName>,
    /// Which hosts build for a repository architecture that is not its own host's.
    pub archs: BTreeMap<String, Arch>,
    /// How a job gets its level.
    pub levels: Levels,
    /// Packages whose waiting is shown one by one; a pattern matches the whole name, without a
    /// multibuild flavor.
    pub watched: Vec<Regex>,
    /// What is done about ghosts.
    pub ghosts: Ghosts,
    /// When a worker is a black hole, and what is done about it.
    pub black_holes: BlackHoles,
    /// The vCPU that may be bought, in flight included.
    pub ceiling: Vcpus,
    /// The largest number of servers in one order.
    pub max_order: u32,
    /// A server not `ACTIVE` after this long is withdrawn.
    pub create_deadline: Duration,
    /// A server not in service this long after `ACTIVE` is withdrawn.
    pub check_deadline: Duration,
    /// An alarm not heard of for this long is over.
    pub alarm_expiry: Duration,
    /// Without a Watchdog for this long nothing is released.
    pub watchdog_expiry: Duration,
    /// A reading older than this holds the pools that it feeds.
    pub max_age: Duration,
    /// A worker is idle when this many looks in a row found it so …
    pub release_checks: u32,
    /// … each this long after the one before.
    pub release_interval: Duration,
    /// How many workers may be on their way out at once.
    pub max_releases: u32,
    /// Below this share of the last hour's known instances a pool is held (0.7 by default).
    pub known_instances_ratio: f64,
    /// How often the reconciler looks while it has something in hand or an alarm is held.
    pub tick: Duration,
}

impl Policy {
    /// What may be bought for a pool, in the order of preference: each flavor in every zone before the
    /// next flavor.
    pub fn offers<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = Offer> + 'a {
        let zones = || {
            let anywhere = self.zones.is_empty().then_some(None);
            anywhere.into_iter().chain(self.zones.iter().map(Some))
        };
        pool.flavors().flat_map(move |flavor| {
            zones().map(|zone| Offer {
                flavor: flavor.clone(),
                zone: zone.cloned(),
            })
        })
    }

    /// The architecture of the hosts that build for this one of OBS' repositories; `None` where this
    /// farm has none.
    #[must_use]
    pub fn host_arch(&self, repository_arch: &str) -> Option<Arch> {
        let mut hosts = Arch::ALL.into_iter();
        let own = hosts.find(|arch| arch.as_str() == repository_arch);
        own.or_else(|| self.archs.get(repository_arch).copied())
    }
}

/// What is remembered of the job histories.
#[derive(Debug, Clone)]
pub struct History {
    /// Builds that ended longer ago are forgotten: a package with no other counts as never built.
    pub retention: Duration,
}

/// How often, and how patiently, the outside world is read.
#[derive(Debug, Clone)]
pub struct Poll {
    /// Between two readings of a backend's workers.
    pub workers: Duration,
    /// Between two readings of a backend's results.
    pub results: Duration,
    /// Between two readings of a backend's job histories.
    pub history: Duration,
    /// Between two readings of the cloud's list.
    pub ecs: Duration,
    /// Between two readings of the cloud's stock and of the quota.
    pub market: Duration,
    /// Between two readings of the workers' resource use.
    pub hosts: Duration,
    /// For one request, from connect to the last byte.
    pub timeout: Duration,
}

/// The cloud.
#[derive(Debug, Clone)]
pub struct Ecs {
    /// Base URL, such as `https://ecs.cn-north-4.myhuaweicloud.com`, without a final slash.
    pub endpoint: String,
    /// The region's name, for prices; what the endpoint says where it is not given.
    pub region: Option<String>,
    /// The project's id.
    pub project_id: String,
    /// In whose name calls are made.
    pub credentials: Credentials,
    /// How many calls may be made.
    pub rates: Rates,
    /// With which edition of the call servers are created.
    pub create_api: CreateApi,
    /// The image for each architecture that a pool has.
    pub images: BTreeMap<Arch, String>,
    /// The VPC.
    pub vpc_id: String,
    /// The network id of the subnet.
    pub subnet_id: String,
    /// The security groups.
    pub security_groups: Vec<String>,
    /// The name of the key pair whose public key the workers accept.
    pub key_name: String,
    /// The type of the system disk, such as `SSD`.
    pub root_volume_type: String,
    /// Its size in GiB.
    pub root_volume_gib: u32,
    /// What a GiB of it costs in an hour; without it volumes cost nothing.
    pub root_volume_price: Option<Price>,
    /// What the servers are called.
    pub naming: Naming,
    /// For one call, from connect to the last byte; a creation may take twice as long.
    pub timeout: Duration,
    /// Between two looks at a job.
    pub job_poll: Duration,
}
