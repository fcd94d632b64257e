//! `worker check`: everything about a worker that can be looked at, from all sides, each thing with what was found
//! and what should be. Nothing is changed.

use crate::cloud::{Cloud, ProjectServer};
use crate::execute::{Hands, Instead};
use crate::model::ServerStatus;
use crate::policy::{View, setup};
use crate::present::Present;
use crate::roster::{self, Asked, NotAnswered, Worker, machine_status};
use crate::ssh::{Check, Fact, Finding, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// So many workers are looked at at once.
const AT_ONCE: usize = 60;

/// What a person asks for: `POST /api/v1/workers/check`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckAsked {
    /// The workers' addresses.
    pub ips: Vec<IpAddr>,
    /// What they should be, other than what the configuration says.
    #[serde(default)]
    pub expect: Expect,
}

/// What somebody wants to be found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The processors.
    pub vcpus: Option<u32>,
    /// The memory, in GiB.
    pub ram: Option<u32>,
    /// `OBS_WORKER_INSTANCES`.
    pub instances: Option<u32>,
    /// `OBS_WORKER_JOBS`.
    pub jobs: Option<u32>,
}

impl From<Expect> for Instead {
    fn from(expect: Expect) -> Self {
        Self {
            vcpus: expect.vcpus,
            ram: expect.ram,
            instances: expect.instances,
            jobs: expect.jobs,
        }
    }
}

/// Everything that a look needs of a running daemon. Cheap to clone.
#[derive(Clone)]
pub struct Inspector {
    /// The outside world, and what is in hand.
    pub present: Arc<Present>,
    /// The cloud.
    pub cloud: Arc<dyn Cloud>,
    /// What reaches the workers.
    pub hands: Arc<Hands>,
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector").finish_non_exhaustive()
    }
}

impl Inspector {
    /// Looks at these workers, a row for each.
    ///
    /// # Errors
    /// Names an address that no worker has; nothing is looked at then.
    pub async fn check(self, asked: CheckAsked) -> Result<Value, NotAnswered> {
        let of = Asked {
            ips: asked.ips.clone(),
            idle: false,
        };
        if of.ips.is_empty() {
            return Ok(json!([]));
        }
        let workers = self.present.seen(|view| of.of(roster::roster(view)))?;
        let records = self.cloud.find(&asked.ips).await;
        let records = records.map_err(|error| error.to_string());
        let mut looks = JoinSet::new();
        let mut rows = Vec::new();
        for (place, worker) in workers.into_iter().enumerate() {
            if looks.len() >= AT_ONCE {
                rows.extend(looks.join_next().await);
            }
            let (inspector, records) = (self.clone(), records.clone());
            looks.spawn(async move {
                let row = inspector.row(&worker, &records, asked.expect).await;
                (place, row)
            });
        }
        while let Some(row) = looks.join_next().await {
            rows.push(row);
        }
        // a look that panicked has no row; the panic itself has been printed
        let mut rows: Vec<(usize, Value)> = rows.into_iter().flatten().collect();
        rows.sort_by_key(|(place, _)| *place);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    async fn row(
        &self,
        worker: &Worker,
        records: &Result<Vec<ProjectServer>, String>,
        expect: Expect,
    ) -> Value {
        let record = records.as_ref().map(|all| {
            let same = |r: &&ProjectServer| r.name == worker.host;
            all.iter().find(same)
        });
        let record = record.map_err(Clone::clone);
        let mut findings = self.present.seen(|view| of_cloud(view, worker, &record));
        match worker.ip {
            Some(ip) => {
                let server = worker.server.as_ref();
                let flavor = self
                    .present
                    .seen(|view| server.map(|s| view.snapshot.flavor_of(s)));
                let look = self.hands.look(worker, ip, flavor.as_ref(), expect.into());
                findings.extend(look.await);
            }
            None => findings.push(Finding::unknown(Check::Session, "ssh", "no address yet")),
        }
        findings.extend(self.present.seen(|view| of_obs(view, worker, expect)));
        as_json(worker, &record, &findings)
    }
}

type Record<'a> = Result<Option<&'a ProjectServer>, String>;

/// The machine's state and flavor, as the cloud has them.
fn of_cloud(view: &View<'_>, worker: &Worker, record: &Record<'_>) -> Vec<Finding> {
    let record = match record {
        Ok(Some(record)) => record,
        Ok(None) if worker.managed == Some(false) => return Vec::new(),
        Ok(None) => {
            let found = "the cloud has no server of this name and address";
            return vec![Finding::judged(
                Check::Machine,
                "status",
                found,
                Some(Fact::from("active")),
                false,
            )];
        }
        Err(why) => return vec![Finding::unknown(Check::Machine, "status", why.clone())],
    };
    let status = machine_status(&record.status);
    let pool = worker.member.as_ref().map(|member| &member.pool);
    let pool = pool.and_then(|name| view.policy.pools.get(name));
    let flavors: Option<Vec<&str>> = pool.map(|pool| pool.flavors().map(|f| f.as_str()).collect());
    let right = flavors
        .as_ref()
        .is_some_and(|known| known.contains(&record.flavor.as_str()));
    let wanted = flavors.map(|known| Fact::from(known.join(" or ")));
    vec![
        Finding::same(Check::Machine, "status", status, Some("active")),
        Finding::judged(
            Check::Flavor,
            "flavor",
            record.flavor.as_str(),
            wanted,
            right,
        ),
    ]
}

/// The instances that each backend lists as there.
fn of_obs(view: &View<'_>, worker: &Worker, expect: Expect) -> Vec<Finding> {
    let pool = worker.pool.as_ref();
    let pool = pool.and_then(|name| view.policy.pools.get(name));
    let wanted = pool
        .zip(worker.member.as_ref())
        .map(|(pool, member)| setup::wanted(member, pool));
    let all: Vec<_> = view.snapshot.backends.keys().cloned().collect();
    let backends = match (&wanted, pool) {
        (Some(wanted), _) => &wanted.backends,
        (None, Some(pool)) => &pool.backends,
        (None, None) => &all,
    };
    let instances = expect.instances.or(wanted.as_ref().map(|w| w.instances));
    let registered = roster::registered(view, backends, &worker.host);
    let finding = |(backend, live): (_, Option<u32>)| {
        let what = format!("instances at {backend}");
        match live {
            Some(live) => Finding::same(Check::Registered, what, live, instances),
            None => Finding::unknown(Check::Registered, what, "its workers are not known now"),
        }
    };
    registered.into_iter().map(finding).collect()
}

/// The keys of `check_worker_config` of the original design (5.1.6), and where each is found.
const CONFIG: [(&str, Check, &str); 4] = [
    ("vcpus", Check::Machine, "vcpus"),
    ("ram", Check::Machine, "ram"),
    ("instances", Check::Config, "OBS_WORKER_INSTANCES"),
    ("jobs", Check::Config, "OBS_WORKER_JOBS"),
];

/// 5.1.4 to 5.1.6 of the original design in one row: `service_OK` 0 for healthy and 1 for not, `status`, and
/// `consistency_result`; then every single thing.
fn as_json(worker: &Worker, record: &Record<'_>, findings: &[Finding]) -> Value {
    let service: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.check == Check::Service)
        .collect();
    let is = |verdict| move |f: &&&Finding| f.verdict == verdict;
    let sick = service.iter().find(is(Verdict::Wrong));
    let service_ok = (!service.is_empty()).then_some(u8::from(sick.is_some()));
    let lost = findings.iter().find(|f| f.check == Check::Session);
    let why = sick.copied().or(lost.filter(|_| service.is_empty()));
    let status = record.as_ref().ok();
    let status = status.map(|record| match (record, worker.managed) {
        (Some(record), _) => machine_status(&record.status),
        (None, Some(true)) => machine_status(&ServerStatus::Deleting),
        (None, _) => "other",
    });
    let wrong = |f: &&Finding| matches!(f.verdict, Verdict::Wrong | Verdict::Unknown);
    json!({
        "ip": worker.ip.map(|ip| ip.to_string()),
        "host": worker.host.as_str(),
        "managed": worker.managed,
        "pool": worker.pool.as_ref().map(ToString::to_string),
        "state": worker.state(),
        "ok": !findings.iter().any(|f| wrong(&f)),
        "service_OK": service_ok,
        "why": why.map(Finding::found_words),
        "status": status,
        "consistency_result": consistency(findings),
        "mismatches": mismatches(findings),
        "checks": findings.iter().map(shown).collect::<Vec<_>>(),
    })
}

/// Those of the configuration's keys that were looked at.
fn of_config(findings: &[Finding]) -> impl Iterator<Item = (&'static str, &Finding)> {
    CONFIG.into_iter().filter_map(|(key, check, what)| {
        let of_key = |f: &&Finding| f.check == check && f.what == what;
        Some((key, findings.iter().find(of_key)?))
    })
}

/// `null` where nothing could be compared.
fn consistency(findings: &[Finding]) -> Option<bool> {
    let compared = of_config(findings).map(|(_, f)| f.verdict);
    let compared: Vec<Verdict> = compared
        .filter(|v| matches!(v, Verdict::Right | Verdict::Wrong))
        .collect();
    (!compared.is_empty()).then(|| !compared.contains(&Verdict::Wrong))
}

fn mismatches(findings: &[Finding]) -> Vec<Value> {
    let wrong = of_config(findings).filter(|(_, f)| f.verdict == Verdict::Wrong);
    wrong
        .map(|(key, f)| {
            let fact = |fact: &Option<Fact>| fact.as_ref().map(Fact::as_json);
            json!({ "name": key, "found": fact(&f.found), "expected": fact(&f.expected) })
        })
        .collect()
}

fn shown(finding: &Finding) -> Value {
    let fact = |fact: &Option<Fact>| fact.as_ref().map(Fact::as_json);
    json!({
        "check": finding.check.as_str(),
        "what": finding.what,
        "found": fact(&finding.found),
        "expected": fact(&finding.expected),
        "verdict": finding.verdict.as_str(),
    })
}

#[cfg(test)]
mod tests;
