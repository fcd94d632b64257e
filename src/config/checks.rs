//! The section `checks`: what a worker has to be besides what it was ordered as.

use super::reader::{Node, Section};
use super::units::{duration, identifier, number};
use crate::model::FlavorName;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a worker has to be before it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// How far its clock may be off.
    pub max_clock_difference: Duration,
    /// How much has to be free where it builds, in GiB; 0 is not judged.
    pub min_free_gib: u32,
    /// The flavors with a local NVMe disk, on which their workers have to build.
    pub local_disks: BTreeSet<FlavorName>,
}

pub(super) fn read_checks(checks: &Section<'_>) -> Option<Checks> {
    let seconds = Duration::from_secs(5);
    let max_clock_difference = checks.or("max_clock_difference", seconds, duration);
    let min_free_gib = checks.or("min_free_gib", 0, number(0..=1 << 20));
    let local_disks = match checks.get("local_disks") {
        None => Some(Vec::new()),
        Some(list) => list.list(|node| flavor(node)),
    };
    Some(Checks {
        max_clock_difference: max_clock_difference?,
        min_free_gib: min_free_gib?,
        local_disks: local_disks?.into_iter().collect(),
    })
}

fn flavor(node: &Node<'_>) -> Option<FlavorName> {
    node.read(identifier).map(FlavorName::new)
}
