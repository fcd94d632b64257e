//! The list, asked for less often while the cloud does not accept our key.

use super::{EcsClient, EcsError};
use crate::model::{Class, Fleet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// After a call that was refused for want of permission. Bad signatures in a row lock an access key
/// for five minutes, for everybody who uses it (page "AK/SK signing and authentication").
const PAUSE: Duration = Duration::from_secs(300);

/// Lists the fleet, and after a refusal for want of permission repeats that refusal for a while.
#[derive(Clone)]
pub struct BrakedList {
    client: Arc<EcsClient>,
    refused: Arc<Mutex<Option<(Instant, EcsError)>>>,
}

impl BrakedList {
    /// Lists with this client.
    #[must_use]
    pub fn new(client: Arc<EcsClient>) -> Self {
        Self {
            client,
            refused: Arc::default(),
        }
    }

    /// Every managed server, as [`EcsClient::list`] gives them.
    ///
    /// # Errors
    /// Those of the call; the last refusal while it is not made.
    pub async fn list(&self) -> Result<Fleet, EcsError> {
        if let Some(refusal) = self.standing(Instant::now()) {
            return Err(refusal);
        }
        let listed = self.client.list().await;
        self.note(listed.as_ref().err(), Instant::now());
        listed
    }

    fn standing(&self, now: Instant) -> Option<EcsError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, refusal) = refused.as_ref()?;
        (now.duration_since(*at) < PAUSE).then(|| refusal.clone())
    }

    fn note(&self, error: Option<&EcsError>, now: Instant) {
        let refusal = error.filter(|error| error.class() == Class::Permission);
        let refused = refusal.map(|error| (now, error.clone()));
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }
}
