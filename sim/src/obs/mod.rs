//! A simulated Open Build Service over HTTP: the routes of the source server, the repository server
//! and the frontend, over a farm of any size that lives. What it says follows the answers of a real
//! OBS 2.9.4, attribute for attribute; `sim/README.md` says what is left out.
//!
//! [`world`](self) is the farm as a value, a function of state and moment; `routes` says which
//! document a request asks for, `http` lets requests in and spoils what is to be spoilt.

mod body;
mod control;
mod faults;
mod hosts;
mod http;
mod model;
mod packages;
mod results;
mod routes;
mod seed;
mod shared;
mod worker_status;
mod world;
mod xml;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use control::NewJobs;
pub use faults::{Fault, Faults, Part};
pub use hosts::{CordonLine, NewHost, Shows};
pub use model::Outcome;

use shared::Shared;

/// How the simulated farm is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Hosts in the beginning, in turn of each architecture.
    pub workers: u32,
    /// Instances of each.
    pub instances: u32,
    /// Jobs that wait in the beginning, as far as there are packages.
    pub jobs: u32,
    /// Packages, counted once for each architecture.
    pub packages: u32,
    /// Architectures that are scheduled for; each has a repository `standard_ARCH`.
    pub arches: Vec<String>,
    /// The project.
    pub project: String,
    /// The seed of everything that is random.
    pub seed: u64,
    /// What durations are divided by: at 1 most builds take minutes.
    pub speed: f64,
    /// Whether a job comes for each that ends; otherwise the queue runs empty.
    pub replenish: bool,
    /// The share (0–1) of instances that are away for some minutes after a job.
    pub away: f64,
    /// The share (0–1) of instances that are down for some minutes after a job.
    pub down: f64,
    /// `USER:PASSWORD`: serve as the frontend does, to who brings these.
    pub frontend: Option<String>,
}

impl Default for Options {
    /// An empty farm on a free port of loopback: no host, no package.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 0,
            instances: 7,
            jobs: 0,
            packages: 0,
            arches: vec!["x86_64".to_owned(), "aarch64".to_owned()],
            project: "openEuler:Mainline".to_owned(),
            seed: 0,
            speed: 1.0,
            replenish: false,
            away: 0.0,
            down: 0.0,
            frontend: None,
        }
    }
}

/// The simulated OBS; [`Simulator::start`] is the way in.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Binds and serves until [`Running::stop`]. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, or the speed is no positive number.
    pub async fn start(options: Options) -> std::io::Result<Running> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            return Err(std::io::Error::other("the speed must be a positive number"));
        }
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(&options));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(http::serve(listener, Arc::clone(&shared), stopped));
        Ok(Running {
            addr,
            shared,
            stop,
            task,
        })
    }
}

/// A simulated OBS that answers. It ends when it is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// `http://ADDR`, what a client takes as source server, repository server or frontend.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Replaces the set of faults.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.set_faults(faults);
    }

    /// A host comes, or comes back.
    pub fn attach(&self, host: &NewHost) {
        self.shared.with_world(|world, now| world.attach(host, now));
    }

    /// A host ends at once and leaves ghosts, or, with `drain`, when it has nothing to build. Says
    /// whether it is known.
    pub fn detach(&self, name: &str, drain: bool) -> bool {
        self.shared.with_world(|world, now| {
            if drain {
                world.drain(name)
            } else {
                world.cut_off(name, now)
            }
        })
    }

    /// Jobs come.
    pub fn add_jobs(&self, jobs: &NewJobs) {
        self.shared
            .with_world(|world, now| world.add_jobs(jobs, now));
    }

    /// `kill -9` of an instance that builds; says whether there was one. Its job is a ghost then.
    pub fn kill_a_builder(&self, shows: Shows) -> bool {
        self.shared.with_world(|world, now| {
            let at = world.any_builder();
            at.map(|at| world.kill(at, shows, now)).is_some()
        })
    }

    /// Whether a daemon runs: `dispatcher`, `warden`, `scheduler/x86_64`, …
    pub fn set_daemon(&self, name: &str, runs: bool) {
        let state = if runs { "running" } else { "dead" };
        let states = [(name.to_owned(), state.to_owned())].into();
        self.shared
            .with_world(|world, now| world.set_daemons(&states, now));
    }

    /// Closes the socket.
    pub async fn stop(self) {
        // Nobody listens any more only if the task has ended by itself.
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}
