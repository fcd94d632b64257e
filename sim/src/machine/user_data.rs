//! The two things of user data that a stand-in needs: its host key and its settings.

use russh::keys::PrivateKey;
use serde::Deserialize;

/// As cloud-init's modules `ssh` and `write_files` read it.
#[derive(Deserialize)]
struct CloudConfig {
    ssh_keys: Keys,
    #[serde(default)]
    write_files: Vec<File>,
}

#[derive(Deserialize)]
struct Keys {
    ed25519_private: String,
}

#[derive(Deserialize)]
struct File {
    content: String,
}

/// What a machine is told in its first boot.
pub(super) struct UserData {
    pub(super) host_key: PrivateKey,
    /// What is appended to the worker's settings file.
    pub(super) settings: String,
}

impl UserData {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|e| format!("user data: {e}"))?;
        if !text.starts_with("#cloud-config\n") {
            return Err("user data is no #cloud-config".to_owned());
        }
        let read: CloudConfig =
            serde_yaml::from_str(text).map_err(|e| format!("user data: {e}"))?;
        let host_key = PrivateKey::from_openssh(read.ssh_keys.ed25519_private.trim_start());
        let settings = read.write_files.into_iter().map(|file| file.content);
        Ok(Self {
            host_key: host_key.map_err(|e| format!("user data's host key: {e}"))?,
            settings: settings.collect(),
        })
    }
}
