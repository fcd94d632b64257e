//! Small farms for tests.

use crate::config::{Config, SecretPlace};
use crate::model::{
    FlavorName, Fleet, HostName, PoolName, Server, ServerId, ServerStatus, Tags, Vcpus,
};
use jiff::Timestamp;
use secrecy::SecretString;

/// A real page of node_exporter.
pub(crate) const NODE: &str = include_str!("../../tests/data/hosts/node_exporter-1.5.0.txt");

/// The shipped configuration, with resource use read in this way.
pub(crate) fn config(way: &str, port: u16, timeout: &str) -> Config {
    let text = include_str!("../../config.yaml")
        .replace("resource_use: none", &format!("resource_use: {way}"))
        .replace(
            "node_exporter_port: 9100",
            &format!("node_exporter_port: {port}"),
        )
        .replace("timeout: 5s", &format!("timeout: {timeout}"));
    let blank = |_: &SecretPlace| Ok(SecretString::from("-".repeat(64)));
    Config::parse(&text, &blank).unwrap()
}

/// Adopted servers `w-1`, `w-2`, … of the pool aarch64-l1 at these addresses.
pub(crate) fn fleet(ips: &[&str]) -> Fleet {
    let server = |(number, ip): (usize, &&str)| Server {
        id: ServerId::new(format!("s-{}", number + 1)),
        name: HostName::new(format!("w-{}", number + 1)),
        status: ServerStatus::Active,
        ip: Some(ip.parse().unwrap()),
        flavor: FlavorName::new("ki1.8xlarge.4"),
        vcpus: Vcpus(32),
        created: Timestamp::UNIX_EPOCH,
        tags: Tags {
            pool: PoolName::try_from("aarch64-l1").ok(),
            order: None,
            protected: false,
            ..Tags::default()
        },
    };
    let servers = ips.iter().enumerate().map(server);
    Fleet {
        servers: servers.map(|s| (s.id.clone(), s)).collect(),
    }
}
