//! How long the last successful builds of each package took. Pure; what it knows is kept elsewhere.

use super::results::Target;
use crate::model::{BuildTimes, PackageKey, elapsed};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One successful build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Built {
    /// What was built.
    pub key: PackageKey,
    /// When it was dispatched, by the backend's clock.
    pub start: Timestamp,
    /// When it ended, by the backend's clock.
    pub end: Timestamp,
}

impl Built {
    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        elapsed(self.start, self.end)
    }
}

/// Where build times outlive the process.
pub trait HistoryStore: Send + Sync {
    /// Everything that was appended and not dropped since: at least the last builds of each package.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn load(&self) -> Result<Vec<Built>, StoreError>;

    /// Keeps these as well; a build that is there already stays once. May block.
    ///
    /// # Errors
    /// Where they are not kept. They will be offered again.
    fn append(&self, built: &[Built]) -> Result<(), StoreError>;
}

/// Why the store of build times failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("build history store: {0}")]
pub struct StoreError(pub String);

/// The last successful builds of each package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildHistory {
    keep: usize,
    /// When each build ended and when it began.
    builds: BTreeMap<PackageKey, BTreeSet<(Timestamp, Timestamp)>>,
}

impl BuildHistory {
    /// An empty history that keeps this many builds of each package, at least one.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            keep: keep.max(1),
            builds: BTreeMap::new(),
        }
    }

    /// Takes builds in any order, and gives back those that are now among the last of their package
    /// and were not before.
    pub fn learn(&mut self, mut built: Vec<Built>) -> Vec<Built> {
        built.sort_unstable_by_key(|build| Reverse((build.end, build.start)));
        built.retain(|build| self.add(build));
        built
    }

    fn add(&mut self, build: &Built) -> bool {
        let last = self.builds.entry(build.key.clone()).or_default();
        let new = (build.end, build.start);
        if last.len() >= self.keep && last.first().is_some_and(|oldest| new < *oldest) {
            return false;
        }
        let added = last.insert(new);
        if last.len() > self.keep {
            last.pop_first();
        }
        added
    }

    /// When the newest known build of a target ended. OBS needs to be asked only for what is newer:
    /// a target's newest build is always among the last of its package.
    #[must_use]
    pub fn newest(&self, target: &Target) -> Option<Timestamp> {
        let of_target = self.builds.iter().filter(|(key, _)| target.holds(key));
        let ends = of_target.filter_map(|(_, last)| last.last());
        ends.map(|(end, _)| *end).max()
    }

    /// The mean over the builds that are kept of each package.
    #[must_use]
    pub fn means(&self) -> BuildTimes {
        let means = self.builds.iter().filter_map(|(key, last)| {
            let total: Duration = last.iter().map(|(end, start)| elapsed(*start, *end)).sum();
            let mean = total.checked_div(u32::try_from(last.len()).ok()?)?;
            Some((key.clone(), mean))
        });
        BuildTimes {
            mean: means.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            project: "p".to_owned(),
            repository: "r".to_owned(),
            arch: "a".to_owned(),
        }
    }

    fn built(package: &str, start: i64, end: i64) -> Built {
        Built {
            key: target().package(package.to_owned()),
            start: Timestamp::from_second(start).unwrap(),
            end: Timestamp::from_second(end).unwrap(),
        }
    }

    fn mean(history: &BuildHistory, package: &str) -> Option<Duration> {
        let key = target().package(package.to_owned());
        history.means().mean.get(&key).copied()
    }

    #[test]
    fn the_mean_is_of_the_last_builds_in_whatever_order_they_come() {
        let mut history = BuildHistory::new(2);
        let all = [
            built("p", 0, 100),
            built("p", 200, 210),
            built("p", 300, 330),
        ];
        history.learn(vec![all[2].clone(), all[0].clone()]);
        assert_eq!(mean(&history, "p"), Some(Duration::from_secs(65)));
        history.learn(vec![all[1].clone()]);
        assert_eq!(mean(&history, "p"), Some(Duration::from_secs(20)));
        assert_eq!(mean(&history, "never built"), None);
    }

    #[test]
    fn a_build_is_learnt_once_and_an_old_one_not_again() {
        let mut history = BuildHistory::new(2);
        let all = vec![built("p", 0, 9), built("p", 10, 19), built("p", 20, 29)];
        assert_eq!(history.learn(all.clone()).len(), 2);
        assert_eq!(history.learn(all), []);
        assert_eq!(history.learn(vec![built("q", 20, 29)]).len(), 1);
        assert_eq!(history.newest(&target()), Some(built("p", 20, 29).end));
    }
}
