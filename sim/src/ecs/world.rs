//! The simulated cloud as one value. Every change is a function of the state and a moment; what
//! comes later is an event in a queue. Nothing here does IO or asks the time: machines are started
//! and destroyed by whoever takes the [`Deed`]s and reports back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::addresses::{AddressRange, Addresses};
use super::error::ApiError;
use super::faults::{Faults, take_time};
use super::flavors::Flavor;
use super::job::{Cause, Job, Kind, SubRef};
use super::ledger::CreateCall;
use super::order::Tag;
use super::power::Power;
use super::prices::Prices;
use super::rate::Gauge;
use super::scenario::StepOf;
use super::server::{Phase, Server};
use super::tokens::Tokens;
use crate::rng::Rng;

/// A public key that nobody has the other half of.
const NOBODYS_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What does not change while the simulator runs.
pub(super) struct Rules {
    pub(super) speed: f64,
    /// Whether there are machines behind the servers.
    pub(super) machines: bool,
    pub(super) quota_instances: Option<u32>,
    pub(super) quota_cores: Option<u32>,
}

pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) faults: Faults,
    pub(super) rng: Rng,
    pub(super) addresses: Addresses,
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) tokens: Tokens,
    pub(super) calls: Vec<CreateCall>,
    pub(super) peaks: Peaks,
    pub(super) prices: Prices,
    pub(super) gauge: Gauge,
    /// The VPC that a call named first.
    pub(super) vpc: Option<String>,
    /// The images that are for arm64.
    pub(super) arm_images: BTreeSet<String>,
    /// What every key pair is the public key of: the one that opens the machines, where there are any.
    pub(super) public_key: String,
    /// How far the cloud's clock is ahead of the wall clock.
    pub(super) ahead: SignedDuration,
    /// Who waits for other faults has not been told yet.
    pub(super) faults_changed: bool,
    queue: BTreeMap<(Timestamp, u64), Event>,
    deeds: Vec<Deed>,
    counter: u64,
}

/// The most vCPU at any instant, foreign servers not counted.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Peaks {
    pub(super) alive: u32,
    pub(super) committed: u32,
}

/// What comes to pass by itself, at its moment in the queue.
#[derive(Debug)]
pub(super) enum Event {
    JobStarts(String),
    Appears(String),
    Addressed(String),
    PowersOn(String),
    GivesUp(String),
    DeletionDue(String),
    Vanishes(String),
    PowerDone(String, SubRef, Power),
    AutoTerminates(String),
    DeletionFails(SubRef),
    Reclaimed(String),
    Rebooted(String),
    Step(Box<StepOf>),
    VolumeGone(String, SubRef),
}

/// What has to be done outside, if there are machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Boot(Box<Boot>),
    Destroy(String),
}

/// A machine to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boot {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ip: String,
    pub(super) arch: &'static str,
    pub(super) vcpus: u32,
    pub(super) memory_mib: u32,
    pub(super) local_disk: bool,
    pub(super) user_data: Vec<u8>,
    pub(super) key_name: Option<String>,
}

impl World {
    pub(super) fn new(rules: Rules, seed: u64, range: AddressRange) -> Self {
        Self {
            rules,
            faults: Faults::default(),
            rng: Rng::new(seed),
            addresses: Addresses::new(range),
            servers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tokens: Tokens::default(),
            calls: Vec::new(),
            peaks: Peaks::default(),
            prices: Prices::default(),
            gauge: Gauge::default(),
            vpc: None,
            arm_images: BTreeSet::new(),
            public_key: NOBODYS_KEY.to_owned(),
            ahead: SignedDuration::ZERO,
            faults_changed: false,
            queue: BTreeMap::new(),
            deeds: Vec::new(),
            counter: 0,
        }
    }

    /// Lets everything come to pass that is due by `now`, each thing at its own moment.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self
            .queue
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            let ((at, _), event) = entry.remove_entry();
            self.happen(event, at);
        }
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.faults_changed = true;
    }

    /// The moment of the next event.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn take_deeds(&mut self) -> Vec<Deed> {
        std::mem::take(&mut self.deeds)
    }

    fn happen(&mut self, event: Event, at: Timestamp) {
        match event {
            Event::JobStarts(job) => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.start();
                }
            }
            Event::Appears(id) => self.appears(&id, at),
            Event::Addressed(id) => self.addressed(&id, at),
            Event::PowersOn(id) => self.powers_on(&id, at),
            Event::GivesUp(id) => self.gives_up(&id, at),
            Event::DeletionDue(id) => self.deletion_due(&id, at),
            Event::Vanishes(id) => self.vanishes(&id, at),
            Event::PowerDone(id, sub, power) => self.power_done(&id, &sub, power, at),
            Event::AutoTerminates(id) => self.auto_terminates(&id, at),
            Event::DeletionFails(sub) => {
                let cause = Cause::new("Ecs.0501", "delete failed: injected");
                self.end_sub(&sub, Err(cause), at);
            }
            Event::Reclaimed(id) => self.reclaimed(&id, at),
            Event::Rebooted(id) => self.rebooted(&id, at),
            Event::Step(step) => self.take_step(&step, at),
            Event::VolumeGone(id, sub) => self.volume_gone(&id, &sub, at),
        }
    }

    pub(super) fn later(&mut self, at: Timestamp, event: Event) {
        self.counter += 1;
        self.queue.insert((at, self.counter), event);
    }

    pub(super) fn outside(&mut self, deed: Deed) {
        self.deeds.push(deed);
    }

    pub(super) fn next_seq(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A duration between two bounds in seconds of the real cloud, divided by the speed.
    pub(super) fn span(&mut self, low: f64, high: f64) -> SignedDuration {
        let seconds = self.rng.between(low, high) / self.rules.speed;
        SignedDuration::from_secs_f64(seconds)
    }

    /// A new job with a sub job for each of `count` servers; it starts in a second or two.
    pub(super) fn open_job(&mut self, kind: Kind, count: usize, now: Timestamp) -> String {
        let id = self.rng.job_id();
        let subs = (0..count).map(|_| self.rng.job_id()).collect();
        self.jobs
            .insert(id.clone(), Job::new(id.clone(), kind, subs, now));
        let starts = now + self.span(1.0, 2.0);
        self.later(starts, Event::JobStarts(id.clone()));
        id
    }

    pub(super) fn end_sub(&mut self, sub: &SubRef, outcome: Result<(), Cause>, at: Timestamp) {
        if let Some(job) = self.jobs.get_mut(&sub.job) {
            job.end_sub(sub.index, outcome, at);
        }
    }

    pub(super) fn show_in_sub(&mut self, sub: &SubRef, server: &str) {
        let job = self.jobs.get_mut(&sub.job);
        if let Some(found) = job.and_then(|job| job.sub_mut(sub.index)) {
            found.server_id = Some(server.to_owned());
        }
    }

    /// A job by its id; an unknown one is 400 `Common.0011`. How long the cloud keeps a job that has ended is not
    /// documented; here it is kept for ever, and refusing `job` with that code tries the other.
    pub(super) fn job(&self, id: &str) -> Result<&Job, ApiError> {
        let unknown = || {
            ApiError::service(
                400,
                "Common.0011",
                format!("The job [{id}] does not exist."),
            )
        };
        self.jobs.get(id).ok_or_else(unknown)
    }

    /// The servers that list and show know, newest first.
    pub(super) fn visible(&self) -> Vec<&Server> {
        let mut all: Vec<&Server> = self.servers.values().filter(|s| s.is_visible()).collect();
        all.sort_by_key(|server| std::cmp::Reverse(server.seq));
        all
    }

    /// What a list answer has: those that are visible, but for what a fault takes out.
    pub(super) fn listed(&mut self) -> Vec<&Server> {
        let order = |server: &Server| (server.id.clone(), server.name.clone());
        let mut ids: Vec<(String, String)> = self.visible().into_iter().map(order).collect();
        for omit in &mut self.faults.list_omits {
            let named = |(id, name): &(String, String)| match &omit.server {
                Some(wanted) => wanted == id || wanted == name,
                None => true,
            };
            if let Some(at) = ids
                .iter()
                .position(named)
                .filter(|_| take_time(&mut omit.times))
            {
                ids.remove(at);
            }
        }
        ids.iter()
            .filter_map(|(id, _)| self.servers.get(id))
            .collect()
    }

    pub(super) fn shown(&self, id: &str) -> Result<&Server, ApiError> {
        let server = self.servers.get(id).filter(|server| server.is_visible());
        server.ok_or_else(|| ApiError::no_server(id))
    }

    pub(super) fn usable(&mut self, id: &str) -> Result<&mut Server, ApiError> {
        let server = self
            .servers
            .get_mut(id)
            .filter(|server| server.can_be_addressed());
        server.ok_or_else(|| ApiError::no_server(id))
    }

    /// Adds tags or replaces those with the same key; at most 10 in the end.
    pub(super) fn add_tags(
        &mut self,
        id: &str,
        tags: Vec<Tag>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let server = self.usable(id)?;
        let mut all = server.tags.clone();
        all.retain(|old| !tags.iter().any(|new| new.key == old.key));
        all.extend(tags);
        if all.len() > 10 {
            return Err(ApiError::service(400, "Ecs.0905", "tags: at most 10"));
        }
        server.tags = all;
        server.updated_at = now;
        Ok(())
    }

    pub(super) fn remove_tags(
        &mut self,
        id: &str,
        tags: &[Tag],
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let server = self.usable(id)?;
        server
            .tags
            .retain(|old| !tags.iter().any(|gone| gone.key == old.key));
        server.updated_at = now;
        Ok(())
    }

    /// Servers and vCPU that count against the quota: those that are there.
    pub(super) fn used(&self) -> (u32, u32) {
        self.sum(Server::is_visible)
    }

    /// The most servers and vCPU; none is unlimited.
    pub(super) fn quota(&self) -> (Option<u32>, Option<u32>) {
        (
            self.faults.quota_instances.or(self.rules.quota_instances),
            self.faults.quota_cores.or(self.rules.quota_cores),
        )
    }

    /// Refuses when so many more would be too many.
    pub(super) fn check_quota(&self, count: u32, flavor: &Flavor) -> Result<(), Cause> {
        let (instances, cores) = self.used();
        let over = |quota: Option<u32>, used: u32| quota.is_some_and(|quota| used > quota);
        let (max_instances, max_cores) = self.quota();
        if over(max_instances, instances + count) {
            return Err(Cause::new(
                "Ecs.0001",
                "Quota exceeded for resources: ['instances']",
            ));
        }
        if over(max_cores, cores + count * flavor.vcpus) {
            return Err(Cause::new(
                "Ecs.0001",
                "Quota exceeded for resources: ['cores']",
            ));
        }
        Ok(())
    }

    pub(super) fn note_peaks(&mut self) {
        let (_, alive) = self.sum(|server| server.holds_volumes() && !server.foreign);
        let (_, committed) = self.sum(|server| server.is_committed() && !server.foreign);
        self.peaks.alive = self.peaks.alive.max(alive);
        self.peaks.committed = self.peaks.committed.max(committed);
    }

    fn sum(&self, which: fn(&Server) -> bool) -> (u32, u32) {
        let counted = self.servers.values().filter(|server| which(server));
        counted.fold((0, 0), |(n, cores), server| {
            (n + 1, cores + server.flavor.vcpus)
        })
    }

    pub(super) fn set_phase(&mut self, id: &str, phase: Phase, at: Timestamp) {
        if let Some(server) = self.servers.get_mut(id) {
            server.phase = phase;
            server.updated_at = at;
        }
    }
}
