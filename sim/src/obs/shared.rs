//! What requests share: the farm behind a lock, what was frozen, and the frontend's cache.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use tokio::sync::watch;

use super::Options;
use super::faults::Faults;
use super::model::Millis;
use super::worker_status::{Server, document};
use super::world::World;
use crate::clock;

/// For how long the frontend gives the same worker status (OBS' Rails code).
const CACHE_MILLIS: i64 = 3 * 60 * 1000;

pub(super) struct Shared {
    world: Mutex<World>,
    /// Sent to when the faults change, so that calls that hang let go.
    pub(super) faults_changed: watch::Sender<()>,
    frozen: Mutex<HashMap<String, (u16, Bytes)>>,
    /// The `Authorization` that every request has to bring, where this is a frontend.
    authorization: Option<String>,
    cache: Mutex<Option<(Millis, String)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere does not make the farm's state less true.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Millis {
    clock::now().as_millisecond()
}

impl Shared {
    pub(super) fn new(options: &Options) -> Self {
        let basic = |credentials: &String| format!("Basic {}", STANDARD.encode(credentials));
        Self {
            world: Mutex::new(World::seeded(options, now())),
            faults_changed: watch::Sender::new(()),
            frozen: Mutex::default(),
            authorization: options.frontend.as_ref().map(basic),
            cache: Mutex::default(),
        }
    }

    /// Looks at the farm, or changes it, as it is now.
    pub(super) fn with_world<T>(&self, look: impl FnOnce(&mut World, Millis) -> T) -> T {
        let mut world = lock(&self.world);
        let now = now();
        world.advance(now);
        let seen = look(&mut world, now);
        world.advance(now);
        seen
    }

    pub(super) fn faults(&self) -> Faults {
        lock(&self.world).faults.clone()
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        lock(&self.world).faults = faults;
        lock(&self.frozen).clear();
        self.faults_changed.send_replace(());
    }

    pub(super) fn is_frontend(&self) -> bool {
        self.authorization.is_some()
    }

    pub(super) fn admits(&self, authorization: Option<&str>) -> bool {
        let wanted = self.authorization.as_deref();
        wanted.is_none_or(|wanted| authorization == Some(wanted))
    }

    /// The frontend's copy of the source server's worker status, up to three minutes old.
    pub(super) fn cached_status(&self) -> String {
        let mut cache = lock(&self.cache);
        let now = now();
        match &*cache {
            Some((at, text)) if now - at < CACHE_MILLIS => text.clone(),
            _ => {
                let text = self.with_world(|world, _| document(world, Server::Source, false));
                *cache = Some((now, text.clone()));
                text
            }
        }
    }

    /// The first answer to this request since the faults were set.
    pub(super) fn frozen(&self, request: &str, answer: (u16, Bytes)) -> (u16, Bytes) {
        let mut frozen = lock(&self.frozen);
        frozen.entry(request.to_owned()).or_insert(answer).clone()
    }
}
