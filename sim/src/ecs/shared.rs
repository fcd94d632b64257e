//! What requests and background tasks share: the world behind a lock, and what wakes its driver.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::Options;
use super::access::{Access, User};
use super::faults::Faults;
use super::machines::{Backing, Machines};
use super::server::Machine;
use super::world::{Deed, Rules, World};
use crate::clock::Clock;
use crate::machine::StandIns;
use crate::rng::Rng;

pub(super) struct Shared {
    world: Mutex<World>,
    wake: Notify,
    /// Sent to when the faults change, so that calls that hang let go.
    pub(super) faults_changed: watch::Sender<()>,
    pub(super) clock: Clock,
    access: Mutex<Access>,
    pub(super) project: String,
    machines: Option<Backing>,
    ledger: Option<std::path::PathBuf>,
    requests: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere does not make the world's state less true.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(options: Options) -> io::Result<Self> {
        let program = options.machines.map(Machines::new).transpose()?;
        let stand_ins = options.stand_ins.as_ref().map(StandIns::new).transpose()?;
        let machines = program
            .map(Backing::Program)
            .or(stand_ins.map(Backing::StandIns));
        let rules = Rules {
            speed: options.speed,
            machines: machines.is_some(),
            quota_instances: options.quota_instances,
            quota_cores: options.quota_cores,
        };
        let user = User {
            name: options
                .iam_user
                .unwrap_or_else(|| options.access_key.clone()),
            password: options
                .iam_password
                .unwrap_or_else(|| options.secret_key.clone()),
        };
        let key = (options.access_key, options.secret_key);
        let access = Access::new(&options.project_id, key, user);
        let mut world = World::new(rules, options.seed, options.addresses);
        world.prices = options.prices;
        world.arm_images = options.arm_images.into_iter().collect();
        if let Some(machines) = options.stand_ins {
            world.public_key = machines.authorized_key.trim().to_owned();
        }
        world.follow(&options.scenario, options.clock.now());
        Ok(Self {
            world: Mutex::new(world),
            wake: Notify::new(),
            faults_changed: watch::Sender::new(()),
            clock: options.clock,
            access: Mutex::new(access),
            project: options.project_id,
            machines,
            ledger: options.ledger,
            requests: AtomicU64::new(0),
        })
    }

    /// Lets everything happen that is due, and says what the cloud's clock has. A step of a scenario may set the
    /// clock ahead, and then more is due.
    fn catch_up(&self, world: &mut World) -> Timestamp {
        loop {
            let ahead = world.ahead;
            let now = self.clock.now() + ahead;
            world.advance(now);
            if world.ahead == ahead {
                return now;
            }
        }
    }

    /// Looks at the world, or changes it, as it is now.
    pub(super) fn with_world<T>(&self, look: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut world = lock(&self.world);
        let now = self.catch_up(&mut world);
        let seen = look(&mut world, now);
        self.tell_of_faults(&mut world);
        drop(world);
        self.wake.notify_one();
        seen
    }

    fn tell_of_faults(&self, world: &mut World) {
        if std::mem::take(&mut world.faults_changed) {
            self.faults_changed.send_replace(());
        }
    }

    pub(super) fn faults(&self) -> Faults {
        self.with_world(|world, _| world.faults.clone())
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.with_world(|world, _| world.set_faults(faults));
    }

    /// Sets the cloud's clock ahead; what is due until then happens, each thing at its own moment.
    pub(super) fn advance(&self, by: SignedDuration) {
        self.with_world(|world, _| world.ahead += by);
        self.with_world(|_, _| ());
    }

    /// The next `X-Request-Id`.
    pub(super) fn request_id(&self) -> String {
        // Counted from the other end than seeds are, so that they do not look like job ids.
        Rng::new(!self.requests.fetch_add(1, Ordering::Relaxed)).request_id()
    }

    /// Keys and tokens, with the faults and the cloud's moment.
    pub(super) fn with_access<T>(
        &self,
        look: impl FnOnce(&mut Access, &Faults, Timestamp) -> T,
    ) -> T {
        let (faults, now) = self.with_world(|world, now| (world.faults.clone(), now));
        look(&mut lock(&self.access), &faults, now)
    }

    /// Destroys every machine and writes the ledger for the last time.
    pub(super) async fn close(self: &Arc<Self>) -> io::Result<()> {
        let up = self.with_world(|world, _| {
            let all = world
                .servers
                .values()
                .filter(|server| server.machine != Machine::None);
            all.map(|server| server.id.clone()).collect::<Vec<_>>()
        });
        let mut ends = JoinSet::new();
        for id in up {
            ends.spawn(carry_out(Arc::clone(self), Deed::Destroy(id)));
        }
        ends.join_all().await;
        self.write_ledger()?;
        let left = self.with_world(|world, _| {
            let all = world
                .servers
                .values()
                .filter(|server| server.machine != Machine::None);
            all.map(|server| server.id.clone()).collect::<Vec<_>>()
        });
        if let Some(machines) = &self.machines {
            machines.clean_up();
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "machines not destroyed: {}",
                left.join(", ")
            )))
        }
    }

    fn write_ledger(&self) -> io::Result<()> {
        let Some(path) = &self.ledger else {
            return Ok(());
        };
        let ledger = self.with_world(|world, now| world.ledger(now));
        let text = serde_json::to_string_pretty(&ledger)?;
        let draft = path.with_extension("partial");
        std::fs::write(&draft, text)?;
        std::fs::rename(&draft, path)
    }
}

/// Lets events happen at their moment and has deeds done, until told to stop.
pub(super) async fn drive(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    loop {
        let (deeds, wait) = {
            let mut world = lock(&shared.world);
            let now = shared.catch_up(&mut world);
            shared.tell_of_faults(&mut world);
            (
                world.take_deeds(),
                world
                    .next_due()
                    .map(|at| shared.clock.asleep(until(now, at))),
            )
        };
        for deed in deeds {
            tokio::spawn(carry_out(Arc::clone(&shared), deed));
        }
        tokio::select! {
            () = tokio::time::sleep(wait.unwrap_or(Duration::from_secs(3600))) => {}
            () = shared.wake.notified() => {}
            _ = stop.changed() => return,
        }
    }
}

/// Rounded up, so that the sleeper does not wake just before the event.
fn until(now: Timestamp, at: Timestamp) -> Duration {
    let wait = at.duration_since(now).unsigned_abs();
    wait + Duration::from_millis(1)
}

async fn carry_out(shared: Arc<Shared>, deed: Deed) {
    let Some(machines) = &shared.machines else {
        return;
    };
    match deed {
        Deed::Boot(boot) => {
            let outcome = machines.boot(&boot).await;
            tracing::info!(
                id = boot.id,
                name = boot.name,
                ip = boot.ip,
                ?outcome,
                "boot"
            );
            shared.with_world(|world, now| world.booted(&boot.id, outcome, now));
        }
        Deed::Destroy(id) => {
            let outcome = machines.destroy(&id).await;
            tracing::info!(id, ?outcome, "destroy");
            shared.with_world(|world, now| world.destroyed(&id, outcome, now));
        }
    }
}

/// Writes the ledger each second, if there is a file for it.
pub(super) async fn keep_ledger(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    if shared.ledger.is_none() {
        return;
    }
    loop {
        if let Err(error) = shared.write_ledger() {
            tracing::warn!(%error, "the ledger could not be written");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = stop.changed() => return,
        }
    }
}
