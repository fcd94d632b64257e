//! What a new server's cloud-init is given: its host key and its settings, before sshd and the
//! worker's service come up. The cloud's key pair brings the accounts' authorized keys.

use super::{DerivedHostKey, WorkerSettings};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// The most that ECS takes, before base64 (ECS API, "Creating an ECS", `user_data`).
pub const MAX_USER_DATA_BYTES: usize = 32 * 1024;

/// User data that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserDataError {
    /// The cloud would refuse it.
    #[error("user data has {0} bytes, at most {MAX_USER_DATA_BYTES} are accepted")]
    TooLong(usize),
    /// It could not be written as YAML.
    #[error("user data: {0}")]
    Yaml(String),
}

/// Module names and keys as in cloud-init's documentation of `ssh` and `write_files`.
#[derive(Serialize)]
struct CloudConfig<'a> {
    ssh_keys: Keys<'a>,
    write_files: [File<'a>; 1],
}

#[derive(Serialize)]
struct Keys<'a> {
    ed25519_private: &'a str,
    ed25519_public: &'a str,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    append: bool,
    content: String,
}

/// The user data of an order's servers, a `#cloud-config` document: the same bytes for the same
/// arguments, since a repeated order must be the same to the last byte. Appended lines win over the
/// image's own, because the file is sourced by a shell.
///
/// # Errors
/// Where it would be longer than the cloud accepts.
pub fn render(
    settings: &WorkerSettings,
    sysconfig: &str,
    key: &DerivedHostKey,
) -> Result<SecretString, UserDataError> {
    let document = CloudConfig {
        ssh_keys: Keys {
            ed25519_private: key.openssh_private().expose_secret(),
            ed25519_public: key.public_line(),
        },
        write_files: [File {
            path: sysconfig,
            append: true,
            // the image's file may lack its final newline
            content: format!("\n{}", settings.lines()),
        }],
    };
    let yaml = serde_yaml::to_string(&document).map_err(|e| UserDataError::Yaml(e.to_string()))?;
    let text = format!("#cloud-config\n{yaml}");
    if text.len() > MAX_USER_DATA_BYTES {
        return Err(UserDataError::TooLong(text.len()));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OrderId;
    use crate::ssh::HostKeys;
    use crate::ssh::sysconfig::tests::settings;
    use std::process::Command;

    fn rendered(sysconfig: &str) -> Result<String, UserDataError> {
        let keys = HostKeys::new(&SecretString::from("s".repeat(32)));
        let key = keys.derive(&OrderId::new("order-1")).unwrap();
        let text = render(&settings(), sysconfig, &key)?;
        Ok(text.expose_secret().to_owned())
    }

    #[test]
    fn cloud_init_accepts_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("user-data");
        std::fs::write(&file, rendered("/etc/sysconfig/obs-server").unwrap()).unwrap();
        let checked = Command::new("/usr/bin/cloud-init")
            .args(["schema", "--config-file"])
            .arg(&file)
            .output()
            .expect("cloud-init has to be installed");
        assert!(checked.status.success(), "{checked:?}");
    }

    /// An order that was sent by one version of this program may be repeated by the next.
    #[test]
    fn the_same_order_has_the_same_bytes_in_every_version_of_this_program() {
        let text = rendered("/etc/sysconfig/obs-server").unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        assert_eq!(
            format!("{digest:?}"),
            "SHA256:d07531b29f8f870b08576f68a6a148f1dd858c815c6a72fa4bc5b2fca128dcef"
        );
    }

    #[test]
    fn it_says_what_was_meant_whatever_the_path_holds() {
        let path = "/etc/a: b\n- \"c\" #d";
        let text = rendered(path).unwrap();
        let read: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(read["write_files"][0]["path"], path);
        assert_eq!(
            read["write_files"][0]["content"],
            format!("\n{}", settings().lines())
        );
    }

    #[test]
    fn more_than_the_cloud_takes_is_refused_here() {
        let long = "x".repeat(MAX_USER_DATA_BYTES);
        assert!(matches!(rendered(&long), Err(UserDataError::TooLong(_))));
    }
}
