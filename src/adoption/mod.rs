//! Adoption: servers that the farm has already become ours, and ours become nobody's, as people say.
//!
//! [`verdict()`] decides, from the cloud's records, OBS' workers and the pools. This file asks for those,
//! and puts the tags on. The reconciler takes the servers up as it finds them by their tags.

mod desk;
mod letting_go;
mod verdict;

#[cfg(test)]
mod tests;

use crate::cloud::{self, Cloud};
use crate::config::{Config, Pool};
use crate::model::{
    Alarms, BackendName, Ledger, PoolName, ServerId, Snapshot, TAG_OWNER, TAG_POOL, TAG_PROTECTED,
    Unknown, Workers,
};
use crate::policy::{Lease, View, lease};
use crate::ssh;
pub use desk::Desk;
use jiff::Timestamp;
pub use letting_go::{Kept, keeps, keys_on, ours};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
pub use verdict::{Adoptee, Known, Refusal, Verdict, verdict};

/// What a person asks for: `POST /api/v1/adopt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adopt {
    /// The servers' addresses.
    pub ips: Vec<IpAddr>,
    /// The pool that they join; that of their flavor where it is not given.
    #[serde(default)]
    pub pool: Option<String>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a person asks for: `POST /api/v1/disown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disown {
    /// The servers' addresses.
    pub ips: Vec<IpAddr>,
    /// Also those that an order bought.
    #[serde(default)]
    pub bought: bool,
}

/// What became of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The address.
    pub ip: IpAddr,
    /// Its server, where one was found.
    pub server: Option<String>,
    /// That server's name.
    pub host: Option<String>,
    /// Its pool.
    pub pool: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it is never released, where it is protected.
    pub protected: Option<String>,
    /// Why it was refused, or failed, or what is to be known besides.
    pub why: Option<String>,
}

/// What became of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It would be adopted: this was a dry run.
    WouldAdopt,
    /// It is ours now.
    Adopted,
    /// It was ours before.
    Ours,
    /// It is not ours any more.
    Disowned,
    /// Nothing was done, for a reason.
    Refused,
    /// It was tried, and did not succeed.
    Failed,
}

impl Outcome {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WouldAdopt => "would adopt",
            Self::Adopted => "adopted",
            Self::Ours => "ours already",
            Self::Disowned => "disowned",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Whether what was asked for is so now, or would be.
    #[must_use]
    pub const fn is_success(self) -> bool {
        !matches!(self, Self::Refused | Self::Failed)
    }
}

impl Row {
    /// A row of which nothing but the outcome is known.
    #[must_use]
    pub const fn bare(ip: IpAddr, outcome: Outcome, why: Option<String>) -> Self {
        Self {
            ip,
            server: None,
            host: None,
            pool: None,
            outcome,
            protected: None,
            why,
        }
    }
}

/// Why nothing was done for any address.
#[derive(Debug, thiserror::Error)]
pub enum AdoptionError {
    /// The pool is not configured.
    #[error("no pool {0:?} is configured")]
    NoPool(String),
    /// Another scaler goes first.
    #[error("{0} has the same owner and goes first: ask there")]
    NotHere(String),
    /// The cloud does not say which servers there are.
    #[error("the cloud: {0}")]
    Cloud(#[from] cloud::Error),
    /// The list of our servers is not known.
    #[error("the cloud's list: {0}")]
    List(#[from] Unknown),
    /// The reconciler does not listen any more.
    #[error("obs-scaler is about to stop: try again")]
    Stopping,
}

/// What an adoption rests on.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The outside world.
    pub snapshot: &'a Snapshot,
    /// What is in hand.
    pub ledger: &'a Ledger,
    /// Now.
    pub now: Timestamp,
}

impl<'a> Sight<'a> {
    /// Refuses where another scaler goes first: it is that one's farm.
    ///
    /// # Errors
    /// Names the other.
    pub fn goes_first(&self) -> Result<(), AdoptionError> {
        let view = View {
            snapshot: self.snapshot,
            ledger: self.ledger,
            alarms: &Alarms::default(),
            policy: &self.config.policy,
            now: self.now,
        };
        match lease(&view) {
            Lease::Younger { elder } => Err(AdoptionError::NotHere(elder.to_string())),
            _ => Ok(()),
        }
    }

    fn workers(&self) -> BTreeMap<&'a BackendName, Result<&'a Workers, Unknown>> {
        let (now, max_age) = (self.now, self.config.policy.max_age);
        let names = self.config.backends.keys();
        let of = |name| match self.snapshot.backends.get(name) {
            None => (name, Err(Unknown::Never { why: None })),
            Some(view) => (name, view.workers.fresh(now, max_age).map(|w| w.value())),
        };
        names.map(of).collect()
    }

    fn homes(&self) -> BTreeSet<&'a BackendName> {
        let is_home = |name: &str| name == "home" || name.starts_with("home:");
        let backends = self.config.backends.iter();
        let homes = backends.filter(|(_, backend)| {
            backend.projects.iter().all(|project| is_home(project)) && backend.discovery.is_home()
        });
        homes.map(|(name, _)| name).collect()
    }
}

/// Adopts these servers, or says what would be done.
///
/// # Errors
/// Where nothing could be decided for any of them; what becomes of each is in its row.
pub async fn adopt(
    cloud: &dyn Cloud,
    sight: Sight<'_>,
    ask: &Adopt,
) -> Result<Vec<Row>, AdoptionError> {
    sight.goes_first()?;
    let pool = named_pool(sight.config, ask.pool.as_deref())?;
    let servers = cloud.find(&ask.ips).await?;
    let known = Known {
        servers: &servers,
        workers: sight.workers(),
        homes: sight.homes(),
        policy: &sight.config.policy,
    };
    let mut rows = Vec::new();
    for ip in distinct(&ask.ips) {
        rows.push(match verdict(ip, pool, &known) {
            Verdict::Refused(why) => Row::bare(ip, Outcome::Refused, Some(why.to_string())),
            Verdict::Ours { server, host, pool } => Row {
                server: Some(server.to_string()),
                host: Some(host.to_string()),
                pool,
                ..Row::bare(ip, Outcome::Ours, None)
            },
            Verdict::Adopt(adoptee) => {
                let (outcome, why) = if ask.dry_run {
                    (Outcome::WouldAdopt, None)
                } else {
                    put_tags(cloud, &sight.config.policy.owner, &adoptee).await
                };
                row(ip, outcome, why, adoptee, sight.config)
            }
        });
    }
    Ok(rows)
}

fn named_pool<'a>(
    config: &'a Config,
    name: Option<&str>,
) -> Result<Option<&'a Pool>, AdoptionError> {
    let Some(name) = name else {
        return Ok(None);
    };
    let known = PoolName::try_from(name).ok();
    let pool = known.and_then(|name| config.policy.pools.get(&name));
    pool.map(Some)
        .ok_or_else(|| AdoptionError::NoPool(name.to_owned()))
}

/// All in one call, so that a server never has some of them only.
async fn put_tags(cloud: &dyn Cloud, owner: &str, adoptee: &Adoptee) -> (Outcome, Option<String>) {
    let mut tags = vec![(TAG_OWNER, owner), (TAG_POOL, adoptee.pool.as_str())];
    let protected = adoptee.protected.as_deref();
    tags.extend(protected.map(|why| (TAG_PROTECTED, why)));
    match cloud.tag(&adoptee.server, &tags).await {
        Ok(()) => {
            let (server, host) = (&adoptee.server, &adoptee.host);
            tracing::warn!(%server, %host, pool = %adoptee.pool, protected, "adopted by a person");
            (Outcome::Adopted, None)
        }
        Err(error) => (Outcome::Failed, Some(error.to_string())),
    }
}

fn row(
    ip: IpAddr,
    outcome: Outcome,
    why: Option<String>,
    adoptee: Adoptee,
    config: &Config,
) -> Row {
    let ssh = &config.ssh;
    let (file, names) = (
        ssh.known_hosts_file.as_deref(),
        [&*ip.to_string(), adoptee.host.as_str()],
    );
    let pinned = ssh::known_pin(file, &names, ssh.port);
    let unpinned = pinned
        .err()
        .map(|error| format!("{error}: it can not be reached, so it is never released"));
    Row {
        ip,
        server: Some(adoptee.server.to_string()),
        host: Some(adoptee.host.to_string()),
        pool: Some(adoptee.pool.to_string()),
        outcome,
        protected: adoptee.protected,
        why: why.or(unpinned),
    }
}

/// Our servers of these addresses that we let go of, each with its row.
///
/// # Errors
/// Where the list of our servers is not known.
pub fn disowned(
    sight: Sight<'_>,
    ask: &Disown,
) -> Result<Vec<(Option<ServerId>, Row)>, AdoptionError> {
    sight.goes_first()?;
    let max_age = sight.config.policy.max_age;
    let fleet = sight.snapshot.fleet.fresh(sight.now, max_age)?.value();
    let of = |ip| match ours(ip, fleet) {
        Err(why) => (None, Row::bare(ip, Outcome::Refused, Some(why.to_string()))),
        Ok(server) => {
            let kept = keeps(server, sight.ledger.members.get(&server.id), ask.bought);
            let outcome = if kept.is_some() {
                Outcome::Refused
            } else {
                Outcome::Disowned
            };
            let row = Row {
                server: Some(server.id.to_string()),
                host: Some(server.name.to_string()),
                pool: server.tags.pool.as_ref().map(ToString::to_string),
                ..Row::bare(ip, outcome, kept.as_ref().map(ToString::to_string))
            };
            (kept.is_none().then(|| server.id.clone()), row)
        }
    };
    Ok(distinct(&ask.ips).into_iter().map(of).collect())
}

/// Each address once, in the order in which they were named.
fn distinct(ips: &[IpAddr]) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    ips.iter().copied().filter(|ip| seen.insert(*ip)).collect()
}
