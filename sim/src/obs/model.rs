//! The nouns of a simulated farm: targets with their packages, hosts with their instances.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Milliseconds since the epoch.
pub(super) type Millis = i64;

/// A package of a target, and so the one job that it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobRef {
    pub(super) target: usize,
    pub(super) package: usize,
}

/// An instance of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotRef {
    pub(super) host: usize,
    pub(super) slot: usize,
}

/// How builds of a package end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is built.
    #[default]
    Succeeded,
    /// It is not.
    Failed,
    /// It is, and nothing has changed: OBS counts it as a success.
    Unchanged,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A build as OBS' job file has it: it stays when the instance is gone, and is a ghost then.
#[derive(Debug, Clone)]
pub(super) struct Build {
    pub(super) worker: Arc<str>,
    pub(super) hostarch: Arc<str>,
    pub(super) uri: Arc<str>,
    pub(super) started: Millis,
    /// No other build has it: what was planned for an earlier build of the package is void.
    pub(super) number: u64,
}

/// What OBS says of a package.
#[derive(Debug, Clone)]
pub(super) enum State {
    Succeeded,
    Failed,
    Unresolvable,
    Broken,
    Disabled,
    Excluded,
    Locked,
    Blocked,
    Scheduled,
    Building(Build),
}

impl State {
    /// The word in OBS' documents.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unresolvable => "unresolvable",
            Self::Broken => "broken",
            Self::Disabled => "disabled",
            Self::Excluded => "excluded",
            Self::Locked => "locked",
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Building(_) => "building",
        }
    }

    /// Whether others have to wait for it.
    pub(super) const fn is_unfinished(&self) -> bool {
        matches!(self, Self::Blocked | Self::Scheduled | Self::Building(_))
    }

    /// Whether it can be asked to build.
    pub(super) const fn is_settled(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    pub(super) const fn build(&self) -> Option<&Build> {
        match self {
            Self::Building(build) => Some(build),
            _ => None,
        }
    }
}

/// A package of one target.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: Arc<str>,
    pub(super) state: State,
    /// Indices of packages of the same target, all of them lower: no cycles.
    pub(super) deps: Vec<usize>,
    pub(super) dependents: Vec<usize>,
    pub(super) outcome: Outcome,
    /// How long it builds at speed 1.
    pub(super) seconds: f64,
    /// The processors that its `_constraints` ask for.
    pub(super) processors: Option<u32>,
    pub(super) ready: Millis,
    /// Builds that have succeeded.
    pub(super) builds: u32,
    pub(super) last_duration: Option<i64>,
}

impl Package {
    pub(super) fn new(name: &str, state: State, seconds: f64) -> Self {
        Self {
            name: name.into(),
            state,
            deps: Vec::new(),
            dependents: Vec::new(),
            outcome: Outcome::Succeeded,
            seconds,
            processors: None,
            ready: 0,
            builds: 0,
            last_duration: None,
        }
    }

    /// The name of its sources: without the flavor of a multibuild.
    pub(super) fn source(&self) -> &str {
        let (source, _) = self.name.split_once(':').unwrap_or((&self.name, ""));
        source
    }

    /// The checksum of its sources: 32 hex digits, the same for the same name.
    pub(super) fn srcmd5(&self) -> String {
        md5_like(self.source())
    }
}

/// 32 hex digits that depend on the text (FNV-1a, twice): they are no checksum, they look like one.
pub(super) fn md5_like(text: &str) -> String {
    let hash = |seed: u64| {
        text.bytes().fold(seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    format!("{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x1234))
}

/// A build that has ended, as `:jobhistory` has it.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) package: usize,
    pub(super) bcnt: u32,
    pub(super) ready: Millis,
    pub(super) started: Millis,
    pub(super) ended: Millis,
    pub(super) code: Outcome,
    pub(super) uri: Arc<str>,
    pub(super) worker: Arc<str>,
    pub(super) hostarch: Arc<str>,
}

/// One architecture of one repository of a project.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) project: Arc<str>,
    pub(super) repository: Arc<str>,
    pub(super) arch: Arc<str>,
    pub(super) packages: Vec<Package>,
    pub(super) index: HashMap<Arc<str>, usize>,
    pub(super) history: VecDeque<Ended>,
    /// Changes with every change of a package.
    pub(super) revision: u64,
}

/// Ended builds that are kept for each target.
const HISTORY: usize = 200_000;

impl Target {
    pub(super) fn new(project: &str, repository: &str, arch: &str) -> Self {
        Self {
            project: project.into(),
            repository: repository.into(),
            arch: arch.into(),
            packages: Vec::new(),
            index: HashMap::new(),
            history: VecDeque::new(),
            revision: 0,
        }
    }

    pub(super) fn add(&mut self, package: Package) -> usize {
        let at = self.packages.len();
        self.index.insert(Arc::clone(&package.name), at);
        for dep in &package.deps {
            if let Some(dep) = self.packages.get_mut(*dep) {
                dep.dependents.push(at);
            }
        }
        self.packages.push(package);
        self.revision += 1;
        at
    }

    pub(super) fn find(&self, name: &str) -> Option<(usize, &Package)> {
        let at = *self.index.get(name)?;
        Some((at, self.packages.get(at)?))
    }

    pub(super) fn remember(&mut self, ended: Ended) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(ended);
    }

    /// The dependencies of a package that are not built yet.
    pub(super) fn unfinished_deps<'a>(
        &'a self,
        package: &'a Package,
    ) -> impl Iterator<Item = &'a Package> {
        let deps = package
            .deps
            .iter()
            .filter_map(|dep| self.packages.get(*dep));
        deps.filter(|dep| dep.state.is_unfinished())
    }

    pub(super) fn is_building(&self) -> bool {
        self.packages.iter().any(|p| p.state.is_unfinished())
    }

    /// The name of a package's job, as its file is called in OBS' queue.
    pub(super) fn job_name(&self, package: &Package) -> String {
        let (project, repository) = (&self.project, &self.repository);
        format!(
            "{project}::{repository}::{}-{}",
            package.name,
            package.srcmd5()
        )
    }
}

/// The machine that builds jobs of this architecture (`uname -m` there).
pub(super) fn hostarch_of(arch: &str) -> &str {
    match arch {
        "i586" | "i686" => "x86_64",
        "armv7l" | "armv6l" => "aarch64",
        other => other,
    }
}

/// Which list of `workerstatus` an instance stands in, as far as its own file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Idle,
    Building(JobRef, u64),
    /// Between the delivery of a job and its report: in no list.
    Reporting,
    Down,
    Dead,
    Away,
}

impl Slot {
    /// The list, where it is one that instances have files in.
    pub(super) const fn list(self) -> Option<&'static str> {
        match self {
            Self::Idle => Some("idle"),
            Self::Down => Some("down"),
            Self::Dead => Some("dead"),
            Self::Away => Some("away"),
            Self::Building(..) | Self::Reporting => None,
        }
    }
}

/// An instance.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) worker: Arc<str>,
    pub(super) uri: Arc<str>,
    pub(super) slot: Slot,
    pub(super) cordoned: bool,
    /// What was planned for an earlier state of the instance is void.
    pub(super) epoch: u64,
}

/// A build host. One that left stays known, all of its instances down, as OBS keeps it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) arch: Arc<str>,
    pub(super) processors: u32,
    pub(super) jobs: u32,
    pub(super) memory_mb: Option<u64>,
    pub(super) instances: Vec<Instance>,
    /// It leaves, each instance when it has nothing to build.
    pub(super) leaving: bool,
}
