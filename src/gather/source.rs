//! The sources: what is asked for, and where the answer stands in the snapshot.

use super::Collector;
use crate::model::{
    BackendName, BackendView, Fleet, JobState, Observed, PackageKey, Results, Snapshot, Workers,
};
use crate::obs::{BuildHistory, Built, HistoryStore, ObsClient, Target};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
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
    pub(super) client: ObsClient,
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

    async fn read(&mut self, _at: Timestamp) -> Result<Workers, String> {
        self.client.workers().await.map_err(|e| e.to_string())
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

/// Reads what is new in the job history of each target that the results name.
pub(super) struct HistorySource {
    pub(super) client: ObsClient,
    pub(super) history: BuildHistory,
    pub(super) store: Arc<dyn HistoryStore>,
    pub(super) snapshot: watch::Sender<Snapshot>,
}

impl HistorySource {
    /// Waits for the first whole results.
    async fn targets(&self) -> BTreeSet<Target> {
        let targets = |snapshot: &Snapshot| {
            let view = snapshot.backends.get(self.client.backend())?;
            Some(Target::all_of(&view.results.last()?.value))
        };
        let mut snapshots = self.snapshot.subscribe();
        // It cannot fail: the sender is ours.
        let known = snapshots.wait_for(|s| targets(s).is_some()).await.ok();
        known.and_then(|s| targets(&s)).unwrap_or_default()
    }

    /// Learns what is new, once it is kept: what is not kept would not be read again after a restart.
    async fn learn(&mut self, built: Vec<Built>) -> Result<(), String> {
        let mut learnt = self.history.clone();
        let new = learnt.learn(built);
        if new.is_empty() {
            return Ok(());
        }
        let store = Arc::clone(&self.store);
        let kept = tokio::task::spawn_blocking(move || store.append(&new)).await;
        kept.map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())?;
        self.history = learnt;
        Ok(())
    }

    async fn read_target(&mut self, target: &Target) -> Result<(), String> {
        let newest = self.history.newest(target);
        let built = self.client.builds_since(newest, target).await;
        self.learn(built.map_err(|e| e.to_string())?).await
    }

    /// The means of this backend's packages replace those in the snapshot; other backends have others.
    fn publish_means(&self) {
        let means = self.history.means().mean;
        self.snapshot.send_if_modified(|snapshot| {
            let known = &snapshot.build_times.mean;
            let new = means.iter().any(|(key, mean)| known.get(key) != Some(mean));
            if new {
                Arc::make_mut(&mut snapshot.build_times).mean.extend(means);
            }
            new
        });
    }
}

impl Source for HistorySource {
    type Value = ();
    const COLLECTOR: Collector = Collector::History;

    fn backend(&self) -> Option<&BackendName> {
        Some(self.client.backend())
    }

    /// One target that fails does not keep the others from being read.
    async fn read(&mut self, _at: Timestamp) -> Result<(), String> {
        let mut whole = Ok(());
        for target in self.targets().await {
            let read = self.read_target(&target).await;
            whole = whole.and(read);
        }
        self.publish_means();
        whole
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<()> {
        &mut view(snapshot, &self.client).history
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

/// The view of a client's backend, to be changed: whoever holds the snapshot keeps the old one.
fn view<'s>(snapshot: &'s mut Snapshot, client: &ObsClient) -> &'s mut BackendView {
    let views = &mut snapshot.backends;
    Arc::make_mut(views.entry(client.backend().clone()).or_default())
}
