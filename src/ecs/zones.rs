//! The region's availability zones.

use super::client::EcsClient;
use super::error::EcsError;
use super::services::Service;
use crate::model::ZoneName;
use serde_json::Value;
use std::collections::BTreeMap;

impl EcsClient {
    /// Each zone, and whether it is available: `GET /v2.1/{project}/os-availability-zone`.
    ///
    /// # Errors
    /// Any error of the call, and an answer that cannot be understood.
    pub async fn zones(&self) -> Result<BTreeMap<ZoneName, bool>, EcsError> {
        let path = format!("/v2.1/{}/os-availability-zone", self.transport.project);
        let answer = self.get("zones", Service::Ecs, path).await?;
        read(&answer.body).ok_or_else(|| answer.garbled("no availabilityZoneInfo".to_owned()))
    }
}

fn read(answer: &Value) -> Option<BTreeMap<ZoneName, bool>> {
    let zones = answer.get("availabilityZoneInfo")?.as_array()?;
    let zone = |zone: &Value| {
        let name = zone.get("zoneName")?.as_str()?;
        let available = zone.pointer("/zoneState/available")?.as_bool()?;
        Some((ZoneName::new(name), available))
    };
    zones.iter().map(zone).collect()
}
