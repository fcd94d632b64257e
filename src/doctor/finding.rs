//! What a check found, and what is to be done about it.

use serde::Serialize;
use std::fmt;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and will not for long, or not as expected.
    Warn,
    /// Something that the program has to do cannot be done.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it ended.
    pub verdict: Verdict,
    /// What was looked at.
    pub what: String,
    /// What is so.
    pub found: String,
    /// What should be so; empty where it is.
    pub expected: String,
    /// What is to be done; empty where nothing is.
    #[serde(rename = "do")]
    pub mend: String,
}

impl Finding {
    /// All is well.
    pub fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            what: what.into(),
            found: found.into(),
            expected: String::new(),
            mend: String::new(),
        }
    }

    /// A failure: what was looked at, what is so, what should be, and what to do.
    pub fn fail(
        what: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Fail,
            expected: expected.into(),
            mend: mend.into(),
            ..Self::ok(what, found)
        }
    }

    /// The same, and the program can go on with it.
    #[must_use]
    pub fn only_a_warning(self) -> Self {
        Self {
            verdict: Verdict::Warn,
            ..self
        }
    }
}

impl fmt::Display for Finding {
    /// One line, whatever the cloud's words hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let mut line = format!("{verdict:<4}  {}  found {}", self.what, self.found);
        for (word, text) in [("  expected", &self.expected), ("  -> do", &self.mend)] {
            if !text.is_empty() {
                line = format!("{line}{word} {text}");
            }
        }
        let plain = line.chars().map(|c| if c.is_control() { ' ' } else { c });
        f.write_str(&plain.collect::<String>())
    }
}

/// How many of them ended so.
#[must_use]
pub fn count(findings: &[Finding], verdict: Verdict) -> usize {
    let all = findings.iter().filter(|found| found.verdict == verdict);
    all.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_says_what_to_do() {
        let failed = Finding::fail("image", "queued\nand more", "active", "wait");
        let line = "FAIL  image  found queued and more  expected active  -> do wait";
        assert_eq!(failed.to_string(), line);
        let warned = failed.only_a_warning().to_string();
        assert!(warned.starts_with("warn  image"), "{warned}");
        assert_eq!(
            Finding::ok("clock", "0 s").to_string(),
            "ok    clock  found 0 s"
        );
    }
}
