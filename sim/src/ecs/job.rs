//! Jobs: what create, delete and power calls answer with (huawei-ecs reference §3).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::faults::Faults;

/// Where a job or sub job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Init,
    Running,
    Success,
    Fail,
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Running => "RUNNING",
            Self::Success => "SUCCESS",
            Self::Fail => "FAIL",
        }
    }

    fn ended(self) -> bool {
        matches!(self, Self::Success | Self::Fail)
    }
}

/// Why a sub job failed: the code and text that stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) code: String,
    pub(super) reason: String,
}

impl Cause {
    pub(super) fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: reason.into(),
        }
    }
}

/// The place of a sub job: its job and its index there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubRef {
    pub(super) job: String,
    pub(super) index: usize,
}

#[derive(Debug)]
pub(super) struct SubJob {
    id: String,
    status: Status,
    begin: Timestamp,
    end: Option<Timestamp>,
    cause: Option<Cause>,
    /// Shown once the server is there: ids can appear late.
    pub(super) server_id: Option<String>,
}

/// A job with one sub job per server.
#[derive(Debug)]
pub(super) struct Job {
    id: String,
    kind: Kind,
    status: Status,
    begin: Timestamp,
    end: Option<Timestamp>,
    subs: Vec<SubJob>,
}

/// What a job is about. The delete names are an inference of the reference, by analogy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Create,
    Delete,
    Start,
    Stop,
    Reboot,
    /// The end of a volume: EVS's job, which has no sub jobs.
    Volume,
}

impl Kind {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("createServer", "createSingleServer"),
            // The documents name the types of a creation only.
            Self::Delete => ("deleteServer", "deleteSingleServer"),
            Self::Start => ("startServer", "startSingleServer"),
            Self::Stop => ("stopServer", "stopSingleServer"),
            Self::Reboot => ("rebootServer", "rebootSingleServer"),
            Self::Volume => ("deleteVolume", "deleteVolume"),
        }
    }
}

impl Job {
    pub(super) fn new(id: String, kind: Kind, sub_ids: Vec<String>, begin: Timestamp) -> Self {
        let sub = |id| SubJob {
            id,
            status: Status::Init,
            begin,
            end: None,
            cause: None,
            server_id: None,
        };
        Self {
            id,
            kind,
            status: Status::Init,
            begin,
            end: None,
            subs: sub_ids.into_iter().map(sub).collect(),
        }
    }

    /// From INIT, where it has no sub jobs to show, to RUNNING.
    pub(super) fn start(&mut self) {
        if self.status == Status::Init {
            self.status = Status::Running;
        }
        for sub in &mut self.subs {
            if sub.status == Status::Init {
                sub.status = Status::Running;
            }
        }
    }

    pub(super) fn sub_mut(&mut self, index: usize) -> Option<&mut SubJob> {
        self.subs.get_mut(index)
    }

    pub(super) fn sub_ended(&self, index: usize) -> bool {
        self.subs.get(index).is_none_or(|sub| sub.status.ended())
    }

    /// Ends one sub job, and the job with the last of them.
    pub(super) fn end_sub(&mut self, index: usize, outcome: Result<(), Cause>, at: Timestamp) {
        self.start();
        if let Some(sub) = self.subs.get_mut(index).filter(|sub| !sub.status.ended()) {
            sub.status = if outcome.is_ok() {
                Status::Success
            } else {
                Status::Fail
            };
            sub.cause = outcome.err();
            sub.end = Some(at);
        }
        if self.subs.iter().all(|sub| sub.status.ended()) && self.end.is_none() {
            // The documents do not say how a job ends of which only a part failed: here it fails, and a client
            // that believed it would lose the servers that came to be.
            let failed = self.subs.iter().any(|sub| sub.status == Status::Fail);
            self.status = if failed {
                Status::Fail
            } else {
                Status::Success
            };
            self.end = Some(at);
        }
    }

    /// The answer to `GET …/jobs/{id}`: error fields are absent until the end, and on FAIL the
    /// job itself carries only the wrapper `Common.0021`.
    pub(super) fn view(&self) -> Value {
        let (kind, _) = self.kind.names();
        let mut map = head(&self.id, kind, self.status, self.begin, self.end);
        let wrapper = Cause::new("Common.0021", "CollectInfoTask-fail:[Sub job fail!]");
        let cause = (self.status == Status::Fail).then_some(&wrapper);
        put_cause(&mut map, self.status, cause);
        map.insert("entities".to_owned(), self.entities());
        Value::Object(map)
    }

    /// The same, as the faults in force have it.
    pub(super) fn shown(&self, faults: &Faults, now: Timestamp) -> Value {
        let mut view = self.view();
        let late = SignedDuration::try_from_secs_f64(faults.job_shows_late_seconds);
        if late.is_ok_and(|late| now < self.begin + late) {
            let (kind, _) = self.kind.names();
            let mut bare = head(&self.id, kind, Status::Running, self.begin, None);
            bare.insert("entities".to_owned(), json!({}));
            return Value::Object(bare);
        }
        let subs = view
            .pointer_mut("/entities/sub_jobs")
            .and_then(Value::as_array_mut);
        for sub in subs
            .into_iter()
            .flatten()
            .filter(|_| faults.job_entities_array)
        {
            let entities = sub.get_mut("entities").map(Value::take);
            if let (Some(sub), Some(entities)) = (sub.as_object_mut(), entities) {
                sub.insert("entities".to_owned(), json!([entities]));
            }
        }
        view
    }

    fn entities(&self) -> Value {
        if self.kind == Kind::Volume {
            let volume = self.subs.first().and_then(|sub| sub.server_id.as_ref());
            return json!({"volume_id": volume});
        }
        if self.status == Status::Init {
            return json!({});
        }
        let subs: Vec<Value> = self.subs.iter().map(|sub| sub.view(self.kind)).collect();
        json!({"sub_jobs_total": subs.len(), "sub_jobs": subs})
    }
}

impl SubJob {
    fn view(&self, kind: Kind) -> Value {
        let (_, kind) = kind.names();
        let mut map = head(&self.id, kind, self.status, self.begin, self.end);
        put_cause(&mut map, self.status, self.cause.as_ref());
        let mut entities = Map::new();
        if let Some(id) = &self.server_id {
            entities.insert("server_id".to_owned(), json!(id));
        }
        if let Some(cause) = &self.cause {
            entities.insert("errorcode_message".to_owned(), json!(cause.reason));
        }
        map.insert("entities".to_owned(), Value::Object(entities));
        Value::Object(map)
    }
}

fn head(
    id: &str,
    kind: &str,
    status: Status,
    begin: Timestamp,
    end: Option<Timestamp>,
) -> Map<String, Value> {
    let millis = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let fields = [
        ("status", status.text().to_owned()),
        ("job_id", id.to_owned()),
        ("job_type", kind.to_owned()),
        ("begin_time", millis(begin)),
        // The empty text, not null, while it runs (ISS terraform-provider-huaweicloud#1944).
        ("end_time", end.map(millis).unwrap_or_default()),
    ];
    fields
        .into_iter()
        .map(|(k, v)| (k.to_owned(), json!(v)))
        .collect()
}

fn put_cause(map: &mut Map<String, Value>, status: Status, cause: Option<&Cause>) {
    if status.ended() {
        map.insert("error_code".to_owned(), json!(cause.map(|c| &c.code)));
        map.insert("fail_reason".to_owned(), json!(cause.map(|c| &c.reason)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job::new(
            "ff80".into(),
            Kind::Create,
            vec!["a".into(), "b".into()],
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn an_init_job_shows_no_sub_jobs_and_no_error_fields() {
        let view = job().view();
        assert_eq!(view["status"], "INIT");
        assert_eq!(view["end_time"], "");
        assert_eq!(view["entities"], json!({}));
        assert!(view.get("error_code").is_none());
        assert!(view.get("fail_reason").is_none());
    }

    #[test]
    fn the_real_cause_of_a_failure_stands_in_the_sub_job() {
        let mut job = job();
        let cause = Cause::new("Ecs.0219", "No valid host was found.");
        job.end_sub(0, Err(cause), Timestamp::UNIX_EPOCH);
        assert_eq!(job.view()["status"], "RUNNING");
        assert!(
            job.view()["entities"]["sub_jobs"][1]
                .get("error_code")
                .is_none()
        );
        job.end_sub(1, Ok(()), Timestamp::UNIX_EPOCH);
        let view = job.view();
        assert_eq!(view["status"], "FAIL");
        assert_eq!(view["error_code"], "Common.0021");
        assert_eq!(view["entities"]["sub_jobs"][0]["error_code"], "Ecs.0219");
        assert_eq!(view["entities"]["sub_jobs"][1]["error_code"], Value::Null);
        assert_eq!(view["end_time"], "1970-01-01T00:00:00.000Z");
    }
}
