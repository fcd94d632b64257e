//! Builds seen to end, by the worker that had them.

use super::catalogue::workers::OBS_WORKER_BUILDS_TOTAL;
use crate::model::{HostName, Snapshot};
use crate::obs::BuildOutcome;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A worker that was neither known nor ended a build for this long, in seconds, is shown no more: workers
/// come and go, and their names do not come again soon.
const SHOWN: i64 = 24 * 3600;

type Labels = [(&'static str, String); 2];

/// `obs_worker_builds_total`. Cheap to clone: clones count together.
#[derive(Debug, Clone, Default)]
pub struct WorkerBuilds {
    builds: Family<Labels, Counter>,
    /// When each worker was last known, or last ended one.
    last: Arc<Mutex<BTreeMap<HostName, i64>>>,
}

impl WorkerBuilds {
    /// Registers the counter. A worker's series exist from when it is first known.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        let family = &OBS_WORKER_BUILDS_TOTAL;
        registry.register(family.stem(), family.help, new.builds.clone());
        new
    }

    /// What is known at `now`, in seconds since 1970. The counts of a worker begin at 0 and before its first
    /// build ends: Prometheus sees no rise in a series that begins with 1.
    pub fn known(&self, snapshot: &Snapshot, now: i64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for worker in workers(snapshot) {
            self.heard(&mut last, worker, now);
        }
        last.retain(|worker, at| self.is_shown(worker, now.saturating_sub(*at) <= SHOWN));
    }

    /// A build ended on this worker at `end`, in seconds since 1970.
    pub fn ended(&self, worker: &HostName, outcome: BuildOutcome, end: i64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.heard(&mut last, worker, end);
        self.builds.get_or_create(&labels(worker, outcome)).inc();
    }

    fn heard(&self, last: &mut BTreeMap<HostName, i64>, worker: &HostName, at: i64) {
        if let Some(before) = last.get_mut(worker) {
            *before = at.max(*before);
            return;
        }
        last.insert(worker.clone(), at);
        for outcome in BuildOutcome::ALL {
            drop(self.builds.get_or_create(&labels(worker, outcome)));
        }
    }

    fn is_shown(&self, worker: &HostName, shown: bool) -> bool {
        if !shown {
            for outcome in BuildOutcome::ALL {
                self.builds.remove(&labels(worker, outcome));
            }
        }
        shown
    }
}

/// The servers that are ours, and the hosts of live instances: of what is gone OBS lists instances that are
/// down for ever.
fn workers(snapshot: &Snapshot) -> BTreeSet<&HostName> {
    let fleet = snapshot.fleet.last().into_iter();
    let ours = fleet.flat_map(|list| list.value.servers.values().map(|server| &server.name));
    let listed = snapshot.backends.values().filter_map(|b| b.workers.last());
    let instances = listed.flat_map(|reading| reading.value.instances.values());
    let live = instances.filter(|instance| instance.state.is_live());
    ours.chain(live.map(|instance| &instance.id.host)).collect()
}

fn labels(worker: &HostName, outcome: BuildOutcome) -> Labels {
    let (worker, outcome) = (worker.as_str().to_owned(), outcome.as_str().to_owned());
    [("worker", worker), ("outcome", outcome)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Arch, BackendName, BackendView, Instance, InstanceId, InstanceState, Observed, Workers,
    };
    use jiff::Timestamp;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    /// What OBS lists: a worker that is idle, and one that is gone.
    fn snapshot() -> Snapshot {
        let instance = |host: &str, state| {
            let id = InstanceId::parse(&format!("{host}:1")).unwrap();
            let arch = Some(Arch::X86_64);
            let instance = Instance {
                id: id.clone(),
                arch,
                state,
                job: None,
            };
            (id, instance)
        };
        let workers = Workers {
            instances: [
                instance("idle", InstanceState::Idle),
                instance("gone", InstanceState::Down),
            ]
            .into(),
            ..Workers::default()
        };
        let mut snapshot = Snapshot::default();
        let view = BackendView {
            workers: Observed::known(Timestamp::UNIX_EPOCH, workers),
            ..BackendView::default()
        };
        let name = BackendName::new("main");
        snapshot.backends.insert(name, Arc::new(view));
        snapshot
    }

    fn line(worker: &str, outcome: &str, count: u32) -> String {
        format!("obs_worker_builds_total{{worker=\"{worker}\",outcome=\"{outcome}\"}} {count}\n")
    }

    #[test]
    fn a_worker_is_shown_with_every_outcome_until_nothing_was_heard_of_it_for_a_day() {
        let mut registry = Registry::default();
        let builds = WorkerBuilds::register(&mut registry);
        let [old, new] = ["old", "new"].map(HostName::new);
        builds.ended(&old, BuildOutcome::Failed, 0);
        builds.ended(&old, BuildOutcome::Failed, 60);
        let shown = text(&registry);
        assert!(shown.contains(&line("old", "failed", 2)), "{shown}");
        assert!(shown.contains(&line("old", "succeeded", 0)), "{shown}");
        builds.ended(&new, BuildOutcome::Succeeded, 60 + SHOWN);
        builds.known(&Snapshot::default(), 60 + SHOWN);
        assert!(text(&registry).contains("old"));
        builds.known(&Snapshot::default(), 61 + SHOWN);
        let shown = text(&registry);
        assert!(!shown.contains("old"), "{shown}");
        assert!(shown.contains(&line("new", "succeeded", 1)), "{shown}");
    }

    #[test]
    fn the_counts_of_a_worker_begin_at_0_when_it_is_first_known() {
        let mut registry = Registry::default();
        let builds = WorkerBuilds::register(&mut registry);
        builds.known(&snapshot(), 0);
        builds.known(&snapshot(), SHOWN);
        builds.known(&Snapshot::default(), 2 * SHOWN);
        let shown = text(&registry);
        for outcome in BuildOutcome::ALL {
            let zero = line("idle", outcome.as_str(), 0);
            assert!(shown.contains(&zero), "{shown}");
        }
        assert!(!shown.contains("gone"), "{shown}");
    }
}
