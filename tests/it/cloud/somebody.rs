//! Somebody else at the cloud's console.

use super::farm::{ACCESS_KEY, Farm, PROJECT, SECRET_KEY};
use obs_scaler::ecs::sign::{Credentials, Signable};
use secrecy::SecretString;
use serde_json::{Value, json};

impl Farm {
    /// Deletes a server with its volumes.
    pub(super) async fn delete(&self, server: &str) -> bool {
        let body = json!({"servers": [{"id": server}], "delete_volume": true});
        self.post("cloudservers/delete", &body).await
    }

    /// Stops, starts, locks it and so on, as the simulator's control route has it. Whether it could be done.
    pub(super) async fn lay_hand(&self, hand: &str, server: &str) -> bool {
        let cloud = self.cloud.endpoint();
        let call = self
            .http
            .post(format!("{cloud}/_sim/servers/{server}/{hand}"));
        call.send().await.unwrap().status().is_success()
    }

    /// Pins a server, or lets go of it.
    pub(super) async fn pin(&self, server: &str, pinned: bool) -> bool {
        let action = if pinned { "create" } else { "delete" };
        let tag = json!({"key": obs_scaler::model::TAG_PROTECTED, "value": "true"});
        let body = json!({"action": action, "tags": [tag]});
        self.post(&format!("cloudservers/{server}/tags/action"), &body)
            .await
    }

    /// Whether the cloud took it.
    async fn post(&self, path: &str, body: &Value) -> bool {
        let (path, body) = (format!("/v1/{PROJECT}/{path}"), body.to_string());
        let host = self.cloud.addr.to_string();
        let credentials = Credentials {
            access_key: SecretString::from(ACCESS_KEY),
            secret_key: SecretString::from(SECRET_KEY),
            security_token: None,
        };
        let signable = Signable {
            method: "POST",
            path: &path,
            query: &[],
            headers: &[("host", &host), ("content-type", "application/json")],
            body: body.as_bytes(),
        };
        let date = self.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut call = self.http.post(format!("http://{host}{path}"));
        for (name, value) in credentials.sign(&signable, &date) {
            call = call.header(name, value);
        }
        let call = call.header("content-type", "application/json").body(body);
        // the simulator may hang up: it is told to go wrong
        call.send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
    }
}
