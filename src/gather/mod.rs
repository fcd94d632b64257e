//! Pollers: the outside world to one immutable snapshot.
//!
//! One task per source, each at its own pace: a source that is slow, broken or silent delays no other.
//! A task publishes whole readings and nothing else; a try that fails leaves the last reading to age.

mod ghosts;
mod history;
mod hosts;
mod needs;
mod source;
#[cfg(test)]
mod tests;

use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::config::Poll;
use crate::hosts::Reader;
use crate::model::{BackendName, BackendView, BuildTimes, Fleet, Observed, Snapshot};
use crate::obs::{HistoryStore, ObsClient, StoreError, Terms};
use ghosts::GhostsSource;
pub use history::OnEnded;
use history::{HistorySource, Stored};
use hosts::HostsSource;
use jiff::Timestamp;
use needs::NeedsSource;
use source::{FleetSource, MarketSource, ResultsSource, Source, WorkersSource};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// The kinds of sources: the label `collector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collector {
    /// A backend's instances and daemons.
    Workers,
    /// A backend's packages and jobs.
    Results,
    /// A backend's job histories.
    History,
    /// What a backend's jobs ask of workers, and what those have.
    Constraints,
    /// Which of a backend's builds are none.
    Ghosts,
    /// The cloud's list of managed servers.
    Ecs,
    /// The workers' resource use.
    Hosts,
    /// What the cloud can give: its stock, and the project's quota.
    Market,
}

impl Collector {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Workers,
        Self::Results,
        Self::History,
        Self::Constraints,
        Self::Ghosts,
        Self::Ecs,
        Self::Hosts,
        Self::Market,
    ];

    /// The word used in labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Results => "results",
            Self::History => "history",
            Self::Constraints => "constraints",
            Self::Ghosts => "ghosts",
            Self::Ecs => "ecs",
            Self::Hosts => "hosts",
            Self::Market => "market",
        }
    }

    /// Whether decisions rest on it, so that it is read again before its time where one is due.
    const fn decides(self) -> bool {
        matches!(self, Self::Workers | Self::Results | Self::Ecs)
    }
}

/// Told of every reading: which kind, how long it took, and whether it was whole.
pub type OnReading = Arc<dyn Fn(Collector, Duration, bool) + Send + Sync>;

/// Asks every source that decisions rest on at once to be read again now.
#[derive(Debug, Clone)]
pub struct LookAgain(watch::Sender<()>);

impl LookAgain {
    /// Readings are under way, or will be at once, whose [`at`](crate::model::Reading::at) is not
    /// before this call: one that is under way already is followed by another.
    pub fn now(&self) {
        self.0.send_replace(());
    }
}

/// What is polled, and how.
pub struct Gather {
    /// A client for each configured backend.
    pub clients: Vec<ObsClient>,
    /// How often.
    pub poll: Poll,
    /// Reads the workers' resource use; `None` where it is not to be read.
    pub hosts: Option<Reader>,
    /// Says what it can give; `None` where it is not to be asked.
    pub market: Option<Arc<dyn Cloud>>,
    /// A reading older than this is none.
    pub max_age: Duration,
    /// Where build times are kept.
    pub store: Arc<dyn HistoryStore>,
    /// What is kept of the job histories.
    pub history: Terms,
    /// How long it is remembered how builds came out.
    pub window: Duration,
    /// What tells the time of a reading.
    pub clock: Clock,
    /// Told of every reading.
    pub on_reading: OnReading,
    /// Told of every build that ended.
    pub on_ended: OnEnded,
}

impl Gather {
    /// Begins to poll, until `cancel`led. `fleet` lists every managed server, from every page.
    ///
    /// The snapshot knows every backend from the start, and the build times of earlier runs. Needs
    /// a running tokio runtime.
    ///
    /// # Errors
    /// Where the stored build times cannot be read.
    pub fn spawn<L, F, E>(
        self,
        fleet: L,
        cancel: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<(watch::Receiver<Snapshot>, LookAgain), StoreError>
    where
        L: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<Fleet, E>> + Send,
        E: Display,
    {
        let started = self.clock.now();
        let (stored, times) = Stored::load(self.store.as_ref(), &self.history, started)?;
        let shell = Shell {
            snapshot: watch::Sender::new(self.first_snapshot(times)),
            look: LookAgain(watch::Sender::new(())),
            clock: self.clock,
            on_reading: self.on_reading,
            cancel: cancel.clone(),
        };
        tasks.spawn(
            shell
                .clone()
                .poll(FleetSource { list: fleet }, self.poll.ecs),
        );
        if let Some(reader) = self.hosts {
            let hosts = HostsSource::new(reader, shell.snapshot.clone(), self.max_age);
            tasks.spawn(shell.clone().poll(hosts, self.poll.hosts));
        }
        if let Some(cloud) = self.market {
            let market = MarketSource { cloud };
            tasks.spawn(shell.clone().poll(market, self.poll.market));
        }
        for client in self.clients {
            let workers = WorkersSource {
                client: client.clone(),
            };
            tasks.spawn(shell.clone().poll(workers, self.poll.workers));
            let results = ResultsSource::new(client.clone());
            tasks.spawn(shell.clone().poll(results, self.poll.results));
            let needs = NeedsSource::new(client.clone(), shell.snapshot.clone());
            tasks.spawn(shell.clone().poll(needs, self.poll.workers));
            let ghosts = GhostsSource::new(client.clone(), shell.snapshot.clone(), self.window);
            tasks.spawn(shell.clone().poll(ghosts, self.poll.workers));
            let history = HistorySource {
                client,
                stored: stored.clone(),
                known: BTreeMap::new(),
                store: Arc::clone(&self.store),
                terms: self.history.clone(),
                snapshot: shell.snapshot.clone(),
                on_ended: Arc::clone(&self.on_ended),
                window: self.window,
                started,
                forgot: started,
            };
            tasks.spawn(shell.clone().poll(history, self.poll.history));
        }
        Ok((shell.snapshot.subscribe(), shell.look))
    }

    fn first_snapshot(&self, times: BuildTimes) -> Snapshot {
        let names = self.clients.iter().map(|client| client.backend().clone());
        let unknown = |name: BackendName| (name, Arc::new(BackendView::default()));
        Snapshot {
            backends: names.map(unknown).collect(),
            fleet: Arc::default(),
            hosts: Arc::default(),
            market: Arc::default(),
            build_times: Arc::new(times),
        }
    }
}

/// What every poller has in common.
#[derive(Clone)]
struct Shell {
    snapshot: watch::Sender<Snapshot>,
    look: LookAgain,
    clock: Clock,
    on_reading: OnReading,
    cancel: CancellationToken,
}

impl Shell {
    async fn poll<S: Source>(self, mut source: S, every: Duration) {
        let cancel = self.cancel.clone();
        cancel
            .run_until_cancelled(self.poll_on(&mut source, every))
            .await;
    }

    async fn poll_on<S: Source>(&self, source: &mut S, every: Duration) {
        let mut look = self.look.0.subscribe();
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = look.changed(), if S::COLLECTOR.decides() => ticks.reset(),
            }
            // From here on, who asks for another look gets one.
            look.mark_unchanged();
            let at = self.clock.now();
            let begun = Instant::now();
            let read = source.read(at).await;
            (self.on_reading)(S::COLLECTOR, begun.elapsed(), read.is_ok());
            self.publish(source, at, read);
        }
    }

    fn publish<S: Source>(&self, source: &mut S, at: Timestamp, read: Result<S::Value, String>) {
        let now = read.as_ref().err().cloned();
        let cached_for = source.cached_for();
        let mut before = None;
        self.snapshot.send_modify(|snapshot| {
            let slot = source.slot(snapshot);
            before = slot.failing().map(|(_, why)| why.to_owned());
            *slot = match read {
                Ok(value) => Observed::known(was_true(at, cached_for), value),
                Err(why) => std::mem::take(slot).failed(at, why),
            };
        });
        if before != now {
            log_change(S::COLLECTOR, source.backend(), now.as_deref());
        }
    }
}

/// Since when, at the earliest, a source that was asked at `at` may have been saying what it says.
fn was_true(at: Timestamp, cached_for: Duration) -> Timestamp {
    at.checked_sub(cached_for).unwrap_or(Timestamp::MIN)
}

fn log_change(collector: Collector, backend: Option<&BackendName>, failing: Option<&str>) {
    let source = collector.as_str();
    let backend = backend.map(tracing::field::display);
    match failing {
        Some(why) => warn!(source, backend, why, "a source cannot be read"),
        None => info!(source, backend, "a source is read again"),
    }
}
