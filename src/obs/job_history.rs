//! `/build/PROJECT/REPOSITORY/ARCH/_jobhistory` of the source server: builds that ended.

use super::error::Malformed;
use super::history::Built;
use super::results::Target;
use super::xml::{Element, walk};
use jiff::Timestamp;
use std::io::BufRead;

/// The last jobs of a target that ended, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHistory {
    /// How many jobs it lists, those that are no build among them.
    pub listed: usize,
    /// When the oldest of them ended.
    pub oldest: Option<Timestamp>,
    /// Those that an instance built with success, and that took time.
    pub built: Vec<Built>,
}

pub(super) fn parse(document: impl BufRead, target: &Target) -> Result<JobHistory, Malformed> {
    let mut listed = 0;
    let mut oldest = None;
    let mut built = Vec::new();
    walk(document, "jobhistlist", |element| {
        if element.path() == "jobhistlist/jobhist" {
            let job = read(element, target)?;
            listed += 1;
            oldest = Some(oldest.unwrap_or(job.end).min(job.end));
            if counts(element)? && job.start < job.end {
                built.push(job);
            }
        }
        Ok(())
    })?;
    Ok(JobHistory {
        listed,
        oldest,
        built,
    })
}

/// The dispatcher signs the jobs that it fails because no worker meets their constraints.
fn counts(element: &Element<'_>) -> Result<bool, Malformed> {
    // an unchanged result is that of a build which succeeded and gave what the one before it gave
    let succeeded = matches!(element.need("code")?.as_str(), "succeeded" | "unchanged");
    Ok(succeeded && element.need("workerid")? != "dispatcher")
}

fn read(element: &Element<'_>, target: &Target) -> Result<Built, Malformed> {
    Ok(Built {
        key: target.package(element.need("package")?),
        start: time(element, "starttime")?,
        end: time(element, "endtime")?,
    })
}

fn time(element: &Element<'_>, name: &str) -> Result<Timestamp, Malformed> {
    let second: i64 = element.need_number(name)?;
    Timestamp::from_second(second).map_err(|_| element.odd(name, &second.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &str, target: &Target) -> Result<JobHistory, Malformed> {
        super::parse(document.as_bytes(), target)
    }
    use std::time::Duration;

    const GHOSTS: &str = include_str!("../../tests/data/obs/jobhistory-ghosts.xml");

    fn target() -> Target {
        Target {
            project: "openEuler:Mainline".to_owned(),
            repository: "standard_x86_64".to_owned(),
            arch: "x86_64".to_owned(),
        }
    }

    #[test]
    fn every_capture_reads_as_counted_by_hand() {
        let history = parse(GHOSTS, &target()).unwrap();
        assert_eq!((history.listed, history.built.len()), (17, 15));
        assert_eq!(history.oldest.unwrap().as_second(), 1_795_377_854);
        let gcc = |b: &&Built| b.key.package == "gcc";
        let gcc: Vec<Duration> = history.built.iter().filter(gcc).map(Built::took).collect();
        assert_eq!(gcc, [41, 25].map(Duration::from_secs));

        let empty = include_str!("../../tests/data/obs/jobhistory-no-workers.xml");
        assert_eq!(parse(empty, &target()).unwrap().listed, 0);
    }

    #[test]
    fn what_no_instance_built_is_no_build_time() {
        let line = |worker: &str, end: u32| {
            format!(
                "<jobhist package='p' code='succeeded' starttime='5' endtime='{end}' workerid='{worker}'/>"
            )
        };
        let lines = [line("dispatcher", 9), line("w:1", 5), line("w:1", 6)].join("");
        let history = parse(&format!("<jobhistlist>{lines}</jobhistlist>"), &target()).unwrap();
        assert_eq!((history.listed, history.built.len()), (3, 1));
    }

    #[test]
    fn a_document_cut_anywhere_is_an_error_and_not_a_shorter_history() {
        let history = include_str!("../../tests/data/obs/jobhistory-building.xml");
        assert_eq!(parse(history, &target()).unwrap().built.len(), 2);
        for end in 0..history.trim_end().len() {
            assert!(parse(&history[..end], &target()).is_err(), "cut at {end}");
        }
    }
}
