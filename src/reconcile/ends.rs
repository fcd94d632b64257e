//! How deeds ended, and what the log calls the stage that they led to.

use super::{Reconciler, ghosts, lease, leftovers};
use crate::execute::{Done, Subject};
use crate::journal::JournalError;
use crate::model::Stage;

impl Reconciler {
    /// Takes in how a deed ended.
    pub(super) fn take_in(&mut self, subject: Subject, done: Done) -> Result<(), JournalError> {
        let now = self.parts.clock.now();
        let config = &self.parts.config;
        let pause = match done {
            Done::Polled(_) | Done::Ended(..) => config.ecs.job_poll,
            Done::Freed(_) => ghosts::PAUSE,
            Done::Tidied(Err(_)) => leftovers::PAUSE_AFTER_FAILURE,
            Done::Renewed(_) | Done::Swept(_) => lease::PAUSE,
            _ => config.policy.tick,
        };
        self.deeds.rest(subject.clone(), now, pause);
        match (subject, done) {
            (Subject::Order(order), Done::Created(result)) => self.created(&order, result, now),
            (Subject::Order(order), Done::Polled(result)) => {
                self.polled(&order, result, now);
                Ok(())
            }
            (Subject::Server(server), Done::Checked(report)) => {
                self.checked(server, report);
                Ok(())
            }
            (Subject::Server(server), Done::Drained(report)) => {
                self.drained(server, report);
                Ok(())
            }
            (Subject::Server(server), Done::Deleted(result)) => self.deleted(&server, result, now),
            (Subject::Bill(server), Done::Ended(job, result)) => self.ended(&server, &job, result),
            (Subject::Lease(server), Done::Renewed(result)) => {
                self.renewed(&server, result);
                Ok(())
            }
            (Subject::Sweep, Done::Swept(result)) => {
                self.swept(result);
                Ok(())
            }
            (Subject::Server(server), Done::Disowned(result)) => {
                self.disowned(&server, result, now);
                Ok(())
            }
            (Subject::Trail(server), Done::Tidied(result)) => {
                self.tidied(&server, result, now);
                Ok(())
            }
            (Subject::Ghost(backend, build), Done::Freed(freed)) => {
                self.freed(&backend, &build, &freed);
                Ok(())
            }
            (subject, done) => {
                tracing::error!(?subject, ?done, "a deed ended that was never begun");
                Ok(())
            }
        }
    }
}

/// What the log calls a stage.
pub(super) const fn stage_word(stage: &Stage) -> &'static str {
    match stage {
        Stage::Creating => "creating",
        Stage::Standby { .. } => {
            "ACTIVE, standing by: others of its backend were started just now, or its order's first has to build"
        }
        Stage::Booting { .. } => "ACTIVE, booting",
        Stage::Checking { .. } => "reached, checking",
        Stage::Joining { .. } => "checked, joining",
        Stage::Proving => {
            "registered, waiting for its first build: the others of its order stand by"
        }
        Stage::Serving => "in service",
        Stage::Refitting => "in service, on its way to other settings",
        Stage::Cordoned { .. } => "cordoned",
        Stage::Deleting { .. } => "deleting",
        Stage::Gone { .. } => "gone",
    }
}
