//! The sources: what is asked for, and where the answer stands in the snapshot.

use super::Collector;
use crate::cloud::Cloud;
use crate::model::{
    BackendName, BackendView, Fleet, JobState, Market, Observed, PackageKey, Results, Snapshot,
    Start, Workers,
};
use crate::obs::ObsClient;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Something that is read again and again.
pub(super) trait Source: Send + 'static {
    /// One whole reading.
    type Value: Send;
    /// Its kind.
    const COLLECTOR: Collector;

    /// The backend that it belongs to; the cloud belongs to none.
    fn backend(&self) -> Option<&BackendName>;

    /// How old what it reads may be when it comes.
    fn cached_for(&self) -> Duration {
        Duration::ZERO
    }

    /// Reads it whole, or says why not. `at` is now. Must end by itself.
    fn read(&mut self, at: Timestamp) -> impl Future<Output = Result<Self::Value, String>> + Send;

    /// Its place in the snapshot.
    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<Self::Value>;
}

pub(super) struct WorkersSource {
    client: ObsClient,
    /// The start of the repository server that the last reading told.
    start: Option<Start>,
}

impl WorkersSource {
    pub(super) const fn new(client: ObsClient) -> Self {
        Self {
            client,
            start: None,
        }
    }
}

impl Source for WorkersSource {
    type Value = Workers;
    const COLLECTOR: Collector = Collector::Workers;

    fn backend(&self) -> Option<&BackendName> {
        Some(self.client.backend())
    }

    fn cached_for(&self) -> Duration {
        self.client.workers_cached_for()
    }

    async fn read(&mut self, at: Timestamp) -> Result<Workers, String> {
        let read = self.client.workers().await;
        let mut workers = read.map_err(|e| e.to_string())?;
        if let Some(told) = workers.repository_server_started() {
            let oldest = at.checked_sub(self.cached_for()).unwrap_or(at);
            self.start = Some(Start::next(self.start, told, oldest, at));
        }
        workers.start = self.start;
        Ok(workers)
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<Workers> {
        &mut view(snapshot, &self.client).workers
    }
}

pub(super) struct ResultsSource {
    client: ObsClient,
    /// Since when each job that waited at the last reading was seen to wait.
    waiting: BTreeMap<PackageKey, Timestamp>,
}

impl ResultsSource {
    pub(super) const fn new(client: ObsClient) -> Self {
        Self {
            client,
            waiting: BTreeMap::new(),
        }
    }

    /// A job keeps the moment of the first reading that found it waiting, as long as each one does.
    fn note_waiting(&mut self, results: &mut Results, at: Timestamp) {
        let before = std::mem::take(&mut self.waiting);
        let waits = |state| state == JobState::Scheduled;
        for job in results.jobs.iter_mut().filter(|job| waits(job.state)) {
            let since = before.get(&job.key).copied().unwrap_or(at);
            job.seen_waiting = Some(since);
            self.waiting.insert(job.key.clone(), since);
        }
    }
}

impl Source for ResultsSource {
    type Value = Results;
    const COLLECTOR: Collector = Collector::Results;

    fn backend(&self) -> Option<&BackendName> {
        Some(self.client.backend())
    }

    async fn read(&mut self, at: Timestamp) -> Result<Results, String> {
        let read = self.client.results().await;
        let mut results = read.map_err(|e| e.to_string())?;
        self.note_waiting(&mut results, at);
        Ok(results)
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<Results> {
        &mut view(snapshot, &self.client).results
    }
}

/// A list that takes longer than this is none: each of its pages has a deadline of its own besides.
const WHOLE_LIST: Duration = Duration::from_secs(60);

pub(super) struct FleetSource<L> {
    pub(super) list: L,
}

impl<L, F, E> Source for FleetSource<L>
where
    L: FnMut() -> F + Send + 'static,
    F: Future<Output = Result<Fleet, E>> + Send,
    E: Display,
{
    type Value = Fleet;
    const COLLECTOR: Collector = Collector::Ecs;

    fn backend(&self) -> Option<&BackendName> {
        None
    }

    async fn read(&mut self, _at: Timestamp) -> Result<Fleet, String> {
        let late = |_| format!("no whole list within {} s", WHOLE_LIST.as_secs());
        let listed = timeout(WHOLE_LIST, (self.list)()).await.map_err(late)?;
        listed.map_err(|e| e.to_string())
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<Fleet> {
        Arc::make_mut(&mut snapshot.fleet)
    }
}

/// What the cloud can give.
pub(super) struct MarketSource {
    pub(super) cloud: Arc<dyn Cloud>,
}

impl Source for MarketSource {
    type Value = Market;
    const COLLECTOR: Collector = Collector::Market;

    fn backend(&self) -> Option<&BackendName> {
        None
    }

    async fn read(&mut self, _at: Timestamp) -> Result<Market, String> {
        let stock = self.cloud.stock().await.map_err(|e| e.to_string())?;
        let quota = self.cloud.quota().await.map_err(|e| e.to_string())?;
        Ok(Market { stock, quota })
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<Market> {
        Arc::make_mut(&mut snapshot.market)
    }
}

/// The view of a client's backend, to be changed: whoever holds the snapshot keeps the old one.
pub(super) fn view<'s>(snapshot: &'s mut Snapshot, client: &ObsClient) -> &'s mut BackendView {
    let views = &mut snapshot.backends;
    Arc::make_mut(views.entry(client.backend().clone()).or_default())
}
