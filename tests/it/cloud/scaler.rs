//! The program, put together as `serve` does it, without its web server; it can be killed.

use super::farm::{Farm, Setup};
use jiff::Timestamp;
use obs_scaler::cloud::Cloud;
use obs_scaler::config::Config;
use obs_scaler::configure::{Configure, Row};
use obs_scaler::ecs::{Call, EcsClient};
use obs_scaler::execute::Hands;
use obs_scaler::gather::{Gather, LookAgain};
use obs_scaler::hosts::Reader;
use obs_scaler::journal::{Journal, JournalError};
use obs_scaler::metrics::{Own, WorkerBuilds};
use obs_scaler::model::{
    Action, Alarm, Alarms, BackendName, Exclusive, PoolName, ServerId, Snapshot,
};
use obs_scaler::obs::{ObsClient, Terms};
use obs_scaler::reconcile::{InHand, Parts, ReconcileError, Reconciler, Word};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::instrument::WithSubscriber;

/// What the program said, one line each.
#[derive(Debug, Default, Clone)]
pub(super) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// All of it until now.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + 'static {
        let said = self.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_target(false)
            .with_writer(move || said.clone())
            .finish()
    }
}

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What Alertmanager would have notified us of.
#[derive(Debug, Default)]
pub(super) struct Bell(BTreeMap<(Action, PoolName), Alarm>);

impl Bell {
    pub(super) fn ring(&mut self, farm: &Farm, action: Action, pool: &str) {
        let (pool, now) = (PoolName::try_from(pool).unwrap(), farm.now());
        let alarm = Alarm {
            action,
            pool: pool.clone(),
            starts_at: now,
            heard: now,
        };
        self.0.entry((action, pool)).or_insert(alarm);
    }

    pub(super) fn hush(&mut self, action: Action, pool: &str) {
        self.0.remove(&(action, PoolName::try_from(pool).unwrap()));
    }
}

/// The running program.
pub(super) struct Scaler {
    stop: CancellationToken,
    pollers: TaskTracker,
    running: JoinHandle<Result<(), ReconcileError>>,
    journal: Weak<Journal>,
    alarms: watch::Sender<Alarms>,
    wake: Arc<Notify>,
    words: mpsc::Sender<Word>,
    pub(super) in_hand: watch::Receiver<InHand>,
    pub(super) said: Said,
}

impl Scaler {
    pub(super) fn start(farm: &Farm, said: &Said) -> Self {
        let (config, clock) = (Arc::clone(&farm.config), farm.clock);
        let journal = Arc::new(journal(&config.state_dir));
        let mut registry = Registry::default();
        let own = Own::register(&mut registry, &config.policy.pools, &[]);
        let builds = WorkerBuilds::register(&mut registry);
        let counts = own.clone();
        let observer = Arc::new(move |call: Call| {
            counts.ecs_call(
                call.operation,
                &call.code,
                Duration::from_secs_f64(call.seconds),
            );
        });
        let ecs = EcsClient::new(&config.ecs, config.policy.owner.clone(), clock).unwrap();
        let ecs: Arc<dyn Cloud> = Arc::new(ecs.with_observer(observer));
        let (stop, pollers) = (CancellationToken::new(), TaskTracker::new());
        let (snapshot, look) = gather(farm, &journal, builds, &ecs, (&stop, &pollers));
        let alarms = watch::Sender::new(Alarms::default());
        let wake = Arc::new(Notify::new());
        let (words, heard) = mpsc::channel(16);
        let parts = Parts {
            hands: Arc::new(Hands::new(Arc::clone(&config), ecs, clock).unwrap()),
            config,
            clock,
            snapshot,
            alarms: alarms.clone(),
            wake: Arc::clone(&wake),
            look,
            words: heard,
            own,
        };
        let held = Arc::downgrade(&journal);
        let reconciler = Reconciler::new(parts, journal).unwrap();
        Self {
            in_hand: reconciler.watch(),
            running: tokio::spawn(
                reconciler
                    .run(stop.clone())
                    .with_subscriber(said.subscriber()),
            ),
            stop,
            pollers,
            journal: held,
            alarms,
            wake,
            words,
            said: said.clone(),
        }
    }

    /// Tells it what rings, as Alertmanager does again and again, and that Prometheus lives.
    pub(super) fn notify(&self, farm: &Farm, bell: &Bell) {
        let now = farm.now();
        self.alarms.send_modify(|alarms| {
            let held: Vec<Alarm> = alarms.iter().cloned().collect();
            for alarm in held {
                if !bell.0.contains_key(&(alarm.action, alarm.pool.clone())) {
                    alarms.resolve(&fingerprint(&alarm), alarm.starts_at);
                }
            }
            for alarm in bell.0.values() {
                let heard = Alarm {
                    heard: now,
                    ..alarm.clone()
                };
                alarms.fire(&fingerprint(alarm), heard);
            }
            alarms.hear_watchdog(now);
        });
        self.wake.notify_one();
    }

    /// A person says that a pool is as it should be.
    pub(super) async fn accept(&self, pool: &str) {
        let word = Word::Accept(PoolName::try_from(pool).unwrap());
        self.words.send(word).await.unwrap();
    }

    /// A person wants workers to be told something else.
    pub(super) async fn configure(&self, ask: Configure) -> Vec<Row> {
        let (reply, rows) = oneshot::channel();
        self.words
            .send(Word::Configure { ask, reply })
            .await
            .unwrap();
        rows.await.unwrap()
    }

    /// A person has workers serve one backend alone, or (`None`) takes it back.
    pub(super) async fn exclusive(&self, mode: Option<Exclusive>) {
        let (reply, written) = oneshot::channel();
        let word = Word::Exclusive { mode, reply };
        self.words.send(word).await.unwrap();
        written.await.unwrap();
    }

    /// A person says until when a backend is under maintenance; `None`: not any more.
    pub(super) async fn maintain(&self, backend: &str, until: Option<Timestamp>) {
        let (reply, written) = oneshot::channel();
        let word = Word::Maintain {
            backend: BackendName::new(backend),
            until,
            reply,
        };
        self.words.send(word).await.unwrap();
        written.await.unwrap();
    }

    /// A person takes a server from it.
    pub(super) async fn disown(&self, server: &ServerId, bought: bool) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let word = Word::Disown {
            server: server.clone(),
            bought,
            reply,
        };
        self.words.send(word).await.unwrap();
        answer.await.unwrap()
    }

    /// Whether it has ended by itself, which it never should.
    pub(super) fn has_ended(&self) -> bool {
        self.running.is_finished()
    }

    /// As `kill -9` would end it: whatever is under way is cut off where it stands.
    pub(super) async fn kill(self) {
        self.running.abort();
        self.end().await;
    }

    /// As SIGTERM ends it: what is in hand is finished.
    pub(super) async fn terminate(self) {
        self.stop.cancel();
        self.end().await;
    }

    /// Returns when nothing of it is left, and its journal can be opened again.
    async fn end(self) {
        self.stop.cancel();
        self.pollers.close();
        match self.running.await {
            Ok(ended) => ended.unwrap(),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
        self.pollers.wait().await;
        while self.journal.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The journal, once the process before has let go of it: its file is closed a moment after its last user
/// is gone.
pub(super) fn journal(state: &Path) -> Journal {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        match Journal::open(state) {
            Err(JournalError::InUse(_)) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            opened => return opened.unwrap(),
        }
    }
}

fn fingerprint(alarm: &Alarm) -> String {
    format!("{}-{}", alarm.action, alarm.pool)
}

fn gather(
    farm: &Farm,
    journal: &Arc<Journal>,
    builds: WorkerBuilds,
    ecs: &Arc<dyn Cloud>,
    (stop, pollers): (&CancellationToken, &TaskTracker),
) -> (watch::Receiver<Snapshot>, LookAgain) {
    let config: &Config = &farm.config;
    let backends = config.backends.values();
    let clients = backends.map(|backend| ObsClient::new(backend, config.poll.timeout).unwrap());
    let gather = Gather {
        clients: clients.collect(),
        poll: config.poll.clone(),
        hosts: Reader::new(config).unwrap(),
        market: Some(Arc::clone(ecs)),
        max_age: config.policy.max_age,
        store: Arc::clone(journal) as _,
        history: Terms {
            levels: config.policy.levels.clone(),
            retention: config.history.retention,
        },
        window: config.policy.black_holes.window,
        clock: farm.clock,
        on_reading: Arc::new(|_, _, _| {}),
        on_ended: Arc::new(move |worker, outcome, end| builds.ended(worker, outcome, end)),
    };
    let listing = Arc::clone(ecs);
    let list = move || {
        let listing = Arc::clone(&listing);
        async move { listing.list().await }
    };
    gather.spawn(list, stop, pollers).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_to_end_ends_well_whatever_ends_first() {
    let farm = Farm::start(Setup {
        seed: 1,
        ceiling: 128,
        times: 1,
        patience: "5s",
        deadlines: "",
        network: [127, 4, 250],
    })
    .await;
    for _ in 0..20 {
        let scaler = Scaler::start(&farm, &Said::default());
        tokio::time::sleep(Duration::from_millis(20)).await;
        scaler.terminate().await;
    }
    farm.stop().await;
}
