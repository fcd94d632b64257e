//! What a server that is gone left behind: a failed creation is rolled back by the cloud, and that may fail
//! too (`Ecs.0401` a port, `Ecs.0402` a system disk, page "Error Codes").

use super::client::{EcsClient, segment};
use super::error::EcsError;
use super::services::Service;
use super::transport::Ask;
use super::types::timestamp;
use crate::cloud::{Gone, LeftVolume, Leftovers};
use crate::model::{Class, HostName, ServerId};
use serde_json::Value;

/// Volumes asked for in one page (EVS takes up to 1000).
const PAGE: usize = 100;
/// More pages than one name can fill.
const MAX_PAGES: usize = 20;

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
            Err(error) if is_gone(&error) => Ok(()),
            result => result.map(|_| ()),
        }
    }

    async fn left_volumes(&self, name: &HostName) -> Result<Vec<LeftVolume>, EcsError> {
        let path = format!("/v2/{}/cloudvolumes/detail", self.transport.project);
        let (limit, mut offset, mut found) = (PAGE.to_string(), 0, Vec::new());
        for _ in 0..MAX_PAGES {
            let from = offset.to_string();
            let query = [
                ("name", name.as_str()),
                ("limit", &limit),
                ("offset", &from),
            ];
            let ask = Ask {
                query: &query,
                ..Ask::get("volumes", Service::Evs, path.clone())
            };
            let page = self.transport.send(&ask).await?;
            let records = page.body.get("volumes").and_then(Value::as_array);
            let records = records.ok_or_else(|| page.garbled("no volumes".to_owned()))?;
            for record in records {
                found.extend(left_volume(record, name).map_err(|why| page.garbled(why))?);
            }
            if records.len() < PAGE {
                return Ok(found);
            }
            offset += records.len();
        }
        Err(EcsError::Garbled {
            operation: "volumes",
            why: format!("no end after {MAX_PAGES} pages"),
            request_id: None,
        })
    }

    async fn ports_of(&self, server: &ServerId) -> Result<Vec<String>, EcsError> {
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

/// A 404 of EVS or VPC, whose codes the client does not know one by one. That of the gateway, which has
/// not found the service, is none.
pub(super) fn is_gone(error: &EcsError) -> bool {
    match error {
        EcsError::Refused(refusal) if refusal.status == 404 => !refusal.code.starts_with("APIGW."),
        _ => error.class() == Class::Gone,
    }
}

/// A volume of this server's name that is attached to nothing. The cloud names those that it makes with a
/// server `NAME-volume-0000` and so on, and its filter `name` takes parts of names.
fn left_volume(record: &Value, server: &HostName) -> Result<Option<LeftVolume>, String> {
    let id = text(record, "id").ok_or("a volume without an id")?;
    let unclear = |what: &str| format!("volume {id}: no {what}");
    let name = text(record, "name").ok_or_else(|| unclear("name"))?;
    let status = text(record, "status").ok_or_else(|| unclear("status"))?;
    let attachments = record.get("attachments").and_then(Value::as_array);
    let attachments = attachments.ok_or_else(|| unclear("attachments"))?;
    let free = attachments.is_empty() && matches!(status, "available" | "error");
    if !free || !is_of(name, server) {
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

fn is_of(volume: &str, server: &HostName) -> bool {
    let rest = volume.strip_prefix(server.as_str());
    let number = rest.and_then(|rest| rest.strip_prefix("-volume-"));
    number.is_some_and(|n| n.len() == 4 && n.bytes().all(|b| b.is_ascii_digit()))
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
        let left = |record: &Value| left_volume(record, &HostName::new("obs-p-1")).unwrap();
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
        assert!(left_volume(&odd, &HostName::new("obs-p-1")).is_err());
    }
}
