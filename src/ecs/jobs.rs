//! A job of the cloud: its parts are the truth, its own status only says whether it is over. The code of a
//! failed job is often a wrapper (`Common.0021`).

use super::error::class_of_code;
use super::types::timestamp;
use crate::cloud::{Failure, JobState, JobStatus, SubJob};
use crate::model::{Class, ServerId};
use serde_json::Value;

/// The operation's name in errors and metrics.
pub(super) const OPERATION: &str = "job";

/// Reads the answer of `GET /v1/{project}/jobs/{job}` (page "Querying Task Execution Status"). While a
/// job runs, codes may be absent and parts missing; a state that is not known is not over.
///
/// # Errors
/// Says what is missing from an answer that is no job's.
pub(super) fn read(answer: &Value) -> Result<JobStatus, String> {
    if text(answer, "status").is_none() {
        return Err("a job without a status".to_owned());
    }
    let sub_jobs = answer.pointer("/entities/sub_jobs");
    let sub_jobs = sub_jobs.and_then(Value::as_array);
    Ok(JobStatus {
        state: state(answer),
        sub_jobs: sub_jobs.into_iter().flatten().map(part).collect(),
    })
}

fn part(part: &Value) -> SubJob {
    let server = part.pointer("/entities/server_id").and_then(Value::as_str);
    let server = server.filter(|id| !id.is_empty()).map(ServerId::new);
    let ended = text(part, "end_time").and_then(|at| timestamp(at).ok());
    match state(part) {
        JobState::Running => SubJob::Pending,
        JobState::Succeeded => SubJob::Succeeded { server, ended },
        JobState::Failed(failure) => SubJob::Failed {
            server,
            failure,
            ended,
        },
    }
}

fn state(job: &Value) -> JobState {
    match text(job, "status") {
        Some("SUCCESS") => JobState::Succeeded,
        Some("FAIL") => {
            let code = text(job, "error_code").unwrap_or_default();
            JobState::Failed(Failure {
                class: class_of_code(code).unwrap_or(Class::Unknown),
                code: code.to_owned(),
                words: text(job, "fail_reason").unwrap_or_default().to_owned(),
            })
        }
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
        let job = read(&answer).unwrap();
        assert!(matches!(job.state, JobState::Failed(_)));
        let failure = Failure {
            class: Class::Capacity,
            code: "Ecs.0219".to_owned(),
            words: "No valid host was found.".to_owned(),
        };
        assert_eq!(
            job.sub_jobs,
            [
                SubJob::Succeeded {
                    server: Some(ServerId::new("uuid-a")),
                    ended: Some("2026-01-22T10:16:20.006Z".parse().unwrap()),
                },
                SubJob::Failed {
                    server: Some(ServerId::new("uuid-b")),
                    failure,
                    ended: None,
                }
            ]
        );
    }

    #[test]
    fn a_running_job_is_read_without_codes_parts_or_ids() {
        let early = json!({"status":"INIT","end_time":""});
        let job = read(&early).unwrap();
        assert_eq!((job.state, job.sub_jobs), (JobState::Running, vec![]));
        let running = json!({"status":"RUNNING","end_time":"","entities":{"sub_jobs":[
            {"status":"RUNNING","end_time":"","entities":{}},
            {"status":"A_NEW_WORD","entities":{"server_id":"x"}}]}});
        let job = read(&running).unwrap();
        assert_eq!(job.sub_jobs, [SubJob::Pending, SubJob::Pending]);
    }

    #[test]
    fn a_deletion_whose_entities_are_a_list_is_read() {
        let answer = json!({"status":"SUCCESS","entities":{"sub_jobs":[
            {"status":"SUCCESS","entities":[]}]}});
        let job = read(&answer).unwrap();
        let (server, ended) = (None, None);
        assert_eq!(job.sub_jobs, [SubJob::Succeeded { server, ended }]);
    }
}
