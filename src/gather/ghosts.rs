//! Which builds are none: what OBS' own list contradicts, and what the instances say themselves.

use super::Collector;
use super::source::{Source, view};
use crate::model::{
    BackendName, Build, BuildEnd, Came, Ghosts, HostName, Observed, Snapshot, elapsed,
};
use crate::obs::{Answered, ObsClient};
use crate::policy::{ghosts, next_ghosts};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The most instances asked in one poll.
const MOST_ASKED: usize = 64;

/// The most instances asked at once; each has 3 s.
const AT_ONCE: usize = 16;

/// An instance that is there is not asked again for this long.
const LASTS: Duration = Duration::from_secs(60);

pub(super) struct GhostsSource {
    client: ObsClient,
    snapshot: watch::Sender<Snapshot>,
    known: Ghosts,
    /// When the instance of a build last was there.
    there: BTreeMap<Build, Timestamp>,
    /// The builds whose instance refused the last connection, and since when it does.
    refusing: BTreeMap<Build, Timestamp>,
    /// The hosts of which an instance ever answered us.
    reached: BTreeSet<HostName>,
    /// When an instance last answered us.
    answered: Option<Timestamp>,
    /// The builds that were noted as vanished, as long as they are listed.
    vanished: BTreeSet<Build>,
    /// How long it is remembered how builds came out.
    window: Duration,
}

impl GhostsSource {
    pub(super) fn new(
        client: ObsClient,
        snapshot: watch::Sender<Snapshot>,
        window: Duration,
    ) -> Self {
        Self {
            client,
            snapshot,
            known: Ghosts::default(),
            there: BTreeMap::new(),
            refusing: BTreeMap::new(),
            reached: BTreeSet::new(),
            answered: None,
            vanished: BTreeSet::new(),
            window,
        }
    }

    /// Remembers each build that has vanished on its host, once.
    fn note_vanished(&mut self, at: Timestamp) {
        let known = &self.known;
        self.vanished.retain(|build| known.seen.contains_key(build));
        let found = ghosts(known).map(|(build, _)| build);
        let new: Vec<Build> = found
            .filter(|build| !self.vanished.contains(build))
            .cloned()
            .collect();
        if new.is_empty() {
            return;
        }
        let ends = new.iter().map(|build| {
            let end = BuildEnd {
                package: build.job.clone(),
                began: build.started.unwrap_or(at),
                ended: at,
                came: Came::Vanished,
            };
            (build.instance.host.clone(), end)
        });
        let oldest = at.checked_sub(self.window).unwrap_or(Timestamp::MIN);
        self.snapshot.send_modify(|snapshot| {
            let record = &mut view(snapshot, &self.client).record;
            Arc::make_mut(record).add(ends, oldest);
        });
        self.vanished.extend(new);
    }

    /// When OBS was asked for its workers, its builds, and those that it contradicts itself. Waits for
    /// the first whole reading.
    async fn builds(&self) -> Option<(Timestamp, Vec<Build>, BTreeSet<Build>)> {
        let mut snapshots = self.snapshot.subscribe();
        let read = |s: &Snapshot| {
            let workers = s.backends.get(self.client.backend())?.workers.last()?;
            let (builds, doubted) = (workers.value.builds.clone(), workers.value.doubted.clone());
            Some((workers.at, builds, doubted))
        };
        let known = snapshots.wait_for(|s| read(s).is_some()).await.ok()?;
        read(&known)
    }

    /// Asks the instances that were not there for a while, those that refused first.
    async fn ask(&mut self, builds: &[Build], at: Timestamp) {
        let due = builds.iter().filter(|build| {
            let there = self.there.get(build);
            build.uri.is_some() && there.is_none_or(|there| elapsed(*there, at) >= LASTS)
        });
        let mut due: Vec<Build> = due.cloned().collect();
        due.sort_by_key(|build| {
            (
                !self.refusing.contains_key(build),
                self.there.get(build).copied(),
            )
        });
        due.truncate(MOST_ASKED);
        let mut due = due.into_iter();
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < AT_ONCE
                && let Some(build) = due.next()
            {
                let client = self.client.clone();
                asked.spawn(async move {
                    let uri = build.uri.clone().unwrap_or_default();
                    (client.ask_instance(&uri, None).await, build)
                });
            }
            match asked.join_next().await {
                None => break,
                Some(Ok((Answered::Refuses, build))) => {
                    self.refusing.entry(build).or_insert(at);
                }
                Some(Ok((Answered::Builds | Answered::Denies, build))) => {
                    self.answered = Some(at);
                    self.reached.insert(build.instance.host.clone());
                    self.refusing.remove(&build);
                    self.there.insert(build, at);
                }
                // one that says nothing stays what it was
                Some(Ok((Answered::Unclear, _)) | Err(_)) => {}
            }
        }
    }

    /// The builds whose instance refuses, where that says something: a firewall may refuse in a worker's
    /// place, and the build goes on. So the host must have answered us before, and another answer us
    /// while this one refuses; where nobody builds on another host there is none to ask.
    fn refused(&self, builds: &[Build]) -> impl Iterator<Item = &Build> {
        let hosts: BTreeSet<_> = builds.iter().map(|build| &build.instance.host).collect();
        let alone = hosts.len() <= 1;
        let refusing = self.refusing.iter();
        let told = refusing.filter(move |(build, since)| {
            let others_answer = self.answered.is_some_and(|at| at > **since);
            self.reached.contains(&build.instance.host) && (alone || others_answer)
        });
        told.map(|(build, _)| build)
    }
}

impl Source for GhostsSource {
    type Value = Ghosts;
    const COLLECTOR: Collector = Collector::Ghosts;

    fn backend(&self) -> Option<&BackendName> {
        Some(self.client.backend())
    }

    async fn read(&mut self, at: Timestamp) -> Result<Ghosts, String> {
        let read = self.builds().await;
        let (read_at, builds, mut suspects) = read.ok_or("nothing is read any more")?;
        let listed: BTreeSet<&Build> = builds.iter().collect();
        self.there.retain(|build, _| listed.contains(build));
        self.refusing.retain(|build, _| listed.contains(build));
        self.ask(&builds, at).await;
        suspects.extend(self.refused(&builds).cloned());
        self.known = next_ghosts(&self.known, suspects, read_at);
        self.note_vanished(at);
        Ok(self.known.clone())
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<Ghosts> {
        &mut view(snapshot, &self.client).ghosts
    }
}

#[cfg(test)]
#[path = "ghosts_tests.rs"]
mod tests;
