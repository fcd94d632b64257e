//! What the waiting and blocked jobs ask of workers, what workers have, and since when jobs wait.
//!
//! Each thing is asked for by itself, so the answers come in over several polls: at most
//! [`MOST_REQUESTS`] in one, [`AT_ONCE`] at a time. What has not been answered is not in the map.

use super::Collector;
use super::source::{Source, view};
use crate::model::{
    BackendName, Capabilities, Constraints, InstanceId, Observed, PackageConstraints, PackageKey,
    Requirements, Results, Snapshot, TargetKey, Workers, elapsed,
};
use crate::obs::{ObsClient, ObsError};
use crate::policy::supply;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The most requests of one poll.
const MOST_REQUESTS: usize = 200;

/// The most requests under way at once.
const AT_ONCE: usize = 8;

/// An answer older than this is asked for again. A job's readiness does not change.
const LASTS: Duration = Duration::from_secs(600);

/// Something to be asked, in the order of urgency: what holds many jobs comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// What a target's configuration asks.
    Target(TargetKey),
    /// What a host's instances have: one of them is asked, by `hostarch` and id.
    Worker(String, InstanceId),
    /// What a package asks: project, and name without a multibuild flavor.
    Package(String, String),
    /// Since when a job waits that was first seen waiting then.
    Ready(PackageKey, Timestamp),
}

enum Answer {
    Target(Option<Constraints>),
    Worker(Capabilities),
    Package(PackageConstraints),
    Ready(Option<Timestamp>),
}

pub(super) struct NeedsSource {
    client: ObsClient,
    snapshot: watch::Sender<Snapshot>,
    known: Requirements,
    answered: BTreeMap<Question, Timestamp>,
    /// When a question that has no answer was last asked in vain.
    in_vain: BTreeMap<Question, Timestamp>,
    failing: bool,
}

impl NeedsSource {
    pub(super) const fn new(client: ObsClient, snapshot: watch::Sender<Snapshot>) -> Self {
        Self {
            client,
            snapshot,
            known: Requirements {
                packages: BTreeMap::new(),
                targets: BTreeMap::new(),
                workers: BTreeMap::new(),
                ready: BTreeMap::new(),
                unread: 0,
            },
            answered: BTreeMap::new(),
            in_vain: BTreeMap::new(),
            failing: false,
        }
    }

    /// What is asked for now. Waits for the first whole readings.
    async fn wanted(&self) -> BTreeSet<Question> {
        let wanted = |snapshot: &Snapshot| {
            let view = snapshot.backends.get(self.client.backend())?;
            let (results, workers) = (view.results.last()?, view.workers.last()?);
            Some(questions(&results.value, &workers.value))
        };
        let mut snapshots = self.snapshot.subscribe();
        // It cannot fail: the sender is ours.
        let known = snapshots.wait_for(|s| wanted(s).is_some()).await.ok();
        known.and_then(|s| wanted(&s)).unwrap_or_default()
    }

    /// What was never asked, then what was asked longest ago: many questions that fail must keep no
    /// other from being asked.
    fn due(&self, wanted: &BTreeSet<Question>, at: Timestamp) -> Vec<Question> {
        let due = wanted.iter().filter_map(|question| {
            let before = self.answered.get(question).copied();
            let lasts = matches!(question, Question::Ready(..));
            let again = |before| !lasts && elapsed(before, at) >= LASTS;
            let asked = before.max(self.in_vain.get(question).copied());
            before.is_none_or(again).then_some((asked, question))
        });
        let mut due: Vec<_> = due.collect();
        due.sort();
        let first = due.into_iter().take(MOST_REQUESTS);
        first.map(|(_, question)| question.clone()).collect()
    }

    fn learn(&mut self, question: Question, answer: Answer, at: Timestamp) {
        let known = &mut self.known;
        match (question.clone(), answer) {
            (Question::Target(target), Answer::Target(asked)) => {
                known.targets.insert(target, asked);
            }
            (Question::Worker(_, id), Answer::Worker(has)) => {
                known.workers.insert(id.host, has);
            }
            (Question::Package(project, name), Answer::Package(asked)) => {
                known.packages.insert((project, name), asked);
            }
            (Question::Ready(job, seen), Answer::Ready(ready)) => {
                known.ready.extend(ready.map(|at| ((job, seen), at)));
            }
            _ => return,
        }
        self.in_vain.remove(&question);
        self.answered.insert(question, at);
    }

    /// Forgets what nobody asks for any more: a job that waits anew is looked at anew. A host that is not
    /// listed is not forgotten for an hour: a list may be wrong, and once it is right again the host counts
    /// at once as what it was.
    fn forget(&mut self, wanted: &BTreeSet<Question>, at: Timestamp) {
        let lately = |question: &Question, answered: Timestamp| {
            matches!(question, Question::Worker(..)) && elapsed(answered, at) <= supply::WINDOW
        };
        self.answered
            .retain(|question, answered| wanted.contains(question) || lately(question, *answered));
        self.in_vain.retain(|question, _| wanted.contains(question));
        let known = &mut self.known;
        let package =
            |(project, name): &(String, String)| Question::Package(project.clone(), name.clone());
        known
            .packages
            .retain(|key, _| wanted.contains(&package(key)));
        let target = |key: &TargetKey| Question::Target(key.clone());
        known.targets.retain(|key, _| wanted.contains(&target(key)));
        let ready = |(job, seen): &(PackageKey, Timestamp)| Question::Ready(job.clone(), *seen);
        known.ready.retain(|key, _| wanted.contains(&ready(key)));
        let hosts: BTreeSet<_> = (self.answered.keys())
            .filter_map(|question| match question {
                Question::Worker(_, id) => Some(&id.host),
                _ => None,
            })
            .collect();
        known.workers.retain(|host, _| hosts.contains(host));
    }

    fn tell(&mut self, failed: Option<&ObsError>) {
        let backend = self.client.backend();
        match failed {
            Some(error) if !self.failing => {
                tracing::warn!(%backend, %error, "what jobs ask of workers cannot all be read");
            }
            None if self.failing => {
                tracing::info!(%backend, "what jobs ask of workers is read again");
            }
            _ => {}
        }
        self.failing = failed.is_some();
    }
}

impl Source for NeedsSource {
    type Value = Requirements;
    const COLLECTOR: Collector = Collector::Constraints;

    fn backend(&self) -> Option<&BackendName> {
        Some(self.client.backend())
    }

    /// A question that fails keeps no other from being answered, and is asked again with the next poll.
    async fn read(&mut self, at: Timestamp) -> Result<Requirements, String> {
        let wanted = self.wanted().await;
        self.forget(&wanted, at);
        let mut due = self.due(&wanted, at).into_iter();
        let mut asked = JoinSet::new();
        let mut failed = None;
        loop {
            while asked.len() < AT_ONCE
                && let Some(question) = due.next()
            {
                let client = self.client.clone();
                asked.spawn(async move { (ask(&client, &question).await, question) });
            }
            match asked.join_next().await {
                None => break,
                Some(Err(broke_off)) => return Err(broke_off.to_string()),
                Some(Ok((Ok(answer), question))) => self.learn(question, answer, at),
                Some(Ok((Err(error), question))) => {
                    self.in_vain.insert(question, at);
                    failed = Some(error);
                }
            }
        }
        self.tell(failed.as_ref());
        let unread = (wanted.iter()).filter(|question| !self.answered.contains_key(question));
        self.known.unread = u32::try_from(unread.count()).unwrap_or(u32::MAX);
        Ok(self.known.clone())
    }

    fn slot<'s>(&self, snapshot: &'s mut Snapshot) -> &'s mut Observed<Requirements> {
        &mut view(snapshot, &self.client).requirements
    }
}

async fn ask(client: &ObsClient, question: &Question) -> Result<Answer, ObsError> {
    Ok(match question {
        Question::Target(target) => Answer::Target(client.project_constraints(target).await?),
        Question::Worker(hostarch, id) => Answer::Worker(client.capabilities(hostarch, id).await?),
        Question::Package(project, name) => {
            Answer::Package(client.constraints(project, name).await?)
        }
        Question::Ready(job, _) => Answer::Ready(client.ready(job).await?),
    })
}

fn questions(results: &Results, workers: &Workers) -> BTreeSet<Question> {
    let mut wanted = BTreeSet::new();
    for job in results.jobs.iter().filter(|job| job.state.is_pending()) {
        let (project, name) = (job.key.project.clone(), job.key.base_name().to_owned());
        wanted.insert(Question::Package(project, name));
        wanted.insert(Question::Target(job.key.target()));
        if let Some(seen) = job.seen_waiting {
            wanted.insert(Question::Ready(job.key.clone(), seen));
        }
    }
    // The first instance of each host that is listed: they come in order, and one tells for all.
    let mut last = None;
    for instance in workers.instances.values() {
        let Some(arch) = instance.arch else { continue };
        if last != Some(&instance.id.host) {
            last = Some(&instance.id.host);
            let question = Question::Worker(arch.as_str().to_owned(), instance.id.clone());
            wanted.insert(question);
        }
    }
    wanted
}

#[cfg(test)]
#[path = "needs_tests.rs"]
mod tests;
