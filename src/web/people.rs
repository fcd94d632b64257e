//! `POST /api/v1/adopt` and `/disown`: what people ask of the running daemon, with the webhook's token.

use super::App;
use super::routes::{Answer, failed, not_allowed, not_answered, ok};
use crate::adoption::{Adopt, AdoptionError, Disown, Row};
use crate::configure::{self, Configure};
use crate::exclusive;
use crate::inspect::CheckAsked;
use crate::model::BackendName;
use crate::roster::NotAnswered;
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::error::Error;
use std::pin::Pin;

/// The largest question, in bytes: some thousand addresses.
const MAX_BODY: usize = 64 << 10;

/// A question that asks nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A row for each address, or why nothing was done for any.
pub type Answered = Result<Vec<Row>, AdoptionError>;

/// A row for each worker that was looked at, or why none was.
pub type Checked = Result<Value, NotAnswered>;

/// Whether the word is written down, or what is wrong with the question; `None` where the program is about to end.
pub type Noted = Option<Result<(), String>>;

/// A row for each address; `None` where the program is about to end.
pub type Refitted = Option<Vec<configure::Row>>;

/// What people may ask to be done.
pub trait People: Send + Sync {
    /// Servers become ours.
    fn adopt(&self, ask: Adopt) -> Pin<Box<dyn Future<Output = Answered> + Send>>;
    /// Servers are not ours any more.
    fn disown(&self, ask: Disown) -> Pin<Box<dyn Future<Output = Answered> + Send>>;
    /// Workers are looked at, and nothing on them is changed.
    fn check(&self, ask: CheckAsked) -> Pin<Box<dyn Future<Output = Checked> + Send>>;
    /// Workers are to be told something else.
    fn configure(&self, ask: Configure) -> Pin<Box<dyn Future<Output = Refitted> + Send>>;
    /// The maintenance of a backend begins (until when) or ends. `false` where it is not written down, since the
    /// program is about to end.
    fn maintain(
        &self,
        backend: BackendName,
        until: Option<Timestamp>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>>;
    /// Workers are to serve one backend alone; `None` takes it back.
    fn be_exclusive(
        &self,
        ask: Option<exclusive::Ask>,
    ) -> Pin<Box<dyn Future<Output = Noted> + Send>>;
}

impl App {
    pub(super) async fn asked_to_adopt<B>(&self, request: Request<B>) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.read(request).await {
            Ok(ask) => rows(self.people.adopt(ask).await),
            Err(refused) => *refused,
        }
    }

    pub(super) async fn asked_to_disown<B>(&self, request: Request<B>) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.read(request).await {
            Ok(ask) => rows(self.people.disown(ask).await),
            Err(refused) => *refused,
        }
    }

    pub(super) async fn asked_to_check<B>(&self, request: Request<B>) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.read(request).await {
            Ok(ask) => match self.people.check(ask).await {
                Ok(rows) => ok(&rows),
                Err(why) => not_answered(&why),
            },
            Err(refused) => *refused,
        }
    }

    /// `POST /api/v1/workers/configure` asks for it, `GET` says how far it is.
    pub(super) async fn asked_to_configure<B>(&self, request: Request<B>) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return ok(&json!({ "workers": self.answers.configured() }));
        }
        match self.read(request).await {
            Err(refused) => *refused,
            Ok(ask) => match self.people.configure(ask).await {
                Some(rows) => ok(&json!({ "workers": rows })),
                None => about_to_end(),
            },
        }
    }

    /// `POST /api/v1/exclusive/on` with a question, and `/off` with `{}`. What is answered `asked` is in the journal.
    pub(super) async fn asked_to_be_exclusive<B>(&self, request: Request<B>, on: bool) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let ask = match on {
            true => self.read::<exclusive::Ask, B>(request).await.map(Some),
            false => self.read::<Nothing, B>(request).await.map(|_| None),
        };
        match ask {
            Err(refused) => *refused,
            Ok(ask) => match self.people.be_exclusive(ask).await {
                Some(Ok(())) => ok(&json!({ "asked": true })),
                Some(Err(why)) => failed(StatusCode::BAD_REQUEST, &why),
                None => about_to_end(),
            },
        }
    }

    /// The question of somebody who may ask.
    pub(super) async fn read<A, B>(&self, request: Request<B>) -> Result<A, Box<Answer>>
    where
        A: DeserializeOwned,
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if request.method() != Method::POST {
            return Err(Box::new(not_allowed("POST")));
        }
        self.authorize(&request)?;
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let bad = |why: String| Box::new(failed(StatusCode::BAD_REQUEST, &why));
        let body = body.map_err(|error| bad(format!("the body: {error}")))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| bad(format!("the body: {error}")))
    }
}

pub(super) fn about_to_end() -> Answer {
    failed(
        StatusCode::SERVICE_UNAVAILABLE,
        "not now: it is about to end",
    )
}

fn rows(answered: Answered) -> Answer {
    match answered {
        Ok(rows) => ok(&json!({ "servers": rows })),
        Err(error) => failed(status(&error), &error.to_string()),
    }
}

const fn status(error: &AdoptionError) -> StatusCode {
    match error {
        AdoptionError::NoPool(_) => StatusCode::NOT_FOUND,
        AdoptionError::NotHere(_) => StatusCode::CONFLICT,
        AdoptionError::Cloud(_) => StatusCode::BAD_GATEWAY,
        AdoptionError::List(_) | AdoptionError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    }
}
