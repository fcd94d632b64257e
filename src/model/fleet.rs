//! What the cloud says of its servers.

use super::{FlavorName, HostName, LeaseTag, OrderId, PoolName, ServerId, Vcpus};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The state of a server's machine, as far as this program tells states apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerStatus {
    /// Being created (`BUILD`).
    Building,
    /// Running.
    Active,
    /// Being deleted: the cloud still says `ACTIVE`, with the task state `deleting`.
    Deleting,
    /// Could not be created, or broke (`ERROR`), with the cloud's words.
    Error(String),
    /// Anything else (`SHUTOFF`, `REBOOT`, …): neither running nor gone.
    Other(String),
}

/// The key of the tag whose value is the owner: servers that carry it are ours.
pub const TAG_OWNER: &str = "obs-scaler-owner";
/// The key of the tag that names the server's pool.
pub const TAG_POOL: &str = "obs-scaler-pool";
/// The key of the tag that names the order that bought the server.
pub const TAG_ORDER: &str = "obs-scaler-order";
/// The key of the tag, whatever its value, by which a person pins a server.
pub const TAG_PROTECTED: &str = "obs-scaler-protected";

/// What our tags on a server say. The cloud's tags are the truth about which servers are ours.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tags {
    /// The pool that it was bought for or adopted into.
    pub pool: Option<PoolName>,
    /// The order that it was bought by.
    pub order: Option<OrderId>,
    /// Pinned by a person: never released.
    pub protected: bool,
    /// The leases of this scaler, and of others of the same owner.
    pub leases: Vec<LeaseTag>,
}

/// One managed server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub id: ServerId,
    /// Its name, which is its worker's host name.
    pub name: HostName,
    /// The state of the machine.
    pub status: ServerStatus,
    /// Its address in our network; it comes late.
    pub ip: Option<IpAddr>,
    /// The flavor that it has.
    pub flavor: FlavorName,
    /// The size of that flavor.
    pub vcpus: Vcpus,
    /// When the cloud created it.
    pub created: Timestamp,
    /// Our tags on it.
    pub tags: Tags,
}

/// Every server that carries our owner tag, from every page of the cloud's list.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The servers by id.
    pub servers: BTreeMap<ServerId, Server>,
}

impl Fleet {
    /// The server of this name.
    #[must_use]
    pub fn by_name(&self, name: &HostName) -> Option<&Server> {
        self.servers.values().find(|server| server.name == *name)
    }
}
