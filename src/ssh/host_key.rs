//! Host keys that are known before the server exists.
//!
//! The key of every server of an order is derived from a secret and the order's id, and placed by
//! cloud-init: no trust on first use, and nothing to keep. Whoever is root on a worker can read it
//! there, and so can answer for the other servers of the same order.

use super::InvalidKey;
use crate::model::OrderId;
use ring::hmac;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Derives the host keys of the servers that we order.
#[derive(Clone)]
pub struct HostKeys {
    secret: hmac::Key,
}

impl HostKeys {
    /// Derives from this secret, which is to be as hard to guess as a key: at least 32 bytes.
    #[must_use]
    pub fn new(secret: &SecretString) -> Self {
        let secret = secret.expose_secret().as_bytes();
        Self {
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    /// The host key of an order's servers: ed25519, its seed HMAC-SHA256 of the order's id. The same
    /// bytes every time, the check number of the private block included.
    ///
    /// # Errors
    /// None in practice: encoding a key of fixed size can only fail by a fault of the library.
    pub fn derive(&self, order: &OrderId) -> Result<DerivedHostKey, InvalidKey> {
        let tag = hmac::sign(&self.secret, order.as_str().as_bytes());
        let seed = tag.as_ref().try_into().map_err(unreadable)?;
        let key = PrivateKey::from(Ed25519Keypair::from_seed(seed));
        let private = key.to_openssh(LineEnding::LF).map_err(unreadable)?;
        Ok(DerivedHostKey {
            private: SecretString::from(private.as_str()),
            public_line: key.public_key().to_openssh().map_err(unreadable)?,
            pin: Pin(key.public_key().clone()),
        })
    }
}

impl fmt::Debug for HostKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKeys(_)")
    }
}

fn unreadable(error: impl fmt::Display) -> InvalidKey {
    InvalidKey::Format(error.to_string())
}

/// RSA is refused with a reason: its signatures are not built in.
pub(super) fn supported(algorithm: &Algorithm) -> Result<(), InvalidKey> {
    if matches!(algorithm, Algorithm::Ed25519 | Algorithm::Ecdsa { .. }) {
        Ok(())
    } else {
        Err(InvalidKey::Algorithm(algorithm.to_string()))
    }
}

/// The host key of one order's servers.
#[derive(Debug, Clone)]
pub struct DerivedHostKey {
    private: SecretString,
    public_line: String,
    pin: Pin,
}

impl DerivedHostKey {
    /// The private key in OpenSSH's format, with a final newline.
    #[must_use]
    pub const fn openssh_private(&self) -> &SecretString {
        &self.private
    }

    /// The public key as one line, `ssh-ed25519 AAAA…`, without newline or comment.
    #[must_use]
    pub fn public_line(&self) -> &str {
        &self.public_line
    }

    /// What the servers are to be held against.
    #[must_use]
    pub const fn pin(&self) -> &Pin {
        &self.pin
    }
}

/// The one host key that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin(PublicKey);

impl Pin {
    /// Reads a public key, `ssh-ed25519 AAAA… [comment]`.
    ///
    /// # Errors
    /// Says why it is none, or none that can be checked.
    pub fn parse(line: &str) -> Result<Self, InvalidKey> {
        let key = PublicKey::from_openssh(line).map_err(unreadable)?;
        supported(&key.algorithm())?;
        Ok(Self(key))
    }

    /// Whether this is the key that is pinned; comments do not count.
    #[must_use]
    pub fn accepts(&self, key: &PublicKey) -> bool {
        self.0.key_data() == key.key_data()
    }

    /// The fingerprint, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.0
    }
}

/// A host together with the key that it must show: nothing else can be connected to, and there is none
/// without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned<Host> {
    host: Host,
    pin: Pin,
}

impl<Host> Pinned<Host> {
    /// This host, held to this key.
    #[must_use]
    pub const fn new(host: Host, pin: Pin) -> Self {
        Self { host, pin }
    }

    /// Who it is; to connect to it, where its ssh server listens.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The key.
    #[must_use]
    pub const fn pin(&self) -> &Pin {
        &self.pin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    const ORDER: &str = "0b6f1f3c-8a43-4a0e-9d27-5d0f5f9d3f10";

    fn derived(secret: &str, order: &str) -> DerivedHostKey {
        let keys = HostKeys::new(&SecretString::from(secret));
        keys.derive(&OrderId::new(order)).unwrap()
    }

    #[test]
    fn openssh_reads_the_private_key_and_finds_the_same_public_key_in_it() {
        let key = derived(&"s".repeat(32), ORDER);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let private = key.openssh_private().expose_secret();
        file.write_all(private.as_bytes()).unwrap();
        let public = Command::new("/usr/bin/ssh-keygen")
            .args(["-y", "-f"])
            .arg(file.path())
            .stderr(Stdio::inherit())
            .output()
            .expect("ssh-keygen, of the package openssh-client, has to be installed");
        let public = String::from_utf8(public.stdout).unwrap();
        assert_eq!(public.trim_end(), key.public_line());
        assert!(key.pin().accepts(Pin::parse(&public).unwrap().key()));
    }

    #[test]
    fn another_order_or_secret_has_another_key() {
        let key = derived(&"s".repeat(32), ORDER);
        assert_ne!(key.pin(), derived(&"s".repeat(32), "another").pin());
        assert_ne!(key.pin(), derived(&"t".repeat(32), ORDER).pin());
    }

    #[test]
    fn no_secret_is_shown() {
        let key = derived(&"s".repeat(32), ORDER);
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
