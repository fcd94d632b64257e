//! What people want workers to be told otherwise than their pool says: which workers, and what becomes of it. Pure.
//!
//! A word is taken in at once, written to the journal, and brought about by the reconciler: few workers of a pool
//! at a time, each drained first ([`crate::policy::refit`]).

use crate::config::{Policy, Pool};
use crate::model::{BackendName, Fleet, Ledger, Member, Overrides, Server, ServerId, Setup, Stage};
use crate::policy::Reason;
use crate::policy::refit::Postponed;
use crate::policy::setup::wanted;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

/// The most instances, or processes of a build, that a worker may be told (as `instances` in the configuration).
const MOST: u32 = 1024;

/// What a person asks for: `POST /api/v1/workers/configure`. What is not given stays as
/// it was asked for before, and else is as the pool has it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    /// The workers' addresses.
    pub ips: Vec<IpAddr>,
    /// Build instances, from 1.
    #[serde(default)]
    pub instances: Option<u32>,
    /// Processes of one build, from 1.
    #[serde(default)]
    pub jobs: Option<u32>,
    /// The backends that they serve, some of their pool's, the first as the source server.
    #[serde(default)]
    pub servers: Option<Vec<String>>,
    /// The size of the cache of binaries, in MiB, from 1.
    #[serde(default)]
    pub cache_mib: Option<u64>,
    /// First forget what was asked for before.
    #[serde(default)]
    pub reset: bool,
    /// How many workers of a pool may be on their way at once, from 1; 1 where it is not given.
    #[serde(default)]
    pub at_once: Option<u32>,
}

/// What became of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The address.
    pub ip: IpAddr,
    /// Its worker, where one of ours was found.
    pub host: Option<String>,
    /// The worker's pool.
    pub pool: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// What the worker is, or is to be, told.
    pub settings: Option<String>,
    /// Why it was refused, or what it waits for.
    pub why: Option<String>,
}

/// What became of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was done, for a reason.
    Refused,
    /// It is due: its turn comes.
    Due,
    /// It is drained, set, started and checked.
    OnTheWay,
    /// Nothing is to be done (any more).
    Settled,
}

impl Outcome {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Due => "due",
            Self::OnTheWay => "on the way",
            Self::Settled => "settled",
        }
    }
}

/// What is to be known of the farm.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The cloud's list of our servers; `None` where it was never read.
    pub fleet: Option<&'a Fleet>,
    /// What is in hand.
    pub ledger: &'a Ledger,
    /// The pools.
    pub policy: &'a Policy,
}

/// What is asked for, of each address: a row, and the member as it is to be from now on.
#[must_use]
pub fn decide(ask: &Configure, sight: Sight<'_>) -> Vec<(Row, Option<Member>)> {
    let ips: BTreeSet<&IpAddr> = ask.ips.iter().collect();
    let ips = ips.into_iter();
    ips.map(|ip| one(ask, *ip, sight)).collect()
}

fn one(ask: &Configure, ip: IpAddr, sight: Sight<'_>) -> (Row, Option<Member>) {
    let mut row = Row::bare(ip);
    let found = sight.find(ip);
    if let Some((server, member, _)) = &found {
        row.host = Some(server.name.as_str().to_owned());
        row.pool = Some(member.pool.as_str().to_owned());
    }
    let decided = found
        .ok_or_else(|| "no worker of ours has this address".to_owned())
        .and_then(|(server, member, pool)| ask.of(server, member, pool, sight.ledger));
    match decided {
        Ok((member, settings)) => {
            row.outcome = Outcome::Due;
            row.settings = Some(settings);
            (row, Some(member))
        }
        Err(why) => {
            row.why = Some(why);
            (row, None)
        }
    }
}

impl<'a> Sight<'a> {
    fn find(&self, ip: IpAddr) -> Option<(&'a Server, &'a Member, &'a Pool)> {
        let mut servers = self.fleet?.servers.values();
        let server = servers.find(|server| server.ip == Some(ip))?;
        let member = self.ledger.members.get(&server.id)?;
        Some((server, member, self.policy.pools.get(&member.pool)?))
    }
}

impl Configure {
    /// The member as it is to be, and its settings in words.
    fn of(
        &self,
        server: &Server,
        member: &Member,
        pool: &Pool,
        ledger: &Ledger,
    ) -> Result<(Member, String), String> {
        if !matches!(member.stage, Stage::Serving | Stage::Refitting) {
            return Err(format!("it is not in service ({})", member.stage.label()));
        }
        if server.tags.order.is_none() && !ledger.pinned.contains(&server.id) {
            return Err(Reason::NoHostKey.to_string());
        }
        let own = self.overrides(member, pool)?;
        let at_once = within("at_once", self.at_once)?.unwrap_or(1);
        let member = Member {
            own,
            due: Some(at_once),
            ..member.clone()
        };
        let settings = words(&wanted(&member, pool));
        Ok((member, settings))
    }

    fn overrides(&self, member: &Member, pool: &Pool) -> Result<Overrides, String> {
        let before = match self.reset {
            true => Overrides::default(),
            false => member.own.clone(),
        };
        let cache = self.cache_mib.map(|mib| match mib {
            0 => Err("cache_mib: found 0, expected a number from 1".to_owned()),
            mib => Ok(mib),
        });
        Ok(Overrides {
            instances: within("instances", self.instances)?.or(before.instances),
            jobs: within("jobs", self.jobs)?.or(before.jobs),
            backends: self.backends(pool)?.or(before.backends),
            cache_mib: cache.transpose()?.or(before.cache_mib),
        })
    }

    /// A worker counts at the backends of its pool, and nowhere else.
    fn backends(&self, pool: &Pool) -> Result<Option<Vec<BackendName>>, String> {
        let Some(servers) = &self.servers else {
            return Ok(None);
        };
        let of_pool: BTreeMap<&str, &BackendName> = pool
            .backends
            .iter()
            .map(|name| (name.as_str(), name))
            .collect();
        let named = servers.iter().map(|name| {
            let known = of_pool.get(name.as_str()).map(|name| (*name).clone());
            known.ok_or_else(|| {
                let expected: Vec<&str> = of_pool.keys().copied().collect();
                format!(
                    "servers: found {name:?}, expected some of {}",
                    expected.join(", ")
                )
            })
        });
        let named: Vec<BackendName> = named.collect::<Result<_, _>>()?;
        let different: BTreeSet<&BackendName> = named.iter().collect();
        if named.is_empty() || different.len() < named.len() {
            return Err("servers: expected at least one backend, and none twice".to_owned());
        }
        Ok(Some(named))
    }
}

fn within(name: &str, given: Option<u32>) -> Result<Option<u32>, String> {
    match given {
        Some(n) if !(1..=MOST).contains(&n) => Err(format!(
            "{name}: found {n}, expected a number from 1 to {MOST}"
        )),
        given => Ok(given),
    }
}

/// The settings in words: `7 instances, 32 jobs, for main and lts`.
fn words(setup: &Setup) -> String {
    let Setup {
        backends,
        instances,
        jobs,
        cache_mib,
        cache_dir,
        binaries_proxy,
    } = setup;
    let backends: Vec<&str> = backends.iter().map(BackendName::as_str).collect();
    let mut words = format!(
        "{instances} instances, {jobs} jobs, for {}",
        backends.join(" and ")
    );
    if let Some(mib) = cache_mib {
        let _infallible = write!(words, ", {mib} MiB of cache");
    }
    if let Some(dir) = cache_dir {
        let _infallible = write!(words, ", cache in {dir}");
    }
    if let Some(url) = binaries_proxy {
        let _infallible = write!(words, ", binaries through {url}");
    }
    words
}

/// How far each worker is whose settings are due or that is on its way to them, by address.
#[must_use]
pub fn progress(
    sight: Sight<'_>,
    postponed: &[Postponed],
    last_check: impl Fn(&ServerId, Timestamp) -> Option<String>,
) -> Vec<Row> {
    let members = sight.ledger.members.values();
    let rows = members.filter_map(|member| {
        let outcome = match (&member.stage, member.due) {
            (Stage::Refitting, _) => Outcome::OnTheWay,
            (Stage::Serving, Some(_)) => Outcome::Due,
            _ => return None,
        };
        let server = sight.fleet?.servers.get(&member.server)?;
        let why = match outcome {
            Outcome::OnTheWay => last_check(&member.server, member.since),
            _ => postponed
                .iter()
                .find(|due| due.server == member.server)
                .map(|due| due.reason.to_string()),
        };
        let pool = sight.policy.pools.get(&member.pool);
        Some(Row {
            host: Some(server.name.as_str().to_owned()),
            pool: Some(member.pool.as_str().to_owned()),
            outcome,
            settings: pool.map(|pool| words(&wanted(member, pool))),
            why,
            ..Row::bare(server.ip?)
        })
    });
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by_key(|row| row.ip);
    rows
}

impl Row {
    /// A row of which nothing is known, refused.
    #[must_use]
    pub const fn bare(ip: IpAddr) -> Self {
        Self {
            ip,
            host: None,
            pool: None,
            outcome: Outcome::Refused,
            settings: None,
            why: None,
        }
    }
}

#[cfg(test)]
#[path = "configure_tests.rs"]
mod tests;
