//! A simulated Huawei Cloud ECS over HTTP. What it does follows "huawei-ecs reference", the
//! project's notes on the official documents and SDKs; `sim/README.md` says where it is unsure.
//!
//! [`world`](self) is the cloud as a value, a function of state and moment; `http` lets requests
//! in, `routes` carries them to the world, `machines` runs what stands behind the servers.

mod access;
mod addresses;
mod birth;
mod control;
mod death;
mod disks;
mod doom;
mod encoding;
mod error;
mod faults;
mod flat;
mod flavors;
mod http;
mod job;
mod ledger;
#[cfg(test)]
mod life;
mod list;
mod machines;
mod names;
mod network;
mod order;
mod power;
mod prices;
mod rate;
mod reply;
mod route;
mod routes;
mod scenario;
mod server;
mod shared;
mod sign;
mod somebody;
mod spoil;
mod tokens;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use addresses::AddressRange;
pub use control::Foreign;
pub use faults::{FailSub, Faults, How, Left, Omit, Refuse, Spoil};
pub use ledger::{CreateCall, Ledger, ServerEntry, Totals, VolumeEntry};
pub use prices::Prices;
pub use route::Operation;
pub use scenario::Scenario;

use crate::clock::Clock;
use shared::Shared;

/// How the simulated cloud is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The project id, the `{P}` of the paths.
    pub project_id: String,
    /// The access key that requests have to be signed with.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// What durations are divided by: at 1 a create takes 40–60 s.
    pub speed: f64,
    /// The time that it keeps.
    pub clock: Clock,
    /// The seed of ids and durations.
    pub seed: u64,
    /// The program that boots and destroys machines; without one servers are records.
    pub machines: Option<PathBuf>,
    /// Without such a program: records that answer over ssh and belong to a simulated OBS.
    pub stand_ins: Option<crate::machine::Options>,
    /// The addresses of the subnet.
    pub addresses: AddressRange,
    /// The most servers; none is unlimited.
    pub quota_instances: Option<u32>,
    /// The most vCPU; none is unlimited.
    pub quota_cores: Option<u32>,
    /// A file that the ledger is written to, each second and at the end.
    pub ledger: Option<PathBuf>,
    /// Who may fetch IAM tokens; none is the access key.
    pub iam_user: Option<String>,
    /// With this password; none is the secret.
    pub iam_password: Option<String>,
    /// What things cost.
    pub prices: Prices,
    /// What goes wrong when.
    pub scenario: Scenario,
    /// The images that are for arm64; every other is for x86.
    pub arm_images: Vec<String>,
}

impl Options {
    /// A cloud at real speed on a free port of loopback, without machines and quota.
    pub fn new(project_id: &str, access_key: &str, secret_key: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            project_id: project_id.to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            speed: 1.0,
            clock: Clock::default(),
            seed: 0,
            machines: None,
            stand_ins: None,
            addresses: AddressRange::default(),
            quota_instances: None,
            quota_cores: None,
            ledger: None,
            iam_user: None,
            iam_password: None,
            prices: Prices::default(),
            scenario: Scenario::default(),
            arm_images: Vec::new(),
        }
    }
}

/// The simulated cloud; [`Simulator::start`] is the way in.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Binds and serves until [`Running::stop`]. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, the speed is no positive number, or the directory for
    /// the machines' user data cannot be made.
    pub async fn start(options: Options) -> std::io::Result<Running> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            return Err(std::io::Error::other("the speed must be a positive number"));
        }
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options)?);
        let (stop, stopped) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(http::serve(listener, Arc::clone(&shared), stopped.clone())),
            tokio::spawn(shared::drive(Arc::clone(&shared), stopped.clone())),
            tokio::spawn(shared::keep_ledger(Arc::clone(&shared), stopped)),
        ];
        Ok(Running {
            addr,
            shared,
            stop,
            tasks,
        })
    }
}

/// A simulated cloud that answers. When dropped without [`Running::stop`] it ends as well, but
/// leaves its machines running.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// `http://ADDR`, what a client takes as the ECS endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What was bought until now.
    pub fn ledger(&self) -> Ledger {
        self.shared.with_world(|world, now| world.ledger(now))
    }

    /// Replaces the set of faults.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.set_faults(faults);
    }

    /// Sets the cloud's clock ahead of the wall clock: what is due until then happens at once, each thing
    /// at its own moment. The dates of signatures stay those of the wall clock.
    pub fn advance(&self, by: jiff::SignedDuration) {
        self.shared.advance(by);
    }

    /// Puts a server there that somebody else bought, and says its id; None for an unknown flavor.
    pub fn add_foreign(&self, foreign: Foreign) -> Option<String> {
        let added = self
            .shared
            .with_world(|world, now| world.add_foreigner(foreign, now));
        added.ok()
    }

    /// Closes the socket, destroys every machine and writes the ledger.
    ///
    /// # Errors
    /// Names the machines that could not be destroyed.
    pub async fn stop(self) -> std::io::Result<()> {
        // Nobody listens any more only if the tasks have ended by themselves.
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        self.shared.close().await
    }
}
