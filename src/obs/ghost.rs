//! Asking an instance whether it builds what OBS says, and freeing a job whose instance does not.

use super::client::{ObsClient, route};
use super::error::{Fault, ObsError};
use super::xml::{self, walk_text};
use crate::model::Build;
use jiff::Timestamp;
use reqwest::{StatusCode, Url};
use std::error::Error;
use std::time::Duration;

/// How long an instance may take to say what it builds.
const PATIENCE: Duration = Duration::from_secs(3);

/// OBS tells the instance to drop the job before it frees it, and waits 30 s for that.
const FREEING: Duration = Duration::from_secs(45);

const ELSEWHERE: &str = "OBS shows the job elsewhere";

/// What an instance says of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It builds it, or is there and was not asked for a certain one.
    Builds,
    /// It does not build it.
    Denies,
    /// Nobody is there: the machine refuses the connection.
    Refuses,
    /// No answer, or one that is not understood: that says nothing.
    Unclear,
}

/// How freeing a ghost ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freed {
    /// OBS took the job back: it waits again.
    Freed,
    /// It is none, or none any more: nothing was done.
    NoGhost(&'static str),
    /// Whether it still is one could not be found out, or OBS refused.
    Failed(String),
}

/// What OBS says of a job on an instance (`_jobstatus`).
#[derive(Debug, Default)]
struct JobStatus {
    building: bool,
    started: Option<Timestamp>,
    workerid: String,
    uri: Option<String>,
    jobid: Option<String>,
}

impl ObsClient {
    /// Asks the instance at `uri` for what it builds; for this job of OBS where its id is known.
    pub async fn ask_instance(&self, uri: &str, jobid: Option<&str>) -> Answered {
        let Ok(base) = Url::parse(uri) else {
            return Answered::Unclear;
        };
        let query = jobid.map(|id| ("jobid", id));
        let url = route(&base, &["worker"], query.as_slice());
        let asked = self.http.get(url).timeout(PATIENCE).send().await;
        let response = match asked {
            Err(error) if is_refused(&error) => return Answered::Refuses,
            Err(_) => return Answered::Unclear,
            Ok(response) => response,
        };
        match (response.status(), response.text().await) {
            (status, Ok(_)) if status.is_success() => Answered::Builds,
            (StatusCode::BAD_REQUEST, Ok(text)) if denies(&text) => Answered::Denies,
            _ => Answered::Unclear,
        }
    }

    /// Frees a ghost, after one more look at OBS and at the instance: `restartbuild` kills a build that
    /// runs.
    pub async fn free(&self, build: &Build) -> Freed {
        match self.still_a_ghost(build).await {
            Err(error) => Freed::Failed(error.to_string()),
            Ok(Err(why)) => Freed::NoGhost(why),
            Ok(Ok(())) => match self.restart(build).await {
                Ok(()) => Freed::Freed,
                Err(error) => Freed::Failed(error.to_string()),
            },
        }
    }

    /// Whether OBS still shows that very build, and the instance itself denies it or is not there. One
    /// that says nothing may build, whatever the lists say: a lost report leaves it idle in one of them.
    async fn still_a_ghost(&self, build: &Build) -> Result<Result<(), &'static str>, ObsError> {
        let workers = self.workers().await?;
        if !workers.builds.contains(build) {
            return Ok(Err("OBS does not show that build any more"));
        }
        let Some((uri, jobid)) = self.shown(build).await? else {
            return Ok(Err(ELSEWHERE));
        };
        let answered = self.ask_instance(&uri, Some(&jobid)).await;
        // Asking may have taken seconds, in which OBS may have given the job to another.
        if self.shown(build).await? != Some((uri, jobid)) {
            return Ok(Err(ELSEWHERE));
        }
        Ok(match answered {
            Answered::Denies | Answered::Refuses => Ok(()),
            Answered::Unclear => Err("the instance does not say"),
            Answered::Builds => Err("the instance builds it"),
        })
    }

    /// Where OBS says that this very build runs, and its job's id; `None` where it does not say so.
    async fn shown(&self, build: &Build) -> Result<Option<(String, String)>, ObsError> {
        let url = self.build_route(build, "_jobstatus");
        let status = self.get_short(url, job_status).await?;
        let same = status.building
            && status.started == build.started
            && status.workerid == build.instance.to_string();
        Ok(status.uri.zip(status.jobid).filter(|_| same))
    }

    async fn restart(&self, build: &Build) -> Result<(), ObsError> {
        let job = &build.job;
        let query = [
            ("cmd", "restartbuild"),
            ("repository", &job.repository),
            ("arch", &job.arch),
            ("package", &job.package),
        ];
        let url = route(&self.source, &["build", &job.project], &query);
        let asked = format!("POST {} restartbuild", url.path());
        let fail = |fault| ObsError::new(asked.clone(), fault);
        let sent = self
            .with_login(self.http.post(url))
            .timeout(FREEING)
            .send()
            .await;
        let response = sent.map_err(|error| fail(self.fault(error)))?;
        let status = response.status();
        let text = response
            .text()
            .await
            .map_err(|error| fail(self.fault(error)))?;
        if status.is_success() {
            return Ok(());
        }
        let (_, summary) = xml::refusal(&text).unwrap_or_default();
        let status = status.as_u16();
        Err(fail(Fault::refusal(status, summary)))
    }

    fn build_route(&self, build: &Build, of: &str) -> Url {
        let job = &build.job;
        let path = [
            "build",
            &job.project,
            &job.repository,
            &job.arch,
            &job.package,
            of,
        ];
        route(&self.source, &path, &[])
    }
}

/// `getstate` of `bs_worker`: the words in which an instance denies a job.
fn denies(text: &str) -> bool {
    ["not building a job", "building a different job"]
        .iter()
        .any(|words| text.contains(words))
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn job_status(document: &str) -> Result<JobStatus, super::error::Malformed> {
    let mut status = JobStatus::default();
    walk_text(document, "jobstatus", |element, text| {
        match element.path() {
            "jobstatus" => {
                status.building = element.find("code")?.as_deref() == Some("building");
            }
            "jobstatus/starttime" => {
                let second = text.parse().map_err(|_| element.odd("content", text))?;
                status.started = Timestamp::from_second(second).ok();
            }
            "jobstatus/workerid" => text.clone_into(&mut status.workerid),
            "jobstatus/uri" => status.uri = Some(text.to_owned()),
            "jobstatus/jobid" => status.jobid = Some(text.to_owned()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, backend, serve};
    use super::*;
    use std::sync::{Arc, Mutex};

    /// How OBS and the instance answer.
    #[derive(Clone, Copy)]
    struct Told {
        /// Seconds of `starttime`, in `workerstatus` and in `_jobstatus`.
        listed: u32,
        status: u32,
        /// What the instance says: status and words.
        instance: (u16, &'static str),
        /// Whether OBS lists the instance as idle besides.
        idle: bool,
        /// The job's id once the instance was asked.
        then: &'static str,
    }

    const GHOST: Told = Told {
        listed: 100,
        status: 100,
        instance: (
            400,
            "<status code='400'><summary>not building a job</summary></status>",
        ),
        idle: false,
        then: "j1",
    };

    /// Frees the build of second 100, and counts the calls of `restartbuild`.
    async fn free(told: Told) -> (Freed, usize) {
        let calls = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&calls);
        let own = Arc::new(Mutex::new(String::new()));
        let job = Arc::new(Mutex::new("j1"));
        let uri = Arc::clone(&own);
        let at = serve(move |route| {
            let uri = uri.lock().unwrap().clone();
            let id = *job.lock().unwrap();
            if route.starts_with("/worker?") {
                *job.lock().unwrap() = told.then;
            }
            if route.contains("cmd=restartbuild") {
                assert!(route.contains("/build/P?"), "{route}");
                assert!(route.contains("package=odd%3Aflavor"), "{route}");
                *counted.lock().unwrap() += 1;
            }
            async move {
                let idle = if told.idle { "<idle workerid='w:1' hostarch='x86_64'/>" } else { "" };
                match route {
                    r if r.starts_with("/workerstatus") => Answer::ok(format!(
                        "<workerstatus><building uri='{uri}' workerid='w:1' hostarch='x86_64' project='P' repository='r' package='odd:flavor' arch='x86_64' starttime='{}'/>{idle}</workerstatus>",
                        told.listed
                    )),
                    r if r.contains("/_jobstatus") => Answer::ok(format!(
                        "<jobstatus code='building'><starttime>{}</starttime><workerid>w:1</workerid><uri>{uri}</uri><jobid>{id}</jobid></jobstatus>",
                        told.status
                    )),
                    r if r == "/worker?jobid=j1" => Answer::with(told.instance.0, told.instance.1),
                    _ => Answer::ok("<status code='ok'/>"),
                }
            }
        })
        .await;
        *own.lock().unwrap() = format!("http://{at}");
        let client = ObsClient::new(&backend("b", at), Duration::from_secs(10)).unwrap();
        let build = Build {
            job: crate::model::PackageKey {
                project: "P".to_owned(),
                repository: "r".to_owned(),
                arch: "x86_64".to_owned(),
                package: "odd:flavor".to_owned(),
            },
            instance: crate::model::InstanceId::parse("w:1").unwrap(),
            started: Timestamp::from_second(100).ok(),
            uri: Some(format!("http://{at}")),
        };
        let freed = client.free(&build).await;
        let calls = *calls.lock().unwrap();
        (freed, calls)
    }

    #[tokio::test]
    async fn a_ghost_is_freed_once_its_instance_denies_it() {
        assert_eq!(free(GHOST).await, (Freed::Freed, 1));
        let other = (
            400,
            "<status code='400'><summary>building a different job</summary></status>",
        );
        let other = Told {
            instance: other,
            ..GHOST
        };
        assert_eq!(free(other).await, (Freed::Freed, 1));
    }

    #[tokio::test]
    async fn a_build_that_runs_or_may_run_is_never_restarted() {
        let builds = (200, "<worker/>");
        let cases = [
            Told {
                instance: builds,
                ..GHOST
            },
            Told {
                instance: builds,
                idle: true,
                ..GHOST
            },
            Told {
                instance: (500, ""),
                ..GHOST
            },
            Told {
                instance: (500, ""),
                idle: true,
                ..GHOST
            },
            Told {
                instance: (400, "busy"),
                ..GHOST
            },
            Told {
                listed: 101,
                ..GHOST
            },
            Told {
                status: 101,
                ..GHOST
            },
            Told {
                then: "j2",
                ..GHOST
            },
        ];
        for (case, told) in cases.into_iter().enumerate() {
            let (freed, calls) = free(told).await;
            assert!(matches!(freed, Freed::NoGhost(_)), "{case}: {freed:?}");
            assert_eq!(calls, 0, "{case}");
        }
    }
}
