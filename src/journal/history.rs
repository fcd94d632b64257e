//! The build times of every package, and how far each job history was read.

use super::{Journal, JournalError, Table, decode, put, remove, store};
use crate::obs::{
    Bookmark, HistoryStore, Learnt, PackageHistory, StoreError, Target, TargetHistory,
};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;

/// `PROJECT/REPOSITORY/ARCH/PACKAGE` → its [`PackageHistory`].
pub(super) const BUILDS: Table = TableDefinition::new("build_times");

/// `PROJECT/REPOSITORY/ARCH` → the [`Bookmark`] in its job history.
pub(super) const MARKS: Table = TableDefinition::new("history_marks");

/// The builds of one package that are kept, at most; the configuration allows no mean of more.
const KEPT_BUILDS: usize = 32;

impl HistoryStore for Journal {
    fn load(&self, builds: usize) -> Result<BTreeMap<Target, TargetHistory>, StoreError> {
        self.load_history(builds).map_err(store_error)
    }

    fn keep(&self, target: &Target, learnt: &Learnt) -> Result<(), StoreError> {
        self.keep_history(target, learnt).map_err(store_error)
    }

    fn forget(&self, before: i64) -> Result<(), StoreError> {
        self.forget_history(before).map_err(store_error)
    }
}

fn store_error(error: JournalError) -> StoreError {
    StoreError(error.to_string())
}

impl Journal {
    fn load_history(&self, builds: usize) -> Result<BTreeMap<Target, TargetHistory>, JournalError> {
        let mut all = BTreeMap::<Target, TargetHistory>::new();
        self.each::<Bookmark>(MARKS, |key, mark| {
            if let Some(target) = target_of(key) {
                all.entry(target).or_default().mark = Some(mark);
            }
        })?;
        self.each::<PackageHistory>(BUILDS, |key, mut history| {
            let Some((target, package)) = key.rsplit_once('/') else {
                return;
            };
            if let Some(target) = target_of(target) {
                history.keep_last(builds);
                let packages = &mut all.entry(target).or_default().packages;
                packages.insert(package.to_owned(), history);
            }
        })?;
        Ok(all)
    }

    fn each<T: serde::de::DeserializeOwned>(
        &self,
        table: Table,
        mut take: impl FnMut(&str, T),
    ) -> Result<(), JournalError> {
        let read = self.db.begin_read().map_err(store)?;
        let rows = read.open_table(table).map_err(store)?;
        for row in rows.iter().map_err(store)? {
            let (key, value) = row.map_err(store)?;
            take(
                key.value(),
                decode("build_times", key.value(), value.value())?,
            );
        }
        Ok(())
    }

    fn keep_history(&self, target: &Target, learnt: &Learnt) -> Result<(), JournalError> {
        let at = key_of(target);
        let write = self.db.begin_write().map_err(store)?;
        {
            let mut marks = write.open_table(MARKS).map_err(store)?;
            if let Some(mark) = &learnt.mark {
                put(&mut marks, &at, mark)?;
            }
            let mut rows = write.open_table(BUILDS).map_err(store)?;
            for (package, history) in &learnt.packages {
                let key = format!("{at}/{package}");
                let mut kept = stored(&rows, &key)?;
                kept.builds.extend(&history.builds);
                kept.keep_last(KEPT_BUILDS);
                kept.level = history.level;
                put(&mut rows, &key, &kept)?;
            }
        }
        write.commit().map_err(store)
    }

    fn forget_history(&self, before: i64) -> Result<(), JournalError> {
        let mut old = Vec::new();
        self.each::<PackageHistory>(BUILDS, |key, history| {
            if history
                .builds
                .first()
                .is_none_or(|oldest| oldest.0 < before)
            {
                old.push((key.to_owned(), history));
            }
        })?;
        let mut read_long_ago = Vec::new();
        self.each::<Bookmark>(MARKS, |key, mark| {
            if mark.end < before {
                read_long_ago.push(key.to_owned());
            }
        })?;
        if old.is_empty() && read_long_ago.is_empty() {
            return Ok(());
        }
        let write = self.db.begin_write().map_err(store)?;
        {
            let mut rows = write.open_table(BUILDS).map_err(store)?;
            for (key, mut history) in old {
                history.forget(before);
                if history.builds.is_empty() {
                    remove(&mut rows, &key)?;
                } else {
                    put(&mut rows, &key, &history)?;
                }
            }
            let mut marks = write.open_table(MARKS).map_err(store)?;
            for key in read_long_ago {
                remove(&mut marks, &key)?;
            }
        }
        write.commit().map_err(store)
    }
}

fn stored(
    rows: &redb::Table<'_, &'static str, &'static [u8]>,
    key: &str,
) -> Result<PackageHistory, JournalError> {
    let Some(stored) = rows.get(key).map_err(store)? else {
        return Ok(PackageHistory::default());
    };
    decode("build_times", key, stored.value())
}

/// A slash stands in no part of a key: OBS allows it in none of these names.
fn key_of(target: &Target) -> String {
    target.names().join("/")
}

fn target_of(key: &str) -> Option<Target> {
    let mut names = key.split('/').map(str::to_owned);
    Some(Target {
        project: names.next()?,
        repository: names.next()?,
        arch: names.next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;
    use crate::obs::Build;

    fn target(arch: &str) -> Target {
        Target {
            project: "openEuler:Mainline".to_owned(),
            repository: "standard".to_owned(),
            arch: arch.to_owned(),
        }
    }

    fn learnt(package: &str, builds: std::ops::Range<i64>) -> Learnt {
        let mark = Bookmark {
            package: package.to_owned(),
            start: builds.start,
            end: builds.end,
        };
        let history = PackageHistory {
            builds: builds.map(|end| Build(end, 60)).collect(),
            level: Some(Level::L2),
        };
        Learnt {
            mark: Some(mark),
            packages: [(package.to_owned(), history)].into(),
            expected: Vec::new(),
        }
    }

    #[test]
    fn the_last_builds_the_level_and_the_bookmark_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let (x86, arm) = (target("x86_64"), target("aarch64"));
        {
            let journal = Journal::open(dir.path()).unwrap();
            journal.keep(&x86, &learnt("multi:flavor", 0..20)).unwrap();
            journal.keep(&x86, &learnt("multi:flavor", 15..40)).unwrap();
            journal.keep(&arm, &learnt("gcc", 5..7)).unwrap();
        }
        let journal = Journal::open(dir.path()).unwrap();
        let all = HistoryStore::load(&journal, 100).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), [&arm, &x86]);
        let kept = &all[&x86];
        let history = &kept.packages["multi:flavor"];
        let ends: Vec<_> = history.builds.iter().map(|b| b.0).collect();
        assert_eq!(ends, (8..40).collect::<Vec<_>>());
        assert_eq!(history.level, Some(Level::L2));
        assert_eq!(kept.mark, learnt("multi:flavor", 15..40).mark);
        let last = &HistoryStore::load(&journal, 4).unwrap()[&x86];
        assert_eq!(
            last.packages["multi:flavor"].builds.first(),
            Some(&Build(36, 60))
        );
    }

    #[test]
    fn what_is_older_than_asked_for_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let (x86, arm) = (target("x86_64"), target("aarch64"));
        journal.keep(&x86, &learnt("gcc", 0..20)).unwrap();
        journal.keep(&arm, &learnt("gcc", 0..9)).unwrap();
        journal.forget(10).unwrap();
        let all = HistoryStore::load(&journal, 32).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), [&x86]);
        let builds = &all[&x86].packages["gcc"].builds;
        assert_eq!(
            builds.iter().map(|b| b.0).collect::<Vec<_>>(),
            (10..20).collect::<Vec<_>>()
        );
    }
}
