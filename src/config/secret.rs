//! Secrets: the document names where each one is, and never holds it.

use super::reader::{Node, Section};
use crate::ssh::SshKey;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// In an environment variable.
    Variable(String),
    /// In a file, of which a line's end at its end is no part.
    File(PathBuf),
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

/// Gives out secrets: [`Outside`] in earnest, a closure in tests.
pub trait SecretSource {
    /// The secret at this place.
    ///
    /// # Errors
    /// What is wrong with the place, as the end of a sentence that begins with the place; never with
    /// a word of the secret.
    fn secret(&self, place: &SecretPlace) -> Result<SecretString, String>;

    /// Whether it gives out the secrets themselves: what stands in for a key need not be one.
    fn in_earnest(&self) -> bool {
        false
    }
}

impl<F: Fn(&SecretPlace) -> Result<SecretString, String>> SecretSource for F {
    fn secret(&self, place: &SecretPlace) -> Result<SecretString, String> {
        self(place)
    }
}

/// The process's environment and the file system.
#[derive(Debug, Clone, Copy)]
pub struct Outside;

impl SecretSource for Outside {
    fn secret(&self, place: &SecretPlace) -> Result<SecretString, String> {
        let text = match place {
            SecretPlace::Variable(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => "which is not set".to_owned(),
                std::env::VarError::NotUnicode(_) => "which is not UTF-8".to_owned(),
            })?,
            SecretPlace::File(path) => of_file(path)?,
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err("which is empty".to_owned());
        }
        Ok(SecretString::from(secret))
    }

    fn in_earnest(&self) -> bool {
        true
    }
}

/// A secret that everybody on the machine can read is none.
fn of_file(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("which cannot be read ({error})");
    let about = std::fs::metadata(path).map_err(unreadable)?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(format!("which every user has access to (mode {mode:04o})"));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// What a secret has to look like, checked without ever showing it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) expected: &'static str,
    pub(super) lawful: fn(&str) -> bool,
    /// Why it is of no use though it is lawful; asked of a secret only, not of what stands in for one.
    pub(super) useless: fn(&SecretString) -> Option<String>,
}

/// A word that can stand in a header: visible ASCII.
pub(super) const WORD: Shape = Shape {
    expected: "a secret of visible ASCII characters",
    lawful: |text| text.chars().all(|c| c.is_ascii_graphic()),
    useless: |_| None,
};

/// A password: it is sent in Base64, or as it is over ssh.
pub(super) const PASSWORD: Shape = Shape {
    expected: "a password without control characters",
    lawful: |text| !text.contains(char::is_control),
    useless: |_| None,
};

/// A private key: the ssh room reads it, and refuses what it does not take.
pub(super) const PRIVATE_KEY: Shape = Shape {
    expected: "a private key in OpenSSH's format, ed25519 or ECDSA, without passphrase",
    lawful: |_| true,
    useless: |key| SshKey::parse(key).err().map(|why| why.to_string()),
};

/// What host keys are derived from: short ones could be guessed.
pub(super) const SEED: Shape = Shape {
    expected: "a secret of at least 32 bytes",
    lawful: |text| text.len() >= 32,
    useless: |_| None,
};

impl Shape {
    fn fault(self, secret: &SecretString, source: &dyn SecretSource) -> Option<String> {
        if !(self.lawful)(secret.expose_secret()) {
            return Some("which holds something else".to_owned());
        }
        let useless = source.in_earnest().then(|| (self.useless)(secret))?;
        useless.map(|why| format!("of no use: {why}"))
    }
}

impl Section<'_> {
    /// The secret whose place stands under exactly one of two keys, `…_env` and `…_file`.
    ///
    /// A secret that cannot be had is taken down apart from the document's own faults, and stands as
    /// an empty one until then, so that the rest of the document is still looked at. One that can be had
    /// and is of no use is a fault like any other.
    pub(super) fn secret(
        &self,
        [env, file]: [&'static str; 2],
        shape: Shape,
        source: &dyn SecretSource,
    ) -> Option<SecretString> {
        let (variable, path) = (self.get(env), self.get(file));
        let (node, place) = match (variable, path) {
            (Some(node), None) => (node.clone(), variable_name(&node)?),
            (None, Some(node)) => (node.clone(), file_path(&node)?),
            (Some(_), Some(node)) => {
                node.wrong(
                    "a second place for the secret",
                    format!("only one of {env} and {file}"),
                );
                return None;
            }
            (None, None) => {
                self.node.lacks(env, format!("{env} or {file}"));
                return None;
            }
        };
        let secret = source.secret(&place).unwrap_or_else(|why| {
            node.unread(format!("{place}, {why}"), shape.expected);
            SecretString::default()
        });
        if !secret.expose_secret().is_empty()
            && let Some(why) = shape.fault(&secret, source)
        {
            node.wrong(format!("{place}, {why}"), shape.expected);
        }
        Some(secret)
    }
}

/// A faulty place is not shown: the secret itself may have been put there by mistake.
fn hidden<T>(node: &Node<'_>, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let place = node.text().and_then(parse);
    if place.is_none() {
        node.wrong(
            "something else (not shown: it may be the secret itself)",
            expected,
        );
    }
    place
}

/// Upper case, as is the custom, since most secrets are not.
fn variable_name(node: &Node<'_>) -> Option<SecretPlace> {
    hidden(
        node,
        "the name of an environment variable, in A-Z, 0-9 and '_'",
        |name| {
            let lawful = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let first = name.starts_with(|c: char| c.is_ascii_uppercase());
            (first && name.chars().all(lawful)).then(|| SecretPlace::Variable(name.to_owned()))
        },
    )
}

fn file_path(node: &Node<'_>) -> Option<SecretPlace> {
    hidden(node, "the absolute path of a file", |path| {
        let lawful = path.starts_with('/') && !path.contains(char::is_control);
        lawful.then(|| SecretPlace::File(PathBuf::from(path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn a_secret_file_must_exist_and_be_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let place = SecretPlace::File(path.clone());
        let why = |place| Outside.secret(place).map(|_| ()).unwrap_err();
        assert!(why(&place).contains("cannot be read"));
        std::fs::write(&path, "s3cret\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(why(&place), "which every user has access to (mode 0644)");
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let secret = Outside.secret(&place).unwrap();
        assert_eq!(secret.expose_secret(), "s3cret");
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(why(&place), "which is empty");
        let unset = SecretPlace::Variable("OBS_SCALER_TEST_UNSET".to_owned());
        assert_eq!(why(&unset), "which is not set");
    }
}
