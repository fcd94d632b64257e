//! Ghosts: jobs that OBS shows as building on an instance that does not build them. OBS does not hand
//! such a job out again until it is freed.

use crate::config;
use crate::model::{Build, Ghosts, PackageKey, elapsed};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// A build is a ghost once every reading over this long found it so: between two jobs an instance may
/// stand in two lists, or in none, for half a second.
pub const GHOST_AFTER: Duration = Duration::from_secs(30);

/// What is known of ghosts after one more look at `at`, which found these builds not to be built where
/// OBS says. What it did not find begins anew; the same reading does not count twice.
#[must_use]
pub fn next_ghosts(before: &Ghosts, suspects: BTreeSet<Build>, at: Timestamp) -> Ghosts {
    let seen = suspects.into_iter().map(|build| {
        let first = before.seen.get(&build).map_or(at, |(first, _)| *first);
        (build, (first, at))
    });
    Ghosts {
        seen: seen.collect(),
    }
}

/// The builds that are ghosts, with how long each has been seen to be one.
pub fn ghosts(known: &Ghosts) -> impl Iterator<Item = (&Build, Duration)> {
    let lasted = known.seen.iter();
    let lasted = lasted.map(|(build, (first, last))| (build, elapsed(*first, *last)));
    lasted.filter(|(_, lasted)| *lasted >= GHOST_AFTER)
}

/// The jobs that are ghosts, each once.
#[must_use]
pub fn ghost_jobs(known: &Ghosts) -> BTreeSet<&PackageKey> {
    ghosts(known).map(|(build, _)| &build.job).collect()
}

/// The ghosts that are to be freed now.
pub fn to_be_freed<'a>(
    known: &'a Ghosts,
    config: &config::Ghosts,
) -> impl Iterator<Item = &'a Build> {
    let (free, after) = (config.free, config.after);
    let due = move |(_, lasted): &(&Build, Duration)| free && *lasted >= after;
    ghosts(known).filter(due).map(|(build, _)| build)
}
