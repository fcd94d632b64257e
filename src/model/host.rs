//! The resource use of a worker, as its kernel counts it.

use super::elapsed;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// For how long the readings of a worker are kept, and how many at most.
pub const USE_KEPT: Duration = Duration::from_secs(3600);
const MOST_KEPT: usize = 1024;

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

/// A reading of the past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PastUse {
    /// When the counters stood so.
    pub at: Timestamp,
    /// The counters.
    pub counters: HostCounters,
}

/// What a worker did over a while. What was not told, or not twice, is `None`.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct UseOver {
    /// From the first reading within the while to the last one, in seconds.
    pub seconds: f64,
    /// How many readings it rests on.
    pub readings: usize,
    /// The share of its CPUs that was busy, 0 to 1.
    pub cpu: Option<f64>,
    /// The mean share of its memory that was used, 0 to 1.
    pub memory: Option<f64>,
    /// Disk operations in a second: read, written.
    pub operations: Option<InOut>,
    /// Bytes over the network in a second: received, transmitted.
    pub network: Option<InOut>,
}

/// A worker's use of its resources.
#[derive(Debug, Clone, PartialEq)]
pub struct HostUse {
    /// When the counters stood so.
    pub at: Timestamp,
    /// The counters.
    pub counters: HostCounters,
    /// The share of its CPUs that was busy between the reading before and this one, 0 to 1; `None`
    /// where there is no reading before, or the worker was booted in between.
    pub cpu_usage_ratio: Option<f64>,
    /// The readings before, from the oldest on: those of the last [`USE_KEPT`].
    pub past: Arc<[PastUse]>,
}

impl HostUse {
    /// What these counters say, after those of the reading before. Of one and the same moment the
    /// first reading stands.
    #[must_use]
    pub fn next(before: Option<&Self>, at: Timestamp, counters: HostCounters) -> Self {
        if let Some(before) = before.filter(|before| before.at == at) {
            return before.clone();
        }
        let earlier = before.and_then(|before| before.counters.cpu);
        let ratio = earlier
            .zip(counters.cpu)
            .and_then(|(earlier, later)| busy_between(earlier, later));
        Self {
            at,
            counters,
            cpu_usage_ratio: ratio,
            past: before.map(|before| before.kept(at)).unwrap_or_default(),
        }
    }

    fn readings(&self) -> impl Iterator<Item = PastUse> + '_ {
        let last = PastUse {
            at: self.at,
            counters: self.counters,
        };
        self.past.iter().copied().chain([last])
    }

    /// What is still of interest at `now`.
    fn kept(&self, now: Timestamp) -> Arc<[PastUse]> {
        let skip = (self.past.len() + 1).saturating_sub(MOST_KEPT);
        let kept = self.readings().skip(skip);
        kept.filter(|r| elapsed(r.at, now) <= USE_KEPT).collect()
    }

    /// What it did in the while before `now`. Over a boot in between nothing is counted.
    #[must_use]
    pub fn over(&self, window: Duration, now: Timestamp) -> UseOver {
        let within = self.readings().filter(|r| elapsed(r.at, now) <= window);
        let readings: Vec<PastUse> = within.collect();
        let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
            return UseOver::default();
        };
        let memory: Vec<f64> = readings
            .iter()
            .filter_map(|r| r.counters.memory_usage_ratio)
            .collect();
        UseOver {
            seconds: elapsed(first.at, last.at).as_secs_f64(),
            readings: readings.len(),
            cpu: busy_over(&readings),
            memory: mean(&memory),
            operations: rate(&readings, |counters| counters.disk_operations),
            network: rate(&readings, |counters| counters.network_bytes),
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
    spent_between(before, after).map(|(busy, total)| busy / total)
}

/// The busy time and all time between.
fn spent_between(before: CpuTime, after: CpuTime) -> Option<(f64, f64)> {
    let (busy, idle) = (after.busy - before.busy, after.idle - before.idle);
    let waiting = (after.waiting - before.waiting).max(0.0);
    let total = busy + idle + waiting;
    (busy >= 0.0 && idle >= 0.0 && total > 0.0).then_some((busy, total))
}

/// Each reading with the one before it.
fn pairs(readings: &[PastUse]) -> impl Iterator<Item = (&PastUse, &PastUse)> {
    readings.iter().zip(readings.iter().skip(1))
}

fn busy_over(readings: &[PastUse]) -> Option<f64> {
    let spent = pairs(readings).filter_map(|(before, after)| {
        let (before, after) = before.counters.cpu.zip(after.counters.cpu)?;
        spent_between(before, after)
    });
    let (busy, total) = spent.fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    (total > 0.0).then(|| busy / total)
}

/// What was counted in a second, over the pairs of readings between which no counter began again.
fn rate(readings: &[PastUse], of: fn(&HostCounters) -> Option<InOut>) -> Option<InOut> {
    let (mut sum, mut seconds) = (InOut::default(), 0.0);
    for (before, after) in pairs(readings) {
        let Some((old, new)) = of(&before.counters).zip(of(&after.counters)) else {
            continue;
        };
        if new.inward >= old.inward && new.outward >= old.outward {
            sum.inward += new.inward - old.inward;
            sum.outward += new.outward - old.outward;
            seconds += elapsed(before.at, after.at).as_secs_f64();
        }
    }
    (seconds > 0.0).then(|| InOut {
        inward: sum.inward / seconds,
        outward: sum.outward / seconds,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a few readings")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
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

    /// A reading every 30 s: 15 s busy each time, a boot between the third and the fourth.
    fn a_while() -> HostUse {
        let told = |busy, read| HostCounters {
            memory_usage_ratio: Some(busy / 100.0),
            disk_operations: Some(InOut {
                inward: read,
                outward: 0.0,
            }),
            ..counters(busy, busy, 0.0)
        };
        let readings = [
            (0.0, 0.0),
            (15.0, 300.0),
            (30.0, 600.0),
            (5.0, 10.0),
            (20.0, 310.0),
        ];
        let mut last: Option<HostUse> = None;
        for (n, (busy, read)) in (0..).zip(readings) {
            last = Some(HostUse::next(last.as_ref(), at(n * 30), told(busy, read)));
        }
        last.unwrap()
    }

    #[test]
    fn use_over_a_while_is_that_of_its_readings_and_a_boot_is_left_out() {
        let all = a_while().over(Duration::from_secs(120), at(120));
        assert_eq!((all.readings, all.seconds), (5, 120.0));
        assert_eq!((all.cpu, all.network), (Some(0.5), None));
        assert!((all.memory.unwrap() - 0.14).abs() < 1e-9);
        assert_eq!(all.operations.unwrap().inward, 10.0);
        let one = a_while().over(Duration::from_secs(10), at(120));
        assert_eq!((one.readings, one.cpu, one.operations), (1, None, None));
        assert_eq!(one.memory, Some(0.2));
        let later = a_while().over(Duration::from_secs(10), at(300));
        assert_eq!(later, UseOver::default());
    }

    #[test]
    fn readings_older_than_an_hour_are_forgotten() {
        let mut last: Option<HostUse> = None;
        for n in 0..2000 {
            last = Some(HostUse::next(
                last.as_ref(),
                at(n * 30),
                counters(0.0, 1.0, 0.0),
            ));
        }
        assert_eq!(last.unwrap().past.len(), 120);
        let mut often: Option<HostUse> = None;
        for n in 0..2000 {
            often = Some(HostUse::next(
                often.as_ref(),
                at(n),
                counters(0.0, 1.0, 0.0),
            ));
        }
        assert_eq!(often.unwrap().past.len(), MOST_KEPT);
    }
}
