//! The packages of one repository and architecture, their jobs, and how these ended.

use crate::rng::Rng;
use std::collections::VecDeque;

/// How many ended builds a target remembers.
const HISTORY: usize = 20_000;

/// OBS' status codes, as far as the simulated packages come to have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Code {
    Succeeded,
    Failed,
    Unresolvable,
    Scheduled,
    Blocked,
    Building,
    Disabled,
    Excluded,
}

impl Code {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unresolvable => "unresolvable",
            Self::Scheduled => "scheduled",
            Self::Blocked => "blocked",
            Self::Building => "building",
            Self::Disabled => "disabled",
            Self::Excluded => "excluded",
        }
    }

    /// Built, and not in hand.
    pub(super) const fn is_at_rest(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A job: a package of a target, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobRef {
    pub(super) target: usize,
    pub(super) package: usize,
}

/// One package of a target.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) package: String,
    pub(super) code: Code,
    /// How long it builds, in seconds.
    pub(super) seconds: f64,
    /// Since when it waits.
    pub(super) ready: i64,
    pub(super) start: i64,
    /// The instance that builds it.
    pub(super) workerid: String,
    /// The package that it is built with.
    pub(super) needs: Option<usize>,
    /// The packages that are built with it.
    pub(super) needed_by: Vec<usize>,
    pub(super) builds: u32,
    pub(super) constraints: Option<&'static str>,
}

impl Job {
    pub(super) fn new(package: String, seconds: f64) -> Self {
        Self {
            package,
            code: Code::Succeeded,
            seconds,
            ready: 0,
            start: 0,
            workerid: String::new(),
            needs: None,
            needed_by: Vec::new(),
            builds: 0,
            constraints: None,
        }
    }

    /// The source's checksum: one for each package, whatever its builds.
    pub(super) fn srcmd5(&self) -> String {
        digest(&self.package, 0)
    }
}

/// 32 hex digits for a text: no checksum, but as long as one, and always the same.
pub(super) fn digest(text: &str, salt: u64) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ salt;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut rng = Rng::new(hash);
    format!("{:016x}{:016x}", rng.next(), rng.next())
}

/// A build that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) package: usize,
    pub(super) ready: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) code: Code,
    pub(super) uri: String,
    pub(super) workerid: String,
    pub(super) hostarch: &'static str,
}

/// A repository of a project, for one architecture.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) project: String,
    pub(super) repository: String,
    pub(super) arch: &'static str,
    pub(super) jobs: Vec<Job>,
    pub(super) history: VecDeque<Ended>,
    /// Scheduled, building or blocked.
    pub(super) in_hand: usize,
    waiting: VecDeque<usize>,
}

impl Target {
    /// `count` packages, each built once or more in the past.
    pub(super) fn new(
        project: &str,
        arch: &'static str,
        count: usize,
        now: i64,
        rng: &mut Rng,
    ) -> Self {
        let mut target = Self {
            project: project.to_owned(),
            repository: format!("standard_{arch}"),
            arch,
            jobs: Vec::with_capacity(count),
            history: VecDeque::new(),
            in_hand: 0,
            waiting: VecDeque::new(),
        };
        for number in 0..count {
            target.add(number, rng);
        }
        target.remember(now, rng);
        target
    }

    fn add(&mut self, number: usize, rng: &mut Rng) {
        // Most builds take minutes, and a few take hours.
        let seconds = rng.between(20.0, 400.0)
            * if rng.next().is_multiple_of(12) {
                12.0
            } else {
                1.0
            };
        let name = match number % 40 {
            0 => format!("multi-{number:05}"),
            1 => format!("multi-{:05}:flavor1", number - 1),
            _ => format!("package-{number:05}"),
        };
        let mut job = Job::new(name, seconds);
        job.code = match number % 100 {
            60 => Code::Disabled,
            61 => Code::Excluded,
            62 => Code::Unresolvable,
            63 => Code::Failed,
            _ => Code::Succeeded,
        };
        if number % 200 == 64 {
            job.constraints = Some(LARGE);
        }
        if number > 0 && number.is_multiple_of(3) {
            let needs = (rng.next() % number as u64) as usize;
            job.needs = Some(needs);
            if let Some(needed) = self.jobs.get_mut(needs) {
                needed.needed_by.push(number);
            }
        }
        self.jobs.push(job);
    }

    /// The builds of the past, the last of each package at least.
    fn remember(&mut self, now: i64, rng: &mut Rng) {
        let mut past = Vec::new();
        for (package, job) in self.jobs.iter_mut().enumerate() {
            if !job.code.is_at_rest() {
                continue;
            }
            job.builds = 1;
            let end = now - rng.between(60.0, 500_000.0) as i64;
            past.push(Ended {
                package,
                ready: end - job.seconds as i64 - 20,
                start: end - job.seconds as i64,
                end,
                code: job.code,
                uri: "http://127.3.0.1:40001".to_owned(),
                workerid: "worker-00000:1".to_owned(),
                hostarch: self.arch,
            });
        }
        past.sort_by_key(|ended| ended.end);
        self.history.extend(past);
    }

    /// Puts a package into the queue, or blocks it while what it needs is in hand.
    pub(super) fn wait(&mut self, package: usize, now: f64) {
        let needs = self.jobs.get(package).and_then(|job| job.needs);
        let unfinished = |of: &Self, other: usize| {
            let code = of.jobs.get(other).map(|job| job.code);
            matches!(code, Some(Code::Scheduled | Code::Building | Code::Blocked))
        };
        let blocked = needs.is_some_and(|other| unfinished(self, other));
        let Some(job) = self.jobs.get_mut(package) else {
            return;
        };
        if !matches!(job.code, Code::Scheduled | Code::Blocked | Code::Building) {
            self.in_hand += 1;
        }
        job.ready = now as i64;
        if blocked {
            job.code = Code::Blocked;
            return;
        }
        job.code = Code::Scheduled;
        let dependants = job.needed_by.clone();
        self.waiting.push_back(package);
        for other in dependants {
            if self
                .jobs
                .get(other)
                .is_some_and(|job| job.code == Code::Succeeded)
            {
                self.wait(other, now);
            }
        }
    }

    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Gives the oldest waiting job to an instance: its package, and how long it will build.
    pub(super) fn start(&mut self, now: f64, workerid: &str) -> Option<(usize, f64)> {
        let package = self.waiting.pop_front()?;
        let job = self.jobs.get_mut(package)?;
        job.code = Code::Building;
        job.start = now as i64;
        workerid.clone_into(&mut job.workerid);
        Some((package, job.seconds))
    }

    /// Takes the end of a build, and schedules what waited for it.
    pub(super) fn ended(&mut self, mut ended: Ended) {
        let at = ended.end as f64;
        let Some(job) = self.jobs.get_mut(ended.package) else {
            return;
        };
        ended.ready = job.ready;
        job.code = ended.code;
        job.builds += 1;
        let dependants = job.needed_by.clone();
        self.in_hand = self.in_hand.saturating_sub(1);
        self.history.push_back(ended);
        if self.history.len() > HISTORY.max(self.jobs.len()) {
            self.history.pop_front();
        }
        for other in dependants {
            if self
                .jobs
                .get(other)
                .is_some_and(|job| job.code == Code::Blocked)
            {
                self.wait(other, at);
            }
        }
    }

    /// How many jobs wait.
    pub(super) fn count(&self, code: Code) -> usize {
        self.jobs.iter().filter(|job| job.code == code).count()
    }
}

/// What a package that needs a large worker says.
const LARGE: &str = "<constraints>\n  <hardware>\n    <processors>16</processors>\n    <memory>\n      \
    <size unit=\"G\">32</size>\n    </memory>\n  </hardware>\n</constraints>\n";
