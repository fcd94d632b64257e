//! A hand on one machine: its operations, each by what obs-scaler itself does over ssh.

use super::law::{Did, STOPPING, lawful};
use super::settings;
use crate::cloud::random::Random;
use crate::sshd;
use obs_scaler::clock::Clock;
use obs_scaler::model::{Arch, HostName};
use obs_scaler::ssh::{
    Access, CheckOutcome, Command, DrainOutcome, Pinned, RemoteShell, SshError, WorkerSettings,
    check, cordon, disable_pattern,
};
use rig::Obs;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long what was begun by a hand that is gone may go on.
const AFTERMATH: Duration = Duration::from_secs(15);

/// A drain ends within this: jobs take 3 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine, and how it and its backend are reached.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) host: Pinned<SocketAddr>,
    pub(super) access: Access,
    pub(super) backend: Arc<sshd::Machine>,
    pub(super) workers_dir: String,
}

/// What was done.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    operations: BTreeMap<&'static str, u32>,
    /// Of those that were disabled on the backend: until OBS listed them as down.
    until_down: u32,
    steps: BTreeMap<(String, String), u32>,
    /// Of two hands at once, or of one behind a hand that broke off: what one of them was refused.
    refused: u32,
    /// When a host had been drained, until it was let go on: seconds since 1970.
    pub(super) quiet: Vec<(String, f64, f64)>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        for (operation, count) in other.operations {
            *self.operations.entry(operation).or_default() += count;
        }
        for (step, count) in other.steps {
            *self.steps.entry(step).or_default() += count;
        }
        self.until_down += other.until_down;
        self.refused += other.refused;
        self.quiet.extend(other.quiet);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u32 = self.operations.values().sum();
        write!(f, "{all} operations {:?}", self.operations)?;
        write!(f, ", {} disabled until down", self.until_down)?;
        write!(f, ", {} of them refused by another hand", self.refused)?;
        write!(f, ", {} drained and watched; steps:", self.quiet.len())?;
        for ((before, after), count) in &self.steps {
            write!(f, " {count} {before}>{after}")?;
        }
        Ok(())
    }
}

/// An operation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Cordon,
    TakeBack,
    Toggle,
    Restart,
    Configure(u32, u32),
    Disable,
    Crash,
    TwoHands,
}

impl Op {
    fn draw(random: &mut Random) -> Self {
        match random.below(20) {
            0..=2 => Self::Cordon,
            3..=5 => Self::TakeBack,
            6..=7 => Self::Toggle,
            8..=10 => Self::Restart,
            11..=13 => Self::configure(random),
            14 => Self::Disable,
            15..=17 => Self::Crash,
            _ => Self::TwoHands,
        }
    }

    /// One of each kind, in some order.
    pub(super) fn each(random: &mut Random) -> Vec<Self> {
        let mut all = vec![
            Self::Cordon,
            Self::TakeBack,
            Self::Toggle,
            Self::Restart,
            Self::configure(random),
            Self::Disable,
            Self::Crash,
            Self::TwoHands,
        ];
        for last in (1..all.len() as u64).rev() {
            all.swap(last as usize, random.below(last + 1) as usize);
        }
        all
    }

    /// One of a single call or sequence, without another hand beside it.
    fn draw_plain(random: &mut Random) -> Self {
        match random.below(5) {
            0 => Self::Cordon,
            1 => Self::TakeBack,
            2 => Self::Restart,
            3 => Self::Toggle,
            _ => Self::configure(random),
        }
    }

    fn configure(random: &mut Random) -> Self {
        let instances = u32::try_from(2 + random.below(3)).unwrap();
        Self::Configure(instances, u32::try_from(1 + random.below(2)).unwrap())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cordon => "cordon",
            Self::TakeBack => "take back",
            Self::Toggle => "cordon and take back at once",
            Self::Restart => "drain, stop, start",
            Self::Configure(..) => "drain, configure, start",
            Self::Disable => "disable and enable",
            Self::Crash => "broken off",
            Self::TwoHands => "two hands at once",
        }
    }
}

/// Walks on one machine.
pub(super) struct Hand {
    machine: Arc<Machine>,
    obs: Obs,
    random: Random,
    tally: Tally,
    /// Until when another hand may be at work.
    company: Instant,
}

impl Hand {
    pub(super) fn new(machine: Arc<Machine>, obs: Obs, seed: u64) -> Self {
        Self {
            machine,
            obs,
            random: Random::new(seed),
            tally: Tally::default(),
            company: Instant::now(),
        }
    }

    /// So many operations, these first, and in the end the machine is at work.
    pub(super) async fn walk(mut self, ops: u64, first: Vec<Op>) -> Result<Tally, String> {
        let mut first = first.into_iter();
        self.machine.comes_up().await?;
        self.machine.serve(&settings(4, 1)).await?;
        for number in 0..ops {
            self.nap(1500).await;
            let drawn = Op::draw(&mut self.random);
            let op = first.next().unwrap_or(drawn);
            *self.tally.operations.entry(op.name()).or_default() += 1;
            let done = self.operate(op).await;
            done.map_err(|why| format!("{} op {number} {op:?}: {why}", self.machine.name))?;
        }
        tokio::time::sleep_until((self.company).into()).await;
        self.machine.serve(&settings(4, 1)).await?;
        Ok(self.tally)
    }

    async fn nap(&mut self, most: u64) {
        let millis = self.random.below(most);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn operate(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::Crash => self.crash().await,
            Op::TwoHands => self.two_hands().await,
            Op::Disable => self.disable().await,
            Op::Cordon | Op::TakeBack | Op::Toggle | Op::Restart | Op::Configure(..) => {
                let alone = self.company < Instant::now();
                let hold = Duration::from_millis(self.random.below(800));
                let done = self.machine.plain(op, hold).await;
                self.take(done, alone)
            }
        }
    }

    fn take(&mut self, done: Result<Tally, Fault>, alone: bool) -> Result<(), String> {
        match done {
            Ok(tally) if alone && tally.steps.keys().any(|(before, _)| before == STOPPING) => {
                return Err(format!("stopped by nobody: {tally}"));
            }
            Ok(tally) if alone => self.tally.add(tally),
            Ok(tally) => self.tally.add(Tally {
                quiet: Vec::new(),
                ..tally
            }),
            Err(Fault::Refused(_)) if !alone => self.tally.refused += 1,
            Err(Fault::Refused(why) | Fault::Unlawful(why)) => return Err(why),
        }
        Ok(())
    }

    /// A session that ends at any moment; what it began on the machine goes on.
    async fn crash(&mut self) -> Result<(), String> {
        let op = Op::draw_plain(&mut self.random);
        let machine = Arc::clone(&self.machine);
        let task = tokio::spawn(async move { machine.plain(op, Duration::ZERO).await });
        let most = if self.random.percent(50) { 300 } else { 4000 };
        self.nap(most).await;
        task.abort();
        self.company = Instant::now() + AFTERMATH;
        match task.await {
            Ok(done) => self.take(done, false),
            Err(_aborted) => Ok(()),
        }
    }

    async fn two_hands(&mut self) -> Result<(), String> {
        let ops = [(); 2].map(|()| Op::draw_plain(&mut self.random));
        let [one, other] = ops.map(|op| self.machine.plain(op, Duration::ZERO));
        let (one, other) = tokio::join!(one, other);
        self.take(one, false)?;
        self.take(other, false)
    }

    /// Keeps jobs away by the backend, until OBS lists the whole worker as down or it takes too long.
    async fn disable(&mut self) -> Result<(), String> {
        let machine = Arc::clone(&self.machine);
        machine.tell_backend(true).await?;
        let begun = Instant::now();
        let mut down_since = None;
        while begun.elapsed() < Duration::from_secs(12) && down_since.is_none() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            down_since = self.is_down().await?.then(now);
        }
        self.nap(1500).await;
        let alone = self.company < Instant::now();
        if let Some(from) = down_since.filter(|_| alone) {
            self.tally.until_down += 1;
            self.tally.quiet.push((machine.name.clone(), from, now()));
        }
        machine.tell_backend(false).await?;
        // an idle instance would report only after some minutes
        let toggled = machine.plain(Op::Toggle, Duration::ZERO).await;
        self.take(toggled, alone)
    }

    async fn is_down(&self) -> Result<bool, String> {
        for state in ["idle", "building"] {
            let listed = self.obs.instances(state).await.map_err(|e| e.to_string())?;
            let own = format!("{}:", self.machine.name);
            if listed.iter().any(|id| id.starts_with(&own)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn now() -> f64 {
    Clock::default().now().as_duration().as_secs_f64()
}

/// Why an operation did not come to its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another hand was at work there.
    Refused(String),
    /// It is never lawful.
    Unlawful(String),
}

impl From<SshError> for Fault {
    fn from(error: SshError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl Machine {
    async fn shell(&self) -> Result<RemoteShell, SshError> {
        RemoteShell::connect(&self.access, &self.host).await
    }

    /// Waits until its ssh server is there.
    async fn comes_up(&self) -> Result<(), String> {
        let begun = Instant::now();
        while let Err(why) = self.shell().await {
            if begun.elapsed() > PATIENCE {
                return Err(format!("{} does not come up: {why}", self.name));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Sets it right and at work, as a worker that joins.
    async fn serve(&self, settings: &WorkerSettings) -> Result<(), String> {
        match self.configure(settings).await {
            Ok(()) => Ok(()),
            Err(Fault::Refused(why) | Fault::Unlawful(why)) => Err(why),
        }
    }

    async fn configure(&self, settings: &WorkerSettings) -> Result<(), Fault> {
        let begun = Instant::now();
        loop {
            let (access, host, now) = (&self.access, &self.host, Clock::default().now());
            let expected = anything_of(Arch::X86_64);
            let welcome = || async { Ok(()) };
            let report = check(access, host, &expected, settings, welcome, now).await;
            if report.outcome == CheckOutcome::Passed {
                return Ok(());
            }
            if begun.elapsed() > 3 * PATIENCE {
                return Err(Fault::Refused(format!("{:?}", report.outcome)));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn plain(&self, op: Op, hold: Duration) -> Result<Tally, Fault> {
        let mut tally = Tally::default();
        let shell = self.shell().await?;
        match op {
            Op::Cordon => self.turn(&shell, Did::Cordon, &mut tally).await?,
            Op::TakeBack => self.turn(&shell, Did::TakeBack, &mut tally).await?,
            Op::Toggle => {
                for _ in 0..3 {
                    self.turn(&shell, Did::Cordon, &mut tally).await?;
                    self.turn(&shell, Did::TakeBack, &mut tally).await?;
                }
            }
            Op::Configure(instances, jobs) => self.configure(&settings(instances, jobs)).await?,
            Op::Restart => {
                let from = self.drain(&shell).await?;
                shell.stop_drained().await?;
                tokio::time::sleep(hold).await;
                tally.quiet.push((self.name.clone(), from, now()));
                shell.run(Command::StartService).await?;
            }
            Op::Disable | Op::Crash | Op::TwoHands => {}
        }
        Ok(tally)
    }

    async fn turn(&self, shell: &RemoteShell, did: Did, tally: &mut Tally) -> Result<(), Fault> {
        let output = match did {
            Did::Cordon => shell.cordon().await?,
            Did::TakeBack => shell.uncordon().await?,
        };
        for line in lawful(did, &output).map_err(Fault::Unlawful)? {
            *tally.steps.entry((line.before, line.after)).or_default() += 1;
        }
        Ok(())
    }

    /// Cordons until nothing builds there and nothing will, and says since when.
    async fn drain(&self, shell: &RemoteShell) -> Result<f64, Fault> {
        let begun = Instant::now();
        loop {
            match cordon(shell).await.outcome {
                DrainOutcome::Drained => return Ok(now()),
                DrainOutcome::Unreachable(why) => return Err(why.into()),
                DrainOutcome::Unproved(code) => return Err(Fault::Unlawful(code)),
                DrainOutcome::Remaining(left) if begun.elapsed() > PATIENCE => {
                    let why = format!("{left} instances do not end");
                    return Err(Fault::Refused(why));
                }
                DrainOutcome::Remaining(_) => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
    }

    pub(super) async fn drain_to_the_end(&self) -> Result<(), String> {
        let shell = self.shell().await.map_err(|e| e.to_string())?;
        match self.drain(&shell).await {
            Ok(_) => Ok(()),
            Err(Fault::Refused(why) | Fault::Unlawful(why)) => Err(why),
        }
    }

    async fn tell_backend(&self, disable: bool) -> Result<(), String> {
        let backend = (self.backend.access("client"), self.backend.pinned("host"));
        let pattern = disable_pattern(&HostName::new(self.name.as_str())).unwrap();
        let dir = Some(self.workers_dir.as_str());
        let told = async {
            let shell = RemoteShell::connect(&backend.0, &backend.1).await?;
            if disable {
                shell.disable(dir, &pattern).await?;
            } else {
                shell.enable(dir, &pattern).await?;
            }
            Ok::<_, SshError>(())
        };
        told.await.map_err(|e| e.to_string())
    }
}

/// A machine of this architecture, whatever else it is.
fn anything_of(arch: Arch) -> obs_scaler::ssh::Expected {
    obs_scaler::ssh::Expected {
        arch: Some(arch.to_string()),
        vcpus: None,
        memory_gib: None,
        host: None,
        local_disk: false,
        free_gib: 0,
        clock: std::time::Duration::from_secs(5),
    }
}
