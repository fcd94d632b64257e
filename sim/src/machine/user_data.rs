//! The three things of user data that a stand-in needs: its host name, its host key and its settings.

use russh::keys::PrivateKey;
use serde::Deserialize;

/// The one thing that is filled in where user data is a template: the server's name, as OpenStack's
/// `meta_data.json` has it.
const SERVER_NAME: &str = "{{ ds.meta_data.name }}";

/// As cloud-init's modules `set_hostname`, `ssh` and `write_files` read it.
#[derive(Deserialize)]
struct CloudConfig {
    hostname: Option<String>,
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
    pub(super) hostname: String,
    pub(super) host_key: PrivateKey,
    /// What is appended to the worker's settings file.
    pub(super) settings: String,
}

impl UserData {
    /// What it says to the server of this name.
    pub(super) fn read(bytes: &[u8], name: &str) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|e| format!("user data: {e}"))?;
        let filled_in = text
            .strip_prefix("## template: jinja\n")
            .map(|template| template.replace(SERVER_NAME, name));
        let text = filled_in.as_deref().unwrap_or(text);
        if !text.starts_with("#cloud-config\n") {
            return Err("user data is no #cloud-config".to_owned());
        }
        let read: CloudConfig =
            serde_yaml::from_str(text).map_err(|e| format!("user data: {e}"))?;
        let host_key = PrivateKey::from_openssh(read.ssh_keys.ed25519_private.trim_start());
        let settings = read.write_files.into_iter().map(|file| file.content);
        Ok(Self {
            hostname: read.hostname.unwrap_or_else(|| name.to_owned()),
            host_key: host_key.map_err(|e| format!("user data's host key: {e}"))?,
            settings: settings.collect(),
        })
    }
}
