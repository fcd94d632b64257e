//! The families of the workers' resource use. A worker whose last reading is too old is left out.

use super::write::{Labels, Writer, labels};
use super::{Configured, FleetState};
use crate::model::{HostCounters, HostName, HostUse, InOut};
use std::fmt;

type Known<'a> = Vec<(&'a HostName, &'a HostUse)>;

pub(super) fn write(
    writer: &mut Writer<'_>,
    configured: &Configured,
    state: &FleetState,
) -> fmt::Result {
    let read = state.snapshot.hosts.last();
    let all = read.into_iter().flat_map(|reading| &reading.value);
    let known: Known<'_> = all
        .filter(|(_, used)| used.is_fresh(state.now, configured.max_age))
        .collect();
    gauges(writer, &known)?;
    let mut counter = |name, help, of: fn(&HostCounters) -> Option<InOut>, words| {
        writer.counter(name, help, sides(&known, of, words))
    };
    let (disk, network) = (["read", "write"], ["receive", "transmit"]);
    counter(
        "obs_worker_disk_operations",
        "Operations that the worker's disks have completed since it was booted",
        |counters| counters.disk_operations,
        disk,
    )?;
    counter(
        "obs_worker_disk_bytes",
        "Bytes to and from the worker's disks since it was booted",
        |counters| counters.disk_bytes,
        disk,
    )?;
    counter(
        "obs_worker_network_bytes",
        "Bytes over the worker's network interfaces since it was booted, without loopback",
        |counters| counters.network_bytes,
        network,
    )
}

fn gauges(writer: &mut Writer<'_>, known: &Known<'_>) -> fmt::Result {
    let of = |value: fn(&HostUse) -> Option<f64>| {
        let series = known.iter();
        series.filter_map(move |(host, used)| {
            Some((labels([("worker", host.as_str())]), value(used)?))
        })
    };
    writer.gauge(
        "obs_worker_cpu_usage_ratio",
        "Share of the worker's CPU time that was busy over the last poll interval, 0 to 1",
        of(|used| used.cpu_usage_ratio),
    )?;
    writer.gauge(
        "obs_worker_memory_usage_ratio",
        "Share of the worker's memory that is not available, 0 to 1",
        of(|used| used.counters.memory_usage_ratio),
    )
}

/// Two series for each worker that tells it.
fn sides<'a>(
    known: &Known<'a>,
    of: fn(&HostCounters) -> Option<InOut>,
    [inward, outward]: [&'static str; 2],
) -> Vec<(Labels<'a>, f64)> {
    let told = known
        .iter()
        .filter_map(|(host, used)| Some((host.as_str(), of(&used.counters)?)));
    let both = told.flat_map(|(host, counted)| {
        let side = |direction| labels([("worker", host), ("direction", direction)]);
        [
            (side(inward), counted.inward),
            (side(outward), counted.outward),
        ]
    });
    both.collect()
}
