//! The families of the pools: from the first whole poll on, every series of a configured pool exists,
//! with an explicit 0.

use super::write::{Labels, Writer, and, labels, of_pool};
use super::{Configured, FleetState, PoolFacts};
use crate::config::{Pool, pool_of_project};
use crate::metrics::catalogue::pools;
use crate::metrics::own::seconds;
use crate::model::{InstanceCounts, InstanceState, JobState};
use std::collections::BTreeMap;
use std::fmt;

/// The words of `obs_workers{state=…}`: those of [`crate::model::Stage::label`], and `unmanaged`.
const WORKER_STATES: [&str; 8] = [
    "ordered",
    "booting",
    "checking",
    "serving",
    "cordoned",
    "deleting",
    "failed",
    "unmanaged",
];

type Known<'a> = Vec<(&'a Pool, &'a PoolFacts)>;

pub(super) fn write(
    writer: &mut Writer<'_>,
    configured: &Configured,
    state: &FleetState,
) -> fmt::Result {
    let pools = configured.pools.values();
    let known: Known<'_> = pools
        .filter_map(|p| Some((p, state.pools.get(&p.name)?)))
        .collect();
    from_config(writer, configured)?;
    halted(writer, configured, state)?;
    queue(writer, configured, &known)?;
    supply(writer, &known)
}

fn from_config(writer: &mut Writer<'_>, configured: &Configured) -> fmt::Result {
    let pools = || configured.pools.values();
    let instances = pools().map(|p| (of_pool(p), p.instances));
    writer.gauge(&pools::OBS_SCALER_POOL_INSTANCES_PER_WORKER, instances)?;
    let reserve = pools().map(|p| (of_pool(p), p.reserve));
    writer.gauge(&pools::OBS_SCALER_POOL_RESERVE_WORKERS, reserve)?;
    let mode = pools().map(|p| {
        (
            labels([("pool", p.name.as_str()), ("mode", p.mode.as_str())]),
            1u32,
        )
    });
    writer.gauge(&pools::OBS_SCALER_POOL_MODE, mode)
}

fn halted(writer: &mut Writer<'_>, configured: &Configured, state: &FleetState) -> fmt::Result {
    let is_halted = |pool: &Pool| {
        let known = state.ledger.supply.get(&pool.name);
        u32::from(known.is_some_and(|known| known.halted_below.is_some()))
    };
    let pools = configured.pools.values();
    let series = pools.map(|pool| (of_pool(pool), is_halted(pool)));
    writer.gauge(&pools::OBS_SCALER_POOL_HALTED, series)
}

fn queue(writer: &mut Writer<'_>, configured: &Configured, known: &Known<'_>) -> fmt::Result {
    let jobs = known
        .iter()
        .flat_map(|(pool, facts)| jobs(configured, pool, facts));
    writer.gauge(&pools::OBS_JOBS, jobs)?;
    unplaceable(writer, known)?;
    let ghosts = known
        .iter()
        .map(|(pool, facts)| (of_pool(pool), facts.ghosts));
    writer.gauge(&pools::OBS_JOBS_GHOST, ghosts)?;
    watched(writer, known)?;
    let oldest = known
        .iter()
        .map(|(pool, facts)| (of_pool(pool), facts.oldest.map_or(0.0, seconds)));
    writer.gauge(&pools::OBS_JOB_OLDEST_SCHEDULED_TIMESTAMP_SECONDS, oldest)?;
    let work = known
        .iter()
        .map(|(pool, facts)| (of_pool(pool), facts.expected_work.as_secs_f64()));
    writer.gauge(&pools::OBS_JOBS_EXPECTED_WORK_SECONDS, work)
}

/// There is no series for `refused`: which workers refused a job stands in a file of the dispatcher
/// (`dispatch.badhosts`) that no route of OBS 2.9 shows.
fn unplaceable(writer: &mut Writer<'_>, known: &Known<'_>) -> fmt::Result {
    let series = known.iter().flat_map(|(pool, facts)| {
        let no_idle_fit = Some(("no_idle_fit", facts.no_idle_fit));
        let no_compliant = facts.no_compliant.map(|count| ("no_compliant", count));
        let reasons = no_idle_fit.into_iter().chain(no_compliant);
        reasons.map(|(reason, count)| (and(of_pool(pool), [("reason", reason)]), count))
    });
    writer.gauge(&pools::OBS_JOBS_UNPLACEABLE, series)
}

/// A package may wait in several pools, as one that is quick in one repository and slow in another, or
/// the same project on two backends: its labels name no pool, so that the longest wait counts.
fn watched(writer: &mut Writer<'_>, known: &Known<'_>) -> fmt::Result {
    let mut longest = BTreeMap::new();
    for (job, since) in known.iter().flat_map(|(_, facts)| &facts.watched) {
        let longest = longest.entry(job).or_insert(since);
        *longest = since.min(*longest);
    }
    let series = longest
        .into_iter()
        .map(|((package, project, arch), since)| {
            let job = [
                ("package", package.as_str()),
                ("project", project),
                ("arch", arch),
            ];
            (labels(job), seconds(*since))
        });
    writer.gauge(&pools::OBS_WATCHED_JOB_SCHEDULED_TIMESTAMP_SECONDS, series)
}

/// A pool's jobs, with a 0 for each configured project that it is for and that has none.
fn jobs<'a>(
    configured: &'a Configured,
    pool: &'a Pool,
    facts: &'a PoolFacts,
) -> Vec<(Labels<'a>, u64)> {
    let mut counts = BTreeMap::new();
    for backend in &pool.backends {
        let same = |p: &&Pool| (p.arch, p.level) == (pool.arch, pool.level);
        let same = configured.pools.values().filter(same);
        let same = same.filter(|p| p.backends.contains(backend));
        let projects = configured.projects.get(backend).into_iter().flatten();
        let own = |project: &&String| pool_of_project(same.clone(), project) == Some(pool);
        for project in projects.filter(own) {
            for state in JobState::ALL {
                counts.insert((backend, project, state), 0);
            }
        }
    }
    counts.extend(
        facts
            .jobs
            .iter()
            .map(|((b, p, s), count)| ((b, p, *s), *count)),
    );
    let labelled =
        |(backend, project, state): (&'a crate::model::BackendName, &'a String, JobState)| {
            let more = [
                ("backend", backend.as_str()),
                ("project", project),
                ("state", state.as_str()),
            ];
            and(of_pool(pool), more)
        };
    counts
        .into_iter()
        .map(|(key, count)| (labelled(key), count))
        .collect()
}

fn supply(writer: &mut Writer<'_>, known: &Known<'_>) -> fmt::Result {
    let instances = known
        .iter()
        .flat_map(|(pool, facts)| by_state(of_pool(pool), &facts.instances));
    writer.gauge(&pools::OBS_INSTANCES, instances)?;
    let workers = known.iter().flat_map(|(pool, facts)| {
        WORKER_STATES.into_iter().map(|state| {
            let count = facts.workers.get(state).copied().unwrap_or_default();
            (and(of_pool(pool), [("state", state)]), count)
        })
    });
    writer.gauge(&pools::OBS_WORKERS, workers)?;
    let releasable = known
        .iter()
        .map(|(pool, facts)| (of_pool(pool), facts.releasable));
    writer.gauge(&pools::OBS_WORKERS_RELEASABLE, releasable)
}

fn by_state<'a>(which: Labels<'a>, counts: &InstanceCounts) -> Vec<(Labels<'a>, u32)> {
    let states = InstanceState::ALL.into_iter();
    states
        .map(|s| (and(which.clone(), [("state", s.as_str())]), counts.get(s)))
        .collect()
}
