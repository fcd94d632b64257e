//! From a create call to a server that is on (huawei-ecs reference §2 and §3).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::error::ApiError;
use super::faults::{FailSub, take_one};
use super::flavors::{self, Flavor, ZONES};
use super::job::{Cause, Kind, SubRef};
use super::ledger::CreateCall;
use super::names;
use super::order::{Api, Disk, Order, Tag};
use super::server::{Machine, Phase, Server, Volume};
use super::tokens::Answer;
use super::world::{Boot, Deed, Event, World};

/// What a create call comes to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// `{"job_id", "serverIds"}`
    Accepted(Value),
    /// In order, and nothing was bought.
    DryRun,
}

impl World {
    /// A create call. With a token that was seen before it has no effect.
    pub(super) fn create(
        &mut self,
        body: &Value,
        api: Api,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Outcome, ApiError> {
        let parameters = (format!("{api:?}"), body.clone());
        if let Some(answer) = token.and_then(|t| self.tokens.replay(t, &parameters, now)) {
            return answer.map(Outcome::Accepted);
        }
        let outcome = self.create_new(body, api, token, now);
        let answer: Option<Answer> = match &outcome {
            Ok(Outcome::Accepted(value)) => Some(Ok(value.clone())),
            Ok(Outcome::DryRun) => None,
            Err(error) => Some(Err(error.clone())),
        };
        if let (Some(token), Some(answer)) = (token, answer) {
            self.tokens.keep(token, parameters, answer, now);
        }
        outcome
    }

    fn create_new(
        &mut self,
        body: &Value,
        api: Api,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Outcome, ApiError> {
        let (order, dry_run) = Order::parse(body, api, now)?;
        let unknown = || {
            ApiError::service(
                400,
                "Ecs.0029",
                format!("flavor {} does not exist", order.flavor),
            )
        };
        let flavor = flavors::find(&order.flavor).ok_or_else(unknown)?;
        let zone = self.zone(&order)?;
        self.check_references(&order)?;
        // Loosely: what is in the making does not count yet (ISS huaweicloud-sdk-go-v3#34).
        self.check_quota(order.count, flavor)
            .map_err(|cause| ApiError::service(400, &cause.code, cause.reason))?;
        if dry_run {
            return Ok(Outcome::DryRun);
        }
        Ok(Outcome::Accepted(self.accept(
            Arc::new(order),
            flavor,
            zone,
            token,
            now,
        )))
    }

    /// The zone to build in: the one asked for, or the first that has stock.
    fn zone(&self, order: &Order) -> Result<&'static str, ApiError> {
        let flavor = &order.flavor;
        let in_stock = |zone: &&&str| !self.faults.is_sold_out(flavor, zone);
        let asked = order.availability_zone.as_str();
        if asked.is_empty()
            || !ZONES
                .iter()
                .any(|zone| !self.faults.is_sold_out(flavor, zone))
        {
            let text = format!("flavor {flavor} is sold out");
            let free = ZONES.iter().find(in_stock).copied();
            return free.ok_or_else(|| ApiError::service(400, "Ecs.0018", text));
        }
        let known = ZONES.iter().find(|zone| **zone == asked);
        let zone = known
            .ok_or_else(|| ApiError::illegal(format!("availability_zone {asked:?} is unknown")))?;
        let short = || {
            ApiError::service(
                400,
                "Ecs.0319",
                format!("insufficient capacity of {flavor} in {asked}"),
            )
        };
        Some(zone).filter(in_stock).copied().ok_or_else(short)
    }

    fn accept(
        &mut self,
        order: Arc<Order>,
        flavor: &'static Flavor,
        zone: &'static str,
        token: Option<&str>,
        now: Timestamp,
    ) -> Value {
        let there = self.servers.values().filter(|server| server.is_committed());
        let names = names::names(&order, there.map(|server| server.name.as_str()));
        let job = self.open_job(Kind::Create, names.len(), now);
        let reservation = format!("r-{:08x}", self.rng.next() >> 32);
        let mut ids = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            let mut server = self.blank(name, Arc::clone(&order), flavor, zone, now);
            server.launch_index = index;
            server.doom = self.faults.take_sub(index, flavor.id);
            server.reservation = reservation.clone();
            server.create_sub = Some(SubRef {
                job: job.clone(),
                index,
            });
            ids.push(server.id.clone());
            self.plan_birth(&server.id, now);
            self.servers.insert(server.id.clone(), server);
        }
        self.calls.push(CreateCall {
            at: now,
            client_token: token.map(str::to_owned),
            name: order.name.clone(),
            flavor: flavor.id.to_owned(),
            count: order.count,
            job_id: job.clone(),
            server_ids: ids.clone(),
        });
        self.note_peaks();
        json!({"job_id": job, "serverIds": ids})
    }

    /// createSingleServer takes 40–60 s (reference §3); the address is there at 60–80 % of it.
    fn plan_birth(&mut self, id: &str, now: Timestamp) {
        let whole = self.span(40.0, 60.0);
        let part = |share: f64| now + SignedDuration::from_secs_f64(whole.as_secs_f64() * share);
        let (seen, addressed) = (self.rng.between(0.05, 0.15), self.rng.between(0.6, 0.8));
        let late = SignedDuration::from_secs_f64(self.faults.address_delay_seconds.max(0.0));
        self.later(part(seen), Event::Appears(id.to_owned()));
        self.later(part(addressed) + late, Event::Addressed(id.to_owned()));
        self.later(part(1.0), Event::PowersOn(id.to_owned()));
    }

    fn blank(
        &mut self,
        name: String,
        order: Arc<Order>,
        flavor: &'static Flavor,
        zone: &'static str,
        now: Timestamp,
    ) -> Server {
        Server {
            id: self.rng.uuid(),
            seq: self.next_seq(),
            name,
            tags: order.server_tags.clone(),
            ends_at: order.ends_at(),
            order,
            flavor,
            zone,
            foreign: false,
            phase: Phase::Accepted,
            task: Some("scheduling"),
            ip: None,
            port_id: self.rng.uuid(),
            addressed: false,
            launch_index: 0,
            reservation: String::new(),
            created_at: None,
            launched_at: None,
            updated_at: now,
            gone_at: None,
            stopped_since: None,
            free_seconds: 0,
            volumes: Vec::new(),
            fault: None,
            doom: None,
            locked: false,
            frozen: false,
            reclaimed: false,
            unbilled: false,
            machine: Machine::None,
            create_sub: None,
            deletion: None,
        }
    }

    /// Now it is there: it has disks and an address, counts and bills. Stock and quota are looked
    /// at in earnest only here.
    pub(super) fn appears(&mut self, id: &str, at: Timestamp) {
        let Some(server) = self.servers.get(id) else {
            return;
        };
        let (flavor, zone) = (server.flavor, server.zone);
        if self.cannot_be_placed(id, flavor.id, zone) {
            let gives_up = at + self.span(10.0, 20.0);
            return self.later(gives_up, Event::GivesUp(id.to_owned()));
        }
        if let Err(cause) = self.check_quota(1, flavor) {
            return self.fails(id, cause, at);
        }
        let Some(ip) = self.addresses.take() else {
            return self.fails(
                id,
                Cause::new("Ecs.0012", "no free IP address in the subnet"),
                at,
            );
        };
        let broken = take_one(&mut self.faults.fail_next_creates).then(FailSub::broken);
        let volumes = self.disks(id, at);
        if let Some(server) = self.servers.get_mut(id) {
            server.ip = Some(ip);
            server.doom = server.doom.take().or(broken);
            server.volumes = volumes;
            server.phase = Phase::Building;
            server.task = Some("spawning");
            server.created_at = Some(at);
            server.updated_at = at;
            if let Some(sub) = server.create_sub.clone() {
                self.show_in_sub(&sub, id);
            }
        }
        self.plan_end(id, at);
        self.note_peaks();
    }

    fn plan_end(&mut self, id: &str, at: Timestamp) {
        let end = self.servers.get(id).and_then(|server| server.ends_at);
        if let Some(end) = end.filter(|end| *end > at) {
            self.later(end, Event::AutoTerminates(id.to_owned()));
        }
    }

    pub(super) fn disks(&mut self, id: &str, at: Timestamp) -> Vec<Volume> {
        let Some(order) = self.servers.get(id).map(|server| Arc::clone(&server.order)) else {
            return Vec::new();
        };
        let mut make = |kind: &'static str, disk: &Disk| Volume {
            id: self.rng.uuid(),
            kind,
            disk_type: disk.volumetype.clone(),
            size_gb: disk.size.unwrap_or(40),
            goes_with_server: kind == "root" || disk.delete_on_termination,
            created_at: at,
            deleted_at: None,
        };
        let mut all = vec![make("root", &order.root_volume)];
        all.extend(order.data_volumes.iter().map(|disk| make("data", disk)));
        all
    }

    pub(super) fn addressed(&mut self, id: &str, at: Timestamp) {
        if let Some(server) = self.servers.get_mut(id) {
            server.addressed = true;
            server.updated_at = at;
        }
    }

    /// It is built: now the machine boots, if there is one.
    pub(super) fn powers_on(&mut self, id: &str, at: Timestamp) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        if server.phase != Phase::Building || server.deletion.is_some() {
            return;
        }
        if let Some(doom) = &server.doom {
            let cause = doom.cause();
            return self.breaks(id, cause, at);
        }
        if !self.rules.machines {
            return self.activates(id, at);
        }
        server.machine = Machine::Booting;
        let boot = Boot {
            id: server.id.clone(),
            name: server.name.clone(),
            ip: server.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            arch: server.flavor.arch().machine(),
            vcpus: server.flavor.vcpus,
            memory_mib: server.flavor.ram_mb,
            local_disk: server.flavor.has_local_disk(),
            user_data: server.order.user_data_bytes(),
            key_name: server.order.key_name.clone(),
        };
        self.outside(Deed::Boot(Box::new(boot)));
    }

    /// How the boot of a machine went.
    pub(super) fn booted(&mut self, id: &str, outcome: Result<(), String>, at: Timestamp) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        server.machine = Machine::Up;
        if server.deletion.is_some() {
            server.machine = Machine::Destroying;
            return self.outside(Deed::Destroy(id.to_owned()));
        }
        match outcome {
            Ok(()) => self.activates(id, at),
            Err(why) => self.breaks(
                id,
                Cause::new("Ecs.0204", format!("boot failed: {why}")),
                at,
            ),
        }
    }

    fn activates(&mut self, id: &str, at: Timestamp) {
        if let Some(server) = self.servers.get_mut(id) {
            server.launched_at = Some(at);
            server.task = None;
        }
        self.set_phase(id, Phase::Active, at);
        self.end_create(id, Ok(()), at);
    }

    /// The build fails and leaves a server in ERROR behind, which bills on
    /// (ISS opentelekomcloud/terraform-provider-opentelekomcloud#3480).
    fn breaks(&mut self, id: &str, cause: Cause, at: Timestamp) {
        if let Some(server) = self.servers.get_mut(id) {
            server.fault = Some((cause.clone(), at));
            server.task = None;
        }
        self.set_phase(id, Phase::Error, at);
        self.end_create(id, Err(cause), at);
    }

    /// The server never comes to be.
    pub(super) fn fails(&mut self, id: &str, cause: Cause, at: Timestamp) {
        self.set_phase(id, Phase::Failed, at);
        let sub = self
            .servers
            .get(id)
            .and_then(|server| server.create_sub.clone());
        if let Some(sub) = sub {
            self.show_in_sub(&sub, id);
        }
        self.end_create(id, Err(cause), at);
    }

    pub(super) fn end_create(&mut self, id: &str, outcome: Result<(), Cause>, at: Timestamp) {
        let sub = self
            .servers
            .get(id)
            .and_then(|server| server.create_sub.clone());
        let open = |sub: &SubRef| {
            self.jobs
                .get(&sub.job)
                .is_some_and(|job| !job.sub_ended(sub.index))
        };
        if let Some(sub) = sub.filter(open) {
            self.end_sub(&sub, outcome, at);
        }
    }

    /// A server that somebody else bought, there and on at once.
    pub(super) fn add_foreign(
        &mut self,
        order: Order,
        tags: Vec<Tag>,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        let unknown = || ApiError::service(400, "Ecs.0029", "no such flavor");
        let flavor = flavors::find(&order.flavor).ok_or_else(unknown)?;
        let zone = ZONES.first().copied().unwrap_or_default();
        let mut server = self.blank(order.name.clone(), Arc::new(order), flavor, zone, now);
        server.foreign = true;
        server.tags = tags;
        let id = server.id.clone();
        self.servers.insert(id.clone(), server);
        self.appears(&id, now);
        self.addressed(&id, now);
        if self
            .servers
            .get(&id)
            .is_some_and(|server| server.phase == Phase::Building)
        {
            self.activates(&id, now);
        }
        Ok(id)
    }
}
