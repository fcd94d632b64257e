//! Architecture and level: the two axes by which the farm is divided into pools.

use std::fmt;
use std::str::FromStr;

/// The architecture of a build host (`hostarch` in OBS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 64-bit Arm (Kunpeng flavors).
    Aarch64,
    /// 64-bit x86.
    X86_64,
}

impl Arch {
    /// Every architecture, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Aarch64, Self::X86_64];

    /// The word used in labels, tags and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names none of the known values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {expected}")]
pub struct UnknownWord {
    /// What was found.
    pub found: String,
    /// The words that would have been understood.
    pub expected: &'static str,
}

impl FromStr for Arch {
    type Err = UnknownWord;

    /// `x86`, as the original design writes it, is accepted and never printed.
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "aarch64" => Ok(Self::Aarch64),
            "x86_64" | "x86" => Ok(Self::X86_64),
            _ => Err(UnknownWord {
                found: word.to_owned(),
                expected: "aarch64, x86_64",
            }),
        }
    }
}

/// A job's class by its expected build time, and the class of worker bought for it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Short builds.
    L1,
    /// Middling builds.
    L2,
    /// Long builds.
    L3,
}

impl Level {
    /// Every level, shortest builds first.
    pub const ALL: [Self; 3] = [Self::L1, Self::L2, Self::L3];

    /// The word used in labels, tags and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::L3 => "l3",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or_else(|| UnknownWord {
                found: word.to_owned(),
                expected: "l1, l2, l3",
            })
    }
}
