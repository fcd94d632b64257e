//! What is wrong with a configuration: all of it, each fault with its place.

use super::yaml::{Position, Step, locate};
use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong. Shows no secret: of a secret only its variable or file is ever named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {path}: found {found}, expected {expected}")]
pub struct Fault {
    /// Where in the document, such as `pools[2].flavor.vcpus`; `.` is the document itself.
    pub path: String,
    /// The line, from 1. What is missing is reported where it would belong.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

/// Every fault of one document, by line; displayed one a line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The file, where the document was one.
    pub file: Option<PathBuf>,
    /// The faults.
    pub all: Vec<Fault>,
}

impl Faults {
    pub(super) fn and(mut self, more: Self) -> Self {
        self.all.extend(more.all);
        self.all.sort_by_key(|fault| (fault.line, fault.column));
        self
    }

    pub(super) fn in_file(self, path: &Path) -> Self {
        Self {
            file: Some(path.to_owned()),
            ..self
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.all.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            if let Some(file) = &self.file {
                write!(f, "{}:", file.display())?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A place in the document: where to look in the text, and the name that a person knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) steps: Vec<Step>,
    pub(super) path: String,
}

impl Place {
    pub(super) const fn root() -> Self {
        Self {
            steps: Vec::new(),
            path: String::new(),
        }
    }

    pub(super) fn entry(&self, number: usize, key: &str) -> Self {
        Self {
            steps: [self.steps.as_slice(), &[Step::Entry(number)]].concat(),
            path: self.path_of(key),
        }
    }

    pub(super) fn item(&self, number: usize) -> Self {
        Self {
            steps: [self.steps.as_slice(), &[Step::Item(number)]].concat(),
            path: format!("{}[{number}]", self.path),
        }
    }

    /// The key of this entry instead of its value.
    pub(super) fn key(mut self) -> Self {
        if let Some(Step::Entry(number)) = self.steps.last().copied() {
            self.steps.pop();
            self.steps.push(Step::Key(number));
        }
        self
    }

    /// A key that is not there: it is missed at the key of the map that lacks it.
    pub(super) fn missing(&self, key: &str) -> Self {
        let path = self.path_of(key);
        let at = self.clone().key();
        Self { path, ..at }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

struct Entry {
    place: Place,
    found: String,
    expected: String,
}

/// Takes down the faults while a document is read.
#[derive(Default)]
pub(super) struct Log {
    document: RefCell<Vec<Entry>>,
    secrets: RefCell<Vec<Entry>>,
    warnings: RefCell<Vec<Entry>>,
}

impl Log {
    /// Something is wrong with the document.
    pub(super) fn wrong(
        &self,
        place: Place,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.document.borrow_mut().push(Entry {
            place,
            found: found.into(),
            expected: expected.into(),
        });
    }

    /// A secret that the document names cannot be had here.
    pub(super) fn unread(
        &self,
        place: Place,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.secrets.borrow_mut().push(Entry {
            place,
            found: found.into(),
            expected: expected.into(),
        });
    }

    /// Something is valid, and less than what the program can do.
    pub(super) fn warn(&self, place: Place, found: impl Into<String>, expected: impl Into<String>) {
        self.warnings.borrow_mut().push(Entry {
            place,
            found: found.into(),
            expected: expected.into(),
        });
    }

    /// The faults of the document, those of the secrets, and the warnings, with their positions in
    /// `text`.
    pub(super) fn into_faults(self, text: &str) -> (Faults, Faults, Faults) {
        (
            located(self.document.into_inner(), text),
            located(self.secrets.into_inner(), text),
            located(self.warnings.into_inner(), text),
        )
    }
}

impl Fault {
    pub(super) fn new(at: Position, path: &str, found: String, expected: String) -> Self {
        Self {
            path: if path.is_empty() { "." } else { path }.to_owned(),
            line: at.line,
            column: at.column,
            found,
            expected,
        }
    }
}

fn located(entries: Vec<Entry>, text: &str) -> Faults {
    let locate = |e: Entry| {
        let at = locate(text, &e.place.steps);
        Fault::new(at, &e.place.path, e.found, e.expected)
    };
    let mut all: Vec<Fault> = entries.into_iter().map(locate).collect();
    all.sort_by_key(|fault| (fault.line, fault.column));
    Faults { file: None, all }
}
