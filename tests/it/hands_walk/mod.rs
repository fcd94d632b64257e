//! No transition of a worker in any interleaving kills a build, loses a job, or runs two workers on one directory:
//! random operations on real workers of a real OBS while they build, by what obs-scaler itself does over ssh.
//!
//! `HANDS_SEED`, `HANDS_OPS` (operations on each machine), `HANDS_JOBS` and `HANDS_MACHINES` choose another walk. The
//! operations are the seed's; what meets what, and when, is not. This is what proves a version of worker code
//! (`ssh.proved_worker_code`): `HANDS_CODE` is its digest.

mod hand;
mod law;
mod watcher;

use crate::cloud::random::Random;
use crate::sshd::{self, generate_key};
use crate::the_loop::{MINUTE, ONE_FARM};
use hand::{Hand, Machine, Op, Tally};
use obs_scaler::config::{self, Access as Read, Backend, Discovery};
use obs_scaler::model::{BackendName, OrderId, Setup};
use obs_scaler::ssh::{Access, HostKeys, Pinned, WorkerSettings, user_data};
use rig::{Trace, Yard};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use watcher::Watcher;

const SYSCONFIG: &str = "/etc/sysconfig/obs-server";

fn chosen(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().unwrap())
}

fn tell(text: &str) {
    writeln!(std::io::stdout(), "{text}").unwrap();
}

/// What a worker of the yard's backend is told.
pub(crate) fn settings(instances: u32, jobs: u32) -> WorkerSettings {
    let name = BackendName::new("main");
    let backend = Backend {
        name: name.clone(),
        access: Read::SourceServer {
            source: "http://127.0.0.1:5352".to_owned(),
        },
        worker_source_server: "127.0.0.1:5352".to_owned(),
        worker_repository_server: "127.0.0.1:5252".to_owned(),
        projects: Vec::new(),
        discovery: Discovery::default(),
        ramp: 0,
    };
    let setup = Setup {
        backends: vec![name.clone()],
        instances,
        jobs,
        cache_mib: None,
        cache_dir: None,
        binaries_proxy: None,
    };
    WorkerSettings::of(&setup, &BTreeMap::from([(name, backend)])).unwrap()
}

/// The walk's machines, and the one on which the backend is.
struct Ground {
    yard: Yard,
    machines: Vec<Arc<Machine>>,
}

impl Ground {
    async fn lay(dir: &Path, count: u64) -> Self {
        let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let yard = Yard::start(&repository, PathBuf::from("/var/tmp/obs-scaler-rig")).await;
        let yard = yard.unwrap();
        let key = dir.join("client");
        generate_key(&key, &["-t", "ed25519"]);
        let (private, public) = (read(&key), read(&key.with_extension("pub")));
        let host_key_secret = SecretString::from("s".repeat(32));
        let access = access(SecretString::from(private), &host_key_secret);
        let backend = Arc::new(sshd::Machine::boot());
        let mut machines = Vec::new();
        for n in 1..=count {
            let name = format!("walk-{n:02}");
            let host_key = HostKeys::new(&host_key_secret);
            let host_key = host_key.derive(&OrderId::new(name.clone())).unwrap();
            let user_data = user_data(&settings(4, 1), SYSCONFIG, &host_key, true).unwrap();
            let ip = format!("127.0.9.{n}");
            let machine = rig::Machine {
                name: name.clone(),
                ip: ip.clone(),
                user_data: user_data.expose_secret().to_owned(),
                public_key: public.clone(),
            };
            yard.boot(&machine).await.unwrap();
            machines.push(Arc::new(Machine {
                host: Pinned::new(
                    format!("{ip}:2222").parse().unwrap(),
                    host_key.pin().clone(),
                ),
                access: access.clone(),
                backend: Arc::clone(&backend),
                workers_dir: yard.workers_dir().to_str().unwrap().to_owned(),
                name,
            }));
        }
        Self { yard, machines }
    }

    /// Waits until OBS has as many ended builds as there are jobs.
    async fn all_built(&self, jobs: usize) {
        let begun = Instant::now();
        loop {
            let ended = self.yard.obs().history().await.unwrap();
            let ended: usize = ended.values().map(Vec::len).sum();
            if ended >= jobs {
                return;
            }
            assert!(begun.elapsed() < 4 * MINUTE, "{ended} of {jobs} were built");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn access(private: SecretString, host_key_secret: &SecretString) -> Access {
    Access::new(&config::Ssh {
        user: "root".to_owned(),
        port: 2222,
        forced_command: false,
        login: config::Login::Key(private),
        host_key_secret: host_key_secret.clone(),
        known_hosts_file: None,
        connect_timeout: Duration::from_secs(10),
        command_timeout: Duration::from_secs(60),
        session_timeout: Duration::from_secs(150),
        sysconfig: SYSCONFIG.to_owned(),
        proved_worker_code: std::env::var("HANDS_CODE").into_iter().collect(),
        backend_hosts: BTreeMap::new(),
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_operation_on_a_worker_kills_a_build_loses_a_job_or_runs_two_workers_on_one_directory() {
    let _mine = ONE_FARM.lock().await;
    let (seed, ops) = (chosen("HANDS_SEED", 1), chosen("HANDS_OPS", 5));
    let (jobs, machines) = (chosen("HANDS_JOBS", 36), chosen("HANDS_MACHINES", 2));
    tell(&format!(
        "HANDS_SEED={seed} HANDS_OPS={ops} HANDS_JOBS={jobs} HANDS_MACHINES={machines}"
    ));
    let begun = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let ground = Ground::lay(dir.path(), machines).await;
    let laid = begun.elapsed();
    let walked = walk(&ground, seed, ops, jobs).await;
    if walked.is_err() {
        ground.yard.keep_logs().unwrap();
    }
    ground.yard.stop().await.unwrap();
    match walked {
        Ok(figures) => tell(&format!(
            "HANDS_SEED={seed}: {figures}; laid in {laid:.0?}, over after {:.0?}",
            begun.elapsed()
        )),
        Err(wrong) => panic!("HANDS_SEED={seed}: {wrong}"),
    }
}

async fn walk(ground: &Ground, seed: u64, ops: u64, jobs: u64) -> Result<String, String> {
    let third = u32::try_from(jobs / 3).unwrap();
    let jobs = usize::try_from(third * 3).unwrap();
    for seconds in 1..=3 {
        let prefix = format!("s{seconds}");
        ground.yard.queue(third, seconds, &prefix).await.unwrap();
    }
    let begun = Instant::now();
    let watcher = Watcher::start();
    let mut walkers = Vec::new();
    // however short the walk is, each kind is done once
    let mut each = Op::each(&mut Random::new(seed));
    let share = each.len().div_ceil(ground.machines.len());
    for (number, machine) in (0u64..).zip(&ground.machines) {
        let hand = Hand::new(Arc::clone(machine), ground.yard.obs(), seed + 1000 * number);
        let first = each.split_off(each.len().saturating_sub(share));
        walkers.push(tokio::spawn(hand.walk(ops, first)));
    }
    let mut tally = Tally::default();
    for walker in walkers {
        tally.add(walker.await.map_err(|e| e.to_string())??);
    }
    let walked = begun.elapsed();
    ground.all_built(jobs).await;
    for machine in &ground.machines {
        machine.drain_to_the_end().await?;
    }
    let twice = watcher.stop().await;
    judge(ground, &tally, jobs).await?;
    if !twice.is_empty() {
        return Err(format!("two workers on one directory: {twice:?}"));
    }
    Ok(format!(
        "{jobs} jobs, each built once, 0 lost; walked in {walked:.0?}: {tally}"
    ))
}

/// What OBS and the machines say in the end.
async fn judge(ground: &Ground, tally: &Tally, jobs: usize) -> Result<(), String> {
    let history = ground.yard.obs().history().await.unwrap();
    let wrong: Vec<_> = history
        .iter()
        .filter(|(_, codes)| codes.as_slice() != ["succeeded"])
        .collect();
    let building = ground.yard.obs().instances("building").await.unwrap();
    let trace = ground.yard.trace().unwrap();
    let begun = trace.iter().filter(|line| line.what == "begin").count();
    let ended = trace.iter().filter(|line| line.what == "end-0").count();
    let found = (history.len(), wrong.len(), building.len(), begun, ended);
    if found != (jobs, 0, 0, jobs, jobs) {
        return Err(format!(
            "packages in the history, of these wrong, ghosts, builds begun, builds ended well: {found:?} \
             of {jobs}; {wrong:?} {building:?}"
        ));
    }
    let disturbed = |line: &&Trace| {
        let within = |(host, from, to): &(String, f64, f64)| {
            line.host == *host && line.what == "begin" && (*from..*to).contains(&line.at)
        };
        tally.quiet.iter().any(within)
    };
    match trace.iter().find(disturbed) {
        None => Ok(()),
        Some(line) => Err(format!(
            "a build began on a worker that was drained: {line:?}"
        )),
    }
}
