//! Builds seen to end, by the worker that had them.

use super::catalogue::workers::OBS_WORKER_BUILDS_TOTAL;
use crate::model::HostName;
use crate::obs::BuildOutcome;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A worker that has ended no build for this long, in seconds, is shown no more: workers come and go,
/// and their names do not come again.
const SHOWN: i64 = 24 * 3600;

type Labels = [(&'static str, String); 2];

/// `obs_worker_builds_total`. Cheap to clone: clones count together.
#[derive(Debug, Clone, Default)]
pub struct WorkerBuilds {
    builds: Family<Labels, Counter>,
    /// When each worker last ended one.
    last: Arc<Mutex<BTreeMap<HostName, i64>>>,
}

impl WorkerBuilds {
    /// Registers the counter. A worker's series exist from the first build that it was seen to end.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        let family = &OBS_WORKER_BUILDS_TOTAL;
        registry.register(family.stem(), family.help, new.builds.clone());
        new
    }

    /// A build ended on this worker at `end`, in seconds since 1970.
    pub fn ended(&self, worker: &HostName, outcome: BuildOutcome, end: i64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = last.get_mut(worker) {
            *at = end.max(*at);
        } else {
            last.insert(worker.clone(), end);
            for outcome in BuildOutcome::ALL {
                drop(self.builds.get_or_create(&labels(worker, outcome)));
            }
            last.retain(|worker, at| self.is_shown(worker, end.saturating_sub(*at) <= SHOWN));
        }
        self.builds.get_or_create(&labels(worker, outcome)).inc();
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

fn labels(worker: &HostName, outcome: BuildOutcome) -> Labels {
    let (worker, outcome) = (worker.as_str().to_owned(), outcome.as_str().to_owned());
    [("worker", worker), ("outcome", outcome)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_worker_is_shown_with_every_outcome_until_it_has_built_nothing_for_a_day() {
        let mut registry = Registry::default();
        let builds = WorkerBuilds::register(&mut registry);
        let [old, new] = ["old", "new"].map(HostName::new);
        builds.ended(&old, BuildOutcome::Failed, 0);
        builds.ended(&old, BuildOutcome::Failed, 60);
        let shown = text(&registry);
        let line = |worker: &str, outcome: &str, count: u32| {
            format!(
                "obs_worker_builds_total{{worker=\"{worker}\",outcome=\"{outcome}\"}} {count}\n"
            )
        };
        assert!(shown.contains(&line("old", "failed", 2)), "{shown}");
        assert!(shown.contains(&line("old", "succeeded", 0)), "{shown}");
        builds.ended(&new, BuildOutcome::Succeeded, 60 + SHOWN);
        assert!(text(&registry).contains("old"));
        builds.ended(&HostName::new("newer"), BuildOutcome::Other, 61 + SHOWN);
        let shown = text(&registry);
        assert!(!shown.contains("old"), "{shown}");
        assert!(shown.contains(&line("new", "succeeded", 1)), "{shown}");
    }
}
