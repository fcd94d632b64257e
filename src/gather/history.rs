//! The job histories: what is new in each is learnt, kept, shown, and counted.

use super::Collector;
use super::source::{Source, view};
use crate::model::{BackendName, BuildTimes, Expected, HostName, Observed, Snapshot, elapsed};
use crate::obs::{
    BuildOutcome, Ended, HistoryStore, ObsClient, StoreError, Target, TargetHistory, Terms,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

/// Told of every build that ended on a worker since this program started, once: where, how, and when
/// by the backend's clock (seconds since 1970).
pub type OnEnded = Arc<dyn Fn(&HostName, BuildOutcome, i64) + Send + Sync>;

/// How often what is older than the retention is forgotten.
const FORGET: Duration = Duration::from_hours(24);

/// A reading that takes longer tells how far it is, this often.
const PROGRESS: Duration = Duration::from_secs(10);

/// What the store had at the start. Each source takes its targets out of it.
#[derive(Clone)]
pub(super) struct Stored(Arc<Mutex<BTreeMap<Target, TargetHistory>>>);

impl Stored {
    /// Everything that the store has and that is not older than the retention, and what it says.
    pub(super) fn load(
        store: &dyn HistoryStore,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<(Self, BuildTimes), StoreError> {
        store.forget(terms.oldest(now.as_second()))?;
        let mut all = store.load(terms.levels.last_successes)?;
        let mut times = BuildTimes::default();
        for (target, history) in &mut all {
            times.change(target.names(), history.expected(&terms.levels));
        }
        Ok((Self(Arc::new(Mutex::new(all))), times))
    }

    fn take(&self, target: &Target) -> TargetHistory {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(target).unwrap_or_default()
    }
}

/// Reads what is new in the job history of each target that the results name.
pub(super) struct HistorySource {
    pub(super) client: ObsClient,
    pub(super) stored: Stored,
    pub(super) known: BTreeMap<Target, TargetHistory>,
    pub(super) store: Arc<dyn HistoryStore>,
    pub(super) terms: Terms,
    pub(super) snapshot: watch::Sender<Snapshot>,
    pub(super) on_ended: OnEnded,
    /// How long it is remembered how builds came out.
    pub(super) window: Duration,
    /// When this program started, and when what is old was last forgotten.
    pub(super) started: Timestamp,
    pub(super) forgot: Timestamp,
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
    async fn read_target(&mut self, target: &Target, at: Timestamp) -> Result<(), String> {
        let taken = || self.stored.take(target);
        let known = self.known.entry(target.clone()).or_insert_with(taken);
        let lines = self.client.ended_since(known.mark.as_ref(), target).await;
        let lines = lines.map_err(|e| e.to_string())?;
        if lines.is_empty() {
            return Ok(());
        }
        let learnt = Arc::new(known.learn(&lines, &self.terms, at.as_second()));
        let (keeping, of) = (Arc::clone(&learnt), target.clone());
        blocking(&self.store, move |store| store.keep(&of, &keeping)).await?;
        known.take(&learnt);
        self.publish(target, learnt.expected.clone());
        self.count(&lines);
        self.note(target, &lines, at);
        Ok(())
    }

    /// Remembers how builds came out where they were built. Not kept on disk: what ended before a restart says
    /// nothing after it, and a black hole loses some builds more before it is found.
    fn note(&self, target: &Target, lines: &[Ended], at: Timestamp) {
        let oldest = at.checked_sub(self.window).unwrap_or(Timestamp::MIN);
        let young = lines.iter().filter(|line| line.end >= oldest.as_second());
        let new: Vec<_> = young
            .filter_map(|line| line.on_its_worker(target))
            .collect();
        self.snapshot.send_modify(|snapshot| {
            let record = &mut view(snapshot, &self.client).record;
            Arc::make_mut(record).add(new, oldest);
        });
    }

    /// A line that is new to the bookmark is new to this program and to those before it. What ended
    /// before the start is left out, since counters begin at the start.
    fn count(&self, lines: &[Ended]) {
        let since = self.started.as_second();
        for line in lines.iter().filter(|line| line.end >= since) {
            if let Some(host) = &line.host {
                (self.on_ended)(host, line.outcome, line.end);
            }
        }
    }

    fn publish(&self, target: &Target, changed: Vec<(String, Option<Expected>)>) {
        self.snapshot.send_if_modified(|snapshot| {
            let any = !changed.is_empty();
            if any {
                Arc::make_mut(&mut snapshot.build_times).change(target.names(), changed);
            }
            any
        });
    }

    async fn forget(&mut self, at: Timestamp) -> Result<(), String> {
        if elapsed(self.forgot, at) < FORGET {
            return Ok(());
        }
        let before = self.terms.oldest(at.as_second());
        blocking(&self.store, move |store| store.forget(before)).await?;
        let mut changed = Vec::new();
        for (target, known) in &mut self.known {
            changed.push((target.clone(), known.forget(before, &self.terms.levels)));
        }
        for (target, changed) in changed {
            self.publish(&target, changed);
        }
        self.forgot = at;
        Ok(())
    }
}

impl Source for HistorySource {
    type Value = ();
    const COLLECTOR: Collector = Collector::History;

    fn backend(&self) -> Option<&BackendName> {
        Some(self.client.backend())
    }

    /// One target that fails does not keep the others from being read.
    async fn read(&mut self, at: Timestamp) -> Result<(), String> {
        let mut whole = self.forget(at).await;
        let targets = self.targets().await;
        let mut told = Instant::now();
        for (read, target) in targets.iter().enumerate() {
            whole = whole.and(self.read_target(target, at).await);
            if told.elapsed() >= PROGRESS {
                let (backend, of) = (self.client.backend(), targets.len());
                info!(%backend, read = read + 1, of, "reading job histories");
                told = Instant::now();
            }
        }
        whole
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<()> {
        &mut view(snapshot, &self.client).history
    }
}

/// Calls the store, which may block.
async fn blocking(
    store: &Arc<dyn HistoryStore>,
    call: impl FnOnce(&dyn HistoryStore) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), String> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || call(store.as_ref())).await;
    done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}
