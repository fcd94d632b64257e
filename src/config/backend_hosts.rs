//! The section `ssh.backend_hosts`: how the hosts of repository servers are reached.

use super::Backend;
use super::reader::{Node, Section};
use super::units::{number, path, word};
use crate::model::BackendName;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The host of a backend's repository server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendHost {
    /// Where its ssh server listens. Its key stands in the known-hosts file.
    pub address: SocketAddr,
    /// Who signs in there, with the workers' key or password.
    pub user: String,
    /// Where the server keeps its workers; `None`: as its own configuration has it.
    pub workers_dir: Option<String>,
}

pub(super) fn read_backend_hosts(ssh: &Section<'_>) -> Option<BTreeMap<BackendName, BackendHost>> {
    let Some(table) = ssh.get("backend_hosts") else {
        return Some(BTreeMap::new());
    };
    let host = |node: &Node<'_>| node.section(backend_host);
    let hosts = table.table::<String, _>("names of backends", host)?;
    let named = |(name, host)| (BackendName::new(name), host);
    Some(hosts.into_iter().map(named).collect())
}

fn backend_host(s: &Section<'_>) -> Option<BackendHost> {
    let address = s.required("address", word::<IpAddr>("an IP address"));
    let port = s.or("port", 22, number(1..=u16::MAX));
    let user = s.or("user", "root".to_owned(), super::ssh::user);
    let workers_dir = match s.get("workers_dir") {
        None => Some(None),
        Some(node) => node.read(path).map(Some),
    };
    Some(BackendHost {
        address: SocketAddr::new(address?, port?),
        user: user?,
        workers_dir: workers_dir?,
    })
}

/// A host of no backend is a word that was misspelt.
pub(super) fn belong_to_backends(
    hosts: &BTreeMap<BackendName, BackendHost>,
    backends: &BTreeMap<BackendName, Backend>,
    ssh: &Node<'_>,
) {
    let table = ssh.child("backend_hosts");
    for name in hosts.keys().filter(|name| !backends.contains_key(*name)) {
        let node = table.child(name.as_str());
        node.wrong(format!("{:?}", name.as_str()), "the name of a backend");
    }
}

/// A host whose key nobody knows is never talked to, and the program of a forced command knows no
/// directory but that of the server's own configuration.
pub(super) fn can_be_reached(
    hosts: &BTreeMap<BackendName, BackendHost>,
    forced_command: bool,
    known_hosts: bool,
    ssh: &Node<'_>,
) {
    if !hosts.is_empty() && !known_hosts {
        let expected =
            "a file with the host keys of backend_hosts: they are reached under these alone";
        ssh.lacks("known_hosts_file", expected);
    }
    let table = ssh.child("backend_hosts");
    let named = hosts.iter().filter(|(_, host)| host.workers_dir.is_some());
    for (name, _) in named.filter(|_| forced_command) {
        let node = table.child(name.as_str()).child("workers_dir");
        let expected = "no workers_dir beside it (leave it out, or forced_command)";
        node.wrong("a directory beside forced_command: true", expected);
    }
}
