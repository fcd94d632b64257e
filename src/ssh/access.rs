//! How workers are reached: as whom, with what, and how patiently.

use super::InvalidKey;
use super::command::Account;
use super::host_key::supported;
use super::proved::proved_with;
use crate::config;
use russh::keys::{PrivateKey, PublicKey};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The key that opens the workers.
#[derive(Clone)]
pub struct SshKey(pub(super) Arc<PrivateKey>);

impl SshKey {
    /// Reads a private key in OpenSSH's format, without passphrase.
    ///
    /// # Errors
    /// Says why it cannot be used.
    pub fn parse(text: &SecretString) -> Result<Self, InvalidKey> {
        let key = PrivateKey::from_openssh(text.expose_secret().trim_start());
        let key = key.map_err(|e| InvalidKey::Format(e.to_string()))?;
        supported(&key.algorithm())?;
        if key.is_encrypted() {
            return Err(InvalidKey::Encrypted);
        }
        Ok(Self(Arc::new(key)))
    }

    /// Its type, such as `ssh-ed25519`.
    #[must_use]
    pub fn algorithm(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// Whether this public key, `TYPE BASE64 [COMMENT]`, is its other half.
    #[must_use]
    pub fn is_of(&self, public: &str) -> bool {
        let public = PublicKey::from_openssh(public);
        public.is_ok_and(|public| public.key_data() == self.0.public_key().key_data())
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SshKey(_)")
    }
}

/// What opens the workers.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Key(SshKey),
    Password(SecretString),
}

/// How workers are reached.
#[derive(Debug, Clone)]
pub struct Access {
    pub(super) user: String,
    pub(super) account: Account,
    pub(super) login: Login,
    pub(super) connect_timeout: Duration,
    pub(super) command_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) sysconfig: String,
    pub(super) proved: String,
}

impl Access {
    /// As configured.
    ///
    /// # Errors
    /// Where the private key cannot be used.
    pub fn new(config: &config::Ssh) -> Result<Self, InvalidKey> {
        Ok(Self {
            user: config.user.clone(),
            account: if config.forced_command {
                Account::Forced
            } else {
                Account::Shell
            },
            login: match &config.login {
                config::Login::Key(key) => Login::Key(SshKey::parse(key)?),
                config::Login::Password(password) => Login::Password(password.clone()),
            },
            connect_timeout: config.connect_timeout,
            command_timeout: config.command_timeout,
            session_timeout: config.session_timeout,
            sysconfig: config.sysconfig.clone(),
            proved: proved_with(&config.proved_worker_code),
        })
    }

    /// The same for another account.
    #[must_use]
    pub fn with_user(&self, user: &str) -> Self {
        Self {
            user: user.to_owned(),
            ..self.clone()
        }
    }
}
