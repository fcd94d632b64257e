//! Volumes as EVS shows them (API of EVS, v2): each belongs to the server that it was made for, and may
//! outlive it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::ApiError;
use super::job::{Kind, SubRef};
use super::network::asked;
use super::server::{Server, Volume};
use super::world::{Event, World};

impl World {
    /// `GET …/cloudvolumes/detail`: `name` is exact, `limit` 1–1000, `offset` counts volumes.
    pub(super) fn list_volumes(&self, project: &str, query: &str) -> Result<Value, ApiError> {
        let (name, id) = (asked(query, "name"), asked(query, "id"));
        let (status, server) = (asked(query, "status"), asked(query, "server_id"));
        let fits = |found: &(String, &Server, &Volume)| {
            name.as_ref().is_none_or(|name| found.0 == *name)
                && id.as_ref().is_none_or(|id| found.2.id == *id)
                && status.as_ref().is_none_or(|status| word(found.1) == status)
                && server
                    .as_ref()
                    .is_none_or(|id| found.1.id == *id && found.1.holds_volumes())
        };
        let all: Vec<_> = self.volumes().filter(fits).collect();
        let limit = number(query, "limit", 1000)?.clamp(1, 1000);
        let page = all.iter().skip(number(query, "offset", 0)?).take(limit);
        let views: Vec<Value> = page
            .map(|(name, server, volume)| view(project, name, server, volume))
            .collect();
        Ok(json!({"count": all.len(), "volumes": views}))
    }

    /// `GET …/cloudvolumes/{id}`
    pub(super) fn show_volume(&self, project: &str, id: &str) -> Result<Value, ApiError> {
        let found = self.volumes().find(|(_, _, volume)| volume.id == id);
        let (name, server, volume) = found.ok_or_else(|| no_volume(id))?;
        Ok(json!({"volume": view(project, &name, server, volume)}))
    }

    /// `DELETE …/cloudvolumes/{id}`; answers with its job. Refused while a server has it.
    pub(super) fn delete_volume(&mut self, id: &str, now: Timestamp) -> Result<Value, ApiError> {
        let found = self.volumes().find(|(_, _, volume)| volume.id == id);
        let (_, server, _) = found.ok_or_else(|| no_volume(id))?;
        if server.holds_volumes() {
            // The code is a guess: EVS's documents name the state and not the number.
            let text = format!("Invalid volume: volume {id} is in-use, must be available or error");
            return Err(ApiError::service(400, "EVS.2026", text));
        }
        let job = self.open_job(Kind::Volume, 1, now);
        let sub = SubRef {
            job: job.clone(),
            index: 0,
        };
        self.show_in_sub(&sub, id);
        let done = now + self.span(2.0, 5.0);
        self.later(done, Event::VolumeGone(id.to_owned(), sub));
        Ok(json!({"job_id": job}))
    }

    pub(super) fn volume_gone(&mut self, id: &str, sub: &SubRef, at: Timestamp) {
        let mut all = self.servers.values_mut().flat_map(|s| &mut s.volumes);
        if let Some(volume) = all.find(|v| v.id == id && v.deleted_at.is_none()) {
            volume.deleted_at = Some(at);
        }
        self.end_sub(sub, Ok(()), at);
    }

    /// Those that are there, with their names and the servers that they were made for.
    fn volumes(&self) -> impl Iterator<Item = (String, &Server, &Volume)> {
        self.servers
            .values()
            .flat_map(named)
            .filter(|(_, _, volume)| volume.deleted_at.is_none())
    }
}

/// The disks of a server by their names: `SERVER-volume-0000` is the system disk.
fn named(server: &Server) -> impl Iterator<Item = (String, &Server, &Volume)> {
    let all = server.volumes.iter().enumerate();
    all.map(move |(i, volume)| (format!("{}-volume-{i:04}", server.name), server, volume))
}

fn no_volume(id: &str) -> ApiError {
    ApiError::service(404, "EVS.5404", format!("Volume {id} could not be found."))
}

fn number(query: &str, name: &str, default: usize) -> Result<usize, ApiError> {
    let Some(text) = asked(query, name) else {
        return Ok(default);
    };
    text.parse()
        .map_err(|_| ApiError::service(400, "EVS.0004", format!("{name}: {text:?} is no number")))
}

fn word(server: &Server) -> &'static str {
    if server.holds_volumes() {
        "in-use"
    } else {
        "available"
    }
}

fn view(project: &str, name: &str, server: &Server, volume: &Volume) -> Value {
    let attachments = if server.holds_volumes() {
        json!([{"server_id": server.id, "volume_id": volume.id, "id": volume.id,
            "attachment_id": volume.id, "device": "/dev/vda", "host_name": null}])
    } else {
        json!([])
    };
    json!({
        "id": volume.id, "name": name, "status": word(server), "size": volume.size_gb,
        "volume_type": volume.disk_type, "attachments": attachments,
        "created_at": volume.created_at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        "bootable": (volume.kind == "root").to_string(), "availability_zone": server.zone,
        "metadata": {"hw:passthrough": "false"}, "tags": {}, "multiattach": false,
        "encrypted": false, "enterprise_project_id": "0", "os-vol-tenant-attr:tenant_id": project,
    })
}
