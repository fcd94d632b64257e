//! From a delete call to a server that is gone (huawei-ecs reference §0.5 and §4, Delete).

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
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

/// The servers of a call: 1 to 1000, all of which are there. Whether the real cloud refuses the
/// whole call for one unknown id is not documented; here it does, the harsher of the two.
pub(super) fn check_targets(world: &mut World, servers: &[Named]) -> Result<(), ApiError> {
    if !(1..=1000).contains(&servers.len()) {
        return Err(ApiError::illegal("request body is illegal."));
    }
    servers
        .iter()
        .try_for_each(|server| world.usable(&server.id).map(|_| ()))
}

impl World {
    /// A delete call; answers with its job.
    pub(super) fn delete(&mut self, body: &Value, now: Timestamp) -> Result<Value, ApiError> {
        let call = DeleteCall::deserialize(body)
            .map_err(|_| ApiError::illegal("request body is illegal."))?;
        check_targets(self, &call.servers)?;
        let job = self.open_job(Kind::Delete, call.servers.len(), now);
        for (index, server) in call.servers.iter().enumerate() {
            let sub = SubRef {
                job: job.clone(),
                index,
            };
            self.show_in_sub(&sub, &server.id);
            self.start_deletion(&server.id, Some(sub), call.delete_volume, now);
        }
        Ok(json!({"job_id": job}))
    }

    pub(super) fn auto_terminates(&mut self, id: &str, at: Timestamp) {
        if self.usable(id).is_ok() {
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
        let vanishes = at + self.span(3.0, 8.0);
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
