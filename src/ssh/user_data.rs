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
    /// It would not come out of the template as it went in.
    #[error(
        "user data: a brace with '{{', '%' or '#' behind it would be read as part of a template"
    )]
    Template,
    /// It could not be written as YAML.
    #[error("user data: {0}")]
    Yaml(String),
}

/// Makes cloud-init fill in what stands in double braces ("Instance metadata", "Using instance-data").
const TEMPLATE: &str = "## template: jinja\n";

/// The server's name, by which the servers of one order differ. OpenStack's `meta_data.json` has it as
/// `name`; its `hostname` ends in `.novalocal` on Huawei Cloud (ECS user guide, "Metadata").
const SERVER_NAME: &str = "{{ ds.meta_data.name }}";

/// Module names and keys as in cloud-init's documentation of `set_hostname`, `ssh` and `write_files`.
#[derive(Serialize)]
struct CloudConfig<'a> {
    #[serde(flatten)]
    hostname: Option<Hostname>,
    ssh_keys: Keys<'a>,
    write_files: [File<'a>; 1],
}

/// An image may say otherwise in all three; distributions of the Red Hat family prefer the long name.
#[derive(Serialize)]
struct Hostname {
    hostname: &'static str,
    preserve_hostname: bool,
    prefer_fqdn_over_hostname: bool,
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
/// image's own, because the file is sourced by a shell. Each server takes its name as its host name; in
/// an order of an old journal, which is `unnamed`, whatever the image makes of it.
///
/// # Errors
/// Where it would be longer than the cloud accepts, or say something else once the template is filled in.
pub fn render(
    settings: &WorkerSettings,
    sysconfig: &str,
    key: &DerivedHostKey,
    unnamed: bool,
) -> Result<SecretString, UserDataError> {
    let hostname = (!unnamed).then_some(Hostname {
        hostname: SERVER_NAME,
        preserve_hostname: false,
        prefer_fqdn_over_hostname: false,
    });
    let document = CloudConfig {
        hostname,
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
    let text = if unnamed {
        format!("#cloud-config\n{yaml}")
    } else if is_plain(&yaml.replacen(SERVER_NAME, "", 1)) {
        format!("{TEMPLATE}#cloud-config\n{yaml}")
    } else {
        return Err(UserDataError::Template);
    };
    if text.len() > MAX_USER_DATA_BYTES {
        return Err(UserDataError::TooLong(text.len()));
    }
    Ok(SecretString::from(text))
}

/// Whether a template holds nothing to be filled in (Jinja, "Template Designer Documentation").
fn is_plain(text: &str) -> bool {
    !["{{", "{%", "{#"].iter().any(|begin| text.contains(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OrderId;
    use crate::ssh::HostKeys;
    use crate::ssh::sysconfig::tests::settings;
    use std::process::Command;

    fn rendered(sysconfig: &str) -> Result<String, UserDataError> {
        rendered_for(sysconfig, false)
    }

    fn rendered_for(sysconfig: &str, unnamed: bool) -> Result<String, UserDataError> {
        let keys = HostKeys::new(&SecretString::from("s".repeat(32)));
        let key = keys.derive(&OrderId::new("order-1")).unwrap();
        let text = render(&settings(), sysconfig, &key, unnamed)?;
        Ok(text.expose_secret().to_owned())
    }

    /// What cloud-init says, where it is content.
    fn cloud_init(arguments: &[&str]) -> String {
        let mut command = Command::new("/usr/bin/cloud-init");
        let ended = command.args(arguments).output();
        let ended = ended.expect("cloud-init has to be installed");
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    }

    /// Checks the document that cloud-init makes of user data for the server `obs-p-007`.
    fn taken_up(text: &str) -> serde_yaml::Value {
        let dir = tempfile::tempdir().unwrap();
        let [given, known, made] = ["user-data", "known", "made"].map(|name| dir.path().join(name));
        let [file, data, out] = [&given, &known, &made].map(|path| path.to_str().unwrap());
        std::fs::write(&given, text).unwrap();
        let long = "obs-p-007.novalocal";
        let meta_data = serde_json::json!({ "name": "obs-p-007", "hostname": long });
        let instance = serde_json::json!({ "ds": { "meta_data": meta_data } });
        std::fs::write(&known, instance.to_string()).unwrap();
        let render = ["devel", "render", "--instance-data", data, file];
        let text = if text.starts_with(TEMPLATE) {
            cloud_init(&render)
        } else {
            text.to_owned()
        };
        std::fs::write(&made, &text).unwrap();
        cloud_init(&["schema", "--config-file", out]);
        serde_yaml::from_str(&text).unwrap()
    }

    #[test]
    fn each_server_of_an_order_is_called_by_its_own_name() {
        let read = taken_up(&rendered("/etc/sysconfig/obs-server").unwrap());
        assert_eq!(read["hostname"], "obs-p-007");
        assert_eq!(read["prefer_fqdn_over_hostname"], false);
        let content = format!("\n{}", settings().lines());
        assert_eq!(read["write_files"][0]["content"], content);
        let old = taken_up(&rendered_for("/etc/sysconfig/obs-server", true).unwrap());
        assert_eq!(old.get("hostname"), None);
        assert_eq!(old["ssh_keys"], read["ssh_keys"]);
    }

    #[test]
    fn what_a_template_would_eat_is_refused() {
        for path in ["/etc/{{x}}", "/etc/{%x", "/etc/{#x"] {
            assert_eq!(rendered(path), Err(UserDataError::Template));
            assert!(rendered_for(path, true).is_ok(), "no template");
        }
    }

    /// An order that was sent by one version of this program may be repeated by the next.
    #[test]
    fn the_same_order_has_the_same_bytes_in_every_version_of_this_program() {
        let digest = |unnamed| {
            let text = rendered_for("/etc/sysconfig/obs-server", unnamed).unwrap();
            let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
            format!("{digest:?}")
        };
        assert_eq!(
            digest(true),
            "SHA256:d07531b29f8f870b08576f68a6a148f1dd858c815c6a72fa4bc5b2fca128dcef"
        );
        assert_eq!(
            digest(false),
            "SHA256:2fbfc69673537580dcff10d280598e6b15b7f602eda0279e492777b568dc8dd4"
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
