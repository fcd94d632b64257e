//! The first moment of a farm: its project, its hosts, what was built before, and what waits.

use std::sync::Arc;

use super::Options;
use super::hosts::NewHost;
use super::model::{Ended, JobRef, Millis, Outcome, Package, State, Target, hostarch_of};
use super::world::{Rules, World};

/// Some of every project: what they are called, and what OBS says of them for ever.
const NEVER_BUILT: [(&str, State); 6] = [
    ("nodep", State::Unresolvable),
    ("nosource", State::Broken),
    ("turnedoff", State::Disabled),
    ("norecipe", State::Excluded),
    ("lockedpkg", State::Locked),
    ("twospecs", State::Excluded),
];

/// Names that people know; the rest is numbered.
const KNOWN: [&str; 8] = [
    "glibc",
    "gcc",
    "kernel",
    "zlib",
    "bash",
    "multi",
    "multi:flavor1",
    "multi:flavor2",
];

/// How far back what was built before ended: a day.
const PAST: i64 = 24 * 3600 * 1000;

impl World {
    /// The farm that these options describe, as it is at this moment.
    pub(super) fn seeded(options: &Options, now: Millis) -> Self {
        let rules = Rules {
            speed: options.speed,
            replenish: options.replenish,
            away: options.away,
            down: options.down,
        };
        let mut world = Self::new(rules, options.seed, now);
        world.add_project(options, now);
        for number in 0..options.workers {
            let arches = options.arches.len().max(1);
            let at = usize::try_from(number).unwrap_or_default() % arches;
            let arch = options.arches.get(at).map_or("x86_64", String::as_str);
            world.attach(&host(options, number, hostarch_of(arch)), now);
        }
        let jobs = options.jobs;
        (0..jobs).for_each(|_| world.first_job(now));
        world.dispatch(now);
        world
    }

    fn add_project(&mut self, options: &Options, now: Millis) {
        let share = options.packages / u32::try_from(options.arches.len()).unwrap_or(1).max(1);
        for arch in &options.arches {
            let repository = format!("standard_{arch}");
            let mut target = Target::new(&options.project, &repository, arch);
            self.fill(&mut target, share);
            self.remember_past(&mut target, now);
            self.targets.push(target);
        }
    }

    fn fill(&mut self, target: &mut Target, count: u32) {
        for number in 0..count {
            let package = self.package_number(target, number);
            target.add(package);
        }
    }

    /// One package in 12 never builds; of the others most take minutes, some an hour, and one in 25
    /// fails. Each depends on up to two that stand before it.
    fn package_number(&mut self, target: &Target, number: u32) -> Package {
        let at = usize::try_from(number).unwrap_or_default();
        let special = (at % 12 == 11).then(|| NEVER_BUILT.get((at / 12) % NEVER_BUILT.len()));
        if let Some((name, state)) = special.flatten() {
            let name = match at / 12 / NEVER_BUILT.len() {
                0 => (*name).to_owned(),
                round => format!("{name}-{round}"),
            };
            return Package::new(&name, state.clone(), 0.0);
        }
        let numbered = || format!("package-{number:06}");
        let name = KNOWN.get(at).map_or_else(numbered, |k| (*k).to_owned());
        let seconds = self.duration();
        let mut package = Package::new(&name, State::Succeeded, seconds);
        if self.rng.between(0.0, 1.0) < 0.04 {
            package.outcome = Outcome::Failed;
            package.state = State::Failed;
        }
        package.deps = self.deps(target);
        package
    }

    /// 70 % below five minutes (l1), 15 % below ten (l2), the rest up to an hour (l3).
    fn duration(&mut self) -> f64 {
        match self.rng.between(0.0, 1.0) {
            share if share < 0.7 => self.rng.between(40.0, 280.0),
            share if share < 0.85 => self.rng.between(320.0, 580.0),
            _ => self.rng.between(620.0, 3600.0),
        }
    }

    fn deps(&mut self, target: &Target) -> Vec<usize> {
        let mut deps = Vec::new();
        for _each in 0..self.pick(3).unwrap_or_default() {
            let candidate = self.pick(target.packages.len());
            let package = candidate.and_then(|at| Some((at, target.packages.get(at)?)));
            if let Some((at, package)) = package
                && package.state.is_settled()
                && !deps.contains(&at)
            {
                deps.push(at);
            }
        }
        deps
    }

    /// Each package was built once in the day before, by a worker that is gone.
    fn remember_past(&mut self, target: &mut Target, now: Millis) {
        let built = target.packages.iter_mut().enumerate();
        let built: Vec<_> = built.filter(|(_, p)| p.state.is_settled()).collect();
        let step = PAST / i64::try_from(built.len().max(1)).unwrap_or(1);
        let worker: Arc<str> = "obs-worker-before:1".into();
        let uri: Arc<str> = "http://127.0.0.1:40001".into();
        let hostarch: Arc<str> = hostarch_of(&target.arch).into();
        let mut past = Vec::with_capacity(built.len());
        for (nth, (package, of)) in built.into_iter().enumerate() {
            let ended = now - PAST + step * i64::try_from(nth).unwrap_or_default();
            #[allow(clippy::cast_possible_truncation, reason = "an hour at most")]
            let took = of.seconds as i64 * 1000;
            of.builds = u32::from(of.outcome == Outcome::Succeeded);
            of.last_duration = (of.builds > 0).then_some(took / 1000);
            of.ready = ended - took - 30_000;
            past.push(Ended {
                package,
                bcnt: 1,
                ready: of.ready,
                started: ended - took,
                ended,
                code: of.outcome,
                uri: Arc::clone(&uri),
                worker: Arc::clone(&worker),
                hostarch: Arc::clone(&hostarch),
            });
        }
        past.into_iter().for_each(|ended| target.remember(ended));
    }

    /// One of the jobs that wait in the beginning: the next settled package from a random one on.
    fn first_job(&mut self, now: Millis) {
        let all: usize = self.targets.iter().map(|t| t.packages.len()).sum();
        let Some(from) = self.pick(all) else { return };
        let job = (from..all)
            .chain(0..from)
            .filter_map(|at| self.nth_job(at))
            .find(|job| self.package(*job).is_some_and(|p| p.state.is_settled()));
        if let Some(job) = job {
            self.schedule(job, now);
        }
    }

    fn nth_job(&self, mut at: usize) -> Option<JobRef> {
        for (target, of) in self.targets.iter().enumerate() {
            if at < of.packages.len() {
                let package = at;
                return Some(JobRef { target, package });
            }
            at -= of.packages.len();
        }
        None
    }
}

fn host(options: &Options, number: u32, arch: &str) -> NewHost {
    let (b, c) = (number / 250 % 250 + 1, number % 250 + 1);
    NewHost {
        ip: format!("127.{}.{b}.{c}", 16 + number / 62_500),
        processors: if number % 4 == 0 { 64 } else { 32 },
        ..NewHost::new(
            &format!("obs-worker-{}-{number:05}", arch.replace('_', "-")),
            arch,
            options.instances,
        )
    }
}
