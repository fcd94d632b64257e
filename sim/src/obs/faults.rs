//! What goes wrong on request: the set that `PUT /_sim/faults` replaces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The routes that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// `/workerstatus`, `/build/_workerstatus` and the frontend's names for it.
    WorkerStatus,
    /// `/worker/HOSTARCH:WORKERID`
    Worker,
    /// `/build/PRJ/_result`
    Result,
    /// `…/_jobhistory`
    JobHistory,
    /// `…/PKG/_history`, `_status`, `_jobstatus`, `_reason`, `_statistics`
    Package,
    /// `…/_builddepinfo`
    BuildDepInfo,
    /// `/jobs/…`
    Jobs,
    /// `/source/…`
    Source,
    /// `/build`, `/build/PRJ`, `/build/PRJ/REPO`
    Projects,
    /// `POST /build/PRJ?cmd=…`
    Command,
}

/// How a route fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The request is read and never answered, as long as the fault holds; then the connection ends.
    Hang,
    /// Half of the document comes, then the connection ends. The length promised is the whole's.
    CutOff,
    /// Half of the document comes, as if it were all: the connection stays, the length fits.
    Truncated,
    /// Status 500, with OBS' error document.
    Status500,
    /// Status 200, and a page that is no XML.
    Garbage,
    /// A whole document that lists nothing: no worker, no package, no job. A lying backend.
    Empty,
    /// The first answer to a request after the fault was set is given to all that follow.
    Frozen,
    /// The document comes in 50 pieces, one each 200 ms: 10 s in all.
    Slow,
}

/// The faults in force, by route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(pub BTreeMap<Part, Fault>);

impl Faults {
    /// One route fails.
    #[must_use]
    pub fn one(part: Part, fault: Fault) -> Self {
        Self(BTreeMap::from([(part, fault)]))
    }

    pub(super) fn of(&self, part: Part) -> Option<Fault> {
        self.0.get(&part).copied()
    }
}
