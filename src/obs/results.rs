//! `/build/PROJECT/_result?view=status&multibuild=1` of the source server: packages and their jobs.

use super::error::Malformed;
use super::xml::{Element, walk};
use crate::model::{Job, JobState, PackageKey, Results};
use std::io::BufRead;

pub(super) fn parse(document: impl BufRead) -> Result<Results, Malformed> {
    let mut results = Results::default();
    let mut now: Option<Counted> = None;
    walk(document, "resultlist", |element| {
        match (element.path(), &mut now) {
            ("resultlist/result", now) => {
                if let Some(before) = now.replace(Counted::of(Target::read(element)?)) {
                    before.add_to(&mut results);
                }
            }
            ("resultlist/result/status", Some(counted)) => {
                let [package, code] = element.peek_needed(["package", "code"])?;
                counted.count(&code);
                if let Some(state) = job_state(&code) {
                    results.jobs.push(Job {
                        key: counted.target.package(package.into_owned()),
                        state,
                        seen_waiting: None,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    if let Some(last) = now {
        last.add_to(&mut results);
    }
    Ok(results)
}

/// A repository of a project, for one of its architectures: what has a job history of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The project.
    pub project: String,
    /// The repository.
    pub repository: String,
    /// The repository's architecture.
    pub arch: String,
}

impl Target {
    fn read(element: &Element<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            project: element.need("project")?,
            repository: element.need("repository")?,
            arch: element.need("arch")?,
        })
    }

    /// A package of it.
    #[must_use]
    pub fn package(&self, package: String) -> PackageKey {
        PackageKey {
            project: self.project.clone(),
            repository: self.repository.clone(),
            arch: self.arch.clone(),
            package,
        }
    }

    /// Project, repository and architecture.
    #[must_use]
    pub fn names(&self) -> [&str; 3] {
        [&self.project, &self.repository, &self.arch].map(|name| &**name)
    }

    /// Every target that has a package.
    #[must_use]
    pub fn all_of(results: &Results) -> std::collections::BTreeSet<Self> {
        let target = |(project, repository, arch, _): &(String, String, String, String)| Self {
            project: project.clone(),
            repository: repository.clone(),
            arch: arch.clone(),
        };
        results.packages.keys().map(target).collect()
    }
}

/// A target, and how many of its packages stand at each code. There are about 15 codes, so a list is
/// looked through faster than a map; a line of a known code allocates nothing.
struct Counted {
    target: Target,
    codes: Vec<(String, u64)>,
}

impl Counted {
    const fn of(target: Target) -> Self {
        Self {
            target,
            codes: Vec::new(),
        }
    }

    fn count(&mut self, code: &str) {
        match self.codes.iter_mut().find(|(known, _)| known == code) {
            Some((_, count)) => *count += 1,
            None => self.codes.push((code.to_owned(), 1)),
        }
    }

    /// OBS may list a target twice, so counts are added up.
    fn add_to(self, results: &mut Results) {
        for (code, count) in self.codes {
            let Target {
                project,
                repository,
                arch,
            } = self.target.clone();
            let key = (project, repository, arch, code);
            *results.packages.entry(key).or_default() += count;
        }
    }
}

/// A job that is being dispatched has left the queue; one that is signing or finished has left its
/// instance.
fn job_state(code: &str) -> Option<JobState> {
    match code {
        "scheduled" => Some(JobState::Scheduled),
        "dispatching" | "building" => Some(JobState::Building),
        "blocked" => Some(JobState::Blocked),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &str) -> Result<Results, Malformed> {
        super::parse(document.as_bytes())
    }

    const BUILDING: &str = include_str!("../../tests/data/obs/result-building.xml");
    const BLOCKED: &str = include_str!("../../tests/data/obs/result-blocked.xml");

    /// Scheduled, building, blocked.
    fn jobs(results: &Results) -> [usize; 3] {
        JobState::ALL.map(|state| results.jobs.iter().filter(|j| j.state == state).count())
    }

    #[test]
    fn every_capture_reads_as_counted_by_hand() {
        let building = parse(BUILDING).unwrap();
        assert_eq!(jobs(&building), [16, 5, 0]);
        assert_eq!(building.packages.values().sum::<u64>(), 44);
        let key = |arch: &str, code: &str| {
            let repository = format!("standard_{arch}");
            let project = "openEuler:Mainline".to_owned();
            (project, repository, arch.to_owned(), code.to_owned())
        };
        assert_eq!(building.packages[&key("x86_64", "unresolvable")], 4);
        assert_eq!(building.packages[&key("aarch64", "unresolvable")], 5);

        let blocked = parse(BLOCKED).unwrap();
        assert_eq!(jobs(&blocked), [2, 2, 1]);
        assert_eq!(Target::all_of(&blocked).len(), 2);
    }

    #[test]
    fn a_multibuild_flavor_is_a_package_of_its_own() {
        let results = parse(BUILDING).unwrap();
        let packages = results.jobs.iter().map(|job| job.key.package.as_str());
        assert_eq!(packages.filter(|p| p.starts_with("multi")).count(), 6);
    }

    #[test]
    fn a_document_cut_anywhere_is_an_error_and_not_a_shorter_queue() {
        for end in 0..BUILDING.trim_end().len() {
            assert!(parse(&BUILDING[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_package_without_a_code_is_an_error() {
        let result = "<result project='p' repository='r' arch='a'><status package='x'/></result>";
        assert!(parse(&format!("<resultlist>{result}</resultlist>")).is_err());
        let result = "<result project='p' repository='r'><status package='x' code='y'/></result>";
        assert!(parse(&format!("<resultlist>{result}</resultlist>")).is_err());
    }

    #[test]
    fn a_job_on_its_way_to_an_instance_does_not_wait_and_one_that_is_built_is_none() {
        let line = |code| format!("<status package='{code}' code='{code}'/>");
        let lines = ["dispatching", "signing", "finished", "odd"]
            .map(line)
            .join("");
        let result = format!("<result project='p' repository='r' arch='a'>{lines}</result>");
        let results = parse(&format!("<resultlist>{result}</resultlist>")).unwrap();
        assert_eq!(jobs(&results), [0, 1, 0]);
        assert_eq!(results.packages.len(), 4);
    }
}
