//! From a delete call to a server that is gone (huawei-ecs reference §0.5 and §4, Delete).

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::faults::take_one;
use super::job::{Cause, Kind, SubRef};
use super::server::{Deletion, Machine, Phase, Volume};
use super::world::{Deed, Event, World};

#[derive(Debug, Deserialize)]
struct DeleteCall {
    servers: Vec<Named>,
    #[serde(default)]
    delete_volume: bool,
}

/// A server by its id, as delete and power calls name it.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
}

/// The servers of a call: 1 to 1000, all of which are there and not locked. Whether the real cloud refuses the
/// whole call for one unknown id is not documented; here it does, the harsher of the two.
pub(super) fn check_targets(world: &mut World, servers: &[Named]) -> Result<(), ApiError> {
    if !(1..=1000).contains(&servers.len()) {
        return Err(ApiError::illegal("request body is illegal."));
    }
    for server in servers {
        if world.usable(&server.id)?.locked {
            let text = format!("the server {} is locked", server.id);
            return Err(ApiError::service(400, "Ecs.0605", text));
        }
    }
    Ok(())
}

/// A spot server that is being taken back refuses to be deleted (DOC24 竞价计费型实例); with which code is
/// not documented, and the simulator takes that of a wrong state.
fn check_not_reclaimed(world: &mut World, servers: &[Named]) -> Result<(), ApiError> {
    for server in servers {
        if world.usable(&server.id)?.reclaimed {
            let text = format!("the server {} is being reclaimed", server.id);
            return Err(ApiError::service(400, "Ecs.0100", text));
        }
    }
    Ok(())
}

impl World {
    /// A delete call; answers with its job.
    pub(super) fn delete(&mut self, body: &Value, now: Timestamp) -> Result<Value, ApiError> {
        let call = DeleteCall::deserialize(body)
            .map_err(|_| ApiError::illegal("request body is illegal."))?;
        check_targets(self, &call.servers)?;
        check_not_reclaimed(self, &call.servers)?;
        let job = self.open_job(Kind::Delete, call.servers.len(), now);
        for (index, server) in call.servers.iter().enumerate() {
            let sub = SubRef {
                job: job.clone(),
                index,
            };
            self.show_in_sub(&sub, &server.id);
            if take_one(&mut self.faults.stall_next_deletes) {
                continue;
            }
            if take_one(&mut self.faults.fail_next_deletes) {
                let ends = now + self.span(20.0, 40.0);
                self.later(ends, Event::DeletionFails(sub));
                continue;
            }
            self.start_deletion(&server.id, Some(sub), call.delete_volume, now);
        }
        Ok(json!({"job_id": job}))
    }

    pub(super) fn auto_terminates(&mut self, id: &str, at: Timestamp) {
        if self
            .usable(id)
            .is_ok_and(|server| server.ends_at == Some(at))
        {
            self.start_deletion(id, None, false, at);
        }
    }

    /// The cloud wants a spot server back: notice now, and in 5 minutes it goes. Data disks stay (DOC24
    /// 竞价计费型实例). How the notice is given is not documented there; here nothing shows it.
    pub(super) fn reclaim(&mut self, id: &str, now: Timestamp) {
        if let Ok(server) = self.usable(id) {
            server.reclaimed = true;
            let goes = now + self.span(300.0, 300.0);
            self.later(goes, Event::Reclaimed(id.to_owned()));
        }
    }

    /// Interrupted in its first hour, a spot server is not billed.
    pub(super) fn reclaimed(&mut self, id: &str, at: Timestamp) {
        if let Ok(server) = self.usable(id) {
            let created = server.created_at.unwrap_or(at);
            let hour = at.duration_since(created) < SignedDuration::from_hours(1);
            server.unbilled = server.order.is_spot() && hour;
            self.start_deletion(id, None, false, at);
        }
    }

    fn start_deletion(
        &mut self,
        id: &str,
        sub: Option<SubRef>,
        with_volumes: bool,
        now: Timestamp,
    ) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        let first = server.deletion.is_none();
        let deletion = server.deletion.get_or_insert_with(Deletion::default);
        deletion.subs.extend(sub);
        deletion.with_volumes |= with_volumes;
        server.task = Some("deleting");
        server.updated_at = now;
        if first {
            self.withdraw(id, now);
            let due = now + self.span(20.0, 40.0);
            self.later(due, Event::DeletionDue(id.to_owned()));
        }
    }

    /// A build under way ends, and a machine that is up is destroyed. One that boots is destroyed
    /// when the boot has returned.
    fn withdraw(&mut self, id: &str, now: Timestamp) {
        let cause = Cause::new("Ecs.0204", "the server was deleted while it was built");
        self.end_create(id, Err(cause), now);
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        if server.machine == Machine::Up {
            server.machine = Machine::Destroying;
            self.outside(Deed::Destroy(id.to_owned()));
        }
    }

    pub(super) fn deletion_due(&mut self, id: &str, at: Timestamp) {
        let server = self.servers.get_mut(id);
        if let Some(deletion) = server.and_then(|server| server.deletion.as_mut()) {
            deletion.due = true;
        }
        self.finish_deletion(id, at);
    }

    /// How the end of a machine went. If it would not go, its server stays.
    pub(super) fn destroyed(&mut self, id: &str, outcome: Result<(), String>, at: Timestamp) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        let Err(why) = outcome else {
            server.machine = Machine::None;
            return self.finish_deletion(id, at);
        };
        server.machine = Machine::Up;
        server.task = None;
        let subs = server
            .deletion
            .take()
            .map(|deletion| deletion.subs)
            .unwrap_or_default();
        for sub in subs {
            let cause = Cause::new("Ecs.0501", format!("delete failed: {why}"));
            self.end_sub(&sub, Err(cause), at);
        }
    }

    /// Once the time is over and the machine gone, the jobs end; the list has it a little longer.
    fn finish_deletion(&mut self, id: &str, at: Timestamp) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        let machine = server.machine;
        let ready = |d: &&mut Deletion| d.due && !d.finished && machine == Machine::None;
        let Some(deletion) = server.deletion.as_mut().filter(ready) else {
            return;
        };
        deletion.finished = true;
        let all = deletion.with_volumes;
        for sub in deletion.subs.clone() {
            self.end_sub(&sub, Ok(()), at);
        }
        self.stop_billing(id, all, at);
        let lag = match self.faults.ghost_seconds {
            Some(seconds) => SignedDuration::try_from_secs_f64(seconds).unwrap_or_default(),
            None => self.span(3.0, 8.0),
        };
        let vanishes = at + lag;
        self.later(vanishes, Event::Vanishes(id.to_owned()));
    }

    /// The bill ends with the deletion's sub job: that the list still has the server is display only. The
    /// system disk goes with it, data disks stay and bill on unless told otherwise.
    fn stop_billing(&mut self, id: &str, all: bool, at: Timestamp) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        let there = |v: &&mut Volume| (all || v.goes_with_server) && v.deleted_at.is_none();
        for volume in server.volumes.iter_mut().filter(there) {
            volume.deleted_at = Some(at);
        }
        server.gone_at = Some(at);
    }

    /// Not listed any more; its address is free.
    pub(super) fn vanishes(&mut self, id: &str, at: Timestamp) {
        let Some(server) = self.servers.get(id) else {
            return;
        };
        if let Some(ip) = server.ip {
            self.addresses.give_back(ip);
        }
        self.set_phase(id, Phase::Gone, at);
    }
}
