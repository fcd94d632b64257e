//! The cloud's own end of a server, should nobody delete it.

use super::ask::{Ask, Wants};
use super::client::{EcsClient, segment};
use super::error::EcsError;
use super::services::Service;
use crate::model::ServerId;
use jiff::Timestamp;
use serde_json::json;

impl EcsClient {
    /// Has the cloud delete a server at this time, or never: `POST /v1/{project}/cloudservers/{server}/`
    /// `actions/update-auto-terminate-time`. It takes whole minutes, at least 30 minutes and at most 3
    /// years ahead, and does it within some minutes; not every region does it.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn terminate_at(
        &self,
        server: &ServerId,
        at: Option<Timestamp>,
    ) -> Result<(), EcsError> {
        let server = segment(server.as_str())?;
        let path = format!("/cloudservers/{server}/actions/update-auto-terminate-time");
        let at = at.map(|at| at.strftime("%Y-%m-%dT%H:%M:00Z").to_string());
        let body = json!({ "auto_terminate_time": at.unwrap_or_default() }).to_string();
        let ask = Ask {
            wants: Wants::Nothing,
            ..Ask::post("terminate_at", Service::Ecs, self.v1(&path), &body)
        };
        self.transport.send(&ask).await.map(|_| ())
    }
}
