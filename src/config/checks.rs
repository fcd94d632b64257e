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
    /// The flavors whose workers have to build on a local NVMe disk; `None` for all of which the cloud says that
    /// they have one.
    pub local_disks: Option<BTreeSet<FlavorName>>,
}

impl Checks {
    /// Whether the workers of this flavor have to build on a local NVMe disk, where this is what the cloud says of it.
    #[must_use]
    pub fn local_disk(&self, flavor: &FlavorName, offer: Option<&FlavorStock>) -> bool {
        match &self.local_disks {
            Some(named) => named.contains(flavor),
            None => offer.is_some_and(|offer| offer.local_disk),
        }
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
            memory_mib: 131_072,
            local_disk,
            zones: BTreeMap::new(),
            elsewhere: Availability::OnSale,
        }
    }

    #[test]
    fn workers_build_on_the_local_disk_that_the_cloud_says_their_flavor_has_unless_flavors_are_named()
     {
        let (fast, other) = (FlavorName::new("ki1"), FlavorName::new("c7"));
        let with = |local_disks| Checks {
            max_clock_difference: Duration::ZERO,
            min_free_gib: 0,
            local_disks,
        };
        let as_the_cloud_says = with(None);
        assert!(as_the_cloud_says.local_disk(&fast, Some(&offer(true))));
        assert!(!as_the_cloud_says.local_disk(&other, Some(&offer(false))));
        assert!(!as_the_cloud_says.local_disk(&fast, None), "not known");
        let named = with(Some([fast.clone()].into()));
        assert!(named.local_disk(&fast, None));
        assert!(!named.local_disk(&other, Some(&offer(true))));
        assert!(!with(Some(BTreeSet::new())).local_disk(&fast, Some(&offer(true))));
    }
}
