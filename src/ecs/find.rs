//! Servers of the project, ours or not, by their addresses.

use super::client::EcsClient;
use super::error::EcsError;
use super::types::{self, Addresses, Detail, Outline};
use crate::cloud::{Charging, ProjectServer};
use crate::model::{FlavorName, HostName, ServerId, ZoneName};
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;

impl EcsClient {
    /// The servers that have one of these addresses in a private network: the whole list of the project,
    /// since its filter `ip` takes parts of addresses.
    ///
    /// # Errors
    /// Any error of any page; a server of such an address, or with addresses, that cannot be understood.
    pub async fn find(&self, ips: &[IpAddr]) -> Result<Vec<ProjectServer>, EcsError> {
        let (records, last) = self.servers("find", &[]).await?;
        let mut found = Vec::new();
        for record in &records {
            let server = read(record, ips).map_err(|why| last.garbled(why))?;
            found.extend(server);
        }
        Ok(found)
    }
}

/// The server of a record, where it has one of these addresses and is not deleted.
fn read(record: &Value, ips: &[IpAddr]) -> Result<Option<ProjectServer>, String> {
    let id = types::id(record)?;
    let unclear = |why: serde_json::Error| format!("server {id}: {why}");
    let addresses = record.get("addresses").unwrap_or(&Value::Null);
    let addresses = Addresses::deserialize(addresses).map_err(unclear)?;
    if !addresses.fixed().any(|ip| ips.contains(&ip)) {
        return Ok(None);
    }
    let outline = Outline::deserialize(record).map_err(unclear)?;
    if matches!(outline.status.as_str(), "DELETED" | "SOFT_DELETED") {
        return Ok(None);
    }
    let detail = Detail::deserialize(record).map_err(unclear)?;
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let tags = types::tags(&outline.tags);
    Ok(Some(ProjectServer {
        id: ServerId::new(id),
        ips: addresses.fixed().collect(),
        status: types::status(&outline.status, &detail),
        name: HostName::new(detail.name),
        flavor: FlavorName::new(detail.flavor.id),
        vcpus: detail.flavor.vcpus,
        zone: text("/OS-EXT-AZ:availability_zone").map(ZoneName::new),
        created: detail.created,
        charging: text("/metadata/charging_mode").and_then(charging),
        tags: tags
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    }))
}

/// `metadata.charging_mode` (page "Querying Details About ECSs").
fn charging(word: &str) -> Option<Charging> {
    match word {
        "0" => Some(Charging::Postpaid),
        "1" => Some(Charging::Prepaid),
        "2" => Some(Charging::Spot),
        _ => None,
    }
}
