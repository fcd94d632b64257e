//! What can go wrong between OBS and whoever reads it.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What happens to the answers of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// The request is taken and never answered.
    Hang,
    /// The connection ends in the middle of the document.
    Cut,
    /// Status 500 and OBS' status document.
    Error,
    /// Not XML, with status 200.
    Garbage,
    /// A whole and valid document in which there is nothing: no instance, no package.
    Empty,
    /// The answer of the moment in which the fault was set, again and again.
    Frozen,
    /// A few bytes a second.
    Slow,
}

/// The faults in force, set by `PUT /_sim/faults`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Faults {
    /// By route: `workerstatus`, `result`, `jobhistory`, `worker`, `source`, `other`, or `all`.
    pub(super) routes: BTreeMap<String, Fault>,
    /// What daemons are shown as, where it is not `running`: `{"dispatcher": "dead"}`.
    pub(super) daemons: BTreeMap<String, String>,
}

impl Faults {
    pub(super) fn of(&self, route: &str) -> Option<Fault> {
        self.routes
            .get(route)
            .or_else(|| self.routes.get("all"))
            .copied()
    }
}
