//! Alertmanager's webhook, version 4: a doorbell. A notification changes the set of alarms and wakes
//! the reconciler; how much is bought never comes from here. Losing or repeating one changes latency
//! and nothing else, and `resolved` clears an alarm and releases nothing.
//!
//! Payload: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>. The outer
//! `status` says `firing` while any member does, so only each alert's own is read; `endsAt` is the year
//! 1 while firing; newer versions add keys, so unknown ones are passed over.

use super::Tokens;
use crate::metrics::{AlertKind, Own, WebhookOutcome};
use crate::model::{Action, Alarm, Alarms, PoolName, elapsed};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::AUTHORIZATION;
use hyper::{Request, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Notifications read at once. Each takes milliseconds, and an Alertmanager sends one per group at a
/// time.
pub const AT_ONCE: usize = 16;

/// For a body to arrive: below the 10 s after which Alertmanager gives a request up.
const BODY_TIMEOUT: Duration = Duration::from_secs(8);

/// How far ahead of our clock Prometheus' may be before an alert is not believed.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Why a request is refused. Alertmanager retries a 5xx with back-off and gives up on a 4xx (429
/// too), so what may succeed later is a 503.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No valid token.
    #[error("a bearer token is required, and this is not it")]
    Unauthorized,
    /// The body is larger than the limit.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Not a notification of version 4.
    #[error("not an Alertmanager notification of version 4: {0}")]
    Malformed(String),
    /// Too many at once, too slow, or shutting down.
    #[error("not now: {0}")]
    Overloaded(&'static str),
}

impl Refused {
    /// The status to answer with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What to count it as.
    #[must_use]
    pub const fn outcome(&self) -> WebhookOutcome {
        match self {
            Self::Unauthorized => WebhookOutcome::Unauthorized,
            Self::TooLarge { .. } => WebhookOutcome::TooLarge,
            Self::Malformed(_) => WebhookOutcome::Malformed,
            Self::Overloaded(_) => WebhookOutcome::Overloaded,
        }
    }

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        self.outcome().as_str()
    }
}

#[derive(Deserialize)]
struct Envelope {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    alerts: Vec<Alert>,
    #[serde(default)]
    group_key: String,
    #[serde(default)]
    truncated_alerts: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: Status,
    labels: BTreeMap<String, String>,
    starts_at: Timestamp,
    fingerprint: String,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

impl Notification {
    /// The version is read first: another one may have another shape.
    fn parse(body: &[u8]) -> Result<Self, Refused> {
        let malformed = |error: serde_json::Error| Refused::Malformed(error.to_string());
        let Envelope { version } = serde_json::from_slice(body).map_err(malformed)?;
        if version != "4" {
            return Err(Refused::Malformed(format!("its version is {version:?}")));
        }
        serde_json::from_slice(body).map_err(malformed)
    }
}

/// What was taken from a notification: the answer to it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// New alarms.
    pub taken: u64,
    /// Alarms held already: they live longer.
    pub repeated: u64,
    /// Resolved alerts that cleared their alarm.
    pub cleared: u64,
    /// Watchdogs heard.
    pub watchdog: u64,
    /// Alerts that are not for this program, and resolved ones whose alarm was not held.
    pub ignored: u64,
    /// Alerts for this program that are not credible, each with the reason.
    pub refused: Vec<String>,
    /// Alerts that Alertmanager cut off (`max_alerts`).
    pub truncated: u64,
}

impl Taken {
    /// Nothing in it but what is held already.
    const fn is_duplicate(&self) -> bool {
        self.repeated > 0 && self.taken == 0 && self.cleared == 0 && self.watchdog == 0
    }

    /// Whether there is something for the reconciler to look at. A cut-off notification may have lost
    /// just the alert that it was sent for.
    const fn rings(&self) -> bool {
        self.taken + self.repeated + self.cleared + self.truncated > 0
    }
}

/// Alertmanager's webhook.
#[derive(Debug)]
pub struct Doorbell {
    /// What Alertmanager must show.
    pub tokens: Tokens,
    /// The largest body accepted.
    pub max_body_bytes: u64,
    /// The configured pools: alarms for others are refused.
    pub pools: BTreeSet<PoolName>,
    /// The alarms held. The reconciler lets them expire.
    pub alarms: watch::Sender<Alarms>,
    /// Wakes the reconciler.
    pub wake: Arc<Notify>,
    /// Counts.
    pub own: Own,
    /// How many notifications may be read at once: [`AT_ONCE`], in the daemon.
    pub places: Semaphore,
    /// Once cancelled, notifications are refused.
    pub stopping: CancellationToken,
}

impl Doorbell {
    /// Answers a request, and counts how.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn answer<B>(&self, request: Request<B>, now: Timestamp) -> Result<Taken, Refused>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let answer = self.admit(request, now).await;
        if let Err(refused) = &answer {
            self.own.webhook(refused.outcome());
            tracing::warn!(outcome = refused.label(), %refused, "notification refused");
        }
        answer
    }

    async fn admit<B>(&self, request: Request<B>, now: Timestamp) -> Result<Taken, Refused>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let shown = request.headers().get(AUTHORIZATION);
        if !shown.is_some_and(|header| self.tokens.accept(header.as_bytes())) {
            return Err(Refused::Unauthorized);
        }
        if self.stopping.is_cancelled() {
            return Err(Refused::Overloaded("shutting down"));
        }
        let place = self.places.try_acquire();
        let _place = place.map_err(|_| Refused::Overloaded("too many at once"))?;
        let body = tokio::time::timeout(BODY_TIMEOUT, self.read(request.into_body())).await;
        let body = body.map_err(|_| Refused::Overloaded("the body came too slowly"))??;
        self.ring(&body, now)
    }

    async fn read<B>(&self, body: B) -> Result<Bytes, Refused>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let limit = self.max_body_bytes;
        let body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Refused::TooLarge { limit }),
            Err(error) => Err(Refused::Malformed(format!("it broke off: {error}"))),
        }
    }

    /// Takes the body of a notification that arrived at `now`, all of it or nothing.
    ///
    /// # Errors
    /// Where it is not a notification of version 4.
    pub fn ring(&self, body: &[u8], now: Timestamp) -> Result<Taken, Refused> {
        let notification = Notification::parse(body)?;
        let mut taken = Taken {
            truncated: notification.truncated_alerts,
            ..Taken::default()
        };
        self.alarms.send_modify(|alarms| {
            for alert in &notification.alerts {
                self.take(alert, now, alarms, &mut taken);
            }
        });
        if taken.rings() {
            self.wake.notify_one();
        }
        self.count(&taken);
        log(&notification.group_key, &taken);
        Ok(taken)
    }

    fn take(&self, alert: &Alert, now: Timestamp, alarms: &mut Alarms, taken: &mut Taken) {
        let counter = match (self.meaning(alert, now), alert.status) {
            (Ok(Meaning::Watchdog), Status::Firing) => {
                alarms.hear_watchdog(now);
                &mut taken.watchdog
            }
            (Ok(Meaning::Alarm(alarm)), Status::Firing) => {
                if alarms.fire(&alert.fingerprint, alarm) {
                    &mut taken.taken
                } else {
                    &mut taken.repeated
                }
            }
            (_, Status::Resolved) if alarms.resolve(&alert.fingerprint, alert.starts_at) => {
                &mut taken.cleared
            }
            (Ok(_), _) => &mut taken.ignored,
            (Err(why), _) => return taken.refused.push(why),
        };
        *counter += 1;
    }

    fn meaning(&self, alert: &Alert, now: Timestamp) -> Result<Meaning, String> {
        let label = |key: &str| alert.labels.get(key).map(String::as_str);
        let name = label("alertname").unwrap_or_default();
        let action = match label("action") {
            Some("apply") => Action::Apply,
            Some("release") => Action::Release,
            _ if name == "Watchdog" => return Ok(Meaning::Watchdog),
            _ => return Ok(Meaning::NotOurs),
        };
        let pool = label("pool").ok_or_else(|| format!("{name}: no label pool"))?;
        let configured = |pool: &PoolName| self.pools.contains(pool);
        let pool = PoolName::try_from(pool).ok().filter(configured);
        let pool = pool.ok_or_else(|| format!("{name}: its pool is not configured"))?;
        if elapsed(now, alert.starts_at) > CLOCK_SKEW {
            return Err(format!(
                "{name} for {pool}: it starts in the future, at {}",
                alert.starts_at
            ));
        }
        Ok(Meaning::Alarm(Alarm {
            action,
            pool,
            starts_at: alert.starts_at,
            heard: now,
        }))
    }

    fn count(&self, taken: &Taken) {
        self.own.webhook(if taken.is_duplicate() {
            WebhookOutcome::Duplicate
        } else {
            WebhookOutcome::Accepted
        });
        for (kind, count) in [
            (AlertKind::Taken, taken.taken),
            (AlertKind::Repeated, taken.repeated),
            (AlertKind::Cleared, taken.cleared),
            (AlertKind::Watchdog, taken.watchdog),
            (AlertKind::Ignored, taken.ignored),
            (AlertKind::Refused, taken.refused.len() as u64),
            (AlertKind::Truncated, taken.truncated),
        ] {
            self.own.alerts(kind, count);
        }
    }
}

enum Meaning {
    Alarm(Alarm),
    Watchdog,
    NotOurs,
}

fn log(group: &str, taken: &Taken) {
    let Taken {
        taken,
        repeated,
        cleared,
        watchdog,
        ignored,
        refused,
        truncated,
    } = taken;
    let refusals = refused.join("; ");
    if refused.is_empty() && *truncated == 0 {
        tracing::info!(
            group,
            taken,
            repeated,
            cleared,
            watchdog,
            ignored,
            "notification taken"
        );
    } else {
        tracing::warn!(
            group,
            taken,
            repeated,
            cleared,
            watchdog,
            ignored,
            truncated,
            refused = refusals,
            "notification taken in part"
        );
    }
}
