//! Temporary keys of the agency of the instance, from its metadata (page "Obtaining Metadata", and the
//! official SDK's `auth/internal.py`).

use super::{Fetched, Pass};
use crate::ecs::error::{EcsError, Refusal};
use crate::ecs::http;
use crate::ecs::sign;
use crate::ecs::types::timestamp;
use reqwest::{Client, RequestBuilder};
use secrecy::SecretString;
use serde_json::Value;
use std::time::Duration;

const OPERATION: &str = "securitykey";

/// For one request; the service is on the same machine.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The metadata service.
pub(super) struct Agency {
    http: Client,
    endpoint: String,
}

impl Agency {
    pub(super) fn new(endpoint: &str) -> Result<Self, EcsError> {
        Ok(Self {
            http: http::client(endpoint)?,
            endpoint: endpoint.to_owned(),
        })
    }

    /// `GET /openstack/latest/securitykey`, with a token of `PUT /meta-data/latest/api/token` where the
    /// instance gives one: 404, 405 and 503 say that it does not.
    pub(super) async fn fetch(&self) -> Result<Fetched, EcsError> {
        let url = format!("{}/meta-data/latest/api/token", self.endpoint);
        let ask = self.http.put(url);
        let ask = ask.header("X-Metadata-Token-Ttl-Seconds", "21600");
        let (status, token) = answer(ask).await?;
        let url = format!("{}/openstack/latest/securitykey", self.endpoint);
        let mut ask = self.http.get(url);
        match status {
            200..300 => ask = ask.header("X-Metadata-Token", token.trim()),
            404 | 405 | 503 => {}
            _ => return Err(refused(status, &token)),
        }
        let (status, text) = answer(ask).await?;
        if !(200..300).contains(&status) {
            return Err(refused(status, &text));
        }
        read(&text).map_err(|why| EcsError::Garbled {
            operation: OPERATION,
            why,
            request_id: None,
        })
    }
}

async fn answer(ask: RequestBuilder) -> Result<(u16, String), EcsError> {
    let response = ask.timeout(TIMEOUT).send().await;
    let response = response.map_err(|error| http::failed(OPERATION, error))?;
    let status = response.status().as_u16();
    let whole = http::whole(OPERATION, response, MAX_ANSWER).await?;
    Ok((status, String::from_utf8_lossy(&whole).into_owned()))
}

fn refused(status: u16, text: &str) -> EcsError {
    let body = serde_json::from_str(text).ok();
    match Refusal::read(OPERATION, status, None, body.as_ref()) {
        Some(refusal) => EcsError::Refused(Box::new(refusal)),
        None => EcsError::Setup(format!("{OPERATION}: HTTP {status}")),
    }
}

/// No error shows what it could not read: it may be half of a key.
fn read(text: &str) -> Result<Fetched, String> {
    let answer: Value = serde_json::from_str(text).map_err(|_| "no JSON".to_owned())?;
    let part = |key: &str| {
        let text = answer.pointer(&format!("/credential/{key}"));
        let text = text.and_then(Value::as_str).filter(|text| visible(text));
        text.ok_or_else(|| format!("no {key} that could be sent"))
    };
    let secret = |key| part(key).map(SecretString::from);
    Ok(Fetched {
        ends: timestamp(part("expires_at")?)?,
        pass: Pass::Key(sign::Credentials {
            access_key: secret("access")?,
            secret_key: secret("secret")?,
            security_token: Some(secret("securitytoken")?),
        }),
    })
}

fn visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}
