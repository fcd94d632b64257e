//! The farm: hosts with their instances, packages with their jobs, and what time does to them. Nothing
//! here asks the time or does IO; times are seconds since 1970.

use super::jobs::{Code, Ended, Job, JobRef, Target};
use super::shared_workers::Part;
use crate::rng::Rng;
use std::collections::BTreeMap;

/// How large the farm is at first, and how fast it lives.
#[derive(Debug, Clone)]
pub struct Size {
    /// Build hosts.
    pub workers: usize,
    /// Build instances of each host.
    pub instances: usize,
    /// Packages, over both architectures.
    pub packages: usize,
    /// Jobs, waiting and blocked, at first.
    pub jobs: usize,
    /// New jobs an hour.
    pub jobs_per_hour: f64,
    /// Projects that the packages are spread over.
    pub projects: Vec<String>,
    /// Seed of everything that chance decides.
    pub seed: u64,
    /// What build times are divided by.
    pub speed: f64,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Doing {
    Idle,
    /// Builds until the moment given.
    Building {
        job: JobRef,
        start: i64,
        end: f64,
    },
    /// Said goodbye.
    Down,
    /// Does not answer any more.
    Dead,
    /// Builds for another backend.
    Away,
}

/// One build slot.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) number: usize,
    pub(super) port: u16,
    pub(super) doing: Doing,
    /// A job that OBS believes it to build, and that it lost when it was killed.
    pub(super) ghost: Option<(JobRef, i64)>,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) ip: String,
    pub(super) arch: &'static str,
    pub(super) vcpus: u32,
    pub(super) instances: Vec<Instance>,
    /// Takes no new job; each instance leaves when it has none.
    pub(super) leaving: bool,
    /// Loses every job that it takes, and at once.
    pub(super) spoilt: bool,
}

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    pub(super) hosts: BTreeMap<String, Host>,
    pub(super) targets: Vec<Target>,
    pub(super) began: i64,
    /// Rises with every change of a job: the `state` of a result list is made of it.
    pub(super) version: u64,
    /// Where its workers serve other backends too.
    pub(super) shared: Option<Part>,
    speed: f64,
    jobs_per_second: f64,
    next_arrival: f64,
    rng: Rng,
}

/// How long a build takes, in seconds, on a worker that loses it.
const LOST: f64 = 3.0;

pub(super) const ARCHES: [&str; 2] = ["x86_64", "aarch64"];

impl World {
    pub(super) fn new(size: &Size, now: i64) -> Self {
        let mut rng = Rng::new(size.seed);
        let mut targets = Vec::new();
        let each = size
            .packages
            .div_ceil((size.projects.len() * ARCHES.len()).max(1));
        for project in &size.projects {
            for arch in ARCHES {
                targets.push(Target::new(project, arch, each, now, &mut rng));
            }
        }
        let mut world = Self {
            hosts: BTreeMap::new(),
            targets,
            began: now,
            version: 0,
            shared: None,
            speed: size.speed.max(f64::MIN_POSITIVE),
            jobs_per_second: size.jobs_per_hour.max(0.0) / 3600.0,
            next_arrival: now as f64,
            rng,
        };
        for number in 0..size.workers {
            let arch = ARCHES
                .get(number % ARCHES.len())
                .copied()
                .unwrap_or("x86_64");
            let ip = format!("127.3.{}.{}", number / 250, number % 250 + 1);
            world.attach(
                &format!("worker-{number:05}"),
                &ip,
                arch,
                size.instances,
                32,
            );
        }
        world.schedule_next(now as f64);
        world.rebuild(size.jobs, now as f64);
        world.advance(now as f64);
        world
    }

    /// Adds a worker; one of that name that was there before is replaced.
    pub(super) fn attach(
        &mut self,
        name: &str,
        ip: &str,
        arch: &str,
        instances: usize,
        vcpus: u32,
    ) {
        let arch = if arch == "aarch64" {
            "aarch64"
        } else {
            "x86_64"
        };
        let slot = |number: usize| Instance {
            number,
            port: 40_000 + u16::try_from(number % 20_000).unwrap_or_default(),
            doing: Doing::Idle,
            ghost: None,
        };
        let host = Host {
            ip: ip.to_owned(),
            arch,
            vcpus,
            instances: (1..=instances).map(slot).collect(),
            leaving: false,
            spoilt: false,
        };
        self.hosts.insert(name.to_owned(), host);
    }

    /// What OBS takes an instance to do: an idle one that builds for another backend is away.
    pub(super) fn doing(&self, name: &str, instance: &Instance) -> Doing {
        let elsewhere = |part: &Part| part.is_away(&format!("{name}:{}", instance.number));
        match instance.doing {
            Doing::Idle if self.shared.as_ref().is_some_and(elsewhere) => Doing::Away,
            doing => doing,
        }
    }

    /// Lets a worker finish what it builds, take nothing more, and leave. `false` where there is none.
    pub(super) fn drain(&mut self, name: &str) -> bool {
        self.hosts.get_mut(name).is_some_and(|host| {
            host.leaving = true;
            true
        })
    }

    /// Makes a black hole of a worker: every build that it takes from now on fails after some seconds.
    /// `false` where there is none.
    pub(super) fn spoil(&mut self, name: &str) -> bool {
        self.hosts.get_mut(name).is_some_and(|host| {
            host.spoilt = true;
            true
        })
    }

    /// Takes that back: what has left is idle again. `false` where there is none.
    pub(super) fn take_back(&mut self, name: &str) -> bool {
        self.hosts.get_mut(name).is_some_and(|host| {
            if host.leaving {
                host.leaving = false;
                let left = host.instances.iter_mut().filter(|i| i.doing == Doing::Down);
                left.for_each(|i| i.doing = Doing::Idle);
            }
            true
        })
    }

    /// Kills a worker: what it builds is a ghost from now on.
    pub(super) fn kill(&mut self, name: &str) -> bool {
        let Some(host) = self.hosts.get_mut(name) else {
            return false;
        };
        for instance in &mut host.instances {
            if let Doing::Building { job, start, .. } = instance.doing {
                instance.ghost = Some((job, start));
                if let Some(part) = &self.shared {
                    part.give_back(&format!("{name}:{}", instance.number));
                }
            }
            instance.doing = Doing::Down;
        }
        self.version += 1;
        true
    }

    /// Sets what every instance of a worker does (`idle`, `away`, `dead`, `down`); `false` where there is
    /// no such worker.
    pub(super) fn set(&mut self, name: &str, doing: Doing) -> bool {
        self.hosts.get_mut(name).is_some_and(|host| {
            host.instances.iter_mut().for_each(|i| i.doing = doing);
            true
        })
    }

    /// Puts the job of a ghost back into the queue; `false` where the job is none.
    pub(super) fn restart(&mut self, of: JobRef, now: f64) -> bool {
        let ghosts = self.hosts.values_mut().flat_map(|h| &mut h.instances);
        let mut freed = false;
        for instance in ghosts.filter(|i| i.ghost.is_some_and(|(job, _)| job == of)) {
            instance.ghost = None;
            freed = true;
        }
        if freed {
            self.wait(of, now);
        }
        freed
    }

    /// Adds `count` new packages with a job each; `seconds` is how long each builds.
    pub(super) fn queue(
        &mut self,
        target: usize,
        count: usize,
        seconds: f64,
        prefix: &str,
        now: f64,
    ) {
        let Some(of) = self.targets.get_mut(target) else {
            return;
        };
        let first = of.jobs.len();
        for number in 0..count {
            of.jobs
                .push(Job::new(format!("{prefix}-{number:04}"), seconds));
        }
        for package in first..first + count {
            self.wait(JobRef { target, package }, now);
        }
    }

    /// Lets time pass: builds end, jobs come, and what waits is dispatched.
    pub(super) fn advance(&mut self, now: f64) {
        self.end_builds(now);
        while self.jobs_per_second > 0.0 && self.next_arrival <= now {
            let at = self.next_arrival;
            self.rebuild(1, at);
            self.schedule_next(at);
        }
        self.dispatch(now);
        self.leave();
    }

    fn schedule_next(&mut self, after: f64) {
        let gap = self.rng.between(0.0, 2.0) / self.jobs_per_second.max(1e-9);
        self.next_arrival = after + gap / self.speed;
    }

    /// New sources for some packages: they build anew, and what depends on them is blocked meanwhile.
    fn rebuild(&mut self, count: usize, now: f64) {
        let total: usize = self.targets.iter().map(|t| t.jobs.len()).sum();
        for tried in 0..count.min(total) * 4 {
            let target = tried % self.targets.len().max(1);
            let Some(of) = self.targets.get(target) else {
                return;
            };
            let package = (self.rng.next() % of.jobs.len().max(1) as u64) as usize;
            let ready = of
                .jobs
                .get(package)
                .is_some_and(|job| job.code.is_at_rest());
            if ready {
                self.wait(JobRef { target, package }, now);
            }
            if self.in_hand() >= count && count > 1 || ready && count == 1 {
                return;
            }
        }
    }

    /// How many jobs wait, build, or are blocked.
    fn in_hand(&self) -> usize {
        self.targets.iter().map(|target| target.in_hand).sum()
    }

    fn wait(&mut self, job: JobRef, now: f64) {
        self.version += 1;
        if let Some(target) = self.targets.get_mut(job.target) {
            target.wait(job.package, now);
        }
    }

    fn end_builds(&mut self, now: f64) {
        let mut ended = Vec::new();
        for (name, host) in &mut self.hosts {
            for instance in &mut host.instances {
                if let Doing::Building { job, start, end } = instance.doing
                    && end <= now
                {
                    instance.doing = Doing::Idle;
                    let uri = format!("http://{}:{}", host.ip, instance.port);
                    let workerid = format!("{name}:{}", instance.number);
                    if let Some(part) = &self.shared {
                        part.give_back(&workerid);
                    }
                    ended.push((job, start, end, uri, workerid, (host.arch, host.spoilt)));
                }
            }
        }
        ended.sort_by(|a, b| a.2.total_cmp(&b.2));
        for (job, start, end, uri, workerid, (hostarch, spoilt)) in ended {
            self.version += 1;
            let chance = self.rng.next().is_multiple_of(50);
            if let Some(target) = self.targets.get_mut(job.target) {
                // what a test or a demo has queued builds well
                let seeded = target
                    .jobs
                    .get(job.package)
                    .is_some_and(|job| job.builds > 0);
                let fails = chance && seeded || spoilt;
                let ended = Ended {
                    package: job.package,
                    ready: 0,
                    start,
                    end: end as i64,
                    code: if fails { Code::Failed } else { Code::Succeeded },
                    uri,
                    workerid,
                    hostarch,
                };
                target.ended(ended);
            }
        }
    }

    /// The oldest waiting jobs go to idle instances, one a host and round, as OBS spreads them.
    fn dispatch(&mut self, now: f64) {
        for arch in ARCHES {
            let hosts = self.hosts.iter_mut();
            let fitting = hosts.filter(|(_, host)| host.arch == arch && !host.leaving);
            let mut idle: Vec<_> = fitting
                .flat_map(|(name, host)| {
                    let idle = host.instances.iter_mut().enumerate();
                    let spoilt = host.spoilt;
                    idle.filter(|(_, i)| i.doing == Doing::Idle)
                        .map(move |(round, i)| (round, (name.as_str(), spoilt), i))
                })
                .collect();
            idle.sort_by_key(|(round, _, _)| *round);
            let mut idle = idle.into_iter();
            let targets = self.targets.iter_mut().enumerate();
            for (target, of) in targets.filter(|(_, target)| target.arch == arch) {
                while of.waits() {
                    let Some((_, (name, spoilt), instance)) = idle.next() else {
                        break;
                    };
                    let workerid = format!("{name}:{}", instance.number);
                    if self.shared.as_ref().is_some_and(|s| !s.take(&workerid)) {
                        continue;
                    }
                    let Some((package, seconds)) = of.start(now, &workerid) else {
                        break;
                    };
                    self.version += 1;
                    instance.doing = Doing::Building {
                        job: JobRef { target, package },
                        start: now as i64,
                        end: now + if spoilt { LOST } else { seconds } / self.speed,
                    };
                }
            }
        }
    }

    fn leave(&mut self) {
        for host in self.hosts.values_mut().filter(|host| host.leaving) {
            let idle = host.instances.iter_mut().filter(|i| i.doing == Doing::Idle);
            idle.for_each(|i| i.doing = Doing::Down);
        }
    }
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
