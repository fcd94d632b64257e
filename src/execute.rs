//! One deed to calls. Each may be done again: a repeat finds what the first one did.

mod draining;
mod looking;

use crate::clock::Clock;
use crate::cloud::{self, Cloud, CreateRequest, Created, Gone, JobStatus, Leftovers};
use crate::config::{Config, Pool};
use crate::model::{
    BackendName, Build, Flavor, HostName, Member, Order, OrderId, PoolName, Scaler, ScalerId,
    ServerId, Setup, Trail,
};
use crate::obs::{Freed, ObsClient};
use crate::policy::{CheckOutcome, CheckReport, DrainReport};
use crate::policy::{leftovers, setup};
use crate::random::Random;
use crate::reconcile::Tidied;
use crate::ssh::{self, Access, HostKeys, InvalidKey, Pin, Pinned, Unpinned, WorkerSettings};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use looking::Instead;

/// What a deed is about. There is at most one deed about a subject at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An order.
    Order(OrderId),
    /// A server.
    Server(ServerId),
    /// The bill of a server.
    Bill(ServerId),
    /// What a server that is gone left behind.
    Trail(ServerId),
    /// A build that is none.
    Ghost(BackendName, Build),
    /// The own lease on a server.
    Lease(ServerId),
    /// The leases of scalers that are gone.
    Sweep,
}

/// Something to be done outside.
#[derive(Debug)]
pub enum Deed {
    /// Send the create call of an order, or repeat it under the same token.
    Create(Box<CreateRequest>),
    /// Ask for an order's job.
    Poll {
        /// The order.
        order: OrderId,
        /// The cloud's job.
        job: String,
    },
    /// Check a worker over ssh, configure it where it is not configured, and start its service.
    Check {
        /// The worker's server.
        member: Box<Member>,
        /// Its address.
        ip: IpAddr,
        /// Its flavor, where the cloud lists it.
        flavor: Option<Box<Flavor>>,
    },
    /// Cordon a worker over ssh, and look whether it is drained.
    Drain {
        /// The worker's server.
        member: Box<Member>,
        /// Its address.
        ip: IpAddr,
    },
    /// Delete a server.
    Delete(ServerId),
    /// Write the own lease on a server.
    Renew {
        /// The server.
        server: ServerId,
        /// The tag's key.
        key: String,
        /// The tag's value.
        value: String,
    },
    /// Take leases of scalers that are gone off a server.
    Sweep {
        /// The server.
        server: ServerId,
        /// The tags' keys.
        keys: Vec<String>,
    },
    /// Take our tags off a server.
    Disown {
        /// The server.
        server: ServerId,
        /// The tags' keys.
        keys: Vec<String>,
    },
    /// Ask for the job that deletes a server, for the moment of its end.
    Ended {
        /// The server.
        server: ServerId,
        /// The cloud's job.
        job: String,
    },
    /// Look for what a server that is gone left behind, and delete what is known already.
    Tidy {
        /// What is remembered of the server.
        trail: Box<Trail>,
        /// What an earlier look found.
        known: Leftovers,
    },
    /// Free a ghost, after one more look.
    Free {
        /// Whose build it is.
        backend: BackendName,
        /// The build.
        build: Build,
    },
}

impl Deed {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Create(request) => Subject::Order(request.order().clone()),
            Self::Poll { order, .. } => Subject::Order(order.clone()),
            Self::Check { member, .. } | Self::Drain { member, .. } => {
                Subject::Server(member.server.clone())
            }
            Self::Delete(server) | Self::Disown { server, .. } => Subject::Server(server.clone()),
            Self::Renew { server, .. } => Subject::Lease(server.clone()),
            Self::Sweep { .. } => Subject::Sweep,
            Self::Ended { server, .. } => Subject::Bill(server.clone()),
            Self::Tidy { trail, .. } => Subject::Trail(trail.server.clone()),
            Self::Free { backend, build } => Subject::Ghost(backend.clone(), build.clone()),
        }
    }
}

/// How a deed ended.
#[derive(Debug)]
pub enum Done {
    /// A create call.
    Created(Result<Created, cloud::Error>),
    /// A look at a job.
    Polled(Result<JobStatus, cloud::Error>),
    /// The checks of a worker.
    Checked(CheckReport),
    /// A cordon.
    Drained(DrainReport),
    /// A delete call.
    Deleted(Result<Vec<String>, cloud::Error>),
    /// A look at a job that deletes a server: which job, and what it says.
    Ended(String, Result<JobStatus, cloud::Error>),
    /// A look for what a server left behind.
    Tidied(Result<Tidied, cloud::Error>),
    /// A ghost.
    Freed(Freed),
    /// The own lease.
    Renewed(Result<(), cloud::Error>),
    /// The leases of scalers that are gone.
    Swept(Result<(), cloud::Error>),
    /// Our tags.
    Disowned(Result<(), cloud::Error>),
}

/// Why a request or a session can not be prepared. Nothing outside has been touched.
#[derive(Debug, thiserror::Error)]
pub enum NotPrepared {
    /// The pool is not configured (any more).
    #[error("no pool {0} is configured")]
    NoPool(PoolName),
    /// A server that no order bought has no derived host key, and none is listed.
    #[error(transparent)]
    Unpinned(#[from] Unpinned),
    /// A key can not be derived.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The worker's settings can not be written.
    #[error(transparent)]
    Settings(#[from] ssh::InvalidSettings),
    /// The user data can not be written.
    #[error(transparent)]
    UserData(#[from] ssh::UserDataError),
    /// The cloud would refuse it.
    #[error(transparent)]
    Request(#[from] cloud::Error),
}

/// Carries deeds out.
pub struct Hands {
    config: Arc<Config>,
    cloud: Arc<dyn Cloud>,
    access: Access,
    keys: HostKeys,
    random: Random,
    clock: Clock,
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hands").finish_non_exhaustive()
    }
}

impl Hands {
    /// Hands that reach this cloud and its workers.
    ///
    /// # Errors
    /// Where the private key can not be used.
    pub fn new(
        config: Arc<Config>,
        cloud: Arc<dyn Cloud>,
        clock: Clock,
    ) -> Result<Self, InvalidKey> {
        Ok(Self {
            access: Access::new(&config.ssh)?,
            keys: HostKeys::new(&config.ssh.host_key_secret),
            random: Random::default(),
            config,
            cloud,
            clock,
        })
    }

    /// A new order's id: a random UUID (version 4). `None` where the system gives no randomness.
    #[must_use]
    pub fn new_order_id(&self) -> Option<OrderId> {
        let bytes = self.random.bytes()?;
        Some(OrderId::new(uuid_v4(u128::from_be_bytes(bytes))))
    }

    /// Who a new scaler is. `None` where the system gives no randomness.
    #[must_use]
    pub fn new_scaler(&self, since: Timestamp) -> Option<Scaler> {
        let id = ScalerId::new(u32::from_be_bytes(self.random.bytes()?));
        Some(Scaler::new(since, id))
    }

    /// The host key of a server that no order bought.
    ///
    /// # Errors
    /// Says why it is not known.
    pub fn known_pin(&self, name: &HostName, ip: IpAddr) -> Result<Pin, Unpinned> {
        let ssh = &self.config.ssh;
        let names = [&*ip.to_string(), name.as_str()];
        ssh::known_pin(ssh.known_hosts_file.as_deref(), &names, ssh.port)
    }

    /// The request of an order; the same one for the same order and configuration.
    ///
    /// # Errors
    /// Says what can not be written.
    pub fn request(&self, order: &Order) -> Result<CreateRequest, NotPrepared> {
        let pool = self.pool(&order.pool)?;
        let key = self.keys.derive(&order.id)?;
        let settings = self.settings(&setup::of_pool(pool))?;
        let user_data = ssh::user_data(
            &settings,
            &self.config.ssh.sysconfig,
            &key,
            order.names.is_none(),
        )?;
        Ok(self.cloud.prepare(order, pool, user_data.expose_secret())?)
    }

    fn pool(&self, name: &PoolName) -> Result<&Pool, NotPrepared> {
        let pool = self.config.policy.pools.get(name);
        pool.ok_or_else(|| NotPrepared::NoPool(name.clone()))
    }

    fn settings(&self, setup: &Setup) -> Result<WorkerSettings, NotPrepared> {
        Ok(WorkerSettings::of(setup, &self.config.backends)?)
    }

    /// The host, by the key that was derived for its order, or by the one that a person listed.
    fn host(&self, member: &Member, ip: IpAddr) -> Result<Pinned<SocketAddr>, NotPrepared> {
        let pin = match (&member.order, &member.name) {
            (Some(order), _) => self.keys.derive(order)?.pin().clone(),
            (None, Some(name)) => self.known_pin(name, ip)?,
            (None, None) => self.known_pin(&HostName::new(ip.to_string()), ip)?,
        };
        Ok(Pinned::new(SocketAddr::new(ip, self.config.ssh.port), pin))
    }

    /// Carries one deed out, to its end.
    pub async fn carry_out(&self, deed: Deed) -> Done {
        match deed {
            Deed::Create(request) => Done::Created(self.cloud.create(&request).await),
            Deed::Poll { job, .. } => Done::Polled(self.cloud.job(&job).await),
            Deed::Check { member, ip, flavor } => {
                Done::Checked(self.check(&member, ip, flavor.as_deref()).await)
            }
            Deed::Drain { member, ip } => Done::Drained(self.drain(&member, ip).await),
            Deed::Tidy { trail, known } => Done::Tidied(self.tidy(&trail, &known).await),
            Deed::Free { backend, build } => Done::Freed(self.free(&backend, &build).await),
            Deed::Renew { server, key, value } => {
                Done::Renewed(self.cloud.tag(&server, &[(&key, &value)]).await)
            }
            Deed::Sweep { server, keys } => Done::Swept(self.untag(&server, &keys).await),
            Deed::Disown { server, keys } => Done::Disowned(self.untag(&server, &keys).await),
            Deed::Ended { job, .. } => {
                let status = self.cloud.job(&job).await;
                Done::Ended(job, status)
            }
            Deed::Delete(server) => Done::Deleted(self.cloud.delete(&server).await),
        }
    }

    async fn untag(&self, server: &ServerId, keys: &[String]) -> Result<(), cloud::Error> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.cloud.untag(server, &keys).await
    }

    async fn tidy(&self, trail: &Trail, known: &Leftovers) -> Result<Tidied, cloud::Error> {
        let mut found = Leftovers::default();
        let names = trail.names.iter().cloned().map(Some);
        let nameless = trail.names.is_empty().then_some(None);
        for name in names.chain(nameless) {
            let server = trail.server.clone();
            let of_name = self.cloud.leftovers(&Gone { server, name }).await?;
            found.volumes.extend(of_name.volumes);
            found.ports = of_name.ports;
        }
        let found = leftovers::of_trail(trail, found);
        let cleared = leftovers::in_both(known, &found);
        if cleared.is_empty() {
            return Ok(Tidied {
                cleared,
                left: found,
            });
        }
        self.cloud.clear(&cleared).await?;
        // What is left is found by the next look.
        Ok(Tidied {
            cleared: cleared.clone(),
            left: cleared,
        })
    }

    async fn free(&self, backend: &BackendName, build: &Build) -> Freed {
        let Some(backend) = self.config.backends.get(backend) else {
            return Freed::NoGhost("its backend is not configured");
        };
        match ObsClient::new(backend, self.config.poll.timeout) {
            Ok(client) => client.free(build).await,
            Err(error) => Freed::Failed(error.to_string()),
        }
    }

    async fn check(&self, member: &Member, ip: IpAddr, flavor: Option<&Flavor>) -> CheckReport {
        let at = self.clock.now();
        let (outcome, untouched) = match self.prepare(member, ip) {
            Ok((host, pool, settings)) => {
                let expected = looking::expected(&self.config.checks, member, flavor, pool);
                let enabled = || self.enabled(member);
                let checked =
                    ssh::check(&self.access, &host, &expected, &settings, enabled, at).await;
                (checked.outcome.into(), checked.untouched)
            }
            Err(why) => (CheckOutcome::Unreachable(why.to_string()), true),
        };
        CheckReport {
            at,
            outcome,
            untouched,
        }
    }

    fn prepare(
        &self,
        member: &Member,
        ip: IpAddr,
    ) -> Result<(Pinned<SocketAddr>, &Pool, WorkerSettings), NotPrepared> {
        let pool = self.pool(&member.pool)?;
        let settings = self.settings(&setup::wanted(member, pool))?;
        Ok((self.host(member, ip)?, pool, settings))
    }
}

impl From<ssh::CheckOutcome> for CheckOutcome {
    fn from(outcome: ssh::CheckOutcome) -> Self {
        match outcome {
            ssh::CheckOutcome::Passed => Self::Passed,
            ssh::CheckOutcome::Unreachable(why) => Self::Unreachable(why.to_string()),
            ssh::CheckOutcome::Failed {
                check,
                found,
                expected,
            } => Self::Failed {
                check: check.as_str().to_owned(),
                found,
                expected,
            },
        }
    }
}

/// The text of a version 4 UUID (RFC 9562, 5.4) made of these random bits.
fn uuid_v4(random: u128) -> String {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let bits = (random & !(VERSION | VARIANT)) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_is_a_lower_case_uuid_of_version_4() {
        assert_eq!(uuid_v4(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_v4(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
