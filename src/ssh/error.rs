//! What can go wrong between us and a worker.
//!
//! There is no `retry()` here: whatever failed, the worker is looked at again at the next tick until
//! its deadline, and what was not learnt is not known.

use std::net::SocketAddr;
use std::time::Duration;

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is not what OpenSSH writes.
    #[error("it is no private key in OpenSSH's format ({0})")]
    Format(String),
    /// It asks for a passphrase.
    #[error("the key is encrypted, and nobody is there to type its passphrase")]
    Encrypted,
    /// Its algorithm is not supported.
    #[error(
        "the key is of type {0}, whose signatures are not built in (ssh-ed25519 and ecdsa-sha2-nistp256, -384, -521 are)"
    )]
    Algorithm(String),
}

/// Why a worker could not be asked, or did not do as it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshError {
    /// No connection, or it broke.
    #[error("connection failed: {0}")]
    Connect(String),
    /// Not done within its deadline.
    #[error("{doing} took longer than {} s", .after.as_secs_f32())]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// Somebody else answered.
    #[error("{addr} has host key {found}, expected {expected}")]
    HostKey {
        /// Where.
        addr: SocketAddr,
        /// The fingerprint of the key that it has.
        found: String,
        /// The fingerprint that was pinned.
        expected: String,
    },
    /// The host does not let us in.
    #[error("the {with} was refused for user {user}")]
    AuthRefused {
        /// The account.
        user: String,
        /// What opens it: key or password.
        with: &'static str,
    },
    /// The other side says more than anybody there has to say.
    #[error("more than {limit} bytes came {when}")]
    Flood {
        /// When.
        when: &'static str,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A command ended, and not well.
    #[error("{command} ended with status {status}: {stderr}")]
    ExitStatus {
        /// Which command.
        command: &'static str,
        /// Its exit status.
        status: u32,
        /// The beginning of what it said.
        stderr: String,
    },
    /// A command said more than any command has to say.
    #[error("{command} wrote more than {limit} bytes")]
    TooMuchOutput {
        /// Which command.
        command: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A command's answer was not understood.
    #[error("{command} answered {found:?}")]
    Answer {
        /// Which command.
        command: &'static str,
        /// What was not understood.
        found: String,
    },
    /// The other side did not keep to the protocol, or ended without an exit status.
    #[error("ssh: {0}")]
    Protocol(String),
}

impl SshError {
    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::TimedOut { .. } => "timeout",
            Self::HostKey { .. } => "host_key",
            Self::AuthRefused { .. } => "auth",
            Self::Flood { .. } => "flood",
            Self::ExitStatus { .. } => "exit_status",
            Self::TooMuchOutput { .. } => "output",
            Self::Answer { .. } => "answer",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// The most of the other side's words that an error repeats, in characters.
const MAX_WORDS: usize = 300;

impl SshError {
    /// The other side ended it.
    pub(super) fn closed() -> Self {
        Self::Connect("closed by the other side".to_owned())
    }
}

impl From<russh::Error> for SshError {
    fn from(error: russh::Error) -> Self {
        let io = match error {
            russh::Error::IO(io) => io,
            russh::Error::Disconnect | russh::Error::HUP => return Self::closed(),
            other => return Self::Protocol(other.to_string().chars().take(MAX_WORDS).collect()),
        };
        // a leash that was pulled says why
        let own = io.get_ref().and_then(|own| own.downcast_ref::<Self>());
        match (own, io.kind()) {
            (Some(own), _) => own.clone(),
            (None, std::io::ErrorKind::UnexpectedEof) => Self::closed(),
            (None, _) => Self::Connect(io.to_string()),
        }
    }
}
