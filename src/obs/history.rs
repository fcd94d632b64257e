//! How long the last successful builds of each package took, and how far a job history was read. Pure;
//! what it knows is kept elsewhere.
//!
//! Times are whole seconds since 1970 by the backend's clock, as OBS writes them.

use super::job_history::Ended;
use super::results::Target;
use crate::config::Levels;
use crate::model::{Expected, Level};
use crate::policy::level_with_hysteresis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where build times outlive the process. Every method may block.
pub trait HistoryStore: Send + Sync {
    /// What is kept, with the last `builds` of each package.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn load(&self, builds: usize) -> Result<BTreeMap<Target, TargetHistory>, StoreError>;

    /// Keeps what was learnt of a target, all of it or nothing; a build that is there stays once.
    ///
    /// # Errors
    /// Where it is not kept. It will be read and offered again.
    fn keep(&self, target: &Target, learnt: &Learnt) -> Result<(), StoreError>;

    /// Forgets the builds that ended before this, and the bookmarks in histories where nothing has
    /// ended since.
    ///
    /// # Errors
    /// Where nothing is forgotten.
    fn forget(&self, before: i64) -> Result<(), StoreError>;
}

/// Why the store of build times failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("build history store: {0}")]
pub struct StoreError(pub String);

/// What is kept of a history, and what is made of it.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How a mean gives a level, and of how many builds it is taken.
    pub levels: Levels,
    /// Builds that ended longer ago than this are forgotten.
    pub retention: Duration,
}

impl Terms {
    /// Builds that ended before this are forgotten.
    #[must_use]
    pub fn oldest(&self, now: i64) -> i64 {
        now.saturating_sub_unsigned(self.retention.as_secs())
    }
}

/// One successful build: when it ended, and how many seconds it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Build(pub i64, pub u32);

/// The last successful builds of one package, oldest first, and the level that they give.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageHistory {
    /// The builds.
    pub builds: BTreeSet<Build>,
    /// `None` before the first one.
    pub level: Option<Level>,
}

impl PackageHistory {
    /// Drops all but the last of the builds.
    pub fn keep_last(&mut self, builds: usize) {
        while self.builds.len() > builds {
            self.builds.pop_first();
        }
    }

    /// Drops what ended before this.
    pub fn forget(&mut self, before: i64) {
        self.builds.retain(|build| build.0 >= before);
    }

    /// What to expect of the package; the level is settled by it.
    fn expected(&mut self, levels: &Levels) -> Option<Expected> {
        let total: u64 = self.builds.iter().map(|build| u64::from(build.1)).sum();
        let count = u32::try_from(self.builds.len()).ok()?;
        let mean = Duration::from_secs(total).checked_div(count)?;
        let level = level_with_hysteresis(self.level, mean, levels);
        self.level = Some(level);
        Some(Expected { mean, level })
    }
}

/// The last line of a job history that was read. Lines are only ever added behind it: a scheduler
/// writes one when it comes to it, not in the order in which the builds ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The package.
    pub package: String,
    /// When its job began.
    pub start: i64,
    /// When it ended.
    pub end: i64,
}

impl Bookmark {
    fn is_at(&self, line: &Ended) -> bool {
        (&self.package, self.start, self.end) == (&line.package, line.start, line.end)
    }

    /// The place of this line, where it is among these.
    pub(super) fn find(&self, lines: &[Ended]) -> Option<usize> {
        lines.iter().rposition(|line| self.is_at(line))
    }
}

/// The history of one target.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TargetHistory {
    /// How far it was read; `None` where it never was.
    pub mark: Option<Bookmark>,
    /// Every package that was built with success.
    pub packages: BTreeMap<String, PackageHistory>,
}

/// What new lines change: the packages as they are from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// How far the history is read now.
    pub mark: Option<Bookmark>,
    /// Those that were built with success.
    pub packages: BTreeMap<String, PackageHistory>,
    /// What to expect of them.
    pub expected: Vec<(String, Option<Expected>)>,
}

impl TargetHistory {
    /// What these new lines change, where it is `now`. Nothing is changed yet: what is learnt has to be
    /// kept first.
    #[must_use]
    pub fn learn(&self, lines: &[Ended], terms: &Terms, now: i64) -> Learnt {
        let mut packages = BTreeMap::<String, PackageHistory>::new();
        for (package, build) in lines.iter().filter_map(|l| Some((&l.package, l.build()?))) {
            let known = || self.packages.get(package).cloned().unwrap_or_default();
            let history = packages.entry(package.clone()).or_insert_with(known);
            history.builds.insert(build);
        }
        packages.retain(|_, history| {
            history.forget(terms.oldest(now));
            history.keep_last(terms.levels.last_successes);
            !history.builds.is_empty()
        });
        let settled = packages.iter_mut();
        let settled = settled.map(|(name, h)| (name.clone(), h.expected(&terms.levels)));
        let mark = lines.last().map(Ended::bookmark);
        Learnt {
            expected: settled.collect(),
            mark: mark.or_else(|| self.mark.clone()),
            packages,
        }
    }

    /// Takes what was learnt.
    pub fn take(&mut self, learnt: &Learnt) {
        self.mark.clone_from(&learnt.mark);
        let packages = learnt.packages.iter();
        let packages = packages.map(|(name, history)| (name.clone(), history.clone()));
        self.packages.extend(packages);
    }

    /// Drops what ended before this, and says what that changes.
    pub fn forget(&mut self, before: i64, levels: &Levels) -> Vec<(String, Option<Expected>)> {
        let mut changed = Vec::new();
        self.packages.retain(|name, history| {
            let ended = |history: &PackageHistory| history.builds.first().copied();
            if ended(history).is_some_and(|oldest| oldest.0 < before) {
                history.forget(before);
                changed.push((name.clone(), history.expected(levels)));
            }
            !history.builds.is_empty()
        });
        changed
    }

    /// What to expect of every package.
    pub fn expected(&mut self, levels: &Levels) -> Vec<(String, Option<Expected>)> {
        let packages = self.packages.iter_mut();
        let expected = packages.map(|(name, history)| (name.clone(), history.expected(levels)));
        expected.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::job_history::BuildOutcome;
    use super::*;
    use regex::Regex;

    const DAY: i64 = 24 * 3600;

    fn terms() -> Terms {
        Terms {
            levels: Levels {
                l1_below: Duration::from_secs(300),
                l2_below: Duration::from_secs(600),
                hysteresis: 0.1,
                last_successes: 2,
                never_built: Level::L3,
                packages: Vec::<(Regex, Level)>::new(),
            },
            retention: Duration::from_hours(24),
        }
    }

    fn line(package: &str, start: i64, end: i64, outcome: BuildOutcome) -> Ended {
        Ended {
            package: package.to_owned(),
            start,
            end,
            outcome,
            host: Some(crate::model::HostName::new("w")),
        }
    }

    fn built(package: &str, start: i64, end: i64) -> Ended {
        line(package, start, end, BuildOutcome::Succeeded)
    }

    fn learn(history: &mut TargetHistory, lines: &[Ended], now: i64) -> Learnt {
        let learnt = history.learn(lines, &terms(), now);
        history.take(&learnt);
        learnt
    }

    fn mean(learnt: &Learnt, package: &str) -> Option<u64> {
        let of = |(name, expected): &(String, Option<Expected>)| {
            (name == package).then_some(expected.as_ref()?.mean.as_secs())
        };
        learnt.expected.iter().find_map(of)
    }

    #[test]
    fn the_mean_is_of_the_last_builds_in_whatever_order_they_come() {
        let mut history = TargetHistory::default();
        let all = [
            built("p", 0, 100),
            built("p", 200, 210),
            built("p", 300, 330),
        ];
        let learnt = learn(&mut history, &[all[2].clone(), all[0].clone()], 400);
        assert_eq!(mean(&learnt, "p"), Some(65));
        let learnt = learn(&mut history, &all[1..2], 400);
        assert_eq!(mean(&learnt, "p"), Some(20));
        assert_eq!(history.packages["p"].builds.len(), 2);
    }

    #[test]
    fn what_failed_moves_the_bookmark_and_gives_no_time() {
        let mut history = TargetHistory::default();
        let failed = line("p", 0, 100, BuildOutcome::Failed);
        let learnt = learn(&mut history, std::slice::from_ref(&failed), 400);
        assert_eq!((learnt.packages.len(), mean(&learnt, "p")), (0, None));
        assert_eq!(history.mark, Some(failed.bookmark()));
        let unchanged = line("p", 0, 50, BuildOutcome::Unchanged);
        assert_eq!(mean(&learn(&mut history, &[unchanged], 400), "p"), Some(50));
    }

    #[test]
    fn the_level_before_decides_near_a_boundary_and_a_package_forgotten_has_none() {
        let mut history = TargetHistory::default();
        let level = |history: &TargetHistory| history.packages["p"].level;
        learn(&mut history, &[built("p", 0, 290)], 400);
        learn(
            &mut history,
            &[built("p", 1000, 1310), built("p", 2000, 2310)],
            2400,
        );
        assert_eq!(level(&history), Some(Level::L1), "310 s, from below");
        learn(
            &mut history,
            &[built("p", 3000, 3400), built("p", 4000, 4400)],
            4400,
        );
        learn(
            &mut history,
            &[built("p", 5000, 5290), built("p", 6000, 6290)],
            6300,
        );
        assert_eq!(level(&history), Some(Level::L2), "290 s, from above");
        let changed = history.forget(6290, &terms().levels);
        assert_eq!(changed[0].1.unwrap().mean.as_secs(), 290);
        let changed = history.forget(6291, &terms().levels);
        assert_eq!(changed, [("p".to_owned(), None)]);
        assert!(history.packages.is_empty());
    }

    #[test]
    fn what_is_older_than_the_retention_is_not_learnt() {
        let mut history = TargetHistory::default();
        let lines = [built("old", 0, 99), built("new", 0, 100)];
        let learnt = learn(&mut history, &lines, 100 + DAY);
        assert_eq!(
            (mean(&learnt, "old"), mean(&learnt, "new")),
            (None, Some(100))
        );
        assert_eq!(history.packages.len(), 1);
    }
}
