//! Adds up what is counted of each device, over those that count.

use crate::model::{CpuTime, HostCounters, InOut};
use std::collections::BTreeMap;

/// What is counted of a disk or an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counter {
    Reads,
    Writes,
    ReadBytes,
    WrittenBytes,
    ReceivedBytes,
    TransmittedBytes,
}

/// The most devices of one worker that are told apart: its builds run as root, and may make it tell of
/// as many as fit into a page, each of which is compared with every other.
const MOST_DEVICES: usize = 1024;

/// A counter's value, or a size: neither below zero nor without end.
pub(super) fn is_count(value: &f64) -> bool {
    value.is_finite() && *value >= 0.0
}

/// A family of node_exporter that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Cpu,
    MemoryTotal,
    MemoryAvailable,
    Device(Counter),
}

impl Family {
    /// `None` for all that nobody here asks for.
    pub(super) fn of(metric: &str) -> Option<Self> {
        Some(match metric {
            "node_cpu_seconds_total" => Self::Cpu,
            "node_memory_MemTotal_bytes" => Self::MemoryTotal,
            "node_memory_MemAvailable_bytes" => Self::MemoryAvailable,
            "node_disk_reads_completed_total" => Self::Device(Counter::Reads),
            "node_disk_writes_completed_total" => Self::Device(Counter::Writes),
            "node_disk_read_bytes_total" => Self::Device(Counter::ReadBytes),
            "node_disk_written_bytes_total" => Self::Device(Counter::WrittenBytes),
            "node_network_receive_bytes_total" => Self::Device(Counter::ReceivedBytes),
            "node_network_transmit_bytes_total" => Self::Device(Counter::TransmittedBytes),
            _ => return None,
        })
    }
}

/// What has been told of one worker so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    cpu: Option<CpuTime>,
    memory_total: Option<f64>,
    memory_available: Option<f64>,
    devices: BTreeMap<(Counter, String), f64>,
}

impl Tally {
    pub(super) fn cpu(&mut self, mode: &str, seconds: f64) {
        self.cpu.get_or_insert_default().add(mode, seconds);
    }

    pub(super) fn memory_total(&mut self, bytes: f64) {
        self.memory_total = Some(bytes);
    }

    pub(super) fn memory_available(&mut self, bytes: f64) {
        self.memory_available = Some(bytes);
    }

    /// The same device told twice is one device.
    pub(super) fn device(&mut self, counter: Counter, device: &str, value: f64) {
        self.devices.insert((counter, device.to_owned()), value);
    }

    /// Takes in a sample of node_exporter, of a family that is wanted.
    pub(super) fn sample<'l>(
        &mut self,
        family: Family,
        label: impl Fn(&str) -> Option<&'l str>,
        value: f64,
    ) {
        match family {
            Family::Cpu => self.cpu(label("mode").unwrap_or_default(), value),
            Family::MemoryTotal => self.memory_total(value),
            Family::MemoryAvailable => self.memory_available(value),
            Family::Device(counter) => {
                self.device(counter, label("device").unwrap_or_default(), value);
            }
        }
    }

    /// The counters; `None` where nothing that is wanted was told. Of more devices than a machine has,
    /// nothing is known.
    pub(super) fn counters(&self) -> Option<HostCounters> {
        use Counter::{ReadBytes, Reads, ReceivedBytes, TransmittedBytes, Writes, WrittenBytes};
        let disks = |inward, outward| self.sum(inward, outward, is_whole_disk);
        let interfaces = |inward, outward| self.sum(inward, outward, |name, _| is_real(name));
        let counters = HostCounters {
            cpu: self
                .cpu
                .filter(|cpu| (cpu.busy + cpu.idle + cpu.waiting).is_finite()),
            memory_usage_ratio: self.memory_usage_ratio(),
            disk_operations: disks(Reads, Writes),
            disk_bytes: disks(ReadBytes, WrittenBytes),
            network_bytes: interfaces(ReceivedBytes, TransmittedBytes),
        };
        (counters != HostCounters::default()).then_some(counters)
    }

    fn memory_usage_ratio(&self) -> Option<f64> {
        let (total, available) = (self.memory_total?, self.memory_available?);
        (total > 0.0 && available <= total).then(|| 1.0 - available / total)
    }

    /// Over the devices that count; `None` where there is none.
    fn sum(
        &self,
        inward: Counter,
        outward: Counter,
        counts: impl Fn(&str, &[&str]) -> bool,
    ) -> Option<InOut> {
        let side = |counter| {
            let all = self.devices.iter().filter(|((c, _), _)| *c == counter);
            let all: Vec<(&str, f64)> = all.map(|((_, name), v)| (name.as_str(), *v)).collect();
            if all.len() > MOST_DEVICES {
                return None;
            }
            let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            let counted = all.iter().filter(|(name, _)| counts(name, &names));
            let counted: Vec<f64> = counted.map(|(_, value)| *value).collect();
            let sum: f64 = counted.iter().sum();
            (!counted.is_empty() && sum.is_finite()).then_some(sum)
        };
        Some(InOut {
            inward: side(inward)?,
            outward: side(outward)?,
        })
    }
}

/// What lies on other disks, or in memory: its traffic would be counted twice, or is none.
const NO_DISKS: [&str; 9] = [
    "loop", "ram", "zram", "dm-", "md", "bcache", "drbd", "fd", "sr",
];

/// Whether this is a disk, and neither a part of one of `all` nor a layer above one.
fn is_whole_disk(name: &str, all: &[&str]) -> bool {
    let layer = NO_DISKS.iter().any(|prefix| is_numbered(name, prefix));
    !layer && !all.iter().any(|disk| is_partition(name, disk))
}

/// `PREFIX` with a number behind it.
fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The kernel numbers the partitions of `sda` as `sda1`, and those of a disk whose name ends in a
/// digit with a `p` between, as `nvme0n1p1` (Linux, `block/partitions/core.c`).
fn is_partition(name: &str, disk: &str) -> bool {
    let Some(rest) = name.strip_prefix(disk) else {
        return false;
    };
    if disk.ends_with(|c: char| c.is_ascii_digit()) {
        is_numbered(rest, "p")
    } else {
        is_number(rest)
    }
}

/// What interfaces are called whose traffic passes another one too, or leaves the machine never.
const NO_INTERFACES: [&str; 19] = [
    "bond", "br", "br-", "cali", "cni", "docker", "dummy", "flannel.", "ifb", "podman", "tap",
    "team", "tun", "veth", "virbr", "vlan", "vnet", "wg", "xenbr",
];

/// Whether what passes this interface is traffic of the machine that no other interface counts.
fn is_real(name: &str) -> bool {
    let random = ["br-", "cali", "veth", "tap"];
    let layer = NO_INTERFACES
        .iter()
        .any(|prefix| is_numbered(name, prefix) || name == *prefix)
        || random.iter().any(|prefix| name.starts_with(prefix));
    // `eth0.100` is a VLAN on `eth0`
    name != "lo" && !layer && !name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_lies_gives_no_odd_number() {
        let mut tally = Tally::default();
        for mode in ["user", "idle"] {
            tally.cpu(mode, f64::MAX);
        }
        for device in ["sda", "sdb"] {
            tally.device(Counter::Reads, device, f64::MAX);
            tally.device(Counter::Writes, device, 1.0);
        }
        tally.device(Counter::ReceivedBytes, "eth0", 1.0);
        tally.device(Counter::TransmittedBytes, "eth0", 1.0);
        let counters = tally.counters().unwrap();
        assert_eq!((counters.cpu, counters.disk_operations), (None, None));
        assert!(counters.network_bytes.is_some());
    }

    #[test]
    fn a_worker_with_more_devices_than_a_machine_has_takes_no_time() {
        let mut tally = Tally::default();
        for n in 0..20_000 {
            tally.device(Counter::ReadBytes, &format!("disk{n}x"), 1.0);
            tally.device(Counter::WrittenBytes, &format!("disk{n}x"), 1.0);
        }
        tally.memory_total(4.0);
        tally.memory_available(1.0);
        let counters = tally.counters().unwrap();
        assert_eq!(
            (counters.disk_bytes, counters.memory_usage_ratio),
            (None, Some(0.75))
        );
    }

    #[test]
    fn disks_are_counted_whole_and_once() {
        let all = [
            "sda",
            "sda1",
            "sda15",
            "sdb",
            "sdaa",
            "vda",
            "vda1",
            "xvda",
            "nvme0n1",
            "nvme0n1p1",
            "nvme1n1",
            "mmcblk0",
            "mmcblk0p2",
            "dm-0",
            "dm-12",
            "md127",
            "loop0",
            "ram3",
            "zram0",
            "sr0",
            "fd0",
        ];
        let whole: Vec<_> = all.iter().filter(|d| is_whole_disk(d, &all)).collect();
        let expected = [
            "sda", "sdb", "sdaa", "vda", "xvda", "nvme0n1", "nvme1n1", "mmcblk0",
        ];
        assert_eq!(whole, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn traffic_is_counted_where_it_leaves_the_machine() {
        let all = [
            "lo",
            "eth0",
            "eth0.100",
            "ens3",
            "enp0s31f6",
            "ib0",
            "bond0",
            "br0",
            "br-1f2e3d",
            "docker0",
            "veth12ab",
            "ifb1",
            "virbr0",
            "tap0",
            "net0",
            "brick0",
        ];
        let real: Vec<_> = all.iter().filter(|name| is_real(name)).collect();
        let expected = ["eth0", "ens3", "enp0s31f6", "ib0", "net0", "brick0"];
        assert_eq!(real, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_was_not_told_is_not_zero() {
        let mut tally = Tally::default();
        assert_eq!(tally.counters(), None);
        tally.device(Counter::Reads, "loop0", 0.0);
        tally.device(Counter::Writes, "loop0", 0.0);
        tally.device(Counter::ReceivedBytes, "eth0", 5.0);
        tally.memory_total(100.0);
        assert_eq!(tally.counters(), None);
        tally.memory_available(25.0);
        let counters = tally.counters().unwrap();
        assert_eq!(counters.memory_usage_ratio, Some(0.75));
        assert_eq!(
            (counters.disk_operations, counters.network_bytes),
            (None, None)
        );
    }
}
