//! The farm as a value: what is, what is planned, and how one moment leads to the next. Pure: the
//! moment is an argument.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use super::faults::Faults;
use super::model::{Build, Ended, Host, JobRef, Millis, Outcome, Slot, SlotRef, State, Target};
use super::model::{Instance, Package, hostarch_of};
use crate::rng::Rng;

/// What is planned, in the order of its moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A build ends.
    Ends(JobRef, u64),
    /// An instance reports idle: after a job, or from where it was away. Host, slot, epoch.
    Reports(usize, usize, u64),
    /// Sources change: a job comes.
    Arrives,
    /// OBS' warden finds that nobody builds this.
    Warden(JobRef, u64),
}

/// How the farm lives.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// What durations are divided by.
    pub(super) speed: f64,
    /// Whether a job comes for each that ends.
    pub(super) replenish: bool,
    /// The share of instances that, after a job, build for another repository server first.
    pub(super) away: f64,
    /// The share of instances that are down for a while after a job.
    pub(super) down: f64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) rng: Rng,
    pub(super) targets: Vec<Target>,
    pub(super) hosts: Vec<Host>,
    pub(super) host_index: HashMap<Arc<str>, usize>,
    /// The job files that say `building`, ghosts among them.
    pub(super) building: BTreeSet<JobRef>,
    /// Waiting jobs by hostarch, oldest first; whoever takes one out looks whether it still waits.
    pub(super) queues: BTreeMap<Arc<str>, VecDeque<JobRef>>,
    /// Instances that may take a job, by hostarch; to be looked at in the same way.
    pub(super) idle: BTreeMap<Arc<str>, VecDeque<SlotRef>>,
    /// OBS' slow average of (end - ready) in seconds, by arch; it begins at 1200.
    pub(super) build_average: BTreeMap<Arc<str>, f64>,
    /// Daemons that do not run: `dispatcher`, `scheduler/x86_64`, …
    pub(super) dead_daemons: BTreeSet<String>,
    pub(super) faults: Faults,
    pub(super) began: Millis,
    events: BinaryHeap<Reverse<(Millis, Event)>>,
    numbers: u64,
}

impl World {
    pub(super) fn new(rules: Rules, seed: u64, began: Millis) -> Self {
        Self {
            rules,
            rng: Rng::new(seed),
            targets: Vec::new(),
            hosts: Vec::new(),
            host_index: HashMap::new(),
            building: BTreeSet::new(),
            queues: BTreeMap::new(),
            idle: BTreeMap::new(),
            build_average: BTreeMap::new(),
            dead_daemons: BTreeSet::new(),
            faults: Faults::default(),
            began,
            events: BinaryHeap::new(),
            numbers: 0,
        }
    }

    /// Lets everything happen that is planned up to this moment.
    pub(super) fn advance(&mut self, now: Millis) {
        self.dispatch(now);
        while let Some(&Reverse((at, event))) = self.events.peek() {
            if at > now {
                return;
            }
            self.events.pop();
            self.happen(event, at);
            self.dispatch(at);
        }
    }

    fn happen(&mut self, event: Event, at: Millis) {
        match event {
            Event::Ends(job, number) => self.end(job, number, at),
            Event::Reports(host, slot, epoch) => self.report(SlotRef { host, slot }, epoch, at),
            Event::Arrives => self.arrive(at),
            Event::Warden(job, number) => self.warden(job, number, at),
        }
    }

    /// Plans an event so many seconds (at speed 1) from now.
    pub(super) fn plan(&mut self, now: Millis, seconds: f64, event: Event) {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "durations are hours at most"
        )]
        let wait = (seconds * 1000.0 / self.rules.speed) as Millis;
        self.events.push(Reverse((now + wait, event)));
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn package(&self, job: JobRef) -> Option<&Package> {
        self.targets.get(job.target)?.packages.get(job.package)
    }

    pub(super) fn package_mut(&mut self, job: JobRef) -> Option<&mut Package> {
        let target = self.targets.get_mut(job.target)?;
        target.revision += 1;
        target.packages.get_mut(job.package)
    }

    pub(super) fn instance(&self, at: SlotRef) -> Option<&Instance> {
        self.hosts.get(at.host)?.instances.get(at.slot)
    }

    pub(super) fn instance_mut(&mut self, at: SlotRef) -> Option<&mut Instance> {
        self.hosts.get_mut(at.host)?.instances.get_mut(at.slot)
    }

    fn hostarch(&self, job: JobRef) -> Option<Arc<str>> {
        let target = self.targets.get(job.target)?;
        Some(hostarch_of(&target.arch).into())
    }

    pub(super) fn runs(&self, daemon: &str) -> bool {
        !self.dead_daemons.contains(daemon)
    }

    /// A package is to be built: it waits for an instance, or for what it depends on.
    pub(super) fn schedule(&mut self, job: JobRef, now: Millis) {
        let Some(target) = self.targets.get(job.target) else {
            return;
        };
        let Some(package) = target.packages.get(job.package) else {
            return;
        };
        let blocked = target.unfinished_deps(package).next().is_some();
        let scheduler = format!("scheduler/{}", target.arch);
        let waits = blocked || !self.runs(&scheduler);
        let state = if waits {
            State::Blocked
        } else {
            State::Scheduled
        };
        if let Some(package) = self.package_mut(job) {
            package.state = state;
            package.ready = now;
        }
        if !waits {
            self.enqueue(job);
        }
    }

    fn enqueue(&mut self, job: JobRef) {
        if let Some(hostarch) = self.hostarch(job) {
            self.queues.entry(hostarch).or_default().push_back(job);
        }
    }

    pub(super) fn start(&mut self, job: JobRef, at: SlotRef, now: Millis) {
        let number = self.number();
        let jitter = self.rng.between(0.9, 1.1);
        let Some(hostarch) = self.hosts.get(at.host).map(|host| Arc::clone(&host.arch)) else {
            return;
        };
        let Some(instance) = self.instance_mut(at) else {
            return;
        };
        instance.slot = Slot::Building(job, number);
        let (worker, uri) = (Arc::clone(&instance.worker), Arc::clone(&instance.uri));
        let Some(package) = self.package_mut(job) else {
            return;
        };
        package.state = State::Building(Build {
            worker,
            hostarch,
            uri,
            started: now,
            number,
        });
        let seconds = package.seconds * jitter;
        self.building.insert(job);
        self.plan(now, seconds, Event::Ends(job, number));
    }

    /// The build is delivered, unless it was killed: a ghost has nobody who would.
    fn end(&mut self, job: JobRef, number: u64, now: Millis) {
        let Some(at) = self.builder_of(job, number) else {
            return;
        };
        let build = self.package(job).and_then(|p| p.state.build().cloned());
        if let Some(build) = build.filter(|build| build.number == number) {
            self.settle(job, &build, now);
        }
        self.leave_build(at, now);
    }

    /// The instance that really builds this.
    pub(super) fn builder_of(&self, job: JobRef, number: u64) -> Option<SlotRef> {
        let build = self.package(job)?.state.build()?;
        let at = self.find_instance(&build.worker)?;
        let slot = self.instance(at)?.slot;
        (slot == Slot::Building(job, number)).then_some(at)
    }

    /// By `NAME:N`.
    pub(super) fn find_instance(&self, worker: &str) -> Option<SlotRef> {
        let (name, number) = worker.rsplit_once(':')?;
        let slot = number.parse::<usize>().ok()?.checked_sub(1)?;
        let host = *self.host_index.get(name)?;
        Some(SlotRef { host, slot })
    }

    fn settle(&mut self, job: JobRef, build: &Build, now: Millis) {
        let Some(package) = self.package_mut(job) else {
            return;
        };
        let code = package.outcome;
        let duration = (now - build.started) / 1000;
        if code == Outcome::Failed {
            package.state = State::Failed;
        } else {
            package.state = State::Succeeded;
            package.builds += u32::from(code == Outcome::Succeeded);
            package.last_duration = Some(duration);
        }
        let ended = Ended {
            package: job.package,
            bcnt: package.builds.max(1),
            ready: package.ready,
            started: build.started,
            ended: now,
            code,
            uri: Arc::clone(&build.uri),
            worker: Arc::clone(&build.worker),
            hostarch: Arc::clone(&build.hostarch),
        };
        self.building.remove(&job);
        self.note(job, ended, now);
    }

    /// Books an ended job, and looks at what waited for it.
    pub(super) fn note(&mut self, job: JobRef, ended: Ended, now: Millis) {
        #[allow(
            clippy::cast_precision_loss,
            reason = "seconds, a few thousand at most"
        )]
        let took = (ended.ended - ended.ready) as f64 / 1000.0;
        if let Some(target) = self.targets.get_mut(job.target) {
            let average = self.build_average.entry(Arc::clone(&target.arch));
            let average = average.or_insert(1200.0);
            *average = *average * 0.99 + took * 0.01;
            target.remember(ended);
        }
        self.unblock(job, now);
        if self.rules.replenish {
            let pause = self.rng.between(1.0, 20.0);
            self.plan(now, pause, Event::Arrives);
        }
    }

    fn unblock(&mut self, job: JobRef, now: Millis) {
        let waiting: Vec<usize> = self.package(job).map_or_else(Vec::new, |package| {
            package.dependents.iter().copied().collect()
        });
        for package in waiting {
            let dependent = JobRef { package, ..job };
            let is_blocked = self
                .package(dependent)
                .is_some_and(|p| matches!(p.state, State::Blocked));
            if is_blocked {
                self.schedule(dependent, now);
            }
        }
    }

    /// A scheduler that is back looks at everything that waits for it.
    pub(super) fn look_again(&mut self, now: Millis) {
        for target in 0..self.targets.len() {
            let blocked: Vec<usize> = self.targets.get(target).map_or_else(Vec::new, |t| {
                let all = t.packages.iter().enumerate();
                all.filter(|(_, p)| matches!(p.state, State::Blocked))
                    .map(|(at, _)| at)
                    .collect()
            });
            for package in blocked {
                self.schedule(JobRef { target, package }, now);
            }
        }
    }

    /// A job whose build is gone waits again.
    pub(super) fn free(&mut self, job: JobRef) {
        self.building.remove(&job);
        if let Some(package) = self.package_mut(job) {
            package.state = State::Scheduled;
        }
        self.enqueue(job);
    }

    fn warden(&mut self, job: JobRef, number: u64, now: Millis) {
        let build = self.package(job).and_then(|p| p.state.build());
        if build.is_none_or(|build| build.number != number) {
            return;
        }
        if self.runs("warden") {
            self.free(job);
        } else {
            self.plan(now, 60.0, Event::Warden(job, number));
        }
    }

    /// Somebody commits: one of the packages that are built or failed is to be built again.
    fn arrive(&mut self, now: Millis) {
        for _attempt in 0..20 {
            let job = self.any_job();
            let settled = job.filter(|job| {
                self.package(*job)
                    .is_some_and(|p| p.state.is_settled() && p.processors.is_none())
            });
            if let Some(job) = settled {
                self.schedule(job, now);
                return;
            }
        }
    }

    fn any_job(&mut self) -> Option<JobRef> {
        let target = self.pick(self.targets.len())?;
        let packages = self.targets.get(target)?.packages.len();
        let package = self.pick(packages)?;
        Some(JobRef { target, package })
    }

    /// A number below `count`.
    pub(super) fn pick(&mut self, count: usize) -> Option<usize> {
        let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
        usize::try_from(self.rng.next() % count).ok()
    }
}
