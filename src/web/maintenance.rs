//! `GET` and `POST /api/v1/maintenance`: which backends are under maintenance, and a person's word about one.

use super::App;
use super::people::about_to_end;
use super::routes::{Answer, failed, ok};
use crate::clock::Clock;
use crate::model::BackendName;
use hyper::body::Body;
use hyper::{Request, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::error::Error;

/// What a person says of a backend: `until` or `off`, and not both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// Its name.
    backend: String,
    /// When the maintenance ends by itself.
    until: Option<Timestamp>,
    /// It is over now.
    #[serde(default)]
    off: bool,
}

impl App {
    pub(super) async fn asked_to_maintain<B>(&self, request: Request<B>) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.read::<Ask, B>(request).await {
            Ok(ask) => self.maintain(&ask, Clock::default().now()).await,
            Err(refused) => *refused,
        }
    }

    /// What is answered well is in the journal.
    async fn maintain(&self, ask: &Ask, now: Timestamp) -> Answer {
        let backend = BackendName::new(&*ask.backend);
        let known = self.source.state().snapshot;
        if !known.backends.contains_key(&backend) {
            let why = format!("no backend {:?} is configured", ask.backend);
            return failed(StatusCode::NOT_FOUND, &why);
        }
        let lawful = match ask.until {
            Some(until) => until > now && !ask.off,
            None => ask.off,
        };
        if !lawful {
            let why = "expected either `until`, a moment to come, or `off`";
            return failed(StatusCode::BAD_REQUEST, why);
        }
        let answer = json!({ "backend": backend.as_str(), "until": ask.until });
        if self.people.maintain(backend, ask.until).await {
            return ok(&answer);
        }
        about_to_end()
    }
}
