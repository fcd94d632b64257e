//! One signed call, answered whole within its deadline.

use super::ask::{Answer, Ask, Wants};
use super::brake::Brake;
use super::budget::Budget;
use super::credentials::{Authority, Held, Pass};
use super::error::{EcsError, Refusal};
use super::http;
use super::permission;
use super::services::Services;
use super::sign::{Signable, canonical_query};
use crate::clock::Clock;
use crate::config;
use crate::model::Class;
use reqwest::{Client, RequestBuilder, Url};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// One finished call, for `obs_scaler_ecs_requests_total` and its duration.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which call, such as `list`, `create` or `job`.
    pub operation: &'static str,
    /// The HTTP status of a success; of a failure the cloud's code, or `no_connection`, `lost`,
    /// `garbled`, `not_admitted`, `no_credentials`.
    pub code: String,
    /// How long it took.
    pub seconds: f64,
}

/// Is told of every finished call.
pub type Observer = Arc<dyn Fn(Call) + Send + Sync>;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

const CONTENT_TYPE: &str = "application/json";

/// The way to the cloud.
pub(super) struct Transport {
    http: Client,
    pub(super) services: Services,
    pub(super) project: String,
    authority: Authority,
    budget: Budget,
    brake: Brake,
    clock: Clock,
    timeout: Duration,
    pub(super) max_answer: usize,
    pub(super) observer: Option<Observer>,
}

impl Transport {
    pub(super) fn new(config: &config::Ecs, clock: Clock) -> Result<Self, EcsError> {
        let services = Services::of(&config.endpoint)?;
        Ok(Self {
            http: http::client(&config.endpoint)?,
            project: config.project_id.clone(),
            authority: Authority::new(config, &services, clock)?,
            services,
            budget: Budget::new(config.rates),
            brake: Brake::default(),
            clock,
            timeout: config.timeout,
            max_answer: MAX_ANSWER,
            observer: None,
        })
    }

    /// Makes the call and tells the observer of it. While the cloud does not accept our key, no call is
    /// made, and the refusal is given again.
    ///
    /// # Errors
    /// Any [`EcsError`] of a call; no answer within the deadline is [`EcsError::Lost`].
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Answer, EcsError> {
        debug_assert!(permission::is_known(ask.operation), "{}", ask.operation);
        let begun = Instant::now();
        if let Some(refusal) = self.brake.standing(begun) {
            return Err(refusal);
        }
        let result = self.in_time(ask).await;
        if let Some(observer) = &self.observer {
            let code = match &result {
                Ok(answer) => answer.status.to_string(),
                Err(error) => error.code(),
            };
            observer(Call {
                operation: ask.operation,
                code,
                seconds: begun.elapsed().as_secs_f64(),
            });
        }
        result
    }

    /// Waits until the call may be made, and for its answer, each at most for the call's deadline: a call
    /// that waited in vain is known to have had no effect.
    async fn in_time(&self, ask: &Ask<'_>) -> Result<Answer, EcsError> {
        let deadline = self.deadline(ask.operation);
        let held = match timeout(deadline, self.admitted(ask)).await {
            Ok(held) => held?,
            Err(_) => {
                return Err(EcsError::NotAdmitted {
                    operation: ask.operation,
                    waited: deadline,
                });
            }
        };
        match timeout(deadline, self.tries(ask, held)).await {
            Ok(result) => result,
            Err(_) => Err(EcsError::Lost {
                operation: ask.operation,
                why: format!("not whole within {deadline:?}"),
            }),
        }
    }

    /// A creation is answered when the cloud has taken it in, which may take long; given up too early, it
    /// has to be asked for again.
    fn deadline(&self, operation: &str) -> Duration {
        match operation {
            "create" => self.timeout.saturating_mul(2),
            _ => self.timeout,
        }
    }

    async fn admitted(&self, ask: &Ask<'_>) -> Result<Arc<Held>, EcsError> {
        self.budget.turn(ask.reads).await;
        let held = self.authority.pass().await;
        if let Err(error) = &held {
            self.brake.note(Err(error), Instant::now());
        }
        held
    }

    /// Made once more: a read whose connection broke, and whatever was turned away for credentials that can be
    /// fetched anew, since it had no effect.
    async fn tries(&self, ask: &Ask<'_>, held: Arc<Held>) -> Result<Answer, EcsError> {
        let worth_it = |error: &EcsError| match error {
            EcsError::NoConnection { .. } | EcsError::Lost { .. } => ask.reads,
            other => self.authority.renews() && other.is_of_the_key(),
        };
        match self.attempt(ask, &held).await {
            Err(error) if worth_it(&error) => {
                let held = self.admitted(ask).await?;
                self.attempt(ask, &held).await
            }
            result => result,
        }
    }

    /// One attempt, and what is learnt from it for those that follow.
    async fn attempt(&self, ask: &Ask<'_>, held: &Arc<Held>) -> Result<Answer, EcsError> {
        let begun = Instant::now();
        let result = self.once(ask, held).await;
        let now = Instant::now();
        match &result {
            Ok(_) => {
                held.went_through();
                self.budget.went_through(begun);
                self.brake.note(Ok(()), now);
            }
            Err(error) if error.class() == Class::Throttled => self.budget.throttled(begun, now),
            Err(error) if error.is_of_the_key() => {
                self.authority.refused(held);
                // What was taken before has ended, and is fetched anew; anything else is a refused key.
                if !(self.authority.renews() && held.is_proven()) {
                    self.brake.note(Err(error), now);
                }
            }
            Err(_) => {}
        }
        result
    }

    async fn once(&self, ask: &Ask<'_>, held: &Held) -> Result<Answer, EcsError> {
        let sent = self.request(ask, &held.pass)?.send().await;
        let response = sent.map_err(|error| http::failed(ask.operation, error))?;
        let status = response.status().as_u16();
        let request_id = http::request_id(&response);
        let bytes = http::whole(ask.operation, response, self.max_answer).await?;
        let body = serde_json::from_slice::<Value>(&bytes);
        let refusal = Refusal::read(
            ask.operation,
            status,
            request_id.clone(),
            body.as_ref().ok(),
        );
        if let Some(refusal) = refusal {
            return Err(EcsError::Refused(Box::new(redacted(refusal, &held.pass))));
        }
        let blank = bytes.trim_ascii().is_empty();
        let body = match (ask.wants, body) {
            (Wants::Status(wanted), _) if status == wanted => Ok(Value::Null),
            (Wants::Status(wanted), _) => Err(format!("status {status} in place of {wanted}")),
            (Wants::Nothing, Err(_)) if blank => Ok(Value::Null),
            (Wants::Nothing, Ok(document)) => said_well(document),
            (_, document) => document.map_err(|error| error.to_string()),
        };
        let body = body.map_err(|why| EcsError::Garbled {
            operation: ask.operation,
            why,
            request_id: request_id.clone(),
        })?;
        Ok(Answer {
            operation: ask.operation,
            status,
            request_id,
            body,
        })
    }

    fn request(&self, ask: &Ask<'_>, pass: &Pass) -> Result<RequestBuilder, EcsError> {
        let mut text = format!("{}{}", self.services.base(ask.service), ask.path);
        if !ask.query.is_empty() {
            text = format!("{text}?{}", canonical_query(ask.query));
        }
        let url = Url::parse(&text).map_err(|error| EcsError::Invalid(error.to_string()))?;
        let host = http::host(&url);
        let mut headers = vec![
            ("content-type", CONTENT_TYPE),
            ("host", host.as_str()),
            ("x-project-id", self.project.as_str()),
        ];
        headers.extend(ask.token.map(|token| ("x-client-token", token)));
        let signable = Signable {
            method: ask.method.as_str(),
            path: url.path(),
            query: ask.query,
            headers: &headers,
            body: ask.body.unwrap_or_default().as_bytes(),
        };
        let shown = match pass {
            Pass::Key(key) => {
                let date = self.clock.now().strftime("%Y%m%dT%H%M%SZ");
                key.sign(&signable, &date.to_string())
            }
            Pass::Token(token) => vec![("x-auth-token", token.expose_secret().to_owned())],
        };
        let mut request = self.http.request(ask.method.clone(), url.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in shown {
            request = request.header(name, value);
        }
        Ok(match ask.body {
            Some(body) => request.body(body.to_owned()),
            None => request,
        })
    }
}

/// What a call answers of which no answer is read. It is the cloud that speaks, and of no error, where it is an object
/// without a field such as `error_code`; anything else may be somebody's on the way.
fn said_well(document: Value) -> Result<Value, String> {
    let fields = document.as_object();
    let fields = fields.ok_or_else(|| "no object".to_owned())?;
    match fields.keys().find(|name| name.starts_with("error")) {
        Some(name) => Err(format!("a success with {name:?}")),
        None => Ok(document),
    }
}

/// The gateway names the access key in its words when it does not know it.
fn redacted(mut refusal: Refusal, pass: &Pass) -> Refusal {
    if let Pass::Key(key) = pass {
        let key = key.access_key.expose_secret();
        if !key.is_empty() {
            refusal.message = refusal.message.replace(key, "(access key)");
        }
    }
    refusal
}
