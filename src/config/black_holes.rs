//! What the program is told about workers that lose the builds which they take.

use super::reader::Section;
use super::units::{duration, number, ratio, word};
use std::str::FromStr;
use std::time::Duration;

/// What is done about a black hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlackHoleAction {
    /// Nothing: nobody looks for them.
    None,
    /// It is told.
    Report,
    /// It is told, and in a pool of the mode `full` it is cordoned, kept for a look, and deleted.
    Cordon,
}

impl FromStr for BlackHoleAction {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "none" => Ok(Self::None),
            "report" => Ok(Self::Report),
            "cordon" => Ok(Self::Cordon),
            _ => Err(()),
        }
    }
}

/// When a worker is a black hole, and what is done about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlackHoles {
    /// What is done.
    pub action: BlackHoleAction,
    /// Builds that ended longer ago than this say nothing.
    pub window: Duration,
    /// Builds of so many packages at least must have been lost there.
    pub packages: u32,
    /// Such a share of its builds at least must have been lost.
    pub share: f64,
    /// How long a cordoned one is kept for a look before it is deleted.
    pub kept: Duration,
}

impl Default for BlackHoles {
    fn default() -> Self {
        Self {
            action: BlackHoleAction::Cordon,
            window: Duration::from_hours(6),
            packages: 5,
            share: 0.5,
            kept: Duration::from_hours(1),
        }
    }
}

pub(super) fn read_black_holes(holes: &Section<'_>) -> Option<BlackHoles> {
    let default = BlackHoles::default();
    let action = holes.or("action", default.action, word("none, report or cordon"));
    let window = holes.or("window", default.window, duration);
    let packages = holes.or("packages", default.packages, number(1..=1000));
    let share = holes.or("share", default.share, ratio);
    let kept = holes.or("kept", default.kept, duration);
    Some(BlackHoles {
        action: action?,
        window: window?,
        packages: packages?,
        share: share?,
        kept: kept?,
    })
}
