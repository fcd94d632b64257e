//! A session on a worker: to a pinned host only, and every step of it ends in time.

use super::access::Login;
use super::command::Account;
use super::leash::{Grip, Leash, leashed};
use super::{Access, Command, Facts, Output, Pinned, Service, SshError};
use russh::client::{self, AuthResult, DisconnectReason};
use russh::keys::{Algorithm, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred, kex};
use secrecy::ExposeSecret;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The most that a command may say, output and complaints together.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// No groups of primes: which one, and so how long it takes, would be the other side's choice.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// A session on a worker. It is over, and its connection closed, at the latest after the session timeout;
/// dropping it ends it at once, whatever the other side does.
pub struct RemoteShell {
    session: Session,
    account: Account,
    command_timeout: Duration,
    sysconfig: String,
    pub(super) proved: String,
}

impl RemoteShell {
    /// Connects, holds the host key against the pin, and signs in.
    ///
    /// # Errors
    /// Says which of the three failed; all of it within the connect timeout.
    pub async fn connect(access: &Access, host: &Pinned<SocketAddr>) -> Result<Self, SshError> {
        let session = within(access.connect_timeout, "connecting", async {
            let mut session = Session::open(access, host).await?;
            session.sign_in(access).await?;
            Ok(session)
        });
        Ok(Self {
            session: session.await?,
            account: access.account,
            command_timeout: access.command_timeout,
            sysconfig: access.sysconfig.clone(),
            proved: access.proved.clone(),
        })
    }

    /// Runs a command to its end, within the command timeout.
    ///
    /// # Errors
    /// Where it could not be run, did not succeed, said too much or ended without exit status.
    pub async fn run(&self, command: Command<'_>) -> Result<Output, SshError> {
        let output = within(self.command_timeout, command.name(), async {
            match self.exec(&command).await {
                Err(error) => Err(self.session.why(error).await),
                output => output,
            }
        });
        command.judge(output.await?)
    }

    async fn exec(&self, command: &Command<'_>) -> Result<Output, SshError> {
        let mut channel = self.session.handle.channel_open_session().await?;
        channel.exec(true, command.line(self.account)).await?;
        let input = command.input(self.account);
        channel.data(input.as_bytes()).await?;
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

    /// What the machine is.
    ///
    /// # Errors
    /// As [`Self::run`], or an answer that is not understood.
    pub async fn facts(&self) -> Result<Facts, SshError> {
        let path = &self.sysconfig;
        Facts::parse(&self.run(Command::Facts { path }).await?)
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

async fn within<T>(
    after: Duration,
    doing: &'static str,
    step: impl Future<Output = Result<T, SshError>>,
) -> Result<T, SshError> {
    let ended = tokio::time::timeout(after, step).await;
    ended.unwrap_or(Err(SshError::TimedOut { doing, after }))
}

/// The library's session, on its leash.
struct Session {
    handle: client::Handle<Visit>,
    /// Why it ended; its other end is dropped with the session.
    ended: watch::Receiver<Option<SshError>>,
    grip: Grip,
}

impl Session {
    /// Connects, and holds the host key against the pin.
    async fn open(access: &Access, host: &Pinned<SocketAddr>) -> Result<Self, SshError> {
        let stream = TcpStream::connect(host.host()).await;
        let stream = stream.map_err(|error| SshError::Connect(error.to_string()))?;
        let delay = stream.set_nodelay(true);
        delay.map_err(|error| SshError::Connect(error.to_string()))?;
        let (stream, grip) = leashed(stream, access.session_timeout);
        let (tell, ended) = watch::channel(None);
        let visit = Visit {
            host: host.clone(),
            tell,
        };
        let config = Arc::new(config(host.pin().key().algorithm()));
        Ok(Self {
            handle: client::connect_stream::<_, Leash<_>>(config, stream, visit).await?,
            ended,
            grip,
        })
    }

    async fn sign_in(&mut self, access: &Access) -> Result<(), SshError> {
        let user = &access.user;
        let (with, answer) = match &access.login {
            Login::Key(key) => {
                let key = PrivateKeyWithHashAlg::new(Arc::clone(&key.0), None);
                ("key", self.handle.authenticate_publickey(user, key).await)
            }
            Login::Password(password) => {
                let password = password.expose_secret();
                let answer = self.handle.authenticate_password(user, password).await;
                ("password", answer)
            }
        };
        match answer {
            Ok(AuthResult::Success) => {
                self.grip.signed_in();
                Ok(())
            }
            // a session that breaks off is answered for like this, too
            Ok(AuthResult::Failure { .. }) if self.handle.is_closed() => {
                Err(self.why(SshError::closed()).await)
            }
            Ok(AuthResult::Failure { .. }) => Err(SshError::AuthRefused {
                user: user.clone(),
                with,
            }),
            Err(error) => Err(self.why(error.into()).await),
        }
    }

    /// What ended the session, where an error came of its end.
    async fn why(&self, error: SshError) -> SshError {
        let of_the_end = matches!(error, SshError::Connect(_) | SshError::Protocol(_));
        if !of_the_end || !self.handle.is_closed() {
            return error;
        }
        let mut ended = self.ended.clone();
        let why = ended.wait_for(Option::is_some).await;
        why.map_or(None, |why| why.clone()).unwrap_or(error)
    }
}

fn config(host_key: Algorithm) -> client::Config {
    client::Config {
        preferred: Preferred {
            key: Cow::Owned(vec![host_key]),
            kex: Cow::Borrowed(KEX),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
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

/// What the library asks us while the session runs.
struct Visit {
    host: Pinned<SocketAddr>,
    tell: watch::Sender<Option<SshError>>,
}

impl client::Handler for Visit {
    type Error = SshError;

    /// Accepts the pinned host key and no other.
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

    async fn disconnected(&mut self, reason: DisconnectReason<SshError>) -> Result<(), SshError> {
        self.tell.send_replace(Some(match reason {
            DisconnectReason::Error(error) => error,
            DisconnectReason::ReceivedDisconnect(_) => SshError::closed(),
        }));
        Ok(())
    }
}
