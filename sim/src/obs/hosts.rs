//! Hosts: how they come, take jobs, and go.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{Ended, Host, Instance, JobRef, Millis, Outcome, Slot, SlotRef, State};
use super::world::{Event, World};

/// A build host, as `POST /_sim/hosts` describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHost {
    /// Its host name: its instances are `NAME:1`, `NAME:2`, …
    pub name: String,
    /// `uname -m` there.
    pub arch: String,
    /// How many instances it runs.
    pub instances: u32,
    /// Its address in `uri`; nothing listens there.
    #[serde(default = "loopback")]
    pub ip: String,
    /// Its processors.
    #[serde(default = "processors")]
    pub processors: u32,
    /// `OBS_WORKER_JOBS`.
    #[serde(default = "one")]
    pub jobs: u32,
    /// The memory that it reports, in MB: workers that build in a chroot report none.
    #[serde(default)]
    pub memory_mb: Option<u64>,
}

fn loopback() -> String {
    "127.0.0.1".to_owned()
}

const fn processors() -> u32 {
    32
}

const fn one() -> u32 {
    1
}

impl NewHost {
    /// A host of 32 processors at 127.0.0.1.
    #[must_use]
    pub fn new(name: &str, arch: &str, instances: u32) -> Self {
        Self {
            name: name.to_owned(),
            arch: arch.to_owned(),
            instances,
            ip: loopback(),
            processors: processors(),
            jobs: one(),
            memory_mb: None,
        }
    }
}

/// What the cordon found and made of an instance, in the words of a worker's state file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CordonLine {
    /// The instance's number.
    pub instance: usize,
    /// What it did.
    pub before: String,
    /// What it will do.
    pub after: String,
}

/// How an instance that was killed shows in OBS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shows {
    /// The process is gone, and OBS has noticed.
    #[default]
    Down,
    /// As `down`, in OBS' other word for it.
    Dead,
    /// A new process runs in its place, and takes jobs.
    Idle,
}

impl World {
    /// A host comes, or comes back: its instances report idle. What it built before is a ghost.
    pub(super) fn attach(&mut self, new: &NewHost, now: Millis) {
        if self.host_index.contains_key(new.name.as_str()) {
            self.cut_off(&new.name, now);
        }
        let at = *self
            .host_index
            .entry(new.name.as_str().into())
            .or_insert(self.hosts.len());
        let host = Host {
            arch: new.arch.as_str().into(),
            processors: new.processors,
            jobs: new.jobs,
            memory_mb: new.memory_mb,
            instances: Vec::new(),
            leaving: false,
        };
        if at == self.hosts.len() {
            self.hosts.push(host);
        } else if let Some(known) = self.hosts.get_mut(at) {
            let instances = std::mem::take(&mut known.instances);
            *known = Host { instances, ..host };
        }
        self.add_instances(at, new, now);
    }

    fn add_instances(&mut self, at: usize, new: &NewHost, now: Millis) {
        for number in 1..=new.instances {
            let epoch = self.number();
            let Some(host) = self.hosts.get_mut(at) else {
                return;
            };
            let instance = Instance {
                worker: format!("{}:{number}", new.name).into(),
                uri: format!("http://{}:{}", new.ip, 40_000 + number).into(),
                slot: Slot::Reporting,
                cordoned: false,
                epoch,
            };
            let slot = usize::try_from(number - 1).unwrap_or_default();
            match host.instances.get_mut(slot) {
                Some(known) => *known = instance,
                None => host.instances.push(instance),
            }
            self.report(SlotRef { host: at, slot }, epoch, now);
        }
    }

    /// An instance says that it has nothing to do.
    pub(super) fn report(&mut self, at: SlotRef, epoch: u64, now: Millis) {
        let Some(host) = self.hosts.get_mut(at.host) else {
            return;
        };
        let (arch, leaving) = (Arc::clone(&host.arch), host.leaving);
        let Some(instance) = host.instances.get_mut(at.slot) else {
            return;
        };
        if instance.epoch != epoch {
            return;
        }
        instance.slot = if leaving { Slot::Down } else { Slot::Idle };
        if !leaving && !instance.cordoned {
            self.idle.entry(arch).or_default().push_back(at);
        }
        self.dispatch(now);
    }

    /// Its build is delivered; it reports within half a second, or when it is back.
    pub(super) fn leave_build(&mut self, at: SlotRef, now: Millis) {
        let epoch = self.number();
        let chance = self.rng.between(0.0, 1.0);
        let (slot, absence) = if chance < self.rules.away {
            (Slot::Away, self.rng.between(60.0, 600.0))
        } else if chance < self.rules.away + self.rules.down {
            (Slot::Down, self.rng.between(60.0, 600.0))
        } else {
            (Slot::Reporting, self.rng.between(0.1, 0.5))
        };
        if let Some(instance) = self.instance_mut(at) {
            instance.slot = slot;
            instance.epoch = epoch;
        }
        self.plan(now, absence, Event::Reports(at.host, at.slot, epoch));
    }

    /// Gives waiting jobs to idle instances, as long as there are both and a dispatcher.
    pub(super) fn dispatch(&mut self, now: Millis) {
        if !self.runs("dispatcher") {
            return;
        }
        let arches: Vec<Arc<str>> = self.queues.keys().cloned().collect();
        for arch in arches {
            let mut aside = Vec::new();
            while let Some(job) = self.next_job(&arch) {
                match self.take_idle(&arch, job) {
                    Some(at) => self.start(job, at, now),
                    None if self.nobody_complies(&arch, job) => self.refuse(job, now),
                    None => aside.push(job),
                }
            }
            let queue = self.queues.entry(arch).or_default();
            aside
                .into_iter()
                .rev()
                .for_each(|job| queue.push_front(job));
        }
    }

    /// The next job that still waits, where anybody may be there to take it.
    fn next_job(&mut self, arch: &str) -> Option<JobRef> {
        self.idle.get(arch).filter(|idle| !idle.is_empty())?;
        loop {
            let job = self.queues.get_mut(arch)?.pop_front()?;
            let package = self.package(job)?;
            if matches!(package.state, State::Scheduled) {
                return Some(job);
            }
        }
    }

    /// An idle instance that meets the job's constraints.
    fn take_idle(&mut self, arch: &str, job: JobRef) -> Option<SlotRef> {
        let wanted = self.package(job)?.processors.unwrap_or(0);
        let mut idle = std::mem::take(self.idle.get_mut(arch)?);
        while idle.front().is_some_and(|at| !self.is_free(*at)) {
            idle.pop_front();
        }
        let fits = |at: &SlotRef| {
            let host = self.hosts.get(at.host);
            self.is_free(*at) && host.is_some_and(|host| host.processors >= wanted)
        };
        let found = idle.iter().position(fits);
        let taken = found.and_then(|position| idle.remove(position));
        *self.idle.get_mut(arch)? = idle;
        taken
    }

    fn is_free(&self, at: SlotRef) -> bool {
        let instance = self.instance(at);
        instance.is_some_and(|i| i.slot == Slot::Idle && !i.cordoned)
    }

    /// Whether no worker that OBS knows, in any state, meets the constraints.
    fn nobody_complies(&self, arch: &str, job: JobRef) -> bool {
        let wanted = self.package(job).and_then(|p| p.processors).unwrap_or(0);
        let mut hosts = self.hosts.iter().filter(|host| &*host.arch == arch);
        !hosts.any(|host| host.processors >= wanted)
    }

    /// The dispatcher fails a job that nobody may take (bs_dispatch, `failjob`).
    fn refuse(&mut self, job: JobRef, now: Millis) {
        let Some(package) = self.package_mut(job) else {
            return;
        };
        package.state = State::Failed;
        let ended = Ended {
            package: job.package,
            bcnt: package.builds + 1,
            ready: package.ready,
            started: now,
            ended: now,
            code: Outcome::Failed,
            uri: "".into(),
            worker: "dispatcher".into(),
            hostarch: "".into(),
        };
        self.note(job, ended, now);
    }

    /// Every instance finishes what it has and takes nothing else; `None` for an unknown host.
    pub(super) fn cordon(&mut self, name: &str) -> Option<Vec<CordonLine>> {
        let at = *self.host_index.get(name)?;
        let host = self.hosts.get_mut(at)?;
        let lines = host.instances.iter_mut().enumerate();
        Some(lines.map(|(n, i)| cordon_one(n + 1, i)).collect())
    }

    /// The host ends at once, and so do its builds: their jobs stay behind as ghosts.
    pub(super) fn cut_off(&mut self, name: &str, now: Millis) -> bool {
        let Some(host) = self.host_index.get(name).copied() else {
            return false;
        };
        let count = self.hosts.get(host).map_or(0, |host| host.instances.len());
        for slot in 0..count {
            self.kill(SlotRef { host, slot }, Shows::Down, now);
        }
        true
    }

    /// The host goes when it has nothing to build any more.
    pub(super) fn drain(&mut self, name: &str) -> bool {
        if self.cordon(name).is_none() {
            return false;
        }
        let at = self.host_index.get(name).copied();
        if let Some(host) = at.and_then(|at| self.hosts.get_mut(at)) {
            host.leaving = true;
            let idle = host.instances.iter_mut().filter(|i| i.slot == Slot::Idle);
            idle.for_each(|instance| instance.slot = Slot::Down);
        }
        true
    }

    /// `kill -9` of an instance's process. What it built stays listed until OBS' warden finds out:
    /// after about 170 s, or up to 30 min where another process answers in its place.
    pub(super) fn kill(&mut self, at: SlotRef, shows: Shows, now: Millis) {
        let epoch = self.number();
        let Some(instance) = self.instance_mut(at) else {
            return;
        };
        let was = instance.slot;
        instance.epoch = epoch;
        instance.slot = match shows {
            Shows::Down => Slot::Down,
            Shows::Dead => Slot::Dead,
            Shows::Idle => Slot::Reporting,
        };
        if let Slot::Building(job, number) = was {
            let wait = match shows {
                Shows::Idle => self.rng.between(600.0, 1800.0),
                Shows::Down | Shows::Dead => self.rng.between(60.0, 280.0),
            };
            self.plan(now, wait, Event::Warden(job, number));
        }
        if shows == Shows::Idle {
            self.report(at, epoch, now);
        }
    }
}

fn cordon_one(number: usize, instance: &mut Instance) -> CordonLine {
    let cordoned = instance.cordoned;
    instance.cordoned = true;
    let (before, after) = match (instance.slot, cordoned) {
        (Slot::Building(..), false) => ("building", "building+cordoned"),
        (Slot::Building(..), true) => ("building+cordoned", "building+cordoned"),
        (Slot::Reporting, _) => ("locked", "locked"),
        (Slot::Down | Slot::Dead, _) => ("gone", "gone"),
        (Slot::Idle | Slot::Away, false) => ("idle", "cordoned"),
        (Slot::Idle | Slot::Away, true) => ("cordoned", "cordoned"),
    };
    CordonLine {
        instance: number,
        before: before.to_owned(),
        after: after.to_owned(),
    }
}
