//! The families of single workers.

use super::write::{Labels, Writer, and, of_pool};
use super::{Configured, FleetState, PoolFacts};
use crate::config::Pool;
use crate::metrics::catalogue::workers as catalogue;
use crate::model::{
    Fleet, HostName, InstanceCounts, InstanceId, InstanceState, Ledger, Member, Stage,
};
use crate::policy::CheckOutcome;
use crate::ssh::Check;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The check that is made in OBS' list: every instance is there.
const REGISTERED: &str = "registered";

/// A worker of a pool of which everything is known, and what we have of it in hand.
#[derive(Clone, Copy)]
struct Worker<'a> {
    pool: &'a Pool,
    host: &'a HostName,
    member: Option<&'a Member>,
}

pub(super) fn write(
    writer: &mut Writer<'_>,
    configured: &Configured,
    state: &FleetState,
) -> fmt::Result {
    let members = state.ledger.members.values();
    let members: BTreeMap<&HostName, &Member> = members
        .filter_map(|m| Some((m.name.as_ref()?, m)))
        .collect();
    let known = configured.pools.values();
    let known = known.filter_map(|p| Some((p, state.pools.get(&p.name)?)));
    // A name that stands in two pools is that of two servers: of one name there is one worker.
    let mut named = BTreeSet::new();
    let workers: Vec<Worker<'_>> = known
        .flat_map(|(pool, facts)| of_one_pool(pool, facts, &members))
        .filter(|worker| named.insert(worker.host))
        .collect();
    info(writer, configured, state, &workers)?;
    let instances = workers.iter().flat_map(|worker| {
        let counts = instances_of(worker.host, worker.pool, state);
        InstanceState::ALL.map(|s| {
            let labels = [("worker", worker.host.as_str()), ("state", s.as_str())];
            (labels, counts.get(s))
        })
    });
    writer.gauge(&catalogue::OBS_WORKER_INSTANCES, instances)?;
    let stages = workers.iter().map(|worker| {
        let stage = worker.member.map_or("unmanaged", |m| m.stage.label());
        ([("worker", worker.host.as_str()), ("stage", stage)], 1u32)
    });
    writer.gauge(&catalogue::OBS_WORKER_STAGE, stages)?;
    let checks = workers.iter().flat_map(|worker| checks(worker, state));
    writer.gauge(&catalogue::OBS_WORKER_CHECK, checks)
}

fn of_one_pool<'a>(
    pool: &'a Pool,
    facts: &'a PoolFacts,
    members: &BTreeMap<&'a HostName, &'a Member>,
) -> Vec<Worker<'a>> {
    let hosts = facts.hosts.iter();
    let worker = |host| Worker {
        pool,
        host,
        member: members.get(host).copied(),
    };
    hosts.map(worker).collect()
}

fn info(
    writer: &mut Writer<'_>,
    configured: &Configured,
    state: &FleetState,
    workers: &[Worker<'_>],
) -> fmt::Result {
    let fleet = state.snapshot.fleet.fresh(state.now, configured.max_age);
    let Ok(fleet) = fleet else { return Ok(()) };
    let infos = workers
        .iter()
        .map(|worker| info_of(worker.pool, worker.host, fleet.value()));
    writer.info(&catalogue::OBS_WORKER_INFO, infos)
}

fn info_of<'a>(pool: &'a Pool, host: &'a HostName, fleet: &'a Fleet) -> Labels<'a> {
    let server = fleet.by_name(host);
    let yes = |is: bool| if is { "true" } else { "false" };
    let mut labels = and(
        of_pool(pool),
        [
            ("worker", host.as_str()),
            ("flavor", server.map_or("", |s| s.flavor.as_str())),
            ("managed", yes(server.is_some())),
            ("protected", yes(server.is_some_and(|s| s.tags.protected))),
        ],
    );
    let ip = server.and_then(|s| s.ip).map(|ip| ip.to_string());
    labels.push(("ip", ip.unwrap_or_default().into()));
    labels
}

/// A worker may serve several backends: each of its instances is counted once, in the state that
/// comes first in the order of precedence.
fn instances_of(host: &HostName, pool: &Pool, state: &FleetState) -> InstanceCounts {
    let mut best: BTreeMap<&InstanceId, InstanceState> = BTreeMap::new();
    let views = pool
        .backends
        .iter()
        .filter_map(|name| state.snapshot.backends.get(name));
    for reading in views.filter_map(|view| view.workers.last()) {
        for instance in reading.value.of_host(host) {
            let seen = best.entry(&instance.id).or_insert(instance.state);
            *seen = (*seen).min(instance.state);
        }
    }
    let mut counts = InstanceCounts::default();
    best.into_values().for_each(|s| counts.add(s));
    counts
}

/// What is known of a worker's checks, each with 1 where it passed.
fn checks<'a>(
    worker: &Worker<'a>,
    state: &'a FleetState,
) -> impl Iterator<Item = ([(&'static str, &'a str); 2], u32)> + use<'a> {
    let host = worker.host.as_str();
    let report = worker.member.and_then(|m| state.checks.get(&m.server));
    let on_machine = report.map(|r| on_machine(&r.outcome)).unwrap_or_default();
    let registered = worker.member.and_then(|m| registered(m, &state.ledger));
    let registered = registered.map(|passed| (REGISTERED, passed));
    let all = on_machine.into_iter().chain(registered);
    all.map(move |(check, passed)| ([("worker", host), ("check", check)], u32::from(passed)))
}

/// Those before the one that failed passed, and those after it were not made. Where a session did not
/// come about, or broke, it is not known which passed.
fn on_machine(outcome: &CheckOutcome) -> Vec<(&'static str, bool)> {
    let order = Check::ORDER.map(Check::as_str);
    let made = match outcome {
        CheckOutcome::Passed => order.len(),
        CheckOutcome::Unreachable(_) => 0,
        CheckOutcome::Failed { check, .. } => {
            let failed = order.iter().position(|word| word == check);
            failed.map_or(0, |before| before + 1)
        }
    };
    let passed = |word| !matches!(outcome, CheckOutcome::Failed { check, .. } if check == word);
    let made = order.into_iter().take(made);
    made.map(|word| (word, passed(word))).collect()
}

/// Whether OBS lists every instance, and none as `down`; `None` where a worker is not that far yet, or is leaving.
fn registered(member: &Member, ledger: &Ledger) -> Option<bool> {
    match member.stage {
        Stage::Joining { .. } => Some(false),
        Stage::Proving | Stage::Serving => {
            Some(ledger.absent(member.name.as_ref()?).next().is_none())
        }
        Stage::Creating
        | Stage::Standby { .. }
        | Stage::Booting { .. }
        | Stage::Checking { .. }
        | Stage::Refitting
        | Stage::Cordoned { .. }
        | Stage::Deleting { .. }
        | Stage::Gone { .. } => None,
    }
}
