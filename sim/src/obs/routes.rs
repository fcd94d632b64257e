//! Which document is asked for.

use super::documents as docs;
use super::jobs::{Job, JobRef, Target};
use super::results::{self, Wanted};
use super::world::World;
use std::collections::BTreeMap;

/// An answer: its status and its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) document: String,
}

impl Answer {
    pub(super) fn ok(document: String) -> Self {
        Self {
            status: 200,
            document,
        }
    }

    pub(super) fn refused(status: u16, summary: &str) -> Self {
        Self {
            status,
            document: docs::refusal(status, summary),
        }
    }
}

/// Pairs of a query, in order; a name may come again.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(name), unescape(value))
        };
        Self(pairs.map(pair).collect())
    }

    fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.clone()).collect()
    }

    fn one(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Undoes percent-encoding; what is none stays as it is.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = after;
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The kind of a path: what faults are set by.
pub(super) fn kind(path: &str) -> &'static str {
    let last = path.rsplit('/').next().unwrap_or_default();
    match last {
        "workerstatus" | "_workerstatus" | "_status" if path.split('/').count() <= 3 => {
            "workerstatus"
        }
        "_result" => "result",
        "_jobhistory" => "jobhistory",
        _ if path.starts_with("/worker/") => "worker",
        _ if path.starts_with("/source/") => "source",
        _ => "other",
    }
}

/// The answer to a GET.
pub(super) fn get(
    world: &World,
    path: &str,
    query: &Query,
    daemons: &BTreeMap<String, String>,
) -> Answer {
    let path: Vec<String> = path.split('/').skip(1).map(unescape).collect();
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let unknown = || Answer::refused(404, "unknown request");
    match parts.as_slice() {
        [""] => Answer::ok(
            "<hello name=\"Source Repository Server\" repoid=\"885215898\" />\n".to_owned(),
        ),
        ["workerstatus"] => Answer::ok(docs::worker_status(world, true, daemons)),
        ["build", "_workerstatus"] | ["worker", "_status" | "status"] => {
            Answer::ok(docs::worker_status(world, false, daemons))
        }
        ["worker", worker] => {
            let id = worker.split_once(':').map_or(*worker, |(_, id)| id);
            let found = docs::capabilities(world, id);
            found.map_or_else(|| Answer::refused(404, "unknown worker"), Answer::ok)
        }
        ["build" | "source"] => Answer::ok(docs::projects(world)),
        ["jobs", arch] => Answer::ok(docs::queue_of(world, arch)),
        ["jobs", arch, name] => queued_job(world, arch, name),
        ["build", project, "_result"] => result(world, project, query),
        ["build", project, repository, arch, rest @ ..] => {
            let mut targets = world.targets.iter();
            let target = targets.find(|t| {
                (t.project.as_str(), t.repository.as_str(), t.arch)
                    == (*project, *repository, *arch)
            });
            match target {
                Some(target) => of_target(world, target, rest, query),
                None => no_project(world, project),
            }
        }
        ["source", project, "_config"] if has_project(world, project) => {
            Answer::ok("Type: spec\nRepotype: none\n".to_owned())
        }
        ["source", project, "_config"] => no_project(world, project),
        ["source", project, package, "_constraints"] => constraints(world, project, package),
        _ => unknown(),
    }
}

fn has_project(world: &World, project: &str) -> bool {
    world.targets.iter().any(|target| target.project == project)
}

fn no_project(world: &World, project: &str) -> Answer {
    if has_project(world, project) {
        Answer::refused(404, "project has no such repository")
    } else {
        Answer::refused(404, &format!("project '{project}' does not exist"))
    }
}

fn result(world: &World, project: &str, query: &Query) -> Answer {
    let wanted = Wanted {
        project: project.to_owned(),
        repositories: query.all("repository"),
        arches: query.all("arch"),
        packages: query.all("package"),
        codes: query.all("code"),
        multibuild: query.one("multibuild") == Some("1"),
        summary: query.one("view") == Some("summary"),
    };
    results::result(world, &wanted).map_or_else(|| no_project(world, project), Answer::ok)
}

fn of_target(world: &World, target: &Target, rest: &[&str], query: &Query) -> Answer {
    let limit = |default| {
        query
            .one("limit")
            .and_then(|l| l.parse().ok())
            .unwrap_or(default)
    };
    let named = |name: &str| {
        let mut jobs = target.jobs.iter().enumerate();
        jobs.find(|(_, job)| job.package == name)
    };
    let unknown = || Answer::refused(404, "package does not exist");
    match rest {
        ["_jobhistory"] => {
            let (packages, codes) = (query.all("package"), query.all("code"));
            Answer::ok(docs::job_history(target, &packages, &codes, limit(100)))
        }
        ["_builddepinfo"] => Answer::ok(results::dependencies(target)),
        [package, page] => match named(package) {
            Some((index, job)) => of_package(world, target, (index, job), page, limit(1_000_000)),
            None => unknown(),
        },
        _ => unknown(),
    }
}

fn of_package(
    world: &World,
    target: &Target,
    (index, job): (usize, &Job),
    page: &str,
    limit: usize,
) -> Answer {
    match page {
        "_history" => Answer::ok(docs::history(target, index, limit)),
        "_status" => {
            let mut xml = docs::Xml::default();
            results::status(&mut xml, target, job, "");
            Answer::ok(xml.end())
        }
        "_jobstatus" => Answer::ok(docs::job_status(world, target, job)),
        "_reason" => Answer::ok(docs::reason(job)),
        "_statistics" if job.builds > 0 => Answer::ok(docs::statistics(job)),
        _ => Answer::refused(404, "no such file"),
    }
}

fn queued_job(world: &World, arch: &str, name: &str) -> Answer {
    let targets = world.targets.iter().filter(|t| t.arch == arch);
    let mut jobs = targets.flat_map(|t| t.jobs.iter().map(move |job| (t, job)));
    let found = jobs.find(|(target, job)| docs::job_name(target, job) == name);
    found.map_or_else(
        || Answer::refused(404, "unknown job"),
        |(target, job)| Answer::ok(docs::build_info(target, job)),
    )
}

fn constraints(world: &World, project: &str, package: &str) -> Answer {
    let targets = world.targets.iter().filter(|t| t.project == project);
    let mut jobs = targets.flat_map(|t| &t.jobs);
    match jobs.find(|job| job.package == package) {
        Some(Job {
            constraints: Some(text),
            ..
        }) => Answer::ok((*text).to_owned()),
        Some(_) => Answer::refused(404, "_constraints: no such file"),
        None => Answer::refused(404, &format!("package '{package}' does not exist")),
    }
}

/// `POST /build/PROJECT?cmd=restartbuild&repository=…&arch=…&package=…`.
pub(super) fn post(world: &mut World, path: &str, query: &Query, now: f64) -> Answer {
    let project = path
        .strip_prefix("/build/")
        .map(unescape)
        .unwrap_or_default();
    if query.one("cmd") != Some("restartbuild") {
        return Answer::refused(400, "unknown command");
    }
    if !has_project(world, &project) {
        return no_project(world, &project);
    }
    for of in wanted_jobs(world, &project, query) {
        world.restart(of, now);
    }
    Answer::ok("<status code=\"ok\" />\n".to_owned())
}

fn wanted_jobs(world: &World, project: &str, query: &Query) -> Vec<JobRef> {
    let has = |name: &str, word: &str| {
        query.all(name).is_empty() || query.all(name).iter().any(|w| w == word)
    };
    let targets = world.targets.iter().enumerate();
    let targets = targets.filter(|(_, t)| {
        t.project == project && has("repository", &t.repository) && has("arch", t.arch)
    });
    let jobs = targets.flat_map(|(target, t)| {
        t.jobs
            .iter()
            .enumerate()
            .map(move |(package, job)| (JobRef { target, package }, job))
    });
    jobs.filter(|(_, job)| has("package", &job.package))
        .map(|(of, _)| of)
        .collect()
}
