//! The section `checks`: what a worker has to be besides what it was ordered as.

use super::reader::{Node, Section};
use super::units::{duration, identifier, number};
use crate::model::{FlavorName, FlavorStock};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a worker has to be before it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// How far its clock may be off.
    pub max_clock_difference: Duration,
    /// How much has to be free where it builds, in GiB; 0 is not judged.
    pub min_free_gib: u32,
    /// The flavors whose workers do not serve unless they build on a local NVMe disk; `None` where nobody says, so that
    /// a look holds each against what the cloud says of its flavor.
    pub local_disks: Option<BTreeSet<FlavorName>>,
}

impl Checks {
    /// Whether workers of this flavor do not serve unless they build on a local NVMe disk.
    #[must_use]
    pub fn demands_local_disk(&self, flavor: &FlavorName) -> bool {
        let named = self.local_disks.as_ref();
        named.is_some_and(|named| named.contains(flavor))
    }

    /// Whether whoever looks at a worker of a flavor that the cloud offers like this expects it to build on a local disk.
    #[must_use]
    pub fn promises_local_disk(&self, offer: &FlavorStock) -> bool {
        self.local_disks.is_none() && offer.local_disk
    }
}

pub(super) fn read_checks(checks: &Section<'_>) -> Option<Checks> {
    let seconds = Duration::from_secs(5);
    let max_clock_difference = checks.or("max_clock_difference", seconds, duration);
    let min_free_gib = checks.or("min_free_gib", 0, number(0..=1 << 20));
    let local_disks = match checks.get("local_disks") {
        None => Some(None),
        Some(list) => list.any_list(|node| flavor(node)).map(Some),
    };
    Some(Checks {
        max_clock_difference: max_clock_difference?,
        min_free_gib: min_free_gib?,
        local_disks: local_disks?.map(|flavors| flavors.into_iter().collect()),
    })
}

fn flavor(node: &Node<'_>) -> Option<FlavorName> {
    node.read(identifier).map(FlavorName::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Arch, Availability, Vcpus};
    use std::collections::BTreeMap;

    fn offer(local_disk: bool) -> FlavorStock {
        FlavorStock {
            arch: Arch::Aarch64,
            vcpus: Vcpus(32),
            memory_mib: Some(131_072),
            local_disk,
            zones: BTreeMap::new(),
            elsewhere: Availability::OnSale,
        }
    }

    #[test]
    fn a_local_disk_is_demanded_by_name_only_and_promised_by_the_cloud_where_no_flavor_is_named() {
        let (fast, other) = (FlavorName::new("ki1"), FlavorName::new("c7"));
        let with = |local_disks| Checks {
            max_clock_difference: Duration::ZERO,
            min_free_gib: 0,
            local_disks,
        };
        let nothing_said = with(None);
        assert!(!nothing_said.demands_local_disk(&fast));
        assert!(nothing_said.promises_local_disk(&offer(true)));
        assert!(!nothing_said.promises_local_disk(&offer(false)));
        let named = with(Some([fast.clone()].into()));
        assert!(named.demands_local_disk(&fast));
        assert!(!named.demands_local_disk(&other));
        assert!(!named.promises_local_disk(&offer(true)));
    }
}
