//! How the builds of the last hours came out, host by host.

use super::{HostName, PackageKey};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a build came out, as far as that may say something of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// With a result.
    Built,
    /// It failed.
    Failed,
    /// It came to no end: OBS showed it on an instance that did not build it.
    Vanished,
}

impl Came {
    /// Whether nothing was built.
    #[must_use]
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::Failed | Self::Vanished)
    }
}

/// One build on a host, by the backend's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildEnd {
    /// What was built.
    pub package: PackageKey,
    /// When it was handed out.
    pub began: Timestamp,
    /// When it ended, or was found to have vanished.
    pub ended: Timestamp,
    /// How.
    pub came: Came,
}

/// The builds of each host that ended not long ago, in the order in which this program learnt of them. A
/// copy shares what is not changed later.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Record {
    hosts: BTreeMap<HostName, Arc<Vec<BuildEnd>>>,
}

impl Record {
    /// Takes more builds in, and forgets those that ended before `oldest`.
    pub fn add(&mut self, new: impl IntoIterator<Item = (HostName, BuildEnd)>, oldest: Timestamp) {
        for (host, build) in new {
            Arc::make_mut(self.hosts.entry(host).or_default()).push(build);
        }
        let old = |build: &BuildEnd| build.ended < oldest;
        self.hosts.retain(|_, builds| {
            if builds.iter().any(old) {
                Arc::make_mut(builds).retain(|build| !old(build));
            }
            !builds.is_empty()
        });
    }

    /// The builds of each host.
    pub fn hosts(&self) -> impl Iterator<Item = (&HostName, &[BuildEnd])> {
        self.hosts
            .iter()
            .map(|(host, builds)| (host, builds.as_slice()))
    }

    /// The builds of one host.
    pub fn of(&self, host: &HostName) -> &[BuildEnd] {
        self.hosts.get(host).map_or(&[], |builds| builds.as_slice())
    }
}
