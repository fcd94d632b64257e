//! Whether a worker meets what a job asks: the dispatcher's own test, and nothing cleverer
//! (OBS 2.9.4, `BSDispatcher/Constraints.pm`, `oracle` and `mergeconstraints`; `bs_dispatch`, `overwrite`).

use crate::config::Pool;
use crate::model::{
    Capabilities, Constraints, Hardware, PackageConstraints, PackageKey, Requirements, Wanted,
    WantedHardware, WantedLinux,
};
use std::cmp::Ordering;

/// The sandboxes that `secure` stands for.
const SECURE: [&str; 3] = ["xen", "kvm", "zvm"];

/// What a job asks; `None` where that has not been read.
#[must_use]
pub(super) fn asked(of: &Requirements, job: &PackageKey) -> Option<Constraints> {
    let base = job.base_name().to_owned();
    let package = of.packages.get(&(job.project.clone(), base))?;
    let project = of.targets.get(&job.target())?.as_ref()?;
    Some(merged(project, &of_package(package, job)))
}

/// What a package's own file asks for this job.
fn of_package(file: &PackageConstraints, job: &PackageKey) -> Constraints {
    let short = job.package.split('.').next().unwrap_or_default();
    let names = |name: &String| *name == job.package || name == short;
    let mut constraints = file.base.clone();
    for over in &file.overwrites {
        let arch = over.archs.is_empty() || over.archs.contains(&job.arch);
        let package = over.packages.is_empty() || over.packages.iter().any(names);
        if arch && package {
            constraints = overlaid(constraints, over.constraints.clone());
        }
    }
    constraints
}

/// `top` over `under`: each thing that `top` says replaces what `under` said of it.
fn overlaid(under: Constraints, top: Constraints) -> Constraints {
    Constraints {
        labels: top.labels.or(under.labels),
        sandbox: match (under.sandbox, top.sandbox) {
            (Some(under), Some(top)) => Some(Wanted {
                exclude: top.exclude.or(under.exclude),
                ..top
            }),
            (under, top) => top.or(under),
        },
        linux: both(under.linux, top.linux, |under, top| WantedLinux {
            flavor: top.flavor.or(under.flavor),
            min: top.min.or(under.min),
            max: top.max.or(under.max),
        }),
        hardware: both(under.hardware, top.hardware, |under, top| WantedHardware {
            processors: top.processors.or(under.processors),
            jobs: top.jobs.or(under.jobs),
            disk: top.disk.or(under.disk),
            memory: top.memory.or(under.memory),
            physical_memory: top.physical_memory.or(under.physical_memory),
            cpu_flags: top.cpu_flags.or(under.cpu_flags),
        }),
    }
}

fn both<T>(under: Option<T>, top: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (under, top) {
        (Some(under), Some(top)) => Some(join(under, top)),
        (under, top) => top.or(under),
    }
}

/// What a project and a package ask together: labels and CPU flags add up, of the rest the package's
/// word counts.
fn merged(project: &Constraints, package: &Constraints) -> Constraints {
    let flags = |c: &Constraints| c.hardware.as_ref().and_then(|h| h.cpu_flags.clone());
    let mut all = overlaid(project.clone(), package.clone());
    all.sandbox = package.sandbox.clone().or_else(|| project.sandbox.clone());
    all.labels = both(project.labels.clone(), package.labels.clone(), join);
    if let Some(hardware) = &mut all.hardware {
        hardware.cpu_flags = both(flags(project), flags(package), join);
    }
    all
}

fn join<T>(mut first: Vec<T>, more: Vec<T>) -> Vec<T> {
    first.extend(more);
    first
}

/// Whether a worker meets the constraints.
#[must_use]
pub(super) fn meets(asked: &Constraints, worker: &Capabilities) -> bool {
    let labelled = |label: &Wanted| {
        let excluded = label.exclude == Some(true);
        worker.labels.contains(&label.name) != excluded
    };
    asked.labels.iter().flatten().all(labelled)
        && asked.sandbox.iter().all(|s| is_shut_in(s, &worker.sandbox))
        && (asked.linux.iter()).all(|linux| runs(linux, worker.linux.as_ref()))
        && (asked.hardware.iter()).all(|hardware| is_enough(hardware, worker.hardware.as_ref()))
}

fn is_shut_in(asked: &Wanted, sandbox: &str) -> bool {
    if asked.name.is_empty() {
        true
    } else if asked.exclude == Some(true) {
        asked.name != sandbox
    } else if asked.name == "secure" {
        SECURE.contains(&sandbox)
    } else {
        asked.name == sandbox
    }
}

fn runs(asked: &WantedLinux, linux: Option<&(String, String)>) -> bool {
    let Some((version, flavor)) = linux else {
        return false;
    };
    asked.flavor.as_ref().is_none_or(|f| f == flavor)
        && (asked.min.iter()).all(|min| compare_versions(min, version) != Ordering::Greater)
        && (asked.max.iter()).all(|max| compare_versions(max, version) != Ordering::Less)
}

fn is_enough(asked: &WantedHardware, has: Option<&Hardware>) -> bool {
    let Some(has) = has else { return false };
    let flagged = |flags: &Vec<String>| {
        let there = has.cpu_flags.as_ref();
        there.is_some_and(|there| flags.iter().any(|flag| there.contains(flag)))
    };
    asked.processors.is_none_or(|n| n <= has.processors)
        && asked.jobs.is_none_or(|n| n <= has.jobs)
        && asked.disk.is_none_or(|n| n <= has.disk)
        && (asked.memory).is_none_or(|n| n <= has.memory.saturating_add(has.swap))
        && asked.physical_memory.is_none_or(|n| n <= has.memory)
        && asked.cpu_flags.as_ref().is_none_or(flagged)
}

/// What a worker that is bought for the pool will have: the machine and the number of its processes by
/// the configuration, and the rest as `like`, a worker of that pool which is known.
///
/// `None` where nothing is known but the flavor, and more than that is asked: labels, the sandbox, the
/// kernel, memory, disk and CPU flags are decided by the image.
#[must_use]
pub(super) fn would_meet(asked: &Constraints, pool: &Pool, like: Option<&Capabilities>) -> Option<bool> {
    let bought = |like: &Capabilities| {
        let hardware = like.hardware.clone().unwrap_or_default();
        Capabilities {
            hardware: Some(Hardware {
                processors: pool.vcpus.0,
                jobs: pool.jobs,
                ..hardware
            }),
            ..like.clone()
        }
    };
    if let Some(like) = like {
        return Some(meets(asked, &bought(like)));
    }
    let of_flavor = |hardware: &WantedHardware| WantedHardware {
        processors: hardware.processors,
        jobs: hardware.jobs,
        ..WantedHardware::default()
    };
    let flavor_only = Constraints {
        hardware: asked.hardware.as_ref().map(of_flavor),
        ..Constraints::default()
    };
    let by_flavor = meets(&flavor_only, &bought(&Capabilities::default()));
    (!by_flavor || flavor_only == *asked).then_some(by_flavor)
}

/// Versions as rpm orders them, without its `~` and `^`, which kernels do not use.
fn compare_versions(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (parts(one), parts(other));
    loop {
        let order = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(one), Some(other)) => compare_parts(one, other),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Runs of digits, and runs of letters.
fn parts(version: &str) -> impl Iterator<Item = &str> {
    let words = version.split(|c: char| !c.is_ascii_alphanumeric());
    let same = |a: &u8, b: &u8| a.is_ascii_digit() == b.is_ascii_digit();
    let runs = words.flat_map(move |word| word.as_bytes().chunk_by(same));
    runs.filter_map(|run| std::str::from_utf8(run).ok())
}

/// A number is newer than a word.
fn compare_parts(one: &str, other: &str) -> Ordering {
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    match (number(one), number(other)) {
        (true, true) => {
            let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        }
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => one.cmp(other),
    }
}
