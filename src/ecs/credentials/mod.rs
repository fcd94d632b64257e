//! What a call shows to be ours: a signature with a key, or a token. Those that end are fetched anew in
//! time, by one task at once, and the old one serves until the new one is there.

mod agency;
mod password;
#[cfg(test)]
mod tests;

use super::error::EcsError;
use super::services::{Service, Services};
use super::sign;
use crate::clock::Clock;
use crate::config;
use agency::Agency;
use jiff::{SignedDuration, Timestamp};
use password::Password;
use secrecy::SecretString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// After an attempt to fetch new ones the next is made this much later at the earliest.
const PATIENCE: SignedDuration = SignedDuration::from_mins(1);

/// What a call carries.
pub(super) enum Pass {
    /// It is signed.
    Key(sign::Credentials),
    /// It carries this as `X-Auth-Token`.
    Token(SecretString),
}

/// A pass, and what is known of it.
pub(super) struct Held {
    pub(super) pass: Pass,
    /// When it ends; `None`: never.
    ends: Option<Timestamp>,
    /// Whether a call with it ever went through.
    proven: AtomicBool,
}

impl Held {
    /// Takes down that a call with it went through.
    pub(super) fn went_through(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Whether it was taken once, so that a refusal now means that it has ended.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }
}

/// A pass as it was fetched.
struct Fetched {
    pass: Pass,
    ends: Timestamp,
}

/// Where passes that end come from.
enum Origin {
    Agency(Agency),
    Password(Password),
}

impl Origin {
    async fn fetch(&self, clock: Clock) -> Result<Fetched, EcsError> {
        match self {
            Self::Agency(agency) => agency.fetch().await,
            Self::Password(password) => password.fetch(clock).await,
        }
    }

    /// How long before its end a pass is replaced: the official SDK takes 40 minutes for an agency's keys;
    /// a token lives for 24 hours.
    const fn lead(&self) -> SignedDuration {
        match self {
            Self::Agency(_) => SignedDuration::from_mins(40),
            Self::Password(_) => SignedDuration::from_hours(2),
        }
    }
}

/// Gives out passes.
#[derive(Clone)]
pub(super) struct Authority(Arc<Inner>);

struct Inner {
    /// `None` where there is one key that does not end.
    origin: Option<Origin>,
    clock: Clock,
    state: Mutex<State>,
    /// Held by whoever fetches.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    /// Not before then is a pass that still holds replaced.
    renew_at: Option<Timestamp>,
    /// How the last attempt failed.
    failed: Option<(Instant, EcsError)>,
}

impl Authority {
    /// # Errors
    /// [`EcsError::Setup`] where no HTTP client can be had.
    pub(super) fn new(
        config: &config::Ecs,
        services: &Services,
        clock: Clock,
    ) -> Result<Self, EcsError> {
        let (origin, held) = match &config.credentials {
            config::Credentials::Key {
                access_key,
                secret_key,
                security_token,
            } => {
                let key = sign::Credentials {
                    access_key: access_key.clone(),
                    secret_key: secret_key.clone(),
                    security_token: security_token.clone(),
                };
                let held = Held {
                    pass: Pass::Key(key),
                    ends: None,
                    proven: AtomicBool::new(false),
                };
                (None, Some(Arc::new(held)))
            }
            config::Credentials::Agency { metadata_endpoint } => {
                (Some(Origin::Agency(Agency::new(metadata_endpoint)?)), None)
            }
            config::Credentials::Password {
                domain,
                user,
                password,
            } => {
                let who = (domain.as_str(), user.as_str(), password);
                let iam = services.base(Service::Iam);
                let password = Password::new(who, iam, &config.project_id, config.timeout)?;
                (Some(Origin::Password(password)), None)
            }
        };
        let state = State {
            held,
            ..State::default()
        };
        Ok(Self(Arc::new(Inner {
            origin,
            clock,
            state: Mutex::new(state),
            fetching: Arc::default(),
        })))
    }

    /// Whether passes are fetched, so that one which is refused can be replaced.
    pub(super) fn renews(&self) -> bool {
        self.0.origin.is_some()
    }

    /// A pass that holds now. Where it is due, a new one is fetched beside.
    ///
    /// # Errors
    /// [`EcsError::NoCredentials`] where there is none, and none can be had.
    pub(super) async fn pass(&self) -> Result<Arc<Held>, EcsError> {
        let now = self.0.clock.now();
        if let Some(held) = self.0.holding(now) {
            if self.0.is_due(now)
                && let Ok(fetching) = Arc::clone(&self.0.fetching).try_lock_owned()
            {
                let inner = Arc::clone(&self.0);
                tokio::spawn(async move {
                    let _fetching = fetching;
                    if let Err(error) = inner.renew().await {
                        tracing::warn!(%error, "new credentials cannot be fetched yet");
                    }
                });
            }
            return Ok(held);
        }
        let waiting_since = Instant::now();
        let _fetching = self.0.fetching.lock().await;
        if let Some(held) = self.0.holding(self.0.clock.now()) {
            return Ok(held);
        }
        match self.0.failed_since(waiting_since) {
            Some(error) => Err(error),
            None => self.0.renew().await,
        }
    }

    /// Lets go of a pass that was refused, unless there is another already.
    pub(super) fn refused(&self, held: &Arc<Held>) {
        let mut state = self.0.state();
        let is_it = |current: &Arc<Held>| Arc::ptr_eq(current, held);
        if self.renews() && state.held.as_ref().is_some_and(is_it) {
            state.held = None;
        }
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holding(&self, now: Timestamp) -> Option<Arc<Held>> {
        let held = self.state().held.clone()?;
        held.ends.is_none_or(|ends| now < ends).then_some(held)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.state().renew_at.is_some_and(|at| now >= at)
    }

    fn failed_since(&self, since: Instant) -> Option<EcsError> {
        let state = self.state();
        let (at, error) = state.failed.as_ref()?;
        (*at >= since).then(|| error.clone())
    }

    /// Fetches a pass. To be called by the holder of `fetching` alone.
    async fn renew(&self) -> Result<Arc<Held>, EcsError> {
        let Some(origin) = &self.origin else {
            return Err(EcsError::Setup("the key does not end".to_owned()));
        };
        let fetched = origin.fetch(self.clock).await;
        let now = self.clock.now();
        let later = |at: Timestamp, by| at.saturating_add(by).unwrap_or(at);
        let mut state = self.state();
        match fetched.and_then(|fetched| not_over(fetched, now)) {
            Ok(fetched) => {
                let due = later(fetched.ends, -origin.lead());
                let held = Arc::new(Held {
                    pass: fetched.pass,
                    ends: Some(fetched.ends),
                    proven: AtomicBool::new(false),
                });
                state.held = Some(Arc::clone(&held));
                state.renew_at = Some(due.max(later(now, PATIENCE)));
                state.failed = None;
                Ok(held)
            }
            Err(error) => {
                let error = EcsError::NoCredentials(Box::new(error));
                state.renew_at = Some(later(now, PATIENCE));
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

fn not_over(fetched: Fetched, now: Timestamp) -> Result<Fetched, EcsError> {
    if fetched.ends > now {
        return Ok(fetched);
    }
    Err(EcsError::Garbled {
        operation: "credentials",
        why: format!("they have ended at {} already", fetched.ends),
        request_id: None,
    })
}
