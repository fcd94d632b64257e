//! What became of the deeds about a server.

use super::{Reconciler, Seen};
use crate::cloud;
use crate::journal::JournalError;
use crate::model::{Member, Scope, ServerId, Stage};
use crate::policy::offers::{self, Refused};
use crate::policy::{
    CheckOutcome, CheckReport, DrainOutcome, DrainReport, Sight, Terms, Trial, next_quiet,
};
use jiff::Timestamp;

/// Says so where a canary is in service that has shown nothing.
pub(super) fn tell_of_trial(member: &Member, next: &Stage, trial: Trial) {
    if (&member.stage, next, trial) == (&Stage::Proving, &Stage::Serving, Trial::Unproved) {
        tracing::warn!(server = %member.server, pool = %member.pool,
            "nothing was built on the canary of its order: it is in service, and nothing is known of its image");
    }
}

impl Reconciler {
    /// A later check that ended at once undoes nothing of what an earlier one began.
    pub(super) fn checked(&mut self, server: ServerId, mut report: CheckReport) {
        let member = self.books.ledger().members.get(&server);
        let since = member.map(|member| member.since);
        let earlier = self.seen.checks.get(&server);
        let earlier = earlier.filter(|check| since.is_some_and(|since| check.at >= since));
        report.untouched &= earlier.is_none_or(|check| check.untouched);
        let before = self.seen.checks.get(&server).map(|report| &report.outcome);
        if before != Some(&report.outcome) {
            match &report.outcome {
                CheckOutcome::Passed => {
                    tracing::info!(%server, "checked: the machine is right, the service runs");
                    self.parts.look.now();
                }
                CheckOutcome::Unreachable(why) => {
                    tracing::info!(%server, why, "not reached over ssh yet");
                }
                CheckOutcome::Failed {
                    check,
                    found,
                    expected,
                } => {
                    tracing::warn!(%server, check, found, expected, "a check does not pass yet");
                }
            }
        }
        self.seen.checks.insert(server, report);
    }

    pub(super) fn drained(&mut self, server: ServerId, report: DrainReport) {
        let before = self.seen.drains.get(&server).map(|report| &report.outcome);
        if before != Some(&report.outcome) {
            match &report.outcome {
                DrainOutcome::AllLeft => {
                    tracing::info!(%server, "drained: every instance has left");
                    self.parts.look.now();
                }
                DrainOutcome::Remaining(left) => {
                    tracing::info!(%server, left, "draining");
                }
                DrainOutcome::Unproved(why) => {
                    tracing::warn!(%server, why, "can not be cordoned, and is left as it is");
                }
                DrainOutcome::Disabled { since } => {
                    tracing::warn!(%server, %since,
                        "cordoning was not proved on its worker code: disabled on its backends, which takes a heartbeat");
                }
                DrainOutcome::Unreachable(why) => {
                    tracing::warn!(%server, why, "can not be cordoned over ssh");
                }
            }
        }
        self.seen.drains.insert(server, report);
    }

    pub(super) fn deleted(
        &mut self,
        server: &ServerId,
        result: Result<Vec<String>, cloud::Error>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.parts.look.now();
        let member = self.books.ledger().members.get(server);
        let asked = member.map_or(now, |member| member.since);
        match result {
            Ok(jobs) => {
                self.books.setbacks().done(&Scope::Everything, asked);
                self.note_deletion(server, jobs)
            }
            Err(error) => {
                tracing::error!(%server, %error, class = error.label(), "the deletion failed");
                let class = error.class();
                if let Some(scope) = offers::stands_against(Refused::Deletion(server), class) {
                    self.set_back(scope, class, &error.to_string(), asked, now);
                }
                Ok(())
            }
        }
    }
}

impl Seen {
    /// Notes since when a server's instances have all been down.
    pub(super) fn note_quiet(
        &mut self,
        member: &Member,
        sight: &Sight<'_>,
        terms: &Terms<'_>,
    ) -> Option<Timestamp> {
        let before = self.quiet.remove(&member.server);
        let quiet = next_quiet(before, sight.instances.as_ref(), terms.instances)?;
        self.quiet.insert(member.server.clone(), quiet);
        Some(quiet)
    }
}
