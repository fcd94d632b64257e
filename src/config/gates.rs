//! What waits at a gate: readings of a backend that has just started, and workers that have just been bought.

use super::Backend;
use super::reader::Section;
use super::units::duration_or_none;
use crate::model::BackendName;
use std::collections::BTreeMap;
use std::time::Duration;

/// What waits at a gate before it is believed, or started.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Gates {
    /// What a backend says is not believed before its repository server has run for this long.
    pub settling: Duration,
    /// How long the first worker of an order may take to build something before the others are started all the
    /// same; zero: they wait for nothing.
    pub canary: Duration,
    /// How many new workers may be started in a minute, of each backend that has a limit; at least 1.
    pub ramps: BTreeMap<BackendName, u32>,
}

pub(super) fn read_gates(
    scaling: &Section<'_>,
    backends: Option<&BTreeMap<BackendName, Backend>>,
) -> Option<Gates> {
    // an idle worker reports to its backends every 5 minutes (bs_worker 3370)
    let settling = scaling.or("settling", Duration::from_mins(6), duration_or_none);
    let canary = scaling.or("canary", Duration::ZERO, duration_or_none);
    let limited = backends?.values().filter(|backend| backend.ramp > 0);
    Some(Gates {
        settling: settling?,
        canary: canary?,
        ramps: limited.map(|b| (b.name.clone(), b.ramp)).collect(),
    })
}
