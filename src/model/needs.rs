//! What jobs ask of a worker, and what workers have.

use super::{HostName, PackageKey};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What a job asks of the worker that builds it: a package's `_constraints`, or the `Constraint:` lines
/// of its project's configuration. What is not given asks nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraints {
    /// Labels that the host must carry, or must not.
    pub labels: Option<Vec<Wanted>>,
    /// How the build is shut in (`kvm`, `chroot`, …, or `secure` for any that is).
    pub sandbox: Option<Wanted>,
    /// The kernel.
    pub linux: Option<WantedLinux>,
    /// The machine.
    pub hardware: Option<WantedHardware>,
}

impl Constraints {
    /// Whether any worker will do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A word that must apply, or must not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The word.
    pub name: String,
    /// Whether it must not apply; `None` where nothing is said, which is no.
    pub exclude: Option<bool>,
}

/// What is asked of the kernel.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedLinux {
    /// Its flavor.
    pub flavor: Option<String>,
    /// Its lowest version.
    pub min: Option<String>,
    /// Its highest version.
    pub max: Option<String>,
}

/// What is asked of the machine.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedHardware {
    /// The least number of processors.
    pub processors: Option<u32>,
    /// The least number of processes of one build (`OBS_WORKER_JOBS`).
    pub jobs: Option<u32>,
    /// The least disk of an instance, in bytes.
    pub disk: Option<u64>,
    /// The least memory and swap of an instance together, in bytes.
    pub memory: Option<u64>,
    /// The least memory of an instance, in bytes.
    pub physical_memory: Option<u64>,
    /// CPU flags, of which one is enough.
    pub cpu_flags: Option<Vec<String>>,
}

/// A package's `_constraints`, with what it says for some of its builds only.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PackageConstraints {
    /// For every build.
    pub base: Constraints,
    /// For some, each on top of what came before.
    pub overwrites: Vec<Overwrite>,
}

/// What replaces a package's constraints for some of its builds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Overwrite {
    /// For jobs of these repository architectures; all where none is named.
    pub archs: Vec<String>,
    /// For packages of these names, a multibuild flavor included; all where none is named.
    pub packages: Vec<String>,
    /// What is asked.
    pub constraints: Constraints,
}

/// What an instance has, by its worker's own account. A worker that builds in a chroot tells neither
/// memory nor disk, and so meets no constraint about them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The labels that its host carries.
    pub labels: Vec<String>,
    /// How it shuts builds in.
    pub sandbox: String,
    /// The kernel's version and flavor.
    pub linux: Option<(String, String)>,
    /// The machine.
    pub hardware: Option<Hardware>,
}

/// The machine of an instance.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Processors.
    pub processors: u32,
    /// Processes of one build.
    pub jobs: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Swap in bytes.
    pub swap: u64,
    /// Disk in bytes.
    pub disk: u64,
    /// CPU flags; `None` where the worker tells none.
    pub cpu_flags: Option<Vec<String>>,
}

/// A repository of a project, for one of its architectures: (project, repository, arch).
pub type TargetKey = (String, String, String);

/// What is known of the needs of one backend's jobs. What is in no map has not been read: it is never
/// "none".
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// By project and package, without a multibuild flavor: the flavors share one file.
    pub packages: BTreeMap<(String, String), PackageConstraints>,
    /// What the configuration of each target asks for every job; `None` where it was read and can not
    /// be understood, which is not known either.
    pub targets: BTreeMap<TargetKey, Option<Constraints>>,
    /// By host: its instances are alike.
    pub workers: BTreeMap<HostName, Capabilities>,
    /// When each waiting job became ready to be built, where OBS told: the job that was first seen
    /// waiting at the other moment.
    pub ready: BTreeMap<(PackageKey, Timestamp), Timestamp>,
    /// How much of what is wanted has not been read.
    pub unread: u32,
}

impl PackageKey {
    /// The package's name without the flavor of a multibuild one (`gcc:cross` → `gcc`).
    #[must_use]
    pub fn base_name(&self) -> &str {
        let split = self.package.split_once(':');
        split.map_or(self.package.as_str(), |(name, _)| name)
    }

    /// Its repository and architecture.
    #[must_use]
    pub fn target(&self) -> TargetKey {
        let Self {
            project,
            repository,
            arch,
            ..
        } = self;
        (project.clone(), repository.clone(), arch.clone())
    }
}
