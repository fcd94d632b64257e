//! Watches from outside whether ever two workers run on one state directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_millis(100);

/// A state directory on one machine: its pid namespace, and the path there.
type Place = (PathBuf, String);

pub(super) struct Watcher {
    stop: CancellationToken,
    task: JoinHandle<BTreeSet<Place>>,
}

impl Watcher {
    pub(super) fn start() -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch(stop.clone()));
        Self { stop, task }
    }

    /// The directories that were ever seen with two workers.
    pub(super) async fn stop(self) -> BTreeSet<Place> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

async fn watch(stop: CancellationToken) -> BTreeSet<Place> {
    let mut seen = BTreeSet::new();
    let mut before = BTreeMap::new();
    while !stop.is_cancelled() {
        let now = crowded();
        // the processes of one look are not all of one moment: what is there by two looks is there
        let lasting = now
            .iter()
            .filter(|(place, pids)| before.get(*place) == Some(*pids));
        seen.extend(lasting.map(|(place, _)| place.clone()));
        before = now;
        tokio::time::sleep(INTERVAL).await;
    }
    seen
}

/// The directories with several workers, and which: a worker's own child is none.
fn crowded() -> BTreeMap<Place, BTreeSet<u32>> {
    let mut by_place: BTreeMap<Place, BTreeMap<u32, u32>> = BTreeMap::new();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    for entry in processes {
        if let Some((place, pid, parent)) = worker(&entry.path()) {
            by_place.entry(place).or_default().insert(pid, parent);
        }
    }
    let alone = |parents: BTreeMap<u32, u32>| -> BTreeSet<u32> {
        let own_child = |parent: &u32| parents.contains_key(parent);
        let heads = parents.iter().filter(|(_, parent)| !own_child(parent));
        heads.map(|(pid, _)| *pid).collect()
    };
    let heads = by_place.into_iter().map(|(place, all)| (place, alone(all)));
    heads.filter(|(_, heads)| heads.len() > 1).collect()
}

/// The state directory, process id and parent of a worker; `None` for any other process, and for the call that
/// asks a worker to leave.
fn worker(process: &Path) -> Option<(Place, u32, u32)> {
    let pid = process.file_name()?.to_str()?.parse().ok()?;
    if std::fs::read_to_string(process.join("comm")).ok()? != "bs_worker\n" {
        return None;
    }
    let words = std::fs::read_to_string(process.join("cmdline")).ok()?;
    let words: Vec<&str> = words.split('\0').collect();
    let at = words.iter().position(|word| *word == "--statedir")?;
    if words.contains(&"--exit") {
        return None;
    }
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
    let machine = std::fs::read_link(process.join("ns/pid")).ok()?;
    Some(((machine, (*words.get(at + 1)?).to_owned()), pid, parent))
}
