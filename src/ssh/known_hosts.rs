//! Host keys of servers that no order bought, from a file as OpenSSH writes it (sshd(8),
//! "SSH_KNOWN_HOSTS FILE FORMAT").

use super::Pin;
use super::host_key::supported;
use ring::hmac;
use russh::keys::PublicKey;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts, Marker};
use std::path::{Path, PathBuf};

/// Why there is no host key for a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpinned {
    /// No file is configured.
    #[error("no order bought it, and no ssh.known_hosts_file is configured")]
    NoFile,
    /// The file can not be read.
    #[error("ssh.known_hosts_file {}: {why}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No line of the file is for the host and of an algorithm that is supported.
    #[error("its host key is not in {}", .path.display())]
    NotListed {
        /// The file.
        path: PathBuf,
    },
}

/// The host key of a host, which is known by several names: its address, and its own name. Of several
/// algorithms ed25519 goes before ecdsa; others are not supported. Keys that the file revokes do not
/// count, and neither do patterns with wildcards: a pin is for one host.
///
/// The file is read anew at each call: it is small, and what a person adds to it counts at once.
///
/// # Errors
/// Says why there is none.
pub fn known_pin(file: Option<&Path>, names: &[&str], port: u16) -> Result<Pin, Unpinned> {
    let path = file.ok_or(Unpinned::NoFile)?;
    let text = std::fs::read_to_string(path).map_err(|error| Unpinned::Unreadable {
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    find(&text, names, port).ok_or_else(|| Unpinned::NotListed {
        path: path.to_owned(),
    })
}

fn find(text: &str, names: &[&str], port: u16) -> Option<Pin> {
    let names: Vec<String> = names.iter().map(|name| written(name, port)).collect();
    // a line that can not be read spoils no other
    let entries: Vec<Entry> = text
        .lines()
        .flat_map(|line| KnownHosts::new(line).flatten())
        .filter(|entry| is_for(entry.host_patterns(), &names))
        .collect();
    let of = |marker: Option<Marker>| {
        let same = move |entry: &&Entry| entry.marker() == marker.as_ref();
        entries.iter().filter(same).map(Entry::public_key)
    };
    let revoked = |key: &&PublicKey| {
        let mut revoked = of(Some(Marker::Revoked));
        revoked.any(|other| other.key_data() == key.key_data())
    };
    let usable = of(None).filter(|key| supported(&key.algorithm()).is_ok() && !revoked(key));
    let first = usable.min_by_key(|key| key.algorithm().as_str() != "ssh-ed25519")?;
    // without the line's comment, which is no part of a key
    Pin::parse(
        &PublicKey::from(first.key_data().clone())
            .to_openssh()
            .ok()?,
    )
    .ok()
}

/// A host as the file has it: other ports than 22 stand behind the name in brackets.
fn written(name: &str, port: u16) -> String {
    match port {
        22 => name.to_owned(),
        port => format!("[{name}]:{port}"),
    }
}

fn is_for(patterns: &HostPatterns, names: &[String]) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => patterns.iter().any(|pattern| names.contains(pattern)),
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            let matches = |name: &String| hmac::verify(&key, name.as_bytes(), hash).is_ok();
            names.iter().any(matches)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    struct Keys {
        dir: tempfile::TempDir,
    }

    impl Keys {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir }
        }

        /// The public key, `ALGORITHM BASE64`.
        fn make(&self, name: &str, kind: &str) -> String {
            let path = self.dir.path().join(name);
            let made = Command::new("/usr/bin/ssh-keygen")
                .args(["-q", "-N", "", "-C", "", "-t", kind, "-f"])
                .arg(&path)
                .status();
            assert!(made.unwrap().success());
            let line = std::fs::read_to_string(path.with_extension("pub")).unwrap();
            line.trim().to_owned()
        }

        /// The same file with every name hashed by OpenSSH itself.
        fn hashed(&self, text: &str) -> String {
            let path = self.dir.path().join("known_hosts");
            std::fs::write(&path, text).unwrap();
            let hashed = Command::new("/usr/bin/ssh-keygen")
                .args(["-q", "-H", "-f"])
                .arg(&path)
                .status();
            assert!(hashed.unwrap().success());
            std::fs::read_to_string(path).unwrap()
        }
    }

    fn pin(key: &str) -> Option<Pin> {
        Some(Pin::parse(key).unwrap())
    }

    #[test]
    fn a_host_is_found_by_its_address_or_its_name_at_its_port() {
        let keys = Keys::new();
        let (one, two) = (keys.make("one", "ed25519"), keys.make("two", "ed25519"));
        let text = format!("# farm\nw1,10.0.0.1 {one} comment\n[10.0.0.2]:2222 {two}\n");
        assert_eq!(find(&text, &["10.0.0.1"], 22), pin(&one));
        assert_eq!(find(&text, &["10.0.0.9", "w1"], 22), pin(&one));
        assert_eq!(find(&text, &["10.0.0.2"], 2222), pin(&two));
        assert_eq!(find(&text, &["10.0.0.2"], 22), None);
        assert_eq!(find(&text, &["10.0.0.1"], 2222), None);
    }

    #[test]
    fn names_that_openssh_hashed_are_found() {
        let keys = Keys::new();
        let (one, two) = (keys.make("one", "ed25519"), keys.make("two", "ed25519"));
        let text = keys.hashed(&format!("10.0.0.1 {one}\n[10.0.0.2]:2222 {two}\n"));
        assert!(text.contains("|1|") && !text.contains("10.0.0"), "{text}");
        assert_eq!(find(&text, &["10.0.0.1"], 22), pin(&one));
        assert_eq!(find(&text, &["10.0.0.2"], 2222), pin(&two));
        assert_eq!(find(&text, &["10.0.0.3"], 22), None);
    }

    #[test]
    fn of_several_algorithms_ed25519_goes_first_and_what_is_not_supported_is_left_out() {
        let keys = Keys::new();
        let rsa = keys.make("rsa", "rsa");
        let (ecdsa, ed25519) = (keys.make("ecdsa", "ecdsa"), keys.make("ed", "ed25519"));
        let mut text = format!("h {rsa}\nnonsense\nh {ecdsa}\n");
        assert_eq!(find(&text, &["h"], 22), pin(&ecdsa));
        text += &format!("h {ed25519}\n");
        assert_eq!(find(&text, &["h"], 22), pin(&ed25519));
        text += &format!("@revoked h {ed25519}\n");
        assert_eq!(find(&text, &["h"], 22), pin(&ecdsa));
    }

    #[test]
    fn neither_a_wildcard_nor_an_authority_is_a_pin() {
        let keys = Keys::new();
        let key = keys.make("one", "ed25519");
        let text = format!("10.0.0.* {key}\n@cert-authority 10.0.0.1 {key}\n");
        assert_eq!(find(&text, &["10.0.0.1"], 22), None);
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let missing = known_pin(Some(Path::new("/no/such/file")), &["h"], 22).unwrap_err();
        let words = missing.to_string();
        assert!(
            words.starts_with("ssh.known_hosts_file /no/such/file: "),
            "{words}"
        );
        assert_eq!(known_pin(None, &["h"], 22), Err(Unpinned::NoFile));
    }
}
