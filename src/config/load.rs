//! From a file to a [`Config`], or to everything that is wrong with it.

use super::Config;
use super::document::read_config;
use super::fault::{Fault, Faults, Log};
use super::reader::Node;
use super::secret::{Outside, SecretPlace, SecretSource};
use super::yaml;
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The document is faulty, or its secrets cannot be had: one line for each fault.
    #[error(transparent)]
    Faulty(#[from] Faults),
}

impl ConfigError {
    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::Faulty(_) => "faulty",
        }
    }
}

impl Config {
    /// Reads a file and the secrets that it names.
    ///
    /// # Errors
    /// Every fault of the document, and every secret that cannot be had.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_file(path)?;
        Self::parse(&text, &Outside).map_err(|faults| faults.in_file(path).into())
    }

    /// Reads a file for a command that needs no secret: its secrets are not read, and what stands in
    /// their place opens nothing.
    ///
    /// # Errors
    /// Every fault of the document.
    pub fn load_without_secrets(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_file(path)?, &blank).map_err(|faults| faults.in_file(path).into())
    }

    /// Reads a file for a command that talks to the backends alone: their passwords are read, and what
    /// stands in the place of the other secrets opens nothing.
    ///
    /// # Errors
    /// Every fault of the document, and every password of a backend that cannot be had.
    pub fn load_for_backends(path: &Path) -> Result<Self, ConfigError> {
        let text = read_file(path)?;
        let examined = examine(&text, &blank, &Outside);
        whole(examined).map_err(|faults| faults.in_file(path).into())
    }

    /// Reads a document, with secrets from `secrets`.
    ///
    /// # Errors
    /// Every fault of the document, and every secret that cannot be had.
    pub fn parse(text: &str, secrets: &dyn SecretSource) -> Result<Self, Faults> {
        whole(examine(text, secrets, secrets))
    }
}

/// What stands in the place of a secret that is not asked for.
fn blank(_: &SecretPlace) -> Result<SecretString, String> {
    Ok(SecretString::from("-".repeat(64)))
}

/// A document without a fault, all of whose secrets could be had.
fn whole((config, document, notices): Examined) -> Result<Config, Faults> {
    let Notices { unread, warnings } = notices;
    match config {
        Some(config) if document.all.is_empty() && unread.all.is_empty() => {
            Ok(Config { warnings, ..config })
        }
        _ => Err(document.and(unread)),
    }
}

/// What is no fault of a document, and worth telling.
#[derive(Debug, Default)]
pub struct Notices {
    /// Secrets that cannot be had here, which `serve` would be refused for.
    pub unread: Faults,
    /// What is valid, and less than what the program can do.
    pub warnings: Faults,
}

/// Looks for faults in a file without needing its secrets: a document can be checked where they are
/// not, on a desk or in CI.
///
/// # Errors
/// Every fault of the document, and then also every secret that cannot be had.
pub fn check(path: &Path) -> Result<Notices, ConfigError> {
    let (_, document, notices) = examine(&read_file(path)?, &Outside, &Outside);
    if document.all.is_empty() {
        Ok(Notices {
            unread: notices.unread.in_file(path),
            warnings: notices.warnings.in_file(path),
        })
    } else {
        Err(document.and(notices.unread).in_file(path).into())
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// The configuration, where there is one; the document's faults; and the rest.
type Examined = (Option<Config>, Faults, Notices);

/// Reads a document, with the backends' passwords from `of_backends` and all other secrets from `secrets`.
fn examine(text: &str, secrets: &dyn SecretSource, of_backends: &dyn SecretSource) -> Examined {
    let tree = match yaml::parse(text) {
        Ok(tree) => tree,
        Err((at, words)) => {
            let found = format!("no YAML ({words})");
            let fault = Fault::new(at, "", found, "a YAML document".to_owned());
            let syntax = Faults {
                file: None,
                all: vec![fault],
            };
            return (None, syntax, Notices::default());
        }
    };
    let log = Log::default();
    let config = read_config(&Node::root(&tree, &log), secrets, of_backends);
    let (document, unread, warnings) = log.into_faults(text);
    (config, document, Notices { unread, warnings })
}
