//! This machine, the keys, the backends and the workers.

use super::finding::Finding;
use super::refused::refused;
use crate::ecs::{EcsError, KeyPair};
use crate::model::{DaemonState, Results, Server, Workers};
use crate::ssh::{InvalidKey, Service, SshKey};
use std::path::Path;

/// Whether the journal can be written where it is to be: a file is made there, and taken away.
pub(super) fn state_dir(path: &Path) -> Finding {
    let what = "state_dir";
    let probe = path.join(format!(".doctor-{}", std::process::id()));
    let tried = std::fs::File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::ok(what, format!("{}, writable", path.display())),
        Err(why) => Finding::fail(
            what,
            format!("{}: {why}", path.display()),
            "a directory that this user may write",
            "make it, and give it to the service's user; run this command as that user",
        ),
    }
}

/// Whether the private key opens anything; without one there is a password.
pub(super) fn login(key: Option<&Result<SshKey, InvalidKey>>) -> Finding {
    let what = "ssh private key";
    match key {
        None => Finding::ok("ssh password", "it is there"),
        Some(Ok(key)) => Finding::ok(what, key.algorithm()),
        Some(Err(why)) => Finding::fail(
            what,
            why.to_string(),
            "ed25519 or ECDSA, in OpenSSH's format, without passphrase",
            "ssh-keygen -t ed25519 -N '', import its public half as a key pair, name both in the configuration",
        ),
    }
}

/// The least length of the secret, in bytes.
const SECRET: usize = 32;

/// Whether the host keys are hard to guess.
pub(super) fn host_key_secret(length: usize) -> Finding {
    let (what, found) = ("host key secret", format!("{length} bytes"));
    if length >= SECRET {
        return Finding::ok(what, found);
    }
    Finding::fail(
        what,
        found,
        format!("at least {SECRET} bytes"),
        "openssl rand -hex 32; servers ordered before are not trusted any more then",
    )
}

/// Whether the key pair that new workers accept is that of our private key.
pub(super) fn key_pair(
    name: &str,
    found: &Result<Option<KeyPair>, EcsError>,
    key: Option<&SshKey>,
) -> Finding {
    let what = format!("key pair {name}");
    match (found, key) {
        (Err(error), _) => refused(what, error),
        (Ok(None), _) => Finding::fail(
            what,
            "none of that name",
            "one that is there",
            "import the public half of the private key under that name, or correct ecs.key_name",
        ),
        (Ok(Some(_)), None) => Finding::ok(what, "it is there"),
        (Ok(Some(pair)), Some(key)) if key.is_of(&pair.public_key) => {
            Finding::ok(what, "it is that of the private key")
        }
        (Ok(Some(_)), Some(_)) => Finding::fail(
            what,
            "another key than the private key under `ssh`",
            "its public half",
            "name the private key's own pair in ecs.key_name: no new worker could be reached",
        ),
    }
}

/// Whether a backend's list of workers was read whole, and who of its daemons is dead.
pub(super) fn workers(backend: &str, read: &Result<Workers, String>) -> Finding {
    let what = format!("workers of backend {backend}");
    let workers = match read {
        Err(why) => return unread(what, why),
        Ok(workers) => workers,
    };
    let dead = workers
        .daemons
        .iter()
        .filter(|daemon| daemon.state == DaemonState::Dead);
    let dead: Vec<&str> = dead.map(|daemon| daemon.kind.as_str()).collect();
    let found = format!("{} instances", workers.instances.len());
    if dead.is_empty() {
        return Finding::ok(what, found);
    }
    let found = format!("{found}, dead daemons: {}", dead.join(", "));
    Finding::fail(what, found, "none dead", "start them on the backend").only_a_warning()
}

/// Whether a backend's results were read whole.
pub(super) fn results(backend: &str, read: &Result<Results, String>) -> Finding {
    let what = format!("results of backend {backend}");
    match read {
        Err(why) => unread(what, why),
        Ok(results) => Finding::ok(what, format!("{} jobs", results.jobs.len())),
    }
}

fn unread(what: String, why: &str) -> Finding {
    Finding::fail(
        what,
        why,
        "a whole document",
        "check the backend's addresses in the configuration, that its servers run, and that its projects are there",
    )
}

/// Whether a worker lets us in, and knows its service.
pub(super) fn worker(server: &Server, asked: &Result<Service, String>) -> Finding {
    let what = format!("ssh to worker {}", server.name);
    match asked {
        Ok(service) => Finding::ok(what, format!("obsworker is {}", service.unit)),
        Err(why) => Finding::fail(
            what,
            why,
            "a login, and the state of obsworker",
            "check the security group, the routes, sshd on it, and its host key: ssh.host_key_secret of the time of its order, or a line in ssh.known_hosts_file",
        ),
    }
}
