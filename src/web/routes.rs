//! The routes: one `match`.

use super::{Doorbell, People, Refused, Scrape, ScrapeError, Scrapes};
use crate::clock::Clock;
use crate::configure;
use crate::metrics::{Coding, Format, Source};
use crate::model::{Observed, PoolName, Snapshot, Unknown};
use crate::roster::{NotAnswered, Question};
use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName,
    HeaderValue, VARY, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What `GET /api/v1/…` answers, from values in memory.
pub trait Answers: Send + Sync {
    /// What would be bought now, and why.
    fn plan_apply(&self) -> Value;
    /// What servers have cost since then, or for as long as it is kept.
    fn cost(&self, since: Option<Timestamp>) -> Value;
    /// How far each worker is whose settings are due, or that is on its way to them.
    fn configured(&self) -> Vec<configure::Row>;
    /// How far the exclusive mode is.
    fn exclusive(&self) -> Value;
    /// A person says that a pool is as it should be, after its instances fell away. `false` where
    /// nobody listens just now.
    fn accept(&self, pool: &PoolName) -> bool;
    /// The backends, and until when each is under maintenance.
    fn maintenance(&self) -> Value;
    /// The workers' node_exporters, in the format of Prometheus' HTTP service discovery.
    ///
    /// # Errors
    /// Where the workers are not known just now: Prometheus keeps the targets that it has.
    fn discover(&self) -> Result<Value, Unknown>;
    /// What would be released now, and why not the others; with another number of looks, and another
    /// time between them, than the configured ones where they are given.
    fn plan_release(&self, checks: Option<u32>, interval: Option<Duration>) -> Value;
    /// What the workers are and do.
    ///
    /// # Errors
    /// Names what there is no answer to.
    fn of_workers(&self, question: &Question) -> Result<Value, NotAnswered>;
}

/// Everything that a request may need.
pub struct App {
    /// Alertmanager's webhook.
    pub doorbell: Doorbell,
    /// Every metric.
    pub scrapes: Scrapes,
    /// The present state, for readiness.
    pub source: Arc<dyn Source>,
    /// The JSON answers.
    pub answers: Arc<dyn Answers>,
    /// What people may ask to be done.
    pub people: Arc<dyn People>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

pub(super) type Answer = Response<Either<Full<Bytes>, Scrape>>;

impl App {
    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let gets = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/api/v1/alerts" if request.method() == Method::POST => self.notified(request).await,
            "/api/v1/alerts" => not_allowed("POST"),
            "/api/v1/adopt" => self.asked_to_adopt(request).await,
            "/api/v1/disown" => self.asked_to_disown(request).await,
            "/api/v1/maintenance" if gets => ok(&self.answers.maintenance()),
            "/api/v1/maintenance" => self.asked_to_maintain(request).await,
            "/api/v1/workers/check" => self.asked_to_check(request).await,
            "/api/v1/workers/configure" => self.asked_to_configure(request).await,
            "/api/v1/exclusive/on" => self.asked_to_be_exclusive(request, true).await,
            "/api/v1/exclusive/off" => self.asked_to_be_exclusive(request, false).await,
            path if let Some(pool) = accepted_pool(path) => self.accept(&request, pool),
            path if let Some(path) = of_workers(path) => {
                self.of_workers(path, request.uri().query().unwrap_or_default(), gets)
            }
            "/"
            | "/metrics"
            | "/-/healthy"
            | "/-/ready"
            | "/api/v1/sd"
            | "/api/v1/cost"
            | "/api/v1/exclusive"
            | "/api/v1/plan/apply"
            | "/api/v1/plan/release"
                if !gets =>
            {
                not_allowed("GET, HEAD")
            }
            "/" => with(StatusCode::OK, "text/html; charset=utf-8", LANDING),
            "/metrics" => self.metrics(&request).await,
            "/-/healthy" => text(StatusCode::OK, "alive\n"),
            "/-/ready" => self.ready(),
            "/api/v1/sd" => self.discover(),
            "/api/v1/cost" => self.cost(request.uri().query().unwrap_or_default()),
            "/api/v1/exclusive" => ok(&self.answers.exclusive()),
            "/api/v1/plan/apply" => ok(&self.answers.plan_apply()),
            "/api/v1/plan/release" => self.plan_release(request.uri().query().unwrap_or_default()),
            _ => text(StatusCode::NOT_FOUND, "no such page; see /\n"),
        }
    }

    async fn notified<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.doorbell.answer(request, Clock::default().now()).await {
            Ok(taken) => ok(&json!(taken)),
            Err(refused) => {
                let mut answer = failed(refused.status(), &refused.to_string());
                if refused == Refused::Unauthorized {
                    let scheme = HeaderValue::from_static("Bearer");
                    answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
                }
                answer
            }
        }
    }

    /// `POST /api/v1/pools/POOL/accept`, with the webhook's token: it lets a halted pool go on.
    fn accept<B>(&self, request: &Request<B>, pool: &str) -> Answer {
        if request.method() != Method::POST {
            return not_allowed("POST");
        }
        if let Err(refused) = self.authorize(request) {
            return *refused;
        }
        let known = PoolName::try_from(pool).ok();
        match known.filter(|pool| self.doorbell.pools.contains(pool)) {
            None => failed(
                StatusCode::NOT_FOUND,
                &format!("no pool {pool:?} is configured"),
            ),
            Some(pool) if self.answers.accept(&pool) => ok(&json!({ "accepted": pool.as_str() })),
            Some(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "not now: try again"),
        }
    }

    /// Whoever asks for a deed shows the webhook's token.
    pub(super) fn authorize<B>(&self, request: &Request<B>) -> Result<(), Box<Answer>> {
        let shown = request.headers().get(AUTHORIZATION);
        if shown.is_some_and(|header| self.doorbell.tokens.accept(header.as_bytes())) {
            return Ok(());
        }
        let why = Refused::Unauthorized.to_string();
        Err(Box::new(failed(StatusCode::UNAUTHORIZED, &why)))
    }

    async fn metrics<B>(&self, request: &Request<B>) -> Answer {
        let format = Format::for_accept(&all(request, ACCEPT));
        let coding = Coding::for_accept_encoding(&all(request, ACCEPT_ENCODING));
        let mut answer = if request.method() == Method::HEAD {
            Response::new(Either::Left(Full::default()))
        } else {
            match self.scrapes.begin(format, coding).await {
                Ok(scrape) => Response::new(Either::Right(scrape)),
                Err(error) => return not_scraped(&error),
            }
        };
        let headers = answer.headers_mut();
        let kind = HeaderValue::from_static(format.content_type());
        headers.insert(CONTENT_TYPE, kind);
        let vary = HeaderValue::from_static("accept, accept-encoding");
        headers.insert(VARY, vary);
        if coding == Coding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }

    fn ready(&self) -> Answer {
        let missing = missing(&self.source.state().snapshot);
        if missing.is_empty() {
            return text(StatusCode::OK, "ready\n");
        }
        text(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
    }

    fn discover(&self) -> Answer {
        match self.answers.discover() {
            Ok(targets) => ok(&targets),
            Err(why) => failed(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("the cloud's list of the workers: {why}"),
            ),
        }
    }

    fn cost(&self, query: &str) -> Answer {
        match since(query) {
            Ok(since) => ok(&self.answers.cost(since)),
            Err(why) => failed(StatusCode::BAD_REQUEST, &why),
        }
    }

    /// `GET /api/v1/workers`, `workers/usage`, `instances` and `instances/idle`.
    fn of_workers(&self, path: &str, query: &str, gets: bool) -> Answer {
        let question = match Question::read(path, query) {
            Ok(None) => return text(StatusCode::NOT_FOUND, "no such page; see /\n"),
            Ok(Some(_)) if !gets => return not_allowed("GET, HEAD"),
            Ok(Some(question)) => question,
            Err(why) => return not_answered(&why),
        };
        match self.answers.of_workers(&question) {
            Ok(answer) => ok(&answer),
            Err(why) => not_answered(&why),
        }
    }

    fn plan_release(&self, query: &str) -> Answer {
        match looks(query) {
            Ok((checks, interval)) => ok(&self.answers.plan_release(checks, interval)),
            Err(why) => failed(StatusCode::BAD_REQUEST, &why),
        }
    }
}

/// The part behind `/api/v1/` of a path that asks of workers.
fn of_workers(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/api/v1/")?;
    let noun = path.split('/').next();
    matches!(noun, Some("workers" | "instances")).then_some(path)
}

/// Reads `since=DATE`, which may be left out: a day, or a moment, of UTC.
fn since(query: &str) -> Result<Option<Timestamp>, String> {
    let mut since = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let ("since", date) = pair.split_once('=').unwrap_or((pair, "")) else {
            return Err(format!("unknown parameter {pair:?}; known is since"));
        };
        let day = || date.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok();
        let at = date.parse().ok().or_else(|| Some(day()?.timestamp()));
        let at = at.ok_or_else(|| expected("since", date, "a date such as 2026-01-31"))?;
        since = Some(at);
    }
    Ok(since)
}

/// Every header of this name, as one list.
fn all<B>(request: &Request<B>, name: HeaderName) -> String {
    let values = request.headers().get_all(name).iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn not_scraped(error: &ScrapeError) -> Answer {
    tracing::warn!(%error, class = error.label(), "no scrape");
    let status = match error {
        ScrapeError::TooMany => StatusCode::SERVICE_UNAVAILABLE,
        ScrapeError::TooSlow(_) | ScrapeError::Page(_) | ScrapeError::Broke => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    text(status, format!("{error}\n"))
}

/// The pool in `/api/v1/pools/POOL/accept`.
fn accepted_pool(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/pools/")?.strip_suffix("/accept")
}

/// The sources that have not been read whole since the start, each with why.
fn missing(snapshot: &Snapshot) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, view) in &snapshot.backends {
        missing.extend([
            unread(&format!("{name}: workers"), &view.workers),
            unread(&format!("{name}: results"), &view.results),
            unread(&format!("{name}: history"), &view.history),
        ]);
    }
    missing.push(unread("ecs", &snapshot.fleet));
    missing.into_iter().flatten().collect()
}

fn unread<T>(source: &str, observed: &Observed<T>) -> Option<String> {
    let why = observed.failing().map_or("not yet", |(_, why)| why);
    observed
        .last()
        .is_none()
        .then(|| format!("{source} never read: {why}"))
}

/// Reads `checks=N&interval=D`, either of which may be left out.
fn looks(query: &str) -> Result<(Option<u32>, Option<Duration>), String> {
    let (mut checks, mut interval) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("checks", n) => {
                checks = Some(positive(n).ok_or_else(|| expected("checks", n, "a number above 0"))?)
            }
            ("interval", d) => {
                interval = Some(
                    duration(d)
                        .ok_or_else(|| expected("interval", d, "a duration such as 30s or 5m"))?,
                );
            }
            (key, _) => {
                return Err(format!(
                    "unknown parameter {key:?}; known are checks and interval"
                ));
            }
        }
    }
    Ok((checks, interval))
}

fn positive(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n| *n > 0)
}

fn duration(text: &str) -> Option<Duration> {
    text.parse::<jiff::SignedDuration>().ok()?.try_into().ok()
}

fn expected(key: &str, found: &str, what: &str) -> String {
    format!("{key}: found {found:?}, expected {what}")
}

const LANDING: &str = concat!(
    "<!doctype html><html lang=\"en\"><title>obs-scaler</title><h1>obs-scaler ",
    env!("CARGO_PKG_VERSION"),
    "</h1><p>Buys build workers when Open Build Service's queue needs them, and gives them back.<ul>",
    "<li><a href=\"/metrics\">metrics</a><li><a href=\"/-/ready\">ready</a>",
    "<li><a href=\"/-/healthy\">healthy</a>",
    "<li><a href=\"/api/v1/sd\">where the workers' node_exporters are</a>",
    "<li><a href=\"/api/v1/workers\">every worker</a>",
    "<li><a href=\"/api/v1/instances\">what their instances do</a>",
    "<li><a href=\"/api/v1/cost\">what servers have cost</a>",
    "<li><a href=\"/api/v1/maintenance\">which backends are under maintenance</a>",
    "<li><a href=\"/api/v1/plan/apply\">what would be bought now</a>",
    "<li><a href=\"/api/v1/plan/release\">what would be released now</a></ul></html>\n",
);

fn with(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with(status, "text/plain; charset=utf-8", body)
}

pub(super) fn ok(value: &Value) -> Answer {
    with(StatusCode::OK, "application/json", value.to_string())
}

pub(super) fn not_answered(why: &NotAnswered) -> Answer {
    let status = match why {
        NotAnswered::UnknownAddress(_) => StatusCode::NOT_FOUND,
        NotAnswered::Question { .. } => StatusCode::BAD_REQUEST,
        NotAnswered::NotRead => StatusCode::CONFLICT,
    };
    failed(status, &why.to_string())
}

pub(super) fn failed(status: StatusCode, why: &str) -> Answer {
    with(
        status,
        "application/json",
        json!({ "error": why }).to_string(),
    )
}

pub(super) fn not_allowed(allow: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {allow}\n"));
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    answer
}
