//! Tokens of an IAM user (page "Obtaining a User Token Through Password Authentication").

use super::{Fetched, Pass};
use crate::clock::Clock;
use crate::ecs::error::{EcsError, Refusal};
use crate::ecs::http;
use crate::ecs::types::timestamp;
use jiff::Timestamp;
use reqwest::{Client, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::time::Duration;

const OPERATION: &str = "token";

/// The most that is read of an answer, in bytes: a token's catalogue is long.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Who asks, and where.
pub(super) struct Password {
    http: Client,
    url: String,
    domain: String,
    user: String,
    password: SecretString,
    project: String,
    timeout: Duration,
}

impl Password {
    pub(super) fn new(
        (domain, user, password): (&str, &str, &SecretString),
        iam: String,
        project: &str,
        timeout: Duration,
    ) -> Result<Self, EcsError> {
        Ok(Self {
            http: http::client(&iam)?,
            url: format!("{iam}/v3/auth/tokens?nocatalog=true"),
            domain: domain.to_owned(),
            user: user.to_owned(),
            password: password.clone(),
            project: project.to_owned(),
            timeout,
        })
    }

    /// `POST /v3/auth/tokens` gives the token in `X-Subject-Token`, for 24 hours.
    pub(super) async fn fetch(&self, clock: Clock) -> Result<Fetched, EcsError> {
        let ask = self.http.post(&self.url).timeout(self.timeout);
        let ask = ask.header("content-type", "application/json");
        let sent = ask.body(self.body()).send().await;
        let response = sent.map_err(|error| http::failed(OPERATION, error))?;
        let status = response.status().as_u16();
        let token = token(&response);
        let text = http::whole(OPERATION, response, MAX_ANSWER).await?;
        let body: Option<Value> = serde_json::from_slice(&text).ok();
        if let Some(refusal) = Refusal::read(OPERATION, status, None, body.as_ref()) {
            return Err(EcsError::Refused(Box::new(refusal)));
        }
        let ends = ends(body.as_ref(), clock.now());
        match (token, ends) {
            (Some(token), Ok(ends)) => Ok(Fetched {
                pass: Pass::Token(token),
                ends,
            }),
            (None, _) => Err(garbled("no X-Subject-Token".to_owned())),
            (_, Err(why)) => Err(garbled(why)),
        }
    }

    fn body(&self) -> String {
        let user = json!({
            "name": self.user,
            "password": self.password.expose_secret(),
            "domain": { "name": self.domain },
        });
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } },
            "scope": { "project": { "id": self.project } },
        }});
        body.to_string()
    }
}

fn token(response: &Response) -> Option<SecretString> {
    let token = response.headers().get("x-subject-token")?.to_str().ok()?;
    let visible = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    visible.then(|| SecretString::from(token))
}

/// When the token ends; not later than the documented day from now.
fn ends(body: Option<&Value>, now: Timestamp) -> Result<Timestamp, String> {
    let text = body.and_then(|body| body.pointer("/token/expires_at")?.as_str());
    let told = timestamp(text.ok_or("no token.expires_at")?)?;
    let day = now.checked_add(Duration::from_hours(24)).unwrap_or(now);
    Ok(told.min(day))
}

fn garbled(why: String) -> EcsError {
    EcsError::Garbled {
        operation: OPERATION,
        why,
        request_id: None,
    }
}
