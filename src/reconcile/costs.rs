//! Bills: one for each server that the cloud ever listed, and the counters that follow them.

use super::{Look, Reconciler};
use crate::cloud::{self, JobState, JobStatus, SubJob};
use crate::execute::Deed;
use crate::journal::JournalError;
use crate::model::{Bill, Class, Fleet, ServerId, ServerStatus};
use crate::policy::bills::{self, Tariff};
use crate::policy::is_idle;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Up to when each server's cost stands in the counters.
#[derive(Debug)]
pub(super) struct Meter {
    /// What was before this is not counted: the process before this one did, or nobody.
    begin: Option<Timestamp>,
    counted: BTreeMap<ServerId, Timestamp>,
}

impl Meter {
    /// Goes on where the process before this one left off, at its last list.
    pub(super) const fn begin(listed: Option<Timestamp>) -> Self {
        Self {
            begin: listed,
            counted: BTreeMap::new(),
        }
    }

    /// The span of a bill that is to be counted now, up to a time at which its server was there or ended.
    fn span(&mut self, bill: &Bill, until: Timestamp) -> (Timestamp, Timestamp) {
        let begin = *self.begin.get_or_insert(until);
        let last = self.counted.entry(bill.server.clone()).or_insert(begin);
        let from = *last;
        *last = from.max(until);
        (from, until)
    }
}

impl Reconciler {
    /// Brings the bills up to the cloud's list, once for each, and asks for the moments of deletions.
    pub(super) fn keep_bills(&mut self, look: &Look<'_>) -> Result<(), JournalError> {
        self.ask_for_ends(look.now);
        let Ok(fleet) = look.snapshot.fleet.fresh(look.now, look.policy.max_age) else {
            return Ok(());
        };
        if self.books.listed() >= Some(fleet.at()) {
            return Ok(());
        }
        let changed = self.changed_bills(fleet.value(), look);
        let old = self.books.bills().values();
        let old = old.filter(|bill| bills::is_old(bill, look.now));
        let old: Vec<ServerId> = old.map(|bill| bill.server.clone()).collect();
        self.meter.counted.retain(|server, _| !old.contains(server));
        let ended: Vec<ServerId> = (changed.iter())
            .filter(|bill| bill.end.is_some())
            .map(|bill| bill.server.clone())
            .collect();
        self.books.bill(changed, &old, Some(fleet.at()))?;
        self.count_listed(fleet.value(), fleet.at(), look);
        ended.iter().for_each(|server| self.count_to_end(server));
        Ok(())
    }

    /// The bills that a list begins, ends or takes up again.
    fn changed_bills(&self, fleet: &Fleet, look: &Look<'_>) -> Vec<Bill> {
        let (bills, before) = (self.books.bills(), self.books.listed());
        let tariff = Tariff::of(&self.parts.config);
        let new = fleet.servers.values();
        let new = new.filter(|server| !bills.contains_key(&server.id));
        let new = new.map(|server| bills::opened(server, look.policy, &tariff, look.now));
        let known = bills.values().filter_map(|bill| {
            let after = match fleet.servers.get(&bill.server) {
                Some(server) => {
                    let deleting = server.status == ServerStatus::Deleting;
                    bills::listed(bill, deleting, before)
                }
                None if bill.end.is_none() => bills::unlisted(bill, before, look.now),
                None => return None,
            };
            (after != **bill).then_some(after)
        });
        new.chain(known).collect()
    }

    /// A server that is being deleted is counted when the moment of its end is known.
    fn count_listed(&mut self, fleet: &Fleet, at: Timestamp, look: &Look<'_>) {
        let priced = look.policy.pools.values();
        for pool in priced.filter(|pool| self.parts.config.prices.contains_key(&pool.flavor)) {
            self.parts.own.cost(&pool.name, &pool.flavor, 0.0, 0.0);
        }
        for server in fleet.servers.values() {
            let Some(bill) = self.books.bills().get(&server.id).cloned() else {
                continue;
            };
            let leaves = server.status == ServerStatus::Deleting || !bill.deletions.is_empty();
            if bill.end.is_some() || leaves {
                continue;
            }
            let view = look.view(self.books.ledger());
            let idle = bill
                .pool
                .as_ref()
                .is_some_and(|pool| is_idle(&view, pool, server));
            self.meter_out(&bill, at, idle);
        }
    }

    fn count_to_end(&mut self, server: &ServerId) {
        let Some(bill) = self.books.bills().get(server).cloned() else {
            return;
        };
        if let Some(end) = bill.end {
            self.meter_out(&bill, end.at, false);
        }
    }

    /// Adds what a server has cost since it was last counted.
    fn meter_out(&mut self, bill: &Bill, until: Timestamp, idle: bool) {
        let (Some(pool), Some(_)) = (&bill.pool, bill.price) else {
            return;
        };
        let (from, until) = self.meter.span(bill, until);
        let cost = bill.cost(from, until).total().units();
        let idle = if idle { cost } else { 0.0 };
        self.parts.own.cost(pool, &bill.flavor, cost, idle);
    }

    fn ask_for_ends(&mut self, now: Timestamp) {
        let bills = Arc::clone(self.books.bills());
        for bill in bills.values().filter(|bill| bill.end.is_none()) {
            if let Some(job) = bill.deletions.first() {
                let (server, job) = (bill.server.clone(), job.clone());
                self.deeds.start(Deed::Ended { server, job }, now);
            }
        }
    }

    /// Notes which jobs delete a server.
    pub(super) fn note_deletion(
        &mut self,
        server: &ServerId,
        jobs: Vec<String>,
    ) -> Result<(), JournalError> {
        tracing::info!(%server, ?jobs, "the cloud deletes it");
        match self.books.bills().get(server) {
            Some(bill) if bill.end.is_none() && !jobs.is_empty() => {
                let mut bill = Bill::clone(bill);
                bill.deletions.extend(jobs);
                self.books.bill(vec![bill], &[], None)
            }
            _ => Ok(()),
        }
    }

    /// Takes in what a job says that deletes a server.
    pub(super) fn ended(
        &mut self,
        server: &ServerId,
        job: &str,
        result: Result<JobStatus, cloud::Error>,
    ) -> Result<(), JournalError> {
        let at = match result {
            Ok(status) if status.state == JobState::Running => return Ok(()),
            Ok(status) => moment(&status, server),
            Err(error) if error.class() == Class::Gone => None,
            Err(error) => {
                let words =
                    format!("server {server}: the job that deletes it can not be read: {error}");
                self.seen.odd(words);
                return Ok(());
            }
        };
        let Some(bill) = self
            .books
            .bills()
            .get(server)
            .filter(|bill| bill.end.is_none())
        else {
            return Ok(());
        };
        let bill = bills::job_ended(bill, job, at);
        self.books.bill(vec![bill], &[], None)?;
        self.count_to_end(server);
        Ok(())
    }
}

/// When the deletion of a server succeeded; `None` where it did not, or no moment is told. Each server is
/// deleted by a call of its own: a part that names none is of this one.
fn moment(status: &JobStatus, of: &ServerId) -> Option<Timestamp> {
    status.sub_jobs.iter().find_map(|part| match part {
        SubJob::Succeeded { server, ended } if server.as_ref().is_none_or(|s| s == of) => *ended,
        SubJob::Succeeded { .. } | SubJob::Pending | SubJob::Failed { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Failure;

    #[test]
    fn a_deletion_ends_when_the_part_of_its_server_has_succeeded() {
        let (ours, at) = (ServerId::new("s"), Timestamp::from_second(9).unwrap());
        let succeeded = |server: Option<&str>, ended| SubJob::Succeeded {
            server: server.map(ServerId::new),
            ended,
        };
        let failed = SubJob::Failed {
            server: Some(ours.clone()),
            ended: Some(at),
            failure: Failure {
                class: Class::Unknown,
                code: "Ecs.0501".to_owned(),
                words: String::new(),
            },
        };
        for (part, expected) in [
            (succeeded(Some("s"), Some(at)), Some(at)),
            (succeeded(None, Some(at)), Some(at)),
            (succeeded(Some("other"), Some(at)), None),
            (succeeded(Some("s"), None), None),
            (failed, None),
        ] {
            let state = JobState::Succeeded;
            let sub_jobs = vec![part];
            assert_eq!(moment(&JobStatus { state, sub_jobs }, &ours), expected);
        }
    }
}
