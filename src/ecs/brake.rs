//! No call while the cloud does not accept our key.

use super::error::EcsError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// After a call that was refused for want of permission. Bad signatures in a row lock an access key
/// for five minutes, for everybody who uses it (page "AK/SK signing and authentication").
const PAUSE: Duration = Duration::from_secs(300);

/// After a refused key repeats that refusal for a while, to whoever calls.
#[derive(Debug, Default)]
pub(super) struct Brake {
    refused: Mutex<Option<(Instant, EcsError)>>,
}

impl Brake {
    /// The refusal, while no call is to be made.
    pub(super) fn standing(&self, now: Instant) -> Option<EcsError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, refusal) = refused.as_ref()?;
        (now.duration_since(*at) < PAUSE).then(|| refusal.clone())
    }

    /// Takes down how a call ended: only a key that is refused holds every call, a right that one call
    /// wants for does not.
    pub(super) fn note(&self, ended: Result<(), &EcsError>, now: Instant) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match ended {
            Ok(()) => *refused = None,
            Err(error) if error.is_of_the_key() => *refused = Some((now, error.clone())),
            Err(_) => {}
        }
    }
}
