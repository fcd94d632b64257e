//! The families of the sources themselves: whether they answer, how old they are, and what a backend
//! says of its packages and daemons.

use super::write::{Labels, Writer, and, labels};
use super::{Configured, FleetState};
use crate::metrics::catalogue::sources;
use crate::metrics::own::seconds;
use crate::model::{BackendView, Daemon, DaemonState, Observed};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub(super) fn write(
    writer: &mut Writer<'_>,
    configured: &Configured,
    state: &FleetState,
) -> fmt::Result {
    up(writer, state)?;
    maintenance(writer, state)?;
    last_success(writer, configured, state)?;
    unread(writer, state)?;
    packages(writer, configured, state)?;
    daemons(writer, configured, state)
}

fn up(writer: &mut Writer<'_>, state: &FleetState) -> fmt::Result {
    let is_up = |view: &BackendView| view.workers.is_up() && view.results.is_up();
    let series = state.snapshot.backends.iter();
    let series =
        series.map(|(name, view)| (labels([("backend", name.as_str())]), u32::from(is_up(view))));
    writer.gauge(&sources::OBS_UP, series)
}

fn maintenance(writer: &mut Writer<'_>, state: &FleetState) -> fmt::Result {
    let until = |name| state.ledger.maintenance.get(name);
    let under = |name| until(name).is_some_and(|until| state.now < *until);
    let series = state.snapshot.backends.keys();
    let series = series.map(|name| (labels([("backend", name.as_str())]), u32::from(under(name))));
    writer.gauge(&sources::OBS_BACKEND_MAINTENANCE, series)
}

/// When each source was read. What a frontend says of workers counts as some minutes older than that:
/// its age is for those who decide by what is in it (`scaling.max_age`). Whoever watches the source asks
/// whether it answers.
fn last_success(
    writer: &mut Writer<'_>,
    configured: &Configured,
    state: &FleetState,
) -> fmt::Result {
    let mut series: Vec<(Labels<'_>, f64)> = Vec::new();
    for (name, view) in &state.snapshot.backends {
        let mut add = |collector, at: Option<f64>| {
            let labels = labels([("collector", collector), ("backend", name.as_str())]);
            series.extend(at.map(|at| (labels, at)));
        };
        let cached = configured.workers_cached_for.get(name);
        let cached = cached.map_or(0.0, Duration::as_secs_f64);
        add("workers", read_at(&view.workers).map(|at| at + cached));
        add("results", read_at(&view.results));
        add("history", read_at(&view.history));
        add("constraints", read_at(&view.requirements));
        add("ghosts", read_at(&view.ghosts));
    }
    let ecs = read_at(&state.snapshot.fleet).map(|at| (labels([("collector", "ecs")]), at));
    let hosts = read_at(&state.snapshot.hosts).map(|at| (labels([("collector", "hosts")]), at));
    let market = read_at(&state.snapshot.market).map(|at| (labels([("collector", "market")]), at));
    series.extend(ecs.into_iter().chain(hosts).chain(market));
    writer.gauge(&sources::OBS_SCALER_LAST_SUCCESS_TIMESTAMP_SECONDS, series)
}

fn read_at<T>(observed: &Observed<T>) -> Option<f64> {
    observed.last().map(|reading| seconds(reading.at))
}

/// However old: what was never answered stays so.
fn unread(writer: &mut Writer<'_>, state: &FleetState) -> fmt::Result {
    let backends = state.snapshot.backends.iter();
    let series = backends.filter_map(|(name, view)| {
        let known = view.requirements.last()?;
        Some((labels([("backend", name.as_str())]), known.value.unread))
    });
    writer.gauge(&sources::OBS_SCALER_CONSTRAINTS_UNREAD, series)
}

fn packages(writer: &mut Writer<'_>, configured: &Configured, state: &FleetState) -> fmt::Result {
    let fresh = state.snapshot.backends.iter().filter_map(|(name, view)| {
        let results = view.results.fresh(state.now, configured.max_age).ok()?;
        Some((name, results.value()))
    });
    let series = fresh.flat_map(|(name, results)| {
        results
            .packages
            .iter()
            .map(move |((project, repository, arch, code), count)| {
                let labels = [
                    ("backend", name.as_str()),
                    ("project", project.as_str()),
                    ("repository", repository.as_str()),
                    ("arch", arch.as_str()),
                    ("code", code.as_str()),
                ];
                (labels, *count)
            })
    });
    writer.gauge(&sources::OBS_PACKAGES, series)
}

fn daemons(writer: &mut Writer<'_>, configured: &Configured, state: &FleetState) -> fmt::Result {
    let mut up: BTreeMap<Labels<'_>, u32> = BTreeMap::new();
    let mut queues: BTreeMap<Labels<'_>, u64> = BTreeMap::new();
    for (name, view) in &state.snapshot.backends {
        let Ok(workers) = view.workers.fresh(state.now, configured.max_age) else {
            continue;
        };
        for daemon in &workers.value().daemons {
            let backend = labels([("backend", name.as_str())]);
            let arch = daemon.arch.as_deref().unwrap_or_default();
            let which = and(
                backend.clone(),
                [("daemon", daemon.kind.as_str()), ("arch", arch)],
            );
            let runs = up.entry(which).or_insert(1);
            *runs = (*runs).min(runs_now(daemon));
            for (priority, length) in &daemon.queue {
                let which = and(
                    backend.clone(),
                    [("arch", arch), ("priority", priority.as_str())],
                );
                *queues.entry(which).or_default() += length;
            }
        }
    }
    writer.gauge(&sources::OBS_DAEMON_UP, up)?;
    writer.gauge(&sources::OBS_SCHEDULER_QUEUE, queues)
}

fn runs_now(daemon: &Daemon) -> u32 {
    u32::from(daemon.state == DaemonState::Running)
}
