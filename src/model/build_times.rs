//! How long builds are expected to take.

use super::{Level, PackageKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the last successful builds of a package say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The mean of how long they took.
    pub mean: Duration,
    /// The level that this gives, with what it was before taken into account: it does not flap.
    pub level: Level,
}

type Packages = BTreeMap<String, Expected>;

/// What is expected of each package that was built. A copy shares all that is not changed later.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BuildTimes {
    /// By project, repository, architecture, package.
    targets: BTreeMap<String, BTreeMap<String, BTreeMap<String, Arc<Packages>>>>,
}

impl BuildTimes {
    /// What is expected of a package; `None` for one never built, as far as is known.
    #[must_use]
    pub fn of(&self, key: &PackageKey) -> Option<&Expected> {
        let repositories = self.targets.get(&*key.project)?;
        let archs = repositories.get(&*key.repository)?;
        archs.get(&*key.arch)?.get(&*key.package)
    }

    /// Takes what has changed in a project's repository and architecture; `None` forgets a package.
    pub fn change(
        &mut self,
        [project, repository, arch]: [&str; 3],
        changed: impl IntoIterator<Item = (String, Option<Expected>)>,
    ) {
        let repositories = self.targets.entry(project.to_owned()).or_default();
        let archs = repositories.entry(repository.to_owned()).or_default();
        let packages = Arc::make_mut(archs.entry(arch.to_owned()).or_default());
        for (package, expected) in changed {
            match expected {
                Some(expected) => packages.insert(package, expected),
                None => packages.remove(&package),
            };
        }
    }
}
