//! The resource use of a worker, as its kernel counts it.

use super::elapsed;
use jiff::Timestamp;
use std::time::Duration;

/// CPU time since the worker was booted, in seconds summed over its CPUs.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct CpuTime {
    /// Spent on anything; stolen by the hypervisor too, which is time that was asked for.
    pub busy: f64,
    /// Spent on nothing.
    pub idle: f64,
    /// Spent on nothing while a disk was waited for. It may go backwards (Linux, `proc(5)`).
    pub waiting: f64,
}

impl CpuTime {
    /// Takes in the time spent in a mode, by the kernel's word for it (`proc(5)`, `/proc/stat`). Time
    /// spent for a guest stands in `user` and `nice` as well, and is not counted again.
    pub fn add(&mut self, mode: &str, seconds: f64) {
        match mode {
            "idle" => self.idle += seconds,
            "iowait" => self.waiting += seconds,
            "user" | "nice" | "system" | "irq" | "softirq" | "steal" => self.busy += seconds,
            _ => {}
        }
    }
}

/// What a worker's disks, or its network interfaces, have done since it was booted.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct InOut {
    /// Read, or received.
    pub inward: f64,
    /// Written, or transmitted.
    pub outward: f64,
}

/// A worker's counters at one moment. What it did not tell is `None`, and never zero.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct HostCounters {
    /// CPU time.
    pub cpu: Option<CpuTime>,
    /// The share of its memory that can not be had without swapping, 0 to 1.
    pub memory_usage_ratio: Option<f64>,
    /// Operations that its whole disks have completed.
    pub disk_operations: Option<InOut>,
    /// Bytes to and from its whole disks.
    pub disk_bytes: Option<InOut>,
    /// Bytes over its network interfaces, without loopback.
    pub network_bytes: Option<InOut>,
}

/// A worker's use of its resources.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostUse {
    /// When the counters stood so.
    pub at: Timestamp,
    /// The counters.
    pub counters: HostCounters,
    /// The share of its CPUs that was busy between the reading before and this one, 0 to 1; `None`
    /// where there is no reading before, or the worker was booted in between.
    pub cpu_usage_ratio: Option<f64>,
}

impl HostUse {
    /// What these counters say, after those of the reading before. Of one and the same moment the
    /// first reading stands.
    #[must_use]
    pub fn next(before: Option<&Self>, at: Timestamp, counters: HostCounters) -> Self {
        if let Some(before) = before.filter(|before| before.at == at) {
            return *before;
        }
        let earlier = before.and_then(|before| before.counters.cpu);
        let ratio = earlier
            .zip(counters.cpu)
            .and_then(|(earlier, later)| busy_between(earlier, later));
        Self {
            at,
            counters,
            cpu_usage_ratio: ratio,
        }
    }

    /// Whether it is no older than `max_age` at `now`.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp, max_age: Duration) -> bool {
        elapsed(self.at, now) <= max_age
    }
}

/// The busy share of the time between; `None` where a counter began again, or nothing was counted.
fn busy_between(before: CpuTime, after: CpuTime) -> Option<f64> {
    let (busy, idle) = (after.busy - before.busy, after.idle - before.idle);
    let waiting = (after.waiting - before.waiting).max(0.0);
    let total = busy + idle + waiting;
    (busy >= 0.0 && idle >= 0.0 && total > 0.0).then(|| busy / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn counters(busy: f64, idle: f64, waiting: f64) -> HostCounters {
        let cpu = CpuTime {
            busy,
            idle,
            waiting,
        };
        HostCounters {
            cpu: Some(cpu),
            ..HostCounters::default()
        }
    }

    /// The ratio between readings of these counters.
    fn ratio(before: HostCounters, after: HostCounters) -> Option<f64> {
        let first = HostUse::next(None, at(0), before);
        assert_eq!(first.cpu_usage_ratio, None);
        HostUse::next(Some(&first), at(30), after).cpu_usage_ratio
    }

    #[test]
    fn cpu_use_is_the_busy_share_of_the_time_between_two_readings() {
        let booted = counters(100.0, 900.0, 50.0);
        assert_eq!(ratio(booted, counters(130.0, 925.0, 55.0)), Some(0.5));
        assert_eq!(ratio(booted, counters(100.0, 960.0, 50.0)), Some(0.0));
        assert_eq!(ratio(booted, counters(160.0, 900.0, 50.0)), Some(1.0));
    }

    #[test]
    fn a_worker_that_was_booted_in_between_has_no_use_for_that_interval() {
        let long_up = counters(100.0, 900.0, 50.0);
        for booted in [[5.0, 20.0], [90.0, 950.0], [200.0, 850.0]] {
            let [busy, idle] = booted;
            assert_eq!(
                ratio(long_up, counters(busy, idle, 0.0)),
                None,
                "{booted:?}"
            );
        }
        assert_eq!(ratio(long_up, long_up), None);
        assert_eq!(ratio(long_up, HostCounters::default()), None);
    }

    #[test]
    fn time_waited_for_disks_may_go_backwards_and_is_no_boot() {
        let before = counters(100.0, 900.0, 50.0);
        assert_eq!(ratio(before, counters(160.0, 900.0, 49.9)), Some(1.0));
    }

    #[test]
    fn the_same_moment_read_twice_is_one_reading() {
        let first = HostUse::next(None, at(0), counters(0.0, 0.0, 0.0));
        let second = HostUse::next(Some(&first), at(30), counters(30.0, 30.0, 0.0));
        let again = HostUse::next(Some(&second), at(30), counters(30.0, 30.0, 0.0));
        assert_eq!(again.cpu_usage_ratio, Some(0.5));
    }
}
