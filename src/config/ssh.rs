//! The section `ssh`: how workers are reached.

use super::backend_hosts::{BackendHost, can_be_reached, read_backend_hosts};
use super::reader::{Parsed, Section};
use super::secret::{PASSWORD, PRIVATE_KEY, SEED, SecretSource};
use super::units::{duration, flag, local_path, number, path, text};
use super::yaml::Tree;
use crate::model::BackendName;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How workers are reached.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// The account.
    pub user: String,
    /// The port.
    pub port: u16,
    /// Whether the account has `obs-scaler-hands` as its forced command.
    pub forced_command: bool,
    /// What opens the account.
    pub login: Login,
    /// What the servers' host keys are derived from: at least 32 bytes.
    pub host_key_secret: SecretString,
    /// Where the host keys of adopted servers stand, as OpenSSH writes them.
    pub known_hosts_file: Option<PathBuf>,
    /// For the connection, up to and including authentication.
    pub connect_timeout: Duration,
    /// For one command.
    pub command_timeout: Duration,
    /// For a session, from connect to close.
    pub session_timeout: Duration,
    /// The worker's configuration file.
    pub sysconfig: String,
    /// Digests of worker code that the site has proved the cordon on by itself.
    pub proved_worker_code: Vec<String>,
    /// The hosts of repository servers, where workers can be disabled.
    pub backend_hosts: BTreeMap<BackendName, BackendHost>,
}

/// What opens the account.
#[derive(Debug, Clone)]
pub enum Login {
    /// A private key in OpenSSH's format.
    Key(SecretString),
    /// A password.
    Password(SecretString),
}

pub(super) fn read_ssh(ssh: &Section<'_>, secrets: &dyn SecretSource) -> Option<Ssh> {
    let user = ssh.or("user", "root".to_owned(), user);
    let port = ssh.or("port", 22, number(1..=u16::MAX));
    let forced_command = ssh.or("forced_command", false, flag);
    let login = read_login(ssh, secrets);
    let host_key_secret = ["host_key_secret_env", "host_key_secret_file"];
    let host_key_secret = ssh.secret(host_key_secret, SEED, secrets);
    let known_hosts_file = match ssh.get("known_hosts_file") {
        None => Some(None),
        Some(node) => node.read(local_path).map(Some),
    };
    let connect_timeout = ssh.or("connect_timeout", Duration::from_secs(10), duration);
    let command_timeout = ssh.or("command_timeout", Duration::from_secs(60), duration);
    let session_timeout = ssh.or("session_timeout", Duration::from_mins(5), duration);
    let proved_worker_code = match ssh.get("proved_worker_code") {
        None => Some(Vec::new()),
        Some(node) => node.list(|code| code.read(worker_code)),
    };
    let backend_hosts = read_backend_hosts(ssh);
    if let (Some(hosts), Some(forced), Some(known)) =
        (&backend_hosts, forced_command, &known_hosts_file)
    {
        can_be_reached(hosts, forced, known.is_some(), &ssh.node);
    }
    let sysconfig = ssh.or("sysconfig", "/etc/sysconfig/obs-server".to_owned(), path);
    Some(Ssh {
        user: user?,
        port: port?,
        forced_command: forced_command?,
        login: login?,
        host_key_secret: host_key_secret?,
        known_hosts_file: known_hosts_file?,
        connect_timeout: connect_timeout?,
        command_timeout: command_timeout?,
        session_timeout: session_timeout?,
        sysconfig: sysconfig?,
        proved_worker_code: proved_worker_code?,
        backend_hosts: backend_hosts?,
    })
}

/// A key or a password, not both: which one is meant should be plain to see.
fn read_login(ssh: &Section<'_>, secrets: &dyn SecretSource) -> Option<Login> {
    let key = ["private_key_env", "private_key_file"];
    let password = ["password_env", "password_file"];
    let [of_key, of_password] = [key, password].map(|keys| {
        let [env, file] = keys.map(|key| ssh.get(key));
        env.or(file)
    });
    let one = || format!("one of {} and {}", key.join(", "), password.join(", "));
    match (of_key, of_password) {
        (Some(_), None) => ssh.secret(key, PRIVATE_KEY, secrets).map(Login::Key),
        (None, Some(_)) => ssh.secret(password, PASSWORD, secrets).map(Login::Password),
        (Some(_), Some(second)) => {
            second.wrong("a password beside a private key", one());
            None
        }
        (None, None) => {
            ssh.node.lacks("private_key_file", one());
            None
        }
    }
}

pub(super) fn user(tree: &Tree) -> Parsed<String> {
    let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let expected = "1 to 32 of a-z, 0-9, '-' and '_'";
    text(expected, 32, lawful)(tree)
}

/// As `cordon.pl` prints it.
fn worker_code(tree: &Tree) -> Parsed<String> {
    let expected = "32 of 0-9 and a-f, as the report of an unproved worker has it";
    let lawful = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text(expected, 32, lawful)(tree).and_then(|code| {
        let whole = code.len() == 32;
        whole.then_some(code).ok_or_else(|| expected.to_owned())
    })
}
