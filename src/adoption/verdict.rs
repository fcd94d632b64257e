//! What becomes of each address that a person names. Pure: no IO, no clock, no logging.

use crate::cloud::{Charging, ProjectServer};
use crate::config::{Policy, Pool};
use crate::model::{
    Arch, BackendName, HostName, Level, PoolName, ServerId, ServerStatus, TAG_OWNER, TAG_POOL,
    TAG_PROTECTED, Unknown, Vcpus, Workers,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The most tags that a server may have (ECS, "Batch adding tags to an ECS").
const MAX_TAGS: usize = 10;

/// How many tags of other keys an adopted server may get in time: a lease each of two scalers.
const LEASES: usize = 2;

/// What a verdict rests on.
#[derive(Debug)]
pub struct Known<'a> {
    /// The cloud's records of the addresses in question, whosever they are.
    pub servers: &'a [ProjectServer],
    /// The workers of every configured backend, or why they are not known.
    pub workers: BTreeMap<&'a BackendName, Result<&'a Workers, Unknown>>,
    /// The backends all of whose projects are home projects.
    pub homes: BTreeSet<&'a BackendName>,
    /// The pools, and the owner.
    pub policy: &'a Policy,
}

/// A server that can be adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoptee {
    /// Its id.
    pub server: ServerId,
    /// Its name in the cloud and at OBS.
    pub host: HostName,
    /// The pool that it joins.
    pub pool: PoolName,
    /// Why it is never released, as the value of the tag that pins it.
    pub protected: Option<String>,
}

/// What becomes of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its server can be adopted.
    Adopt(Adoptee),
    /// Its server is ours already.
    Ours {
        /// Its id.
        server: ServerId,
        /// Its name.
        host: HostName,
        /// The pool that its tag names.
        pool: Option<String>,
    },
    /// Nothing is done.
    Refused(Refusal),
}

/// Why a server is not adopted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The cloud has no server of that address in the project.
    #[error("no server of the cloud project has this address")]
    NoServer,
    /// Several have it, in networks of their own.
    #[error("several servers have this address: {}", list(.0))]
    Ambiguous(Vec<String>),
    /// It carries the owner tag of another.
    #[error("server {server} ({host}) belongs to the owner {owner:?}")]
    OtherOwner {
        /// Its id.
        server: ServerId,
        /// Its name.
        host: HostName,
        /// The value of its owner tag.
        owner: String,
    },
    /// It is being deleted.
    #[error("server {0} is being deleted")]
    BeingDeleted(ServerId),
    /// It does not run.
    #[error("server {server} does not run: {status}")]
    NotRunning {
        /// Its id.
        server: ServerId,
        /// What the cloud says.
        status: String,
    },
    /// No backend lists a worker of its name.
    #[error(
        "no configured OBS backend lists a worker of host {0}; a worker's server has to have its host name"
    )]
    NotAWorker(HostName),
    /// OBS sees the worker of its name at another address.
    #[error(
        "backend {backend} sees worker {host} at {seen}, which is no address of server {server}: another machine has \
         this name, or this one had another address when it was registered"
    )]
    ElsewhereAtObs {
        /// Its id.
        server: ServerId,
        /// Its name.
        host: HostName,
        /// The backend.
        backend: BackendName,
        /// The address there.
        seen: IpAddr,
    },
    /// None that is known does, and one is not known.
    #[error("whether OBS has a worker of host {host} is not known: backend {backend}: {why}")]
    Unseen {
        /// Its name.
        host: HostName,
        /// The backend.
        backend: BackendName,
        /// Why it is not known.
        why: Unknown,
    },
    /// OBS lists it with an architecture for which the pool is not.
    #[error("OBS lists {host} as {found}, and pool {pool} is for {expected}")]
    OtherArch {
        /// Its name.
        host: HostName,
        /// What OBS says.
        found: String,
        /// The pool that was named.
        pool: PoolName,
        /// Its architecture.
        expected: Arch,
    },
    /// It serves no backend of the pool.
    #[error("{host} is a worker of {}, which pool {pool} does not serve", list(.backends))]
    OtherBackends {
        /// Its name.
        host: HostName,
        /// The backends that list it.
        backends: Vec<String>,
        /// The pool that was named.
        pool: PoolName,
    },
    /// Its flavor is that of several pools.
    #[error("{flavor} is the flavor of several pools: name one of {} with --pool", list(.pools))]
    SeveralPools {
        /// Its flavor.
        flavor: String,
        /// These pools.
        pools: Vec<String>,
    },
    /// No pool could have it.
    #[error("no pool is for {arch} and serves {}", list(.backends))]
    NoPool {
        /// Its architecture, as OBS says it.
        arch: String,
        /// The backends that list it.
        backends: Vec<String>,
    },
    /// It has so many tags that ours do not fit.
    #[error(
        "server {server} has {found} tags, and ours would be more than the {MAX_TAGS} that a server may have"
    )]
    TooManyTags {
        /// Its id.
        server: ServerId,
        /// How many it has.
        found: usize,
    },
}

fn list(words: &[String]) -> String {
    words.join(", ")
}

/// What becomes of this address; `pool` is the one that the person named.
#[must_use]
pub fn verdict(ip: IpAddr, pool: Option<&Pool>, known: &Known<'_>) -> Verdict {
    judge(ip, pool, known).unwrap_or_else(Verdict::Refused)
}

fn judge(ip: IpAddr, pool: Option<&Pool>, known: &Known<'_>) -> Result<Verdict, Refusal> {
    let server = the_server(ip, known)?;
    let owner = server.tags.get(TAG_OWNER);
    if owner == Some(&known.policy.owner) {
        return Ok(Verdict::Ours {
            server: server.id.clone(),
            host: server.name.clone(),
            pool: server.tags.get(TAG_POOL).cloned(),
        });
    }
    if let Some(owner) = owner {
        return Err(Refusal::OtherOwner {
            server: server.id.clone(),
            host: server.name.clone(),
            owner: owner.clone(),
        });
    }
    runs(server)?;
    let worker = Worker::of(&server.name, known)?;
    is_the_worker(server, known)?;
    let (pool, odd) = worker.pool(server, pool, known)?;
    let protected = protection(server, pool, odd, &worker, known);
    let already = server.tags.contains_key(TAG_PROTECTED);
    let new = 2 + usize::from(protected.is_some() && !already) + LEASES;
    if server.tags.len() + new > MAX_TAGS {
        return Err(Refusal::TooManyTags {
            server: server.id.clone(),
            found: server.tags.len(),
        });
    }
    Ok(Verdict::Adopt(Adoptee {
        server: server.id.clone(),
        host: server.name.clone(),
        pool: pool.name.clone(),
        protected: protected.filter(|_| !already),
    }))
}

/// The one server that has this very address.
fn the_server<'a>(ip: IpAddr, known: &Known<'a>) -> Result<&'a ProjectServer, Refusal> {
    let found: Vec<_> = known
        .servers
        .iter()
        .filter(|s| s.ips.contains(&ip))
        .collect();
    match found.as_slice() {
        [] => Err(Refusal::NoServer),
        [server] => Ok(server),
        several => {
            let ids = several.iter().map(|server| server.id.to_string());
            Err(Refusal::Ambiguous(ids.collect()))
        }
    }
}

fn runs(server: &ProjectServer) -> Result<(), Refusal> {
    let status = match &server.status {
        ServerStatus::Active => return Ok(()),
        ServerStatus::Deleting => return Err(Refusal::BeingDeleted(server.id.clone())),
        ServerStatus::Building => "BUILD".to_owned(),
        ServerStatus::Error(words) => format!("ERROR {words}").trim_end().to_owned(),
        ServerStatus::Other(word) => word.clone(),
    };
    Err(Refusal::NotRunning {
        server: server.id.clone(),
        status,
    })
}

/// A name can be given twice: where OBS tells the worker's address, it is one of the server's own. It tells none while the
/// worker is away or down.
fn is_the_worker(server: &ProjectServer, known: &Known<'_>) -> Result<(), Refusal> {
    for (backend, workers) in &known.workers {
        let seen = workers
            .as_ref()
            .ok()
            .and_then(|w| w.addresses.get(&server.name));
        if let Some(seen) = seen.filter(|seen| !server.ips.contains(seen)) {
            return Err(Refusal::ElsewhereAtObs {
                server: server.id.clone(),
                host: server.name.clone(),
                backend: (*backend).clone(),
                seen: *seen,
            });
        }
    }
    Ok(())
}

/// A host that OBS lists.
struct Worker<'a> {
    host: &'a HostName,
    arch: Option<Arch>,
    backends: BTreeSet<&'a BackendName>,
}

impl<'a> Worker<'a> {
    fn of(host: &'a HostName, known: &Known<'a>) -> Result<Self, Refusal> {
        let mut worker = Self {
            host,
            arch: None,
            backends: BTreeSet::new(),
        };
        let mut unseen = None;
        for (backend, workers) in &known.workers {
            match workers {
                Err(why) => unseen = Some((*backend, why)),
                Ok(workers) => {
                    for instance in workers.of_host(host) {
                        worker.backends.insert(backend);
                        worker.arch = worker.arch.or(instance.arch);
                    }
                }
            }
        }
        match unseen {
            _ if !worker.backends.is_empty() => Ok(worker),
            None => Err(Refusal::NotAWorker(host.clone())),
            Some((backend, why)) => Err(Refusal::Unseen {
                host: host.clone(),
                backend: backend.clone(),
                why: why.clone(),
            }),
        }
    }

    /// Its pool, and whether its size is an odd one there: the pool that was named; else the one that has
    /// its flavor; else the one of the nearest size at or below its own.
    fn pool(
        &self,
        server: &ProjectServer,
        named: Option<&'a Pool>,
        known: &Known<'a>,
    ) -> Result<(&'a Pool, bool), Refusal> {
        let is_odd = |pool: &Pool| !has_flavor(pool, server);
        if let Some(pool) = named {
            self.check(pool)?;
            return Ok((pool, is_odd(pool)));
        }
        let pools = known.policy.pools.values();
        let possible: Vec<&Pool> = pools.filter(|pool| self.check(pool).is_ok()).collect();
        let same: Vec<&Pool> = possible.iter().copied().filter(|p| !is_odd(p)).collect();
        match same.as_slice() {
            [pool] => Ok((pool, false)),
            [] => self
                .nearest(&possible, server.vcpus)
                .map(|pool| (pool, true)),
            several => Err(Refusal::SeveralPools {
                flavor: server.flavor.to_string(),
                pools: several.iter().map(|pool| pool.name.to_string()).collect(),
            }),
        }
    }

    fn nearest(&self, possible: &[&'a Pool], size: Vcpus) -> Result<&'a Pool, Refusal> {
        let rest = || possible.iter().copied().filter(|p| p.projects.is_rest());
        let below = rest().filter(|pool| pool.vcpus <= size);
        let nearest = below.max_by_key(|pool| (pool.vcpus, Reverse(pool.level)));
        let lowest = || rest().find(|pool| pool.level == Level::L1);
        nearest.or_else(lowest).ok_or_else(|| Refusal::NoPool {
            arch: self.arch_word(),
            backends: self.backend_words(),
        })
    }

    fn check(&self, pool: &Pool) -> Result<(), Refusal> {
        if self.arch != Some(pool.arch) {
            return Err(Refusal::OtherArch {
                host: self.host.clone(),
                found: self.arch_word(),
                pool: pool.name.clone(),
                expected: pool.arch,
            });
        }
        if !pool
            .backends
            .iter()
            .any(|name| self.backends.contains(name))
        {
            return Err(Refusal::OtherBackends {
                host: self.host.clone(),
                backends: self.backend_words(),
                pool: pool.name.clone(),
            });
        }
        Ok(())
    }

    fn arch_word(&self) -> String {
        let known = self.arch.map(|arch| arch.as_str());
        known.unwrap_or("an unknown architecture").to_owned()
    }

    fn backend_words(&self) -> Vec<String> {
        self.backends.iter().map(ToString::to_string).collect()
    }
}

fn has_flavor(pool: &Pool, server: &ProjectServer) -> bool {
    pool.flavor == server.flavor || pool.alternatives.contains(&server.flavor)
}

/// Why the server is never to be released: it is paid for in advance (or nobody knows how), it could not
/// be bought again as it is, or it builds home projects.
fn protection(
    server: &ProjectServer,
    pool: &Pool,
    odd: bool,
    worker: &Worker<'_>,
    known: &Known<'_>,
) -> Option<String> {
    let charging = match server.charging {
        Some(Charging::Postpaid) => None,
        Some(Charging::Prepaid) => Some("prepaid"),
        Some(Charging::Spot) => Some("spot"),
        None => Some("charging-unknown"),
    };
    let home = worker
        .backends
        .iter()
        .all(|name| known.homes.contains(name));
    let home = (home || !pool.projects.is_rest()).then_some("home");
    let odd = odd.then_some("odd-size");
    let reasons: Vec<&str> = [charging, odd, home].into_iter().flatten().collect();
    (!reasons.is_empty()).then(|| reasons.join("."))
}
