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
pub(super) fn would_meet(
    asked: &Constraints,
    pool: &Pool,
    like: Option<&Capabilities>,
) -> Option<bool> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Overwrite;

    fn hardware(change: impl FnOnce(&mut WantedHardware)) -> Constraints {
        let mut hardware = WantedHardware::default();
        change(&mut hardware);
        Constraints {
            hardware: Some(hardware),
            ..Constraints::default()
        }
    }

    fn worker() -> Capabilities {
        Capabilities {
            labels: vec!["fast".to_owned()],
            sandbox: "kvm".to_owned(),
            linux: Some(("6.6.10".to_owned(), "default".to_owned())),
            hardware: Some(Hardware {
                processors: 8,
                jobs: 4,
                memory: 4 << 30,
                swap: 1 << 30,
                disk: 10 << 30,
                cpu_flags: Some(vec!["avx2".to_owned()]),
            }),
        }
    }

    fn label(name: &str, exclude: Option<bool>) -> Wanted {
        let name = name.to_owned();
        Wanted { name, exclude }
    }

    fn linux(min: Option<&str>, max: Option<&str>) -> Constraints {
        let linux = WantedLinux {
            flavor: None,
            min: min.map(str::to_owned),
            max: max.map(str::to_owned),
        };
        Constraints {
            linux: Some(linux),
            ..Constraints::default()
        }
    }

    #[test]
    fn a_worker_meets_what_the_dispatchers_own_test_lets_pass() {
        let labels = |labels: &[Wanted]| Constraints {
            labels: Some(labels.to_vec()),
            ..Constraints::default()
        };
        let sandbox = |name, exclude| Constraints {
            sandbox: Some(label(name, exclude)),
            ..Constraints::default()
        };
        let flags = |flags: &[&str]| {
            let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
            hardware(|h| h.cpu_flags = Some(flags))
        };
        // Each pair has the answer of BSDispatcher::Constraints::oracle of OBS 2.9.4.
        let cases = [
            (Constraints::default(), true),
            (labels(&[label("fast", None)]), true),
            (labels(&[label("fast", Some(true))]), false),
            (labels(&[label("fast", None), label("slow", None)]), false),
            (labels(&[label("slow", Some(true))]), true),
            (sandbox("secure", None), true),
            (sandbox("kvm", Some(true)), false),
            (sandbox("chroot", None), false),
            (linux(Some("6.6.9"), None), true),
            (linux(Some("6.6.11"), None), false),
            (linux(None, Some("6.6.9")), false),
            (linux(None, Some("6.10")), true),
            (hardware(|h| h.processors = Some(8)), true),
            (hardware(|h| h.processors = Some(9)), false),
            (hardware(|h| h.jobs = Some(5)), false),
            (hardware(|h| h.memory = Some(5 << 30)), true),
            (hardware(|h| h.memory = Some((5 << 30) + 1)), false),
            (hardware(|h| h.physical_memory = Some(5 << 30)), false),
            (hardware(|h| h.disk = Some(11 << 30)), false),
            (flags(&["avx512", "avx2"]), true),
            (flags(&["avx512"]), false),
        ];
        for (asked, answer) in cases {
            assert_eq!(meets(&asked, &worker()), answer, "{asked:?}");
        }
        let bare = Capabilities::default();
        assert!(!meets(&hardware(|_| ()), &bare));
        assert!(!meets(&linux(None, None), &bare));
    }

    #[test]
    fn an_overwrite_is_for_the_jobs_that_it_names_flavors_included() {
        let asks = |processors| hardware(|h| h.processors = Some(processors));
        let over = |arch: &str, package: &str, processors| Overwrite {
            archs: vec![arch.to_owned()],
            packages: vec![package.to_owned()],
            constraints: asks(processors),
        };
        let file = PackageConstraints {
            base: asks(2),
            overwrites: vec![over("x86_64", "gcc:cross", 16), over("x86_64", "gcc", 4)],
        };
        let of = |arch: &str, package: &str| {
            let job = PackageKey {
                project: "p".to_owned(),
                repository: "r".to_owned(),
                arch: arch.to_owned(),
                package: package.to_owned(),
            };
            of_package(&file, &job).hardware.unwrap().processors
        };
        assert_eq!(of("x86_64", "gcc:cross"), Some(16));
        assert_eq!(of("x86_64", "gcc.openEuler"), Some(4), "a maintenance copy");
        assert_eq!(of("x86_64", "gcc:other"), Some(2));
        assert_eq!(of("aarch64", "gcc"), Some(2));
    }

    #[test]
    fn a_project_and_a_package_ask_together() {
        let mut project = hardware(|h| {
            h.processors = Some(8);
            h.cpu_flags = Some(vec!["a".to_owned()]);
        });
        project.labels = Some(vec![label("p", None)]);
        let mut package = hardware(|h| {
            h.processors = Some(4);
            h.cpu_flags = Some(vec!["b".to_owned()]);
        });
        package.labels = Some(vec![label("q", None)]);
        let both = merged(&project, &package);
        assert_eq!(both.labels.unwrap().len(), 2);
        let hardware = both.hardware.unwrap();
        assert_eq!(hardware.processors, Some(4));
        assert_eq!(hardware.cpu_flags.unwrap(), ["a", "b"]);
    }
}
