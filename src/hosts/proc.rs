//! `/proc` of a worker, as [`crate::ssh::Command::ResourceUse`] prints it: four files, each behind a
//! line that names it (`proc(5)`; Linux, `Documentation/admin-guide/iostats.rst`).

use super::HostError;
use super::tally::{Counter, Tally, is_count};
use crate::model::HostCounters;

/// The unit of `/proc/stat`, in seconds: the kernel shows every architecture's users 100 Hz.
const TICK: f64 = 0.01;
/// The unit of `/proc/diskstats`, in bytes, whatever the disk's own sectors are.
const SECTOR: f64 = 512.0;
/// The unit of `/proc/meminfo`, in bytes.
const KIB: f64 = 1024.0;

/// Reads the four files.
///
/// # Errors
/// Where one of them is missing, or a wanted line is not understood.
pub(super) fn parse(output: &str) -> Result<HostCounters, HostError> {
    let mut tally = Tally::default();
    let mut file = "";
    let mut files = 0;
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            file = name;
            files += 1;
            continue;
        }
        let read = match file {
            "stat" => stat(line, &mut tally),
            "meminfo" => meminfo(line, &mut tally),
            "diskstats" => diskstats(line, &mut tally),
            "net/dev" => net_dev(line, &mut tally),
            _ => None,
        };
        read.ok_or_else(|| HostError::line(line, file))?;
    }
    let whole = (files == 4).then(|| tally.counters()).flatten();
    whole.ok_or_else(|| HostError::Document("not the four files of /proc".to_owned()))
}

/// The line `cpu` sums over the others.
fn stat(line: &str, tally: &mut Tally) -> Option<()> {
    const MODES: [&str; 8] = [
        "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
    ];
    let Some(times) = line.strip_prefix("cpu ") else {
        return Some(());
    };
    let mut times = times.split_whitespace();
    for mode in MODES {
        tally.cpu(mode, number(times.next()?)? * TICK);
    }
    Some(())
}

fn meminfo(line: &str, tally: &mut Tally) -> Option<()> {
    let (name, value) = line.split_once(':')?;
    let bytes = || Some(number(value.trim().strip_suffix(" kB")?)? * KIB);
    match name {
        "MemTotal" => tally.memory_total(bytes()?),
        "MemAvailable" => tally.memory_available(bytes()?),
        _ => {}
    }
    Some(())
}

/// `MAJOR MINOR NAME`, then reads: completed, merged, sectors, time; then the same of writes.
fn diskstats(line: &str, tally: &mut Tally) -> Option<()> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, _, disk, reads, _, read, _, writes, _, written, ..] = fields.as_slice() else {
        return None;
    };
    tally.device(Counter::Reads, disk, number(reads)?);
    tally.device(Counter::ReadBytes, disk, number(read)? * SECTOR);
    tally.device(Counter::Writes, disk, number(writes)?);
    tally.device(Counter::WrittenBytes, disk, number(written)? * SECTOR);
    Some(())
}

/// `NAME: ` and eight numbers of what was received, bytes first, then those of what was transmitted.
/// The two lines of the heading have no colon.
fn net_dev(line: &str, tally: &mut Tally) -> Option<()> {
    let Some((name, numbers)) = line.rsplit_once(':') else {
        return line.contains('|').then_some(());
    };
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    let name = name.trim();
    tally.device(Counter::ReceivedBytes, name, number(numbers.first()?)?);
    tally.device(Counter::TransmittedBytes, name, number(numbers.get(8)?)?);
    Some(())
}

/// A counter of the kernel: digits, and nothing else.
fn number(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok().filter(is_count)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CpuTime, InOut};

    /// Of a machine with Linux 6, as it stood.
    const PROC: &str = include_str!("../../tests/data/hosts/proc.txt");

    #[test]
    fn what_the_kernel_says_reads_as_counted_by_hand() {
        let counters = parse(PROC).unwrap();
        let CpuTime {
            busy,
            idle,
            waiting,
        } = counters.cpu.unwrap();
        let ticks = [busy, idle, waiting].map(|seconds| (seconds * 100.0).round());
        assert_eq!(ticks, [1_112_101.0, 1_519_739.0, 12_988.0]);
        let used = 1.0 - 23_545_636.0 / 24_684_084.0;
        assert_eq!(counters.memory_usage_ratio, Some(used));
        let pair = |inward, outward| Some(InOut { inward, outward });
        assert_eq!(counters.disk_operations, pair(1_920_757.0, 384_675.0));
        let bytes = pair(115_813_186.0 * 512.0, 155_261_816.0 * 512.0);
        assert_eq!(counters.disk_bytes, bytes);
        assert_eq!(counters.network_bytes, pair(773_639_778.0, 2_165_371.0));
    }

    #[test]
    fn output_without_all_four_files_is_an_error_and_not_a_quiet_machine() {
        let files = PROC.match_indices("== ");
        let ends: Vec<_> = files.map(|(at, _)| at).collect();
        assert_eq!(ends.len(), 4);
        for end in ends {
            assert!(parse(&PROC[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        let endless = "9".repeat(400);
        for (old, new) in [
            (
                "MemTotal:       24684084",
                format!("MemTotal: {endless}").as_str(),
            ),
            ("cpu  804592", "cpu  -804592"),
            ("MemTotal:       24684084 kB", "MemTotal: 24684084"),
            ("254       0 vda 1920757", "254 0 vda many"),
            ("eth0: 773639778", "eth0: x"),
            ("== net/dev", "== net/tcp"),
        ] {
            assert_eq!(PROC.matches(old).count(), 1, "{old}");
            assert!(parse(&PROC.replace(old, new)).is_err(), "{new}");
        }
    }
}
