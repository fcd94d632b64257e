//! Which document a request asks for (bs_srcserver and bs_repserver, their tables of routes).

use std::borrow::Cow;

use super::faults::Part;
use super::model::{JobRef, Millis, Package, State, Target};
use super::packages;
use super::results;
use super::worker_status::{self, Server, arches, capabilities};
use super::world::World;
use super::xml::{Doc, directory};
use crate::encoding;

/// An answer that is an error: OBS' status and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: u16, text: String) -> Self {
        Self { status, text }
    }

    pub(super) fn not_found(text: String) -> Self {
        Self::new(404, text)
    }

    /// OBS' error document.
    pub(super) fn document(&self) -> String {
        let mut doc = Doc::default();
        doc.open("status", &[("code", self.status.to_string().into())]);
        doc.text("summary", &self.text);
        doc.text("details", &format!("{} {}", self.status, self.text));
        doc.finish()
    }
}

/// The parameters of a request; each may stand there more than once.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let utf8 = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let pairs = encoding::pairs(text).into_iter();
        Self(pairs.map(|(key, value)| (utf8(key), utf8(value))).collect())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    pub(super) fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.one(name).is_some_and(|value| value != "0")
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let Some(text) = self.one(name) else {
            return Ok(None);
        };
        let bad = |_| Refusal::new(400, format!("not a number: '{text}'"));
        text.parse().map(Some).map_err(bad)
    }
}

/// The parts of a path, decoded.
pub(super) fn parts(path: &str) -> Vec<String> {
    let path = path.trim_matches('/').split('/');
    path.map(|part| String::from_utf8_lossy(&encoding::decode(part)).into_owned())
        .collect()
}

/// Which faults a path is subject to.
pub(super) fn part_of(path: &[&str], is_command: bool) -> Option<Part> {
    Some(match path {
        _ if is_command => Part::Command,
        ["workerstatus"] | ["build", "_workerstatus"] | ["worker", "_status" | "status"] => {
            Part::WorkerStatus
        }
        ["worker", _] => Part::Worker,
        ["build", _, "_result"] => Part::Result,
        ["build", _, _, _, "_jobhistory"] => Part::JobHistory,
        ["build", _, _, _, "_builddepinfo"] => Part::BuildDepInfo,
        ["build", _, _, _, _, _] => Part::Package,
        ["jobs", ..] => Part::Jobs,
        ["source", ..] => Part::Source,
        ["build", ..] => Part::Projects,
        _ => return None,
    })
}

/// The document of a GET.
pub(super) fn answer(world: &World, path: &[&str], query: &Query) -> Result<String, Refusal> {
    match *path {
        ["workerstatus"] => Ok(worker_status::document(world, Server::Repository, false)),
        ["build", "_workerstatus"] => Ok(worker_status::document(world, Server::Source, false)),
        ["worker", id] => capabilities(world, id)
            .ok_or_else(|| Refusal::not_found("remote error: unknown worker".to_owned())),
        ["build"] => Ok(directory(world.projects().into_iter().map(Cow::Borrowed))),
        ["build", project] => repositories(world, project),
        ["build", project, "_result"] => results::document(world, project, query),
        ["build", project, repository] => targets_of(world, project, repository),
        ["build", project, repository, arch, "_jobhistory"] => {
            packages::job_history(world.target(project, repository, arch)?, query)
        }
        ["build", project, repository, arch, "_builddepinfo"] => {
            let target = world.target(project, repository, arch)?;
            Ok(packages::dependencies(target, query))
        }
        ["build", project, repository, arch, package, what] => {
            let target = world.target(project, repository, arch)?;
            of_package(target, package, what, query)
        }
        ["jobs"] => Ok(directory(arches(world).into_iter().map(Cow::Borrowed))),
        ["jobs", arch] => Ok(jobs(world, arch)),
        ["jobs", arch, job] => queued(world, arch, job, query),
        ["source", project, "_config"] => prjconf(world, project),
        ["source", project, package, "_constraints"] => constraints(world, project, package),
        _ => Err(unknown(path)),
    }
}

pub(super) fn unknown(path: &[&str]) -> Refusal {
    Refusal::new(400, format!("unknown request: /{}", path.join("/")))
}

/// The whole document that lists nothing, for [`super::Fault::Empty`].
pub(super) fn nothing(world: &World, path: &[&str], part: Part) -> String {
    let mut doc = Doc::default();
    match part {
        Part::WorkerStatus => {
            let server = if path == ["workerstatus"] {
                Server::Repository
            } else {
                Server::Source
            };
            return worker_status::document(world, server, true);
        }
        Part::Result => doc.empty("resultlist", &[("state", "0".repeat(32).into())]),
        Part::JobHistory => doc.empty("jobhistlist", &[]),
        Part::BuildDepInfo => doc.empty("builddepinfo", &[]),
        Part::Package => doc.empty("buildhistory", &[]),
        Part::Jobs | Part::Projects => doc.empty("directory", &[]),
        Part::Worker => doc.empty("worker", &[]),
        Part::Source => doc.empty("constraints", &[]),
        Part::Command => doc.empty("status", &[("code", "ok".into())]),
    }
    doc.finish()
}

fn repositories(world: &World, project: &str) -> Result<String, Refusal> {
    let targets = world.project(project)?;
    let mut names: Vec<&str> = targets.iter().map(|t| &*t.repository).collect();
    names.dedup();
    Ok(directory(names.into_iter().map(Cow::Borrowed)))
}

fn targets_of(world: &World, project: &str, repository: &str) -> Result<String, Refusal> {
    let targets = world.repository(project, repository)?;
    Ok(directory(targets.iter().map(|t| Cow::Borrowed(&*t.arch))))
}

fn of_package(target: &Target, name: &str, what: &str, query: &Query) -> Result<String, Refusal> {
    let unknown = || Refusal::not_found(format!("package '{name}' does not exist"));
    let (at, package) = target.find(name).ok_or_else(unknown)?;
    match what {
        "_history" => packages::history(target, at, query),
        "_status" => Ok(packages::status(target, package)),
        "_jobstatus" => Ok(packages::job_status(package)),
        "_reason" => Ok(packages::build_reason(package)),
        "_statistics" => packages::statistics(package),
        _ => Err(Refusal::not_found(format!(
            "{what}: No such file or directory"
        ))),
    }
}

/// The packages of an architecture that have a job file.
fn queue<'a>(world: &'a World, arch: &str) -> impl Iterator<Item = (&'a Target, &'a Package)> {
    let targets = world.targets.iter().filter(move |t| &*t.arch == arch);
    let all = targets.flat_map(|t| t.packages.iter().map(move |p| (t, p)));
    all.filter(|(_, p)| matches!(p.state, State::Scheduled | State::Building(_)))
}

fn jobs(world: &World, arch: &str) -> String {
    directory(queue(world, arch).map(|(t, p)| t.job_name(p).into()))
}

fn queued(world: &World, arch: &str, job: &str, query: &Query) -> Result<String, Refusal> {
    let found = queue(world, arch).find(|(t, p)| t.job_name(p) == job);
    let (target, package) = found.ok_or_else(|| Refusal::not_found("no such job".to_owned()))?;
    match query.one("view") {
        None => Ok(packages::queued(target, package)),
        Some("status") => Ok(packages::queued_status(target, package)),
        Some(view) => Err(Refusal::new(400, format!("unknown view '{view}'"))),
    }
}

fn prjconf(world: &World, project: &str) -> Result<String, Refusal> {
    world.project(project)?;
    Ok("Prefer: gcc\nConstraint: hardware:processors 1\n".to_owned())
}

fn constraints(world: &World, project: &str, package: &str) -> Result<String, Refusal> {
    let targets = world.project(project)?;
    let mut found = targets.iter().filter_map(|t| t.find(package)).peekable();
    if found.peek().is_none() {
        let text = format!("package '{package}' does not exist in project '{project}'");
        return Err(Refusal::not_found(text));
    }
    let none = || Refusal::not_found("_constraints: no such file".to_owned());
    found
        .find_map(|(_, p)| packages::constraints(p))
        .ok_or_else(none)
}

impl World {
    /// The names of the projects, sorted.
    pub(super) fn projects(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.targets.iter().map(|t| &*t.project).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The targets of a project, in the project's order.
    pub(super) fn project(&self, name: &str) -> Result<Vec<&Target>, Refusal> {
        let targets: Vec<&Target> = self
            .targets
            .iter()
            .filter(|t| &*t.project == name)
            .collect();
        if targets.is_empty() {
            let text = format!("project '{name}' does not exist");
            return Err(Refusal::not_found(text));
        }
        Ok(targets)
    }

    fn repository(&self, project: &str, name: &str) -> Result<Vec<&Target>, Refusal> {
        let mut targets = self.project(project)?;
        targets.retain(|target| &*target.repository == name);
        if targets.is_empty() {
            let text = format!("project '{project}' has no repository '{name}'");
            return Err(Refusal::not_found(text));
        }
        Ok(targets)
    }

    /// One architecture of a repository.
    pub(super) fn target(
        &self,
        project: &str,
        repository: &str,
        arch: &str,
    ) -> Result<&Target, Refusal> {
        let targets = self.repository(project, repository)?;
        let found = targets.into_iter().find(|target| &*target.arch == arch);
        found.ok_or_else(|| {
            let text = format!("repository '{project}/{repository}' has no architecture '{arch}'");
            Refusal::not_found(text)
        })
    }

    /// `POST /build/PRJ?cmd=restartbuild`: the build is given up and its job waits again.
    pub(super) fn restart_build(
        &mut self,
        project: &str,
        query: &Query,
        now: Millis,
    ) -> Result<(), Refusal> {
        self.project(project)?;
        let wanted = |name: &str, value: &str| {
            let mut all = query.all(name).peekable();
            all.peek().is_none() || all.any(|one| one == value)
        };
        let of = |job: &JobRef| {
            let target = self.targets.get(job.target)?;
            let package = target.packages.get(job.package)?;
            let hit = &*target.project == project
                && wanted("repository", &target.repository)
                && wanted("arch", &target.arch)
                && wanted("package", &package.name);
            hit.then_some((*job, package.state.build()?.number))
        };
        let freed: Vec<(JobRef, u64)> = self.building.iter().filter_map(of).collect();
        if freed.is_empty() {
            return Err(Refusal::new(400, "remote error: not building".to_owned()));
        }
        for (job, number) in freed {
            if let Some(at) = self.builder_of(job, number) {
                self.leave_build(at, now);
            }
            self.free(job);
        }
        Ok(())
    }
}
