//! Tags on servers.

use super::ask::{Ask, Wants};
use super::client::{EcsClient, segment};
use super::error::EcsError;
use super::services::Service;
use crate::model::ServerId;
use serde_json::{Value, json};

/// The most tags in one call, and on one server (page "Adding Tags to an ECS in Batches").
const MAX_TAGS: usize = 10;
/// The most characters of a key.
const MAX_KEY: usize = 36;
/// The most characters of a value.
const MAX_VALUE: usize = 43;

impl EcsClient {
    /// Puts tags on a server: `POST /v1/{project}/cloudservers/{server}/tags/action`. One of the same key
    /// gets the new value.
    ///
    /// # Errors
    /// [`EcsError::Invalid`] for what is no tag, or too many; those of a call.
    pub async fn tag(&self, server: &ServerId, tags: &[(&str, &str)]) -> Result<(), EcsError> {
        let tags: Result<Vec<Value>, EcsError> = tags.iter().map(|tag| written(*tag)).collect();
        self.tags_action("tag", server, "create", tags?).await
    }

    /// Takes tags off a server, by the same path. One that it does not have is no error.
    ///
    /// # Errors
    /// [`EcsError::Invalid`] for what is no key, or too many; those of a call.
    pub async fn untag(&self, server: &ServerId, keys: &[&str]) -> Result<(), EcsError> {
        for key in keys {
            written((key, ""))?;
        }
        let tags = keys.iter().map(|key| json!({ "key": key })).collect();
        self.tags_action("untag", server, "delete", tags).await
    }

    async fn tags_action(
        &self,
        operation: &'static str,
        server: &ServerId,
        action: &str,
        tags: Vec<Value>,
    ) -> Result<(), EcsError> {
        if !(1..=MAX_TAGS).contains(&tags.len()) {
            let words = format!("{} tags: 1 to {MAX_TAGS}", tags.len());
            return Err(EcsError::Invalid(words));
        }
        let path = format!("/cloudservers/{}/tags/action", segment(server.as_str())?);
        let body = json!({ "action": action, "tags": tags }).to_string();
        let ask = Ask {
            wants: Wants::Nothing,
            ..Ask::post(operation, Service::Ecs, self.v1(&path), &body)
        };
        self.transport.send(&ask).await.map(|_| ())
    }
}

/// Of the characters that the cloud takes, those that no filter and no `key=value` can read otherwise.
fn written((key, value): (&str, &str)) -> Result<Value, EcsError> {
    let plain = |text: &str| {
        let lawful = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        text.bytes().all(lawful)
    };
    let lawful = (1..=MAX_KEY).contains(&key.len()) && value.len() <= MAX_VALUE;
    if !lawful || !plain(key) || !plain(value) {
        return Err(EcsError::Invalid(format!("{key:?}={value:?} is no tag")));
    }
    Ok(json!({ "key": key, "value": value }))
}
