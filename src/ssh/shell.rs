//! A session on a worker: to a pinned host only, with a deadline on every step.

use super::command::Account;
use super::host_key::supported;
use super::{Command, InvalidKey, Output, Pinned, Service, SshError};
use crate::config;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred, client};
use secrecy::{ExposeSecret, SecretString};
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The most that a command may say, output and complaints together.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// The key that opens the workers.
#[derive(Clone)]
pub struct SshKey(Arc<PrivateKey>);

impl SshKey {
    /// Reads a private key in OpenSSH's format, without passphrase.
    ///
    /// # Errors
    /// Says why it cannot be used.
    pub fn parse(text: &SecretString) -> Result<Self, InvalidKey> {
        let key = PrivateKey::from_openssh(text.expose_secret().trim_start());
        let key = key.map_err(|e| InvalidKey::Format(e.to_string()))?;
        if key.is_encrypted() {
            return Err(InvalidKey::Encrypted);
        }
        supported(&key.algorithm())?;
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

/// How workers are reached.
#[derive(Debug, Clone)]
pub struct Access {
    user: String,
    account: Account,
    key: SshKey,
    connect_timeout: Duration,
    command_timeout: Duration,
    sysconfig: String,
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
            key: SshKey::parse(&config.private_key)?,
            connect_timeout: config.connect_timeout,
            command_timeout: config.command_timeout,
            sysconfig: config.sysconfig.clone(),
        })
    }
}

/// A session on a worker. Dropping it ends it.
pub struct RemoteShell {
    session: client::Handle<PinCheck>,
    account: Account,
    command_timeout: Duration,
    sysconfig: String,
}

impl RemoteShell {
    /// Connects, holds the host key against the pin, and signs in.
    ///
    /// # Errors
    /// Says which of the three failed; all of it within the connect timeout.
    pub async fn connect(access: &Access, host: &Pinned<SocketAddr>) -> Result<Self, SshError> {
        let after = access.connect_timeout;
        let session = tokio::time::timeout(after, sign_in(access, host))
            .await
            .map_err(|_| SshError::TimedOut {
                doing: "connecting",
                after,
            })??;
        Ok(Self {
            session,
            account: access.account,
            command_timeout: access.command_timeout,
            sysconfig: access.sysconfig.clone(),
        })
    }

    /// Runs a command to its end, within the command timeout.
    ///
    /// # Errors
    /// Where it could not be run, did not succeed, said too much or ended without exit status.
    pub async fn run(&self, command: Command<'_>) -> Result<Output, SshError> {
        let after = self.command_timeout;
        let output = tokio::time::timeout(after, self.exec(&command))
            .await
            .map_err(|_| SshError::TimedOut {
                doing: command.name(),
                after,
            })??;
        command.judge(output)
    }

    async fn exec(&self, command: &Command<'_>) -> Result<Output, SshError> {
        let mut channel = self.session.channel_open_session().await?;
        channel.exec(true, command.line(self.account)).await?;
        channel.data(command.input(self.account).as_bytes()).await?;
        channel.eof().await?;
        collect(&mut channel, command.name()).await
    }

    /// The worker's architecture, in `uname`'s word.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn arch(&self) -> Result<String, SshError> {
        let output = self.run(Command::Arch).await?;
        Ok(output.stdout.trim().to_owned())
    }

    /// The state of the service.
    ///
    /// # Errors
    /// As [`Self::run`], or an answer that is not understood.
    pub async fn service(&self) -> Result<Service, SshError> {
        Service::parse(&self.run(Command::Service).await?)
    }

    /// The settings file; empty where there is none.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn read_settings(&self) -> Result<String, SshError> {
        let path = &self.sysconfig;
        Ok(self.run(Command::ReadSettings { path }).await?.stdout)
    }

    /// Writes the settings file, whole or not at all.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn write_settings(&self, content: &str) -> Result<(), SshError> {
        let path = &self.sysconfig;
        self.run(Command::WriteSettings { path, content }).await?;
        Ok(())
    }
}

impl fmt::Debug for RemoteShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteShell(_)")
    }
}

async fn sign_in(
    access: &Access,
    host: &Pinned<SocketAddr>,
) -> Result<client::Handle<PinCheck>, SshError> {
    let config = client::Config {
        preferred: Preferred {
            key: Cow::Owned(vec![host.pin().key().algorithm()]),
            ..Preferred::DEFAULT
        },
        // a session that was given up half-way lives on in a task: this ends it
        inactivity_timeout: Some(access.connect_timeout + access.command_timeout),
        nodelay: true,
        ..client::Config::default()
    };
    let check = PinCheck { host: host.clone() };
    let mut session = client::connect(Arc::new(config), *host.host(), check).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&access.key.0), None);
    let signed_in = session.authenticate_publickey(&access.user, key).await?;
    if signed_in.success() {
        Ok(session)
    } else {
        Err(SshError::AuthRefused(access.user.clone()))
    }
}

async fn collect(
    channel: &mut Channel<client::Msg>,
    command: &'static str,
) -> Result<Output, SshError> {
    let (mut stdout, mut stderr, mut status) = (Vec::new(), Vec::new(), None);
    while let Some(message) = channel.wait().await {
        if let ChannelMsg::Data { data } = message {
            stdout.extend_from_slice(&data);
        } else if let ChannelMsg::ExtendedData { data, .. } = message {
            stderr.extend_from_slice(&data);
        } else if let ChannelMsg::ExitStatus { exit_status } = message {
            status = Some(exit_status);
        } else if matches!(message, ChannelMsg::Failure) {
            return Err(SshError::Protocol(format!("{command} was refused")));
        }
        if stdout.len() + stderr.len() > MAX_OUTPUT_BYTES {
            let limit = MAX_OUTPUT_BYTES;
            return Err(SshError::TooMuchOutput { command, limit });
        }
    }
    let status =
        status.ok_or_else(|| SshError::Protocol(format!("{command} has no exit status")))?;
    // not repaired: a settings file would be written back otherwise than it was
    let stdout = String::from_utf8(stdout).map_err(|error| SshError::Answer {
        command,
        found: error.to_string(),
    })?;
    Ok(Output {
        status,
        stdout,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// Accepts the pinned host key and no other.
struct PinCheck {
    host: Pinned<SocketAddr>,
}

impl client::Handler for PinCheck {
    type Error = SshError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, SshError> {
        let found = shown.public_key();
        if shown.certificate().is_none() && self.host.pin().accepts(&found) {
            return Ok(true);
        }
        Err(SshError::HostKey {
            addr: *self.host.host(),
            found: found.fingerprint(russh::keys::HashAlg::Sha256).to_string(),
            expected: self.host.pin().fingerprint(),
        })
    }
}
