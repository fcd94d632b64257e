//! What the program is told about jobs: the packages to watch, and what to do about ghosts.

use super::reader::Section;
use super::units::{duration, flag, whole_name};
use regex::Regex;
use std::time::Duration;

/// What is done about a job that OBS shows as building on an instance that does not build it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ghosts {
    /// Whether it is freed (`restartbuild`); otherwise it is only shown.
    pub free: bool,
    /// How long it must have been seen before it is freed.
    pub after: Duration,
}

impl Default for Ghosts {
    fn default() -> Self {
        Self {
            free: false,
            after: Duration::from_secs(300),
        }
    }
}

pub(super) fn read_ghosts(ghosts: &Section<'_>) -> Option<Ghosts> {
    let default = Ghosts::default();
    let free = ghosts.or("free", default.free, flag);
    let after = ghosts.or("after", default.after, duration);
    Some(Ghosts {
        free: free?,
        after: after?,
    })
}

/// The patterns of the packages whose waiting is shown one by one, each for a whole name without a
/// multibuild flavor.
pub(super) fn read_watched(doc: &Section<'_>) -> Option<Vec<Regex>> {
    match doc.get("watched") {
        Some(node) => node.any_list(|node| node.read(whole_name)),
        None => Some(Vec::new()),
    }
}
