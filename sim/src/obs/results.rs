//! `_result` and `_builddepinfo`: the documents that are as long as a project is large.

use super::documents::{Xml, xml};
use super::jobs::{Code, Job, Target, digest};
use super::world::World;
use std::collections::BTreeMap;

/// What of `_result` is asked for; an empty list asks for all.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) project: String,
    pub(super) repositories: Vec<String>,
    pub(super) arches: Vec<String>,
    pub(super) packages: Vec<String>,
    pub(super) codes: Vec<String>,
    pub(super) multibuild: bool,
    pub(super) summary: bool,
}

impl Wanted {
    fn has(list: &[String], word: &str) -> bool {
        list.is_empty() || list.iter().any(|each| each == word)
    }

    fn target(&self, target: &Target) -> bool {
        target.project == self.project
            && Self::has(&self.repositories, &target.repository)
            && Self::has(&self.arches, target.arch)
    }

    fn job(&self, job: &Job) -> bool {
        let base = job.package.split(':').next().unwrap_or_default();
        let is_flavor = base.len() < job.package.len();
        let named = Self::has(&self.packages, &job.package)
            || self.multibuild && Self::has(&self.packages, base);
        named
            && (self.multibuild || !is_flavor || !self.packages.is_empty())
            && Self::has(&self.codes, job.code.as_str())
    }
}

/// The results of a project; `None` where there is no such project.
pub(super) fn result(world: &World, wanted: &Wanted) -> Option<String> {
    let mut targets = world.targets.iter();
    if !targets.any(|target| target.project == wanted.project) {
        return None;
    }
    let mut xml = Xml::default();
    xml!(
        xml,
        "<resultlist state=\"{}\">",
        digest(&wanted.project, world.version)
    );
    for target in world.targets.iter().filter(|t| wanted.target(t)) {
        let code = if target.in_hand > 0 {
            "building"
        } else {
            "published"
        };
        xml!(
            xml,
            "  <result project=\"{}\" repository=\"{}\" arch=\"{}\" code=\"{code}\" state=\"{code}\">",
            target.project,
            target.repository,
            target.arch
        );
        let jobs = target.jobs.iter().filter(|job| wanted.job(job));
        if wanted.summary {
            summary(&mut xml, jobs);
        } else {
            jobs.for_each(|job| status(&mut xml, target, job, "    "));
        }
        xml!(xml, "  </result>");
    }
    xml!(xml, "</resultlist>");
    Some(xml.end())
}

fn summary<'a>(xml: &mut Xml, jobs: impl Iterator<Item = &'a Job>) {
    let mut counts = BTreeMap::<Code, usize>::new();
    jobs.for_each(|job| *counts.entry(job.code).or_default() += 1);
    xml!(xml, "    <summary>");
    for (code, count) in counts {
        xml!(
            xml,
            "      <statuscount code=\"{}\" count=\"{count}\" />",
            code.as_str()
        );
    }
    xml!(xml, "    </summary>");
}

/// A package's status, with OBS' details where the code has some.
pub(super) fn status(xml: &mut Xml, target: &Target, job: &Job, indent: &str) {
    let (package, code) = (&job.package, job.code.as_str());
    let details = match job.code {
        Code::Building => format!("building on {}", job.workerid),
        Code::Blocked => {
            let needs = job.needs.and_then(|needs| target.jobs.get(needs));
            needs.map(|job| job.package.clone()).unwrap_or_default()
        }
        Code::Unresolvable => "nothing provides there-is-no-such-thing".to_owned(),
        Code::Succeeded | Code::Failed | Code::Scheduled | Code::Disabled | Code::Excluded => {
            xml!(
                xml,
                "{indent}<status package=\"{package}\" code=\"{code}\" />"
            );
            return;
        }
    };
    xml!(
        xml,
        "{indent}<status package=\"{package}\" code=\"{code}\">"
    );
    xml!(xml, "{indent}  <details>{details}</details>");
    xml!(xml, "{indent}</status>");
}

/// `_builddepinfo`: what is built with what.
pub(super) fn dependencies(target: &Target) -> String {
    let mut xml = Xml::default();
    xml!(xml, "<builddepinfo>");
    for job in &target.jobs {
        let source = job.package.split(':').next().unwrap_or_default();
        xml!(xml, "  <package name=\"{}\">", job.package);
        xml!(xml, "    <source>{source}</source>");
        if let Some(needs) = job.needs.and_then(|needs| target.jobs.get(needs)) {
            xml!(xml, "    <pkgdep>{}</pkgdep>", needs.package);
        }
        xml!(xml, "    <subpkg>{source}</subpkg>");
        xml!(xml, "  </package>");
    }
    xml!(xml, "</builddepinfo>");
    xml.end()
}
