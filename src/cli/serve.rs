//! `serve`: builds the parts, starts the tasks, waits for the end.

use super::Failure;
use crate::adoption::Desk;
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::config::Config;
use crate::ecs::{Call, EcsClient};
use crate::execute::Hands;
use crate::gather::{Collector, Gather, LookAgain};
use crate::hosts::Reader;
use crate::inspect::Inspector;
use crate::journal::Journal;
use crate::metrics::{
    Configured, Direction, FleetCollector, Metrics, Own, Poller, Source, WorkerBuilds,
};
use crate::model::{Alarms, Snapshot};
use crate::obs::{ObsClient, Terms};
use crate::policy::Reason;
use crate::present::Present;
use crate::reconcile::{Parts, Reconciler};
use crate::supervise::Supervisor;
use crate::web::{self, Answers, App, Doorbell, Scrapes, Tokens};
use anyhow::Context;
use prometheus_client::registry::Registry;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;

/// Words of people that wait to be obeyed.
const WORDS: usize = 16;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  obs-scaler --config ./config.yaml serve\n\n\
    RUST_LOG chooses what is logged (info unless told otherwise).\n\
    SIGTERM and SIGINT finish the step in hand, at most 20 s.")]
pub(super) struct Args {
    /// Log one JSON object a line
    #[arg(long)]
    log_json: bool,
}

pub(super) fn run(path: &Path, args: &Args) -> Result<(), Failure> {
    let config = super::config::load(path)?;
    log(args);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .context("start the runtime")?
        .block_on(serve(Arc::new(config)))?;
    Ok(())
}

fn log(args: &Args) {
    let chosen = EnvFilter::try_from_default_env();
    let filter = chosen.unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if args.log_json {
        logs.json().init();
    } else {
        logs.with_ansi(false).init();
    }
}

/// The reasons of every decision. They are counted from 0 on: Prometheus sees no rise in a series that
/// begins with 1.
fn reasons() -> Vec<(Direction, &'static str)> {
    let deeds = [
        (Direction::Apply, Reason::Needed.label()),
        (Direction::Apply, Reason::MaxOrder.label()),
        (Direction::Apply, Reason::Ceiling.label()),
        (Direction::Release, Reason::Idle.label()),
        (Direction::Release, Reason::BLACK_HOLE),
    ];
    let holds = Reason::HOLDS.map(|reason| (Direction::Hold, reason));
    deeds.into_iter().chain(holds).collect()
}

async fn serve(config: Arc<Config>) -> anyhow::Result<()> {
    let warnings = config.warnings.all.iter();
    warnings.for_each(|warning| tracing::warn!("configuration: {warning}"));
    let clock = Clock::default();
    let mut supervisor = Supervisor::default();
    let journal = Arc::new(Journal::open(&config.state_dir)?);
    let listener = TcpListener::bind(config.web.listen).await;
    let listener = listener.with_context(|| format!("web.listen {}", config.web.listen))?;

    let mut registry = Registry::default();
    let own = Own::register(&mut registry, &config.policy.pools, &reasons());
    let builds = WorkerBuilds::register(&mut registry);
    let cloud: Arc<dyn Cloud> = Arc::new(ecs(&config, clock, &own)?);
    let pollers = TaskTracker::new();
    let stop = supervisor.stopping();
    let (snapshot, look) = watch_all(
        &config,
        clock,
        (&own, builds),
        (&journal, &cloud),
        (&stop, &pollers),
    )?;
    let (alarms, wake) = (watch::Sender::default(), Arc::new(Notify::new()));
    let (speak, words) = mpsc::channel(WORDS);
    let hands =
        Hands::new(Arc::clone(&config), Arc::clone(&cloud), clock).context("ssh.private_key")?;
    let hands = Arc::new(hands);
    let parts = Parts {
        config: Arc::clone(&config),
        clock,
        hands: Arc::clone(&hands),
        snapshot: snapshot.clone(),
        alarms: alarms.clone(),
        wake: Arc::clone(&wake),
        look: look.clone(),
        words,
        own: own.clone(),
    };
    let reconciler = Reconciler::new(parts, journal)?;
    let present = Arc::new(Present {
        config: Arc::clone(&config),
        clock,
        snapshot,
        in_hand: reconciler.watch(),
        alarms: alarms.subscribe(),
        speak,
    });
    let inspector = Inspector {
        present: Arc::clone(&present),
        cloud: Arc::clone(&cloud),
        hands,
    };
    let desk = Desk {
        present: Arc::clone(&present),
        inspector,
        cloud,
        look,
    };
    let (people, bells) = ((present, desk), (alarms, wake));
    let app = app(&config, registry, own, people, bells, &supervisor);

    let closing = supervisor.closing();
    supervisor.show("web", async move {
        web::serve(listener, Arc::new(app), closing).await;
        Ok::<_, Infallible>(())
    });
    supervisor.work("reconciler", reconciler.run(stop.clone()));
    supervisor.work("pollers", ended(stop, pollers));
    tracing::info!(listen = %config.web.listen, pools = config.policy.pools.len(), "serving");
    tell_systemd();
    Ok(supervisor.run().await?)
}

fn tell_systemd() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Ends when the pollers have, after a word to stop.
async fn ended(stop: CancellationToken, pollers: TaskTracker) -> Result<(), Infallible> {
    stop.cancelled().await;
    pollers.close();
    pollers.wait().await;
    Ok(())
}

/// Begins to read the outside world.
fn watch_all(
    config: &Config,
    clock: Clock,
    metrics: (&Own, WorkerBuilds),
    (journal, cloud): (&Arc<Journal>, &Arc<dyn Cloud>),
    (stop, pollers): (&CancellationToken, &TaskTracker),
) -> anyhow::Result<(watch::Receiver<Snapshot>, LookAgain)> {
    let listing = Arc::clone(cloud);
    let list = move || {
        let listing = Arc::clone(&listing);
        async move { listing.list().await }
    };
    let (own, builds) = metrics;
    let gather = gather(config, clock, (own, builds.clone()), (journal, cloud))?;
    let (snapshot, look) = gather.spawn(list, stop, pollers)?;
    pollers.spawn(begin_counts(builds, snapshot.clone(), clock));
    Ok((snapshot, look))
}

/// Lets the counts of each worker's builds begin when it is first known, until the pollers end.
async fn begin_counts(builds: WorkerBuilds, mut snapshot: watch::Receiver<Snapshot>, clock: Clock) {
    while snapshot.changed().await.is_ok() {
        let known = snapshot.borrow_and_update().clone();
        builds.known(&known, clock.now().as_second());
    }
}

fn ecs(config: &Config, clock: Clock, own: &Own) -> anyhow::Result<EcsClient> {
    let counts = own.clone();
    let observer = Arc::new(move |call: Call| {
        let took = Duration::try_from_secs_f64(call.seconds).unwrap_or_default();
        counts.ecs_call(call.operation, &call.code, took);
    });
    let client = EcsClient::new(&config.ecs, config.policy.owner.clone(), clock)?;
    Ok(client.with_observer(observer))
}

fn gather(
    config: &Config,
    clock: Clock,
    (own, builds): (&Own, WorkerBuilds),
    (journal, cloud): (&Arc<Journal>, &Arc<dyn Cloud>),
) -> anyhow::Result<Gather> {
    let timeout = config.poll.timeout;
    let clients = config
        .backends
        .values()
        .map(|backend| ObsClient::new(backend, timeout));
    let counts = own.clone();
    Ok(Gather {
        clients: clients.collect::<Result<_, _>>()?,
        poll: config.poll.clone(),
        hosts: Reader::new(config).context("hosts")?,
        market: Some(Arc::clone(cloud)),
        max_age: config.policy.max_age,
        store: Arc::clone(journal) as _,
        history: Terms {
            levels: config.policy.levels.clone(),
            retention: config.history.retention,
        },
        window: config.policy.black_holes.window,
        clock,
        on_reading: Arc::new(move |collector, took, _whole| {
            counts.collected(poller(collector), took);
        }),
        on_ended: Arc::new(move |worker, outcome, end| builds.ended(worker, outcome, end)),
    })
}

const fn poller(collector: Collector) -> Poller {
    match collector {
        Collector::Workers => Poller::Workers,
        Collector::Results => Poller::Results,
        Collector::History => Poller::History,
        Collector::Constraints => Poller::Constraints,
        Collector::Ghosts => Poller::Ghosts,
        Collector::Ecs => Poller::Ecs,
        Collector::Hosts => Poller::Hosts,
        Collector::Market => Poller::Market,
    }
}

fn app(
    config: &Config,
    registry: Registry,
    own: Own,
    (present, desk): (Arc<Present>, Desk),
    (alarms, wake): (watch::Sender<Alarms>, Arc<Notify>),
    supervisor: &Supervisor,
) -> App {
    let source: Arc<dyn Source> = Arc::clone(&present) as _;
    let answers: Arc<dyn Answers> = present;
    let fleet = FleetCollector::new(Configured::from(config), Arc::clone(&source));
    let doorbell = Doorbell {
        tokens: Tokens::new([&config.web.token]),
        max_body_bytes: config.web.max_body_bytes,
        pools: config.policy.pools.keys().cloned().collect(),
        alarms,
        wake,
        own,
        places: Semaphore::new(web::AT_ONCE),
        stopping: supervisor.stopping(),
    };
    App {
        doorbell,
        scrapes: Scrapes::new(Metrics::new(registry, fleet)),
        source,
        answers,
        people: Arc::new(desk),
    }
}
