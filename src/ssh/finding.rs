//! One thing that was looked at on a worker: what was found, and what should be. Pure.

use super::Check;
use serde_json::{Value, json};
use std::fmt;

/// How a thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Right,
    /// Otherwise.
    Wrong,
    /// It could not be learnt.
    Unknown,
    /// Nothing says how it should be.
    NotCompared,
}

impl Verdict {
    /// The word in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Right => "ok",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
            Self::NotCompared => "not compared",
        }
    }
}

/// A number, or words.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A number, with the unit after which the thing is named.
    Number(f64),
    /// Words.
    Text(String),
}

impl From<u32> for Fact {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Fact {
    /// The same as JSON: whole numbers without a point.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a whole number, and small")]
    pub fn as_json(&self) -> Value {
        match self {
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                json!(*number as i64)
            }
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// To which check it belongs.
    pub check: Check,
    /// What it is, such as `vcpus` or `OBS_WORKER_JOBS`.
    pub what: String,
    /// What was found; `None` where that is not known.
    pub found: Option<Fact>,
    /// What should be; `None` where nothing says.
    pub expected: Option<Fact>,
    /// The verdict.
    pub verdict: Verdict,
}

impl Finding {
    /// Something that is judged by `right`, where there is something to hold it against.
    #[must_use]
    pub fn judged(
        check: Check,
        what: impl Into<String>,
        found: impl Into<Fact>,
        expected: Option<Fact>,
        right: bool,
    ) -> Self {
        let verdict = match (&expected, right) {
            (None, _) => Verdict::NotCompared,
            (Some(_), true) => Verdict::Right,
            (Some(_), false) => Verdict::Wrong,
        };
        Self {
            check,
            what: what.into(),
            found: Some(found.into()),
            expected,
            verdict,
        }
    }

    /// Something that must be the same as what is expected.
    #[must_use]
    pub fn same(
        check: Check,
        what: impl Into<String>,
        found: impl Into<Fact>,
        expected: Option<impl Into<Fact>>,
    ) -> Self {
        let (found, expected) = (found.into(), expected.map(Into::into));
        let right = expected.as_ref() == Some(&found);
        Self::judged(check, what, found, expected, right)
    }

    /// Something that could not be learnt.
    #[must_use]
    pub fn unknown(check: Check, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            check,
            what: what.into(),
            found: Some(Fact::Text(why.into())),
            expected: None,
            verdict: Verdict::Unknown,
        }
    }

    /// What was found, in words.
    #[must_use]
    pub fn found_words(&self) -> String {
        let found = self.found.as_ref().map(Fact::to_string);
        format!("{} {}", self.what, found.unwrap_or_default())
    }
}
