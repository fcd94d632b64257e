//! What a server that is gone left behind: a failed creation is rolled back by the cloud, and that may fail
//! too (`Ecs.0401` a port, `Ecs.0402` a system disk, page "Error Codes").

use super::ask::Ask;
use super::client::{EcsClient, segment};
use super::error::EcsError;
use super::services::Service;
use super::types::timestamp;
use crate::cloud::{Gone, LeftVolume, Leftovers};
use crate::model::{HostName, ServerId};
use serde_json::Value;

/// The most volumes in one answer of EVS.
const PAGE: &str = "1000";

impl EcsClient {
    /// Volumes and ports of a server that is gone: `GET /v2/{project}/cloudvolumes/detail` (EVS) by its
    /// name, `GET /v1/{project}/ports` (VPC) by its id. Nothing of a server that is still there.
    ///
    /// # Errors
    /// Any error of a call, and a record that cannot be understood.
    pub async fn leftovers(&self, gone: &Gone) -> Result<Leftovers, EcsError> {
        match self.show(&gone.server).await {
            Ok(None) => {}
            Ok(Some(_)) | Err(EcsError::NotOurs(_)) => return Ok(Leftovers::default()),
            Err(error) => return Err(error),
        }
        let volumes = match &gone.name {
            Some(name) => self.left_volumes(name).await?,
            None => Vec::new(),
        };
        let ports = self.ports_of(&gone.server).await?;
        Ok(Leftovers { volumes, ports })
    }

    /// Deletes them: `DELETE /v2/{project}/cloudvolumes/{volume}`, `DELETE /v1/{project}/ports/{port}`.
    ///
    /// # Errors
    /// The first one; the others are tried nevertheless.
    pub async fn clear(&self, leftovers: &Leftovers) -> Result<(), EcsError> {
        let project = &self.transport.project;
        let mut result = Ok(());
        for volume in &leftovers.volumes {
            let path = format!("/v2/{project}/cloudvolumes/{}", segment(&volume.id)?);
            let ask = Ask::delete("delete_volume", Service::Evs, path);
            result = result.and(self.cleared(&ask).await);
        }
        for port in &leftovers.ports {
            let path = self.v1(&format!("/ports/{}", segment(port)?));
            let ask = Ask::delete("delete_port", Service::Vpc, path);
            result = result.and(self.cleared(&ask).await);
        }
        result
    }

    async fn cleared(&self, ask: &Ask<'_>) -> Result<(), EcsError> {
        match self.transport.send(ask).await {
            Err(error) if error.is_missing() => Ok(()),
            result => result.map(|_| ()),
        }
    }

    /// By the name of its system disk, the only one that a server of ours has: whether the filter takes
    /// parts of names is not documented, so it is given the whole.
    pub(super) async fn left_volumes(
        &self,
        server: &HostName,
    ) -> Result<Vec<LeftVolume>, EcsError> {
        let name = disk_of(server);
        let query = [("name", name.as_str()), ("limit", PAGE)];
        let path = format!("/v2/{}/cloudvolumes/detail", self.transport.project);
        let ask = Ask {
            query: &query,
            ..Ask::get("volumes", Service::Evs, path)
        };
        let answer = self.transport.send(&ask).await?;
        let records = answer.body.get("volumes").and_then(Value::as_array);
        let records = records.ok_or_else(|| answer.garbled("no volumes".to_owned()))?;
        let left = records.iter().map(|record| left_volume(record, &name));
        let left: Result<Vec<_>, _> = left.collect();
        let left = left.map_err(|why| answer.garbled(why))?;
        Ok(left.into_iter().flatten().collect())
    }

    pub(super) async fn ports_of(&self, server: &ServerId) -> Result<Vec<String>, EcsError> {
        let query = [("device_id", server.as_str())];
        let ask = Ask {
            query: &query,
            ..Ask::get("ports", Service::Vpc, self.v1("/ports"))
        };
        let answer = self.transport.send(&ask).await?;
        let ports = answer.body.get("ports").and_then(Value::as_array);
        let ports = ports.ok_or_else(|| answer.garbled("no ports".to_owned()))?;
        let of_server = |port: &&Value| text(port, "device_id") == Some(server.as_str());
        ports
            .iter()
            .filter(of_server)
            .map(|port| {
                let id = text(port, "id").ok_or("a port without an id");
                id.map(ToOwned::to_owned)
                    .map_err(|why| answer.garbled(why.to_owned()))
            })
            .collect()
    }
}

/// What the cloud calls the system disk that it makes with a server.
fn disk_of(server: &HostName) -> String {
    format!("{server}-volume-0000")
}

/// The volume, where it has this very name and is attached to nothing.
fn left_volume(record: &Value, wanted: &str) -> Result<Option<LeftVolume>, String> {
    let id = text(record, "id").ok_or("a volume without an id")?;
    let unclear = |what: &str| format!("volume {id}: no {what}");
    let name = text(record, "name").ok_or_else(|| unclear("name"))?;
    let status = text(record, "status").ok_or_else(|| unclear("status"))?;
    let attachments = record.get("attachments").and_then(Value::as_array);
    let attachments = attachments.ok_or_else(|| unclear("attachments"))?;
    let free = attachments.is_empty() && matches!(status, "available" | "error");
    if !free || name != wanted {
        return Ok(None);
    }
    let created = text(record, "created_at").ok_or_else(|| unclear("created_at"))?;
    Ok(Some(LeftVolume {
        id: id.to_owned(),
        name: name.to_owned(),
        gib: record
            .get("size")
            .and_then(Value::as_u64)
            .ok_or_else(|| unclear("size"))?,
        created: timestamp(created).map_err(|why| format!("volume {id}: {why}"))?,
    }))
}

fn text<'a>(record: &'a Value, key: &str) -> Option<&'a str> {
    record.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn volume(name: &str, status: &str, attachments: &Value) -> Value {
        json!({"id": "v", "name": name, "status": status, "size": 40, "attachments": attachments,
            "created_at": "2026-01-22T10:15:32.392053"})
    }

    #[test]
    fn only_a_free_volume_of_the_very_name_was_left_behind() {
        let left =
            |record: &Value| left_volume(record, &disk_of(&HostName::new("obs-p-1"))).unwrap();
        let found = left(&volume("obs-p-1-volume-0000", "available", &json!([]))).unwrap();
        assert_eq!(found.created.to_string(), "2026-01-22T10:15:32.392053Z");
        let attached = json!([{"server_id": "s"}]);
        for other in [
            volume("obs-p-1-volume-0000", "in-use", &attached),
            volume("obs-p-1-volume-0000", "available", &attached),
            volume("obs-p-1-volume-0000", "attaching", &json!([])),
            volume("obs-p-10-volume-0000", "available", &json!([])),
            volume("my-obs-p-1-volume-0000", "available", &json!([])),
            volume("obs-p-1-volume-backup", "available", &json!([])),
        ] {
            assert_eq!(left(&other), None, "{other}");
        }
    }

    #[test]
    fn a_volume_that_does_not_say_whether_it_is_attached_is_an_error() {
        let odd = volume("obs-p-1-volume-0000", "available", &json!(null));
        assert!(left_volume(&odd, "obs-p-1-volume-0000").is_err());
    }
}
