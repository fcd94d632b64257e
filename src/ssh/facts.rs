//! What a worker's machine is, as it says itself, and whether that is right. Pure.

use super::finding::{Fact, Finding};
use super::{Check, Command, Output, SshError};
use crate::model::HostName;
use jiff::Timestamp;
use std::time::Duration;

/// Prints a line for each fact, its words parted by tabs. The build root and the cache are where the settings say, or
/// where the service's script puts the first of them (`/etc/init.d/obsworker` of OBS 2.9.4); where the folder is not
/// there yet, the nearest one above it. `lsblk` names the disks below a device. Argument: the settings file.
pub(super) const SCRIPT: &str = r#"
file=$1
[ -r "$file" ] || file=/dev/null
root=$(. "$file" >/dev/null 2>&1; printf %s "${OBS_WORKER_DIRECTORY:-/var/cache/obs/worker}") || exit
cache=$(. "$file" >/dev/null 2>&1; [ -z "$OBS_CACHE_SIZE" ] || printf %s "$OBS_CACHE_DIR") || exit
printf 'cpus\t%s\n' "$(nproc)"
printf 'memory\t%s\n' "$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo)"
printf 'host\t%s\n' "$(uname -n)"
printf 'time\t%s\n' "$(date +%s)"
for folder in "$root" "$cache"; do
  [ -n "$folder" ] || continue
  at=$folder
  until [ -e "$at" ]; do at=$(dirname -- "$at"); done
  df -P -k -- "$at" | {
    read -r _ && read -r device _ _ free _ mount || exit
    below=$(lsblk -n -s -l -o NAME -- "$device" 2>/dev/null | tr '\n' ' ')
    printf 'disk\t%s\t%s\t%s\t%s %s\n' "$folder" "$free" "$mount" "${device#/dev/}" "$below"
  }
done
"#;

const KIB_IN_GIB: f64 = 1_048_576.0;

/// The share of a server's memory that its system keeps for itself, at most, room for a crash kernel included: what it
/// shows is that much less.
const KEPT_BY_THE_SYSTEM: f64 = 0.2;

/// What a machine says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Its processors.
    pub cpus: u32,
    /// Its memory, in KiB (`MemTotal`).
    pub memory_kib: f64,
    /// Its host name.
    pub host: String,
    /// Its time, in whole seconds.
    pub time: Timestamp,
    /// Where it builds, and where it caches.
    pub disks: Vec<Disk>,
}

/// A folder that builds need, and the disk on which it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// The folder.
    pub folder: String,
    /// What is free there, in KiB.
    pub free_kib: f64,
    /// Where its file system is mounted.
    pub mount: String,
    /// The device, and the disks below it.
    pub devices: Vec<String>,
}

impl Disk {
    /// Whether it is a local NVMe disk, or lies on one: the cloud's own volumes are virtio disks there.
    fn is_local(&self) -> bool {
        self.devices.iter().any(|name| name.starts_with("nvme"))
    }
}

/// What a machine should be; `None` where nothing says.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// `uname -m`.
    pub arch: Option<String>,
    /// Its processors.
    pub vcpus: Option<u32>,
    /// Its memory, in GiB.
    pub memory_gib: Option<f64>,
    /// Its host name: that of its server, under which OBS is to list it.
    pub host: Option<HostName>,
    /// Whether builds are to be on a local NVMe disk.
    pub local_disk: bool,
    /// How much has to be free where it builds, in GiB; 0 is not judged.
    pub free_gib: u32,
    /// How far its clock may be off.
    pub clock: Duration,
}

impl Facts {
    pub(super) fn parse(output: &Output) -> Result<Self, SshError> {
        let lines: Vec<Vec<&str>> = output
            .stdout
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        let answer = |found: &str| SshError::Answer {
            command: Command::name(&Command::Facts { path: "" }),
            found: found.to_owned(),
        };
        let value = |key: &str| {
            let of_key = lines.iter().find_map(|line| match **line {
                [name, value] if name == key => Some(value),
                _ => None,
            });
            of_key.ok_or_else(|| answer(&format!("no {key}")))
        };
        let disk = |words: &Vec<&str>| match **words {
            ["disk", folder, free, mount, devices] => Some(free.parse().map(|free_kib| Disk {
                folder: folder.to_owned(),
                free_kib,
                mount: mount.to_owned(),
                devices: devices.split_whitespace().map(str::to_owned).collect(),
            })),
            _ => None,
        };
        let (cpus, memory, time) = (value("cpus")?, value("memory")?, value("time")?);
        let disks: Result<Vec<Disk>, _> = lines.iter().filter_map(disk).collect();
        let disks = disks.map_err(|_| answer("free space that is no number"))?;
        let at = time.parse().ok().map(Timestamp::from_second);
        if disks.is_empty() {
            return Err(answer("no disk"));
        }
        Ok(Self {
            cpus: cpus.parse().map_err(|_| answer(cpus))?,
            memory_kib: memory.parse().map_err(|_| answer(memory))?,
            host: value("host")?.to_owned(),
            time: at.and_then(Result::ok).ok_or_else(|| answer(time))?,
            disks,
        })
    }

    /// Everything that was found, each held against what is expected. `asked` is when it was asked, and when it had
    /// answered.
    pub(super) fn judge(&self, expected: &Expected, asked: (Timestamp, Timestamp)) -> Vec<Finding> {
        let vcpus = Finding::same(Check::Machine, "vcpus", self.cpus, expected.vcpus);
        let host = expected.host.as_ref().map(HostName::as_str);
        let host = Finding::same(Check::Machine, "name", &*self.host, host);
        let mut findings = vec![vcpus, self.memory(expected.memory_gib), host];
        for disk in &self.disks {
            findings.extend(free(disk, expected.free_gib));
        }
        let build_root = self.disks.first();
        findings.extend(build_root.map(|disk| local(disk, expected.local_disk)));
        findings.push(self.clock(expected.clock, asked));
        findings
    }

    fn memory(&self, expected: Option<f64>) -> Finding {
        let gib = self.memory_kib / KIB_IN_GIB;
        let fits = |nominal: f64| gib <= nominal && gib >= nominal * (1.0 - KEPT_BY_THE_SYSTEM);
        let right = expected.is_some_and(fits);
        let found = Fact::Number(tenths(gib));
        Finding::judged(
            Check::Machine,
            "ram",
            found,
            expected.map(|gib| Fact::Number(tenths(gib))),
            right,
        )
    }

    /// The answer was given at some moment between question and arrival, and names whole seconds.
    fn clock(&self, allowed: Duration, (sent, received): (Timestamp, Timestamp)) -> Finding {
        let second = 1.0;
        let behind = sent.duration_since(self.time).as_secs_f64() - second;
        let ahead = self.time.duration_since(received).as_secs_f64();
        let off = match (behind > 0.0, ahead > 0.0) {
            (true, _) => -behind,
            (_, true) => ahead,
            (false, false) => 0.0,
        };
        let expected = Fact::Text(format!("within {} s", allowed.as_secs_f64()));
        let right = off.abs() <= allowed.as_secs_f64();
        let found = Fact::Number(tenths(off));
        Finding::judged(Check::Clock, "seconds off", found, Some(expected), right)
    }
}

fn free(disk: &Disk, least: u32) -> [Finding; 2] {
    let gib = disk.free_kib / KIB_IN_GIB;
    let expected = (least > 0).then(|| Fact::Text(format!("at least {least}")));
    let what = format!("GiB free in {}", disk.folder);
    let found = Fact::Number(tenths(gib));
    let mounted = format!("{} on {}", disk.devices.join(" "), disk.mount);
    let mount = format!("mount of {}", disk.folder);
    [
        Finding::judged(Check::Disk, what, found, expected, gib >= f64::from(least)),
        Finding::judged(Check::Disk, mount, mounted, None, true),
    ]
}

fn local(disk: &Disk, wanted: bool) -> Finding {
    let found = if disk.is_local() { "nvme" } else { "none" };
    let expected = wanted.then_some("nvme");
    let what = format!("local disk of {}", disk.folder);
    Finding::same(Check::Disk, what, found, expected)
}

/// To a tenth.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
