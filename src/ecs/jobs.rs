//! A job of the cloud: its parts are the truth, its own status only says whether it is over.

use super::error::class_of_code;
use crate::model::Class;
use crate::model::ServerId;
use jiff::Timestamp;
use serde_json::Value;

/// The operation's name in errors and metrics.
pub(super) const OPERATION: &str = "job";

/// Where a job stands (`GET /v1/{project}/jobs/{job}`, page "Querying Task Execution Status").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Whether it is over. It fails when a part fails, and the parts that succeeded stay: read
    /// [`Self::sub_jobs`] in either case.
    pub state: JobState,
    /// Its parts, one for each server; empty at first.
    pub sub_jobs: Vec<SubJob>,
}

/// The state of a whole job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Not over.
    Running,
    /// Over, and everything went well.
    Succeeded,
    /// Over. The code is often a wrapper (`Common.0021`); the parts hold the cause.
    Failed(Failure),
}

/// One part of a job: one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubJob {
    /// Not over.
    Pending,
    /// Done; the server's id, unless the cloud left it out, as it does in some deletions.
    Succeeded {
        /// The server.
        server: Option<ServerId>,
        /// When it ended, where the cloud tells.
        ended: Option<Timestamp>,
    },
    /// Failed. What it had made is rolled back, and that may fail too.
    Failed {
        /// The server, where the cloud names it. It may exist, in `ERROR`, and cost money.
        server: Option<ServerId>,
        /// Why.
        failure: Failure,
    },
}

/// Why a job, or a part of one, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The cloud's code, such as `Ecs.0219`; empty where it gave none.
    pub code: String,
    /// The cloud's words.
    pub words: String,
}

impl Failure {
    /// The class of its code; that of a wrapper, of a failed rollback or of none is unknown.
    #[must_use]
    pub fn class(&self) -> Class {
        class_of_code(&self.code).unwrap_or(Class::Unknown)
    }
}

impl JobStatus {
    /// Reads the answer. While a job runs, codes may be absent and parts missing; a state that is
    /// not known is not over.
    ///
    /// # Errors
    /// Says what is missing from an answer that is no job's.
    pub(super) fn parse(answer: &Value) -> Result<Self, String> {
        if text(answer, "status").is_none() {
            return Err("a job without a status".to_owned());
        }
        let sub_jobs = answer.pointer("/entities/sub_jobs");
        let sub_jobs = sub_jobs.and_then(Value::as_array);
        Ok(Self {
            state: state(answer),
            sub_jobs: sub_jobs.into_iter().flatten().map(SubJob::parse).collect(),
        })
    }
}

impl SubJob {
    fn parse(part: &Value) -> Self {
        let server = part.pointer("/entities/server_id").and_then(Value::as_str);
        let server = server.filter(|id| !id.is_empty()).map(ServerId::new);
        match state(part) {
            JobState::Running => Self::Pending,
            JobState::Succeeded => {
                let ended = text(part, "end_time").and_then(|at| at.parse().ok());
                Self::Succeeded { server, ended }
            }
            JobState::Failed(failure) => Self::Failed { server, failure },
        }
    }
}

fn state(job: &Value) -> JobState {
    match text(job, "status") {
        Some("SUCCESS") => JobState::Succeeded,
        Some("FAIL") => JobState::Failed(Failure {
            code: text(job, "error_code").unwrap_or_default().to_owned(),
            words: text(job, "fail_reason").unwrap_or_default().to_owned(),
        }),
        _ => JobState::Running,
    }
}

fn text<'a>(job: &'a Value, key: &str) -> Option<&'a str> {
    job.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_cause_is_the_parts_and_what_succeeded_is_kept() {
        let answer = json!({"status":"FAIL","job_id":"ff80","job_type":"createServer",
            "error_code":"Common.0021","fail_reason":"CollectInfoTask-fail:[…] ",
            "entities":{"sub_jobs_total":2,"sub_jobs":[
                {"status":"SUCCESS","error_code":null,"fail_reason":null,
                 "end_time":"2026-01-22T10:16:20.006Z","entities":{"server_id":"uuid-a"}},
                {"status":"FAIL","error_code":"Ecs.0219","fail_reason":"No valid host was found.",
                 "entities":{"server_id":"uuid-b","errorcode_message":"…"}}]}});
        let job = JobStatus::parse(&answer).unwrap();
        assert!(matches!(job.state, JobState::Failed(_)));
        let failure = Failure {
            code: "Ecs.0219".to_owned(),
            words: "No valid host was found.".to_owned(),
        };
        assert_eq!(failure.class(), Class::Capacity);
        let server = Some(ServerId::new("uuid-b"));
        assert_eq!(
            job.sub_jobs,
            [
                SubJob::Succeeded {
                    server: Some(ServerId::new("uuid-a")),
                    ended: Some("2026-01-22T10:16:20.006Z".parse().unwrap()),
                },
                SubJob::Failed { server, failure }
            ]
        );
    }

    #[test]
    fn a_running_job_is_read_without_codes_parts_or_ids() {
        let early = json!({"status":"INIT","end_time":""});
        let job = JobStatus::parse(&early).unwrap();
        assert_eq!((job.state, job.sub_jobs), (JobState::Running, vec![]));
        let running = json!({"status":"RUNNING","end_time":"","entities":{"sub_jobs":[
            {"status":"RUNNING","end_time":"","entities":{}},
            {"status":"A_NEW_WORD","entities":{"server_id":"x"}}]}});
        let job = JobStatus::parse(&running).unwrap();
        assert_eq!(job.sub_jobs, [SubJob::Pending, SubJob::Pending]);
    }

    #[test]
    fn a_deletion_whose_entities_are_a_list_is_read() {
        let answer = json!({"status":"SUCCESS","entities":{"sub_jobs":[
            {"status":"SUCCESS","entities":[]}]}});
        let job = JobStatus::parse(&answer).unwrap();
        let (server, ended) = (None, None);
        assert_eq!(job.sub_jobs, [SubJob::Succeeded { server, ended }]);
    }
}
