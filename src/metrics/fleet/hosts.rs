//! The families of the workers' resource use. A worker whose last reading is too old is left out.

use super::write::{Labels, Writer, labels};
use super::{Configured, FleetState};
use crate::metrics::catalogue::hosts;
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
    let mut counter = |family, of: fn(&HostCounters) -> Option<InOut>, words| {
        writer.counter(family, sides(&known, of, words))
    };
    let (disk, network) = (["read", "write"], ["receive", "transmit"]);
    counter(
        &hosts::OBS_WORKER_DISK_OPERATIONS_TOTAL,
        |counters| counters.disk_operations,
        disk,
    )?;
    counter(
        &hosts::OBS_WORKER_DISK_BYTES_TOTAL,
        |counters| counters.disk_bytes,
        disk,
    )?;
    counter(
        &hosts::OBS_WORKER_NETWORK_BYTES_TOTAL,
        |counters| counters.network_bytes,
        network,
    )
}

fn gauges(writer: &mut Writer<'_>, known: &Known<'_>) -> fmt::Result {
    let of = |value: fn(&HostUse) -> Option<f64>| {
        let series = known.iter();
        series.filter_map(move |(host, used)| Some(([("worker", host.as_str())], value(used)?)))
    };
    writer.gauge(
        &hosts::OBS_WORKER_CPU_USAGE_RATIO,
        of(|used| used.cpu_usage_ratio),
    )?;
    writer.gauge(
        &hosts::OBS_WORKER_MEMORY_USAGE_RATIO,
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
