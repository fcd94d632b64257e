//! The source of the workers' resource use.

use super::Collector;
use super::source::Source;
use crate::hosts::{Reader, Reading, Readings, Target};
use crate::model::{BackendName, HostName, HostUse, Observed, Snapshot};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// Reads each server that the cloud lists as running.
pub(super) struct HostsSource {
    reader: Reader,
    snapshot: watch::Sender<Snapshot>,
    /// A list older than this tells no addresses: they may be others' by now.
    max_age: Duration,
    /// The last reading of each worker that is still there.
    known: BTreeMap<HostName, HostUse>,
    /// What the last try failed with.
    failing: BTreeMap<HostName, String>,
}

impl HostsSource {
    pub(super) const fn new(
        reader: Reader,
        snapshot: watch::Sender<Snapshot>,
        max_age: Duration,
    ) -> Self {
        Self {
            reader,
            snapshot,
            max_age,
            known: BTreeMap::new(),
            failing: BTreeMap::new(),
        }
    }

    /// Waits for the first list.
    async fn targets(&self, at: Timestamp) -> Result<Vec<Target>, String> {
        let mut snapshots = self.snapshot.subscribe();
        // It cannot fail: the sender is ours.
        let listed = snapshots.wait_for(|s| s.fleet.last().is_some()).await;
        let snapshot = listed.map_err(|e| e.to_string())?;
        let fleet = snapshot.fleet.fresh(at, self.max_age);
        let fleet = fleet.map_err(|_| "the cloud's list of the workers is too old".to_owned())?;
        Ok(Target::all_of(fleet.value()))
    }

    /// A worker that failed keeps its last reading, which ages; one that is gone is forgotten.
    fn take_in(&mut self, read: Readings) {
        let (mut known, mut failing) = (BTreeMap::new(), BTreeMap::new());
        for (host, reading) in read {
            let before = self.known.remove(&host);
            let failed = self.failing.remove(&host);
            let why = reading.as_ref().err().map(ToString::to_string);
            if let Some(change) = change(before.is_some(), failed.as_deref(), why.as_deref()) {
                log(&host, change);
            }
            failing.extend(why.map(|why| (host.clone(), why)));
            let now = match reading {
                Ok(Reading { at, counters }) => Some(HostUse::next(before.as_ref(), at, counters)),
                Err(_) => before,
            };
            known.extend(now.map(|now| (host, now)));
        }
        self.known = known;
        self.failing = failing;
    }
}

impl Source for HostsSource {
    type Value = BTreeMap<HostName, HostUse>;
    const COLLECTOR: Collector = Collector::Hosts;

    fn backend(&self) -> Option<&BackendName> {
        None
    }

    /// Whole where at least one worker was read, or there is none: each worker has an age of its own.
    async fn read(&mut self, at: Timestamp) -> Result<Self::Value, String> {
        let targets = self.targets(at).await?;
        let read = self.reader.read(targets, at).await;
        let read = read.map_err(|e| e.to_string())?;
        let none = !read.is_empty() && read.values().all(Result::is_err);
        self.take_in(read);
        if none {
            return Err("no worker could be read".to_owned());
        }
        Ok(self.known.clone())
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<Self::Value> {
        Arc::make_mut(&mut snapshot.hosts)
    }
}

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
enum Change<'a> {
    /// It was read before, and cannot be read now.
    Lost(&'a str),
    /// It was never read: it may be booting.
    NotYet(&'a str),
    /// It is read again.
    Back,
}

/// What changed from one try to the next; `None` where nothing did.
fn change<'a>(was_read: bool, before: Option<&str>, now: Option<&'a str>) -> Option<Change<'a>> {
    if before == now {
        return None;
    }
    Some(match now {
        Some(why) if was_read => Change::Lost(why),
        Some(why) => Change::NotYet(why),
        None => Change::Back,
    })
}

fn log(host: &HostName, change: Change<'_>) {
    match change {
        Change::Lost(why) => warn!(%host, why, "a worker's resource use cannot be read"),
        Change::NotYet(why) => info!(%host, why, "a worker's resource use cannot be read yet"),
        Change::Back => info!(%host, "a worker's resource use is read again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::testing::{NODE, config, fleet};
    use crate::obs::testing::{Answer, serve};
    use std::sync::atomic::{AtomicBool, Ordering};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A source whose worker `w-1` is on 127.0.0.1, and what switches the worker off.
    async fn source() -> (HostsSource, Arc<AtomicBool>) {
        let off = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&off);
        let node = serve(move |_| {
            let off = switch.load(Ordering::SeqCst);
            async move {
                if off {
                    Answer::with(500, "")
                } else {
                    Answer::ok(NODE)
                }
            }
        });
        let config = config("node_exporter", node.await.port(), "5s");
        let reader = Reader::new(&config).unwrap().unwrap();
        let snapshot = watch::Sender::new(Snapshot {
            fleet: Arc::new(Observed::known(at(0), fleet(&["127.0.0.1"]))),
            ..Snapshot::default()
        });
        let max_age = Duration::from_secs(120);
        (HostsSource::new(reader, snapshot, max_age), off)
    }

    #[tokio::test]
    async fn a_worker_that_fails_keeps_its_last_reading_and_its_age() {
        let (mut source, off) = source().await;
        let worker = HostName::new("w-1");
        let read = source.read(at(10)).await.unwrap();
        assert_eq!(read[&worker].at, at(10));
        assert_eq!(read[&worker].cpu_usage_ratio, None);
        off.store(true, Ordering::SeqCst);
        let failed = source.read(at(40)).await;
        assert_eq!(failed.unwrap_err(), "no worker could be read");
        assert_eq!(source.known[&worker].at, at(10));
        assert!(source.known[&worker].is_fresh(at(130), source.max_age));
        assert!(!source.known[&worker].is_fresh(at(131), source.max_age));
    }

    #[tokio::test]
    async fn a_worker_that_is_gone_is_forgotten() {
        let (mut source, _) = source().await;
        assert_eq!(source.read(at(10)).await.unwrap().len(), 1);
        let empty = Arc::new(Observed::known(at(20), fleet(&[])));
        source.snapshot.send_modify(|s| s.fleet = empty);
        assert_eq!(source.read(at(40)).await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn nobody_is_asked_at_addresses_of_an_old_list() {
        let (mut source, _) = source().await;
        assert!(source.read(at(120)).await.is_ok());
        assert!(source.read(at(121)).await.is_err());
    }

    #[test]
    fn a_failure_is_told_once_and_so_is_its_end() {
        let (old, new) = (Some("refused"), Some("timed out"));
        assert_eq!(change(true, None, old), Some(Change::Lost("refused")));
        assert_eq!(change(false, None, old), Some(Change::NotYet("refused")));
        assert_eq!(change(true, old, old), None);
        assert_eq!(change(true, old, new), Some(Change::Lost("timed out")));
        assert_eq!(change(true, new, None), Some(Change::Back));
        assert_eq!(change(true, None, None), None);
    }
}
