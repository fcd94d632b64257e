//! What the rest of the program needs of a cloud, in the field's words. [`crate::ecs`] is one.

use crate::config::Pool;
use crate::model::{
    Class, FlavorName, Fleet, HostName, Order, OrderId, PriceList, Quota, Retry, ServerId,
    ServerStatus, Stock, Vcpus, ZoneName,
};
use jiff::Timestamp;
use ring::digest;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

/// A call under way.
pub type Calling<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// One project of a cloud, on behalf of one owner. Every answer is whole, or an error.
pub trait Cloud: Send + Sync {
    /// The request of an order: of the order its id, flavor, zone and count, of the pool its arch, of the
    /// cloud's configuration the rest. The same order and configuration give the same bytes.
    /// `user_data` is cloud-init's document, not encoded. Asks nothing of the cloud.
    ///
    /// # Errors
    /// [`Class::Request`]: says which part the cloud would refuse.
    fn prepare(&self, order: &Order, pool: &Pool, user_data: &str) -> Result<CreateRequest, Error>;

    /// Orders servers. Repeated with the same request it gives the first answer again, and buys nothing
    /// more. After an error ask [`Error::outcome_known`] before anything else is bought.
    fn create<'a>(&'a self, request: &'a CreateRequest) -> Calling<'a, Created>;

    /// Where a job of the cloud stands. One that it does not know (any more) is [`Class::Gone`].
    fn job<'a>(&'a self, job: &'a str) -> Calling<'a, JobStatus>;

    /// Every server that carries our owner tag, in whatever state.
    fn list(&self) -> Calling<'_, Fleet>;

    /// The servers of the project, ours or not, that have one of these addresses in a private network.
    /// An address may be had by several, in networks of their own.
    fn find<'a>(&'a self, ips: &'a [IpAddr]) -> Calling<'a, Vec<ProjectServer>>;

    /// Deletes a server of ours with all that was made for it, after a last look at it: one that is
    /// protected by now, or not ours, is an error of [`Class::State`]. Gives the jobs that do it; none
    /// where the server is gone already. The server may be listed for a while after they have succeeded.
    fn delete<'a>(&'a self, server: &'a ServerId) -> Calling<'a, Vec<String>>;

    /// Puts tags on a server, ours or not. A tag of the same key gets the new value.
    fn tag<'a>(&'a self, server: &'a ServerId, tags: &'a [(&'a str, &'a str)]) -> Calling<'a, ()>;

    /// Takes tags off a server. One that it does not have is no error.
    fn untag<'a>(&'a self, server: &'a ServerId, keys: &'a [&'a str]) -> Calling<'a, ()>;

    /// Every flavor that the cloud offers, and in which zones it can be bought.
    fn stock(&self) -> Calling<'_, Stock>;

    /// What the project may have, and has.
    fn quota(&self) -> Calling<'_, Quota>;

    /// What these flavors cost. One that the cloud has no price for is left out.
    fn price<'a>(&'a self, flavors: &'a [FlavorName]) -> Calling<'a, PriceList>;

    /// What is still there of a server that is gone: volumes that carry its name and are attached to
    /// nothing, ports that name it. While a server of that name is being created its volume looks the same.
    fn leftovers<'a>(&'a self, gone: &'a Gone) -> Calling<'a, Leftovers>;

    /// Deletes leftovers. What is gone already is a success.
    fn clear<'a>(&'a self, leftovers: &'a Leftovers) -> Calling<'a, ()>;
}

/// Why a call to a cloud failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Error {
    class: Class,
    outcome_known: bool,
    words: String,
}

impl Error {
    /// An error of this class. `outcome_known` is true where it is certain that the call had no effect.
    #[must_use]
    pub fn new(class: Class, outcome_known: bool, words: impl Into<String>) -> Self {
        Self {
            class,
            outcome_known,
            words: words.into(),
        }
    }

    /// Its class.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// What may be done next.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        self.class.retry()
    }

    /// The metric label: that of the class.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        self.class.label()
    }

    /// Whether it is certain that the call had no effect. Where it is not, a creation may have bought
    /// servers: only the same call again, or the cloud's list, tells.
    #[must_use]
    pub const fn outcome_known(&self) -> bool {
        self.outcome_known
    }
}

/// A creation, ready to be sent, and sent again. Only the cloud that prepared it reads its body.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateRequest {
    order: OrderId,
    body: String,
}

impl CreateRequest {
    /// What a cloud sends for an order.
    #[must_use]
    pub const fn new(order: OrderId, body: String) -> Self {
        Self { order, body }
    }

    /// The order, whose id is the client token.
    #[must_use]
    pub const fn order(&self) -> &OrderId {
        &self.order
    }

    /// The body. It holds the user data, and with it the host key: no log may show it.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// SHA-256 of the body, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let hash = digest::digest(&digest::SHA256, self.body.as_bytes());
        let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }
}

impl fmt::Debug for CreateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateRequest")
            .field("order", &self.order)
            .field("sha256", &self.sha256())
            .finish_non_exhaustive()
    }
}

/// What the cloud answers to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The job that creates the servers.
    pub job: String,
    /// The ids that they will have. They exist before the servers do, and some may never.
    pub servers: Vec<ServerId>,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Whether it is over. It fails when a part fails, and the parts that succeeded stay: read
    /// [`Self::sub_jobs`] in either case.
    pub state: JobState,
    /// Its parts, one for each server; empty at first.
    pub sub_jobs: Vec<SubJob>,
}

/// The state of a whole job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Not over.
    Running,
    /// Over, and everything went well.
    Succeeded,
    /// Over. What it says is often only that a part failed; the parts hold the cause.
    Failed(Failure),
}

/// One part of a job: one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubJob {
    /// Not over.
    Pending,
    /// Done.
    Succeeded {
        /// The server, unless the cloud left it out, as it does in some deletions.
        server: Option<ServerId>,
        /// When, where the cloud says so.
        ended: Option<Timestamp>,
    },
    /// Failed. What it had made is rolled back, and that may fail too.
    Failed {
        /// The server, where the cloud names it. It may exist, broken, and cost money.
        server: Option<ServerId>,
        /// Why.
        failure: Failure,
        /// When, where the cloud says so.
        ended: Option<Timestamp>,
    },
}

/// Why a job, or a part of one, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class of its code; that of a failed rollback or of none is unknown.
    pub class: Class,
    /// The cloud's code, such as `Ecs.0219`; empty where it gave none.
    pub code: String,
    /// The cloud's words.
    pub words: String,
}

/// How a server is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charging {
    /// By the second, until it is deleted.
    Postpaid,
    /// In advance, until a date: it can not be given back.
    Prepaid,
    /// By the second at the market's price: the cloud may take it away.
    Spot,
}

/// A server of the project, ours or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectServer {
    /// Its id.
    pub id: ServerId,
    /// Its name.
    pub name: HostName,
    /// Its addresses in private networks.
    pub ips: Vec<IpAddr>,
    /// The state of the machine.
    pub status: ServerStatus,
    /// The flavor that it has.
    pub flavor: FlavorName,
    /// The size of that flavor.
    pub vcpus: Vcpus,
    /// Where it stands, where the cloud says so.
    pub zone: Option<ZoneName>,
    /// When the cloud created it.
    pub created: Timestamp,
    /// How it is paid for; `None` where the cloud does not say.
    pub charging: Option<Charging>,
    /// All tags on it, by key.
    pub tags: BTreeMap<String, String>,
}

/// A server that is gone, or was never made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its id.
    pub server: ServerId,
    /// The name that it had or would have had: without it no volume of it can be found.
    pub name: Option<HostName>,
}

/// What a server left behind. Volumes cost money, ports use up addresses.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// Volumes that are attached to nothing.
    pub volumes: Vec<LeftVolume>,
    /// The ids of ports.
    pub ports: Vec<String>,
}

impl Leftovers {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty() && self.ports.is_empty()
    }
}

/// A volume that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftVolume {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its size.
    pub gib: u64,
    /// When it was made.
    pub created: Timestamp,
}
