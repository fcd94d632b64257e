//! Key pairs.

use super::client::EcsClient;
use super::error::EcsError;
use super::services::Service;
use serde_json::Value;

impl EcsClient {
    /// The public key of the configured key pair, as OpenSSH writes it; `None` where there is no such pair:
    /// `GET /v2.1/{project}/os-keypairs/{name}`.
    ///
    /// # Errors
    /// Any error of the call, and an answer that cannot be understood.
    pub async fn public_key(&self) -> Result<Option<String>, EcsError> {
        let (project, name) = (&self.transport.project, &self.config.key_name);
        let path = format!("/v2.1/{project}/os-keypairs/{name}");
        let answer = match self.get("keypair", Service::Ecs, path).await {
            Err(error) if error.is_missing() => return Ok(None),
            result => result?,
        };
        let key = answer.body.pointer("/keypair/public_key");
        let key = key.and_then(Value::as_str).filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| answer.garbled("no keypair.public_key".to_owned()))?;
        Ok(Some(key.trim().to_owned()))
    }
}
