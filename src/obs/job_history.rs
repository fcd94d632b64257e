//! `/build/PROJECT/REPOSITORY/ARCH/_jobhistory` of the source server: jobs that ended, one line each.

use super::client::ObsClient;
use super::error::{Malformed, ObsError};
use super::history::{Bookmark, Build};
use super::results::Target;
use super::xml::{Element, walk};
use crate::model::{BuildEnd, Came, HostName, InstanceId, PackageKey};
use jiff::Timestamp;
use std::io::BufRead;

/// How many ended jobs are asked for, one try after the other, until what is known is reached. After
/// the last the rest is left: only the last builds of a package count.
const LIMITS: [usize; 3] = [100, 1_000, 10_000];

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildOutcome {
    /// With a new result.
    Succeeded,
    /// With the result that the build before it had.
    Unchanged,
    /// The build failed.
    Failed,
    /// In any other way: OBS' word is none of these.
    Other,
}

impl BuildOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Unchanged, Self::Failed, Self::Other];

    /// The word used in labels; OBS' own, where it is one of them.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }

    fn of(code: &str) -> Self {
        let named = Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == code);
        named.unwrap_or(Self::Other)
    }
}

/// One line: a job that ended. Times are seconds since 1970 by the backend's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The package, with its multibuild flavor.
    pub package: String,
    /// When it was dispatched.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// How.
    pub outcome: BuildOutcome,
    /// Which worker had it; `None` where none did: the dispatcher signs the jobs that it fails because
    /// no worker meets their constraints.
    pub host: Option<HostName>,
}

impl Ended {
    /// The place of this line in its history.
    #[must_use]
    pub fn bookmark(&self) -> Bookmark {
        Bookmark {
            package: self.package.clone(),
            start: self.start,
            end: self.end,
        }
    }

    /// The build, where a worker built it with success and it took time.
    #[must_use]
    pub fn build(&self) -> Option<Build> {
        // an unchanged result is that of a build which succeeded and gave what the one before it gave
        let succeeded = matches!(
            self.outcome,
            BuildOutcome::Succeeded | BuildOutcome::Unchanged
        );
        let took = u32::try_from(self.end.checked_sub(self.start)?).ok()?;
        (succeeded && self.host.is_some() && took > 0).then_some(Build(self.end, took))
    }

    /// What it says of its worker; `None` where no worker had it, or it ended in a way that is nobody's fault.
    #[must_use]
    pub fn on_its_worker(&self, of: &Target) -> Option<(HostName, BuildEnd)> {
        let came = match self.outcome {
            BuildOutcome::Succeeded | BuildOutcome::Unchanged => Came::Built,
            BuildOutcome::Failed => Came::Failed,
            BuildOutcome::Other => return None,
        };
        let [project, repository, arch] = of.names().map(str::to_owned);
        let package = PackageKey {
            project,
            repository,
            arch,
            package: self.package.clone(),
        };
        let build = BuildEnd {
            package,
            began: Timestamp::from_second(self.start).ok()?,
            ended: Timestamp::from_second(self.end).ok()?,
            came,
        };
        Some((self.host.clone()?, build))
    }
}

impl ObsClient {
    /// The jobs of a target that ended since the bookmark, in the order of the document; all of them, as
    /// far back as is worth reading, where there is none.
    ///
    /// # Errors
    /// Where a history was not read whole.
    pub async fn ended_since(
        &self,
        mark: Option<&Bookmark>,
        of: &Target,
    ) -> Result<Vec<Ended>, ObsError> {
        let mut lines = Vec::new();
        for limit in LIMITS {
            lines = self.job_history(of, limit).await?;
            if let Some(known) = mark.and_then(|mark| mark.find(&lines)) {
                return Ok(lines.split_off(known + 1));
            }
            if lines.len() < limit {
                break;
            }
        }
        // the line is not there any more: the history was begun anew, or went on for longer than is read
        lines.retain(|line| mark.is_none_or(|mark| line.end > mark.end));
        Ok(lines)
    }
}

/// The last jobs of a target that ended, oldest first.
pub(super) fn parse(document: impl BufRead) -> Result<Vec<Ended>, Malformed> {
    let mut lines = Vec::new();
    walk(document, "jobhistlist", |element| {
        if element.path() == "jobhistlist/jobhist" {
            lines.push(read(element)?);
        }
        Ok(())
    })?;
    Ok(lines)
}

fn read(element: &Element<'_>) -> Result<Ended, Malformed> {
    let worker = element
        .find("workerid")?
        .as_deref()
        .and_then(InstanceId::parse);
    Ok(Ended {
        package: element.need("package")?,
        start: element.need_number("starttime")?,
        end: element.need_number("endtime")?,
        outcome: BuildOutcome::of(&element.need("code")?),
        host: worker.map(|worker| worker.host),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, backend, serve};
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    fn parse(document: &str) -> Result<Vec<Ended>, Malformed> {
        super::parse(document.as_bytes())
    }

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
        let lines = parse(GHOSTS).unwrap();
        let of = |outcome| lines.iter().filter(|l| l.outcome == outcome).count();
        assert_eq!(BuildOutcome::ALL.map(of), [15, 0, 2, 0]);
        let by_nobody: Vec<_> = lines.iter().filter(|l| l.host.is_none()).collect();
        assert_eq!(
            (by_nobody.len(), by_nobody[0].package.as_str()),
            (1, "hugemem")
        );
        let on = |host: &str| {
            let host = HostName::new(host);
            lines
                .iter()
                .filter(|l| l.host.as_ref() == Some(&host))
                .count()
        };
        assert_eq!([on("worker-x86-64"), on("build-x86-01")], [15, 1]);
        let gcc = lines
            .iter()
            .filter(|l| l.package == "gcc")
            .filter_map(Ended::build);
        assert_eq!(gcc.map(|b| b.1).collect::<Vec<_>>(), [41, 25]);
        let empty = include_str!("../../tests/data/obs/jobhistory-no-workers.xml");
        assert_eq!(parse(empty).unwrap(), []);
    }

    #[test]
    fn only_what_a_worker_built_with_success_is_a_build_time() {
        let line = |code: &str, worker: &str, end: u32| {
            format!("<jobhist package='p' code='{code}' starttime='5' endtime='{end}'{worker}/>")
        };
        let by = " workerid='w:1'";
        let lines = [
            line("succeeded", " workerid='dispatcher'", 9),
            line("succeeded", by, 5),
            line("failed", by, 9),
            line("killed", by, 9),
            line("failed", "", 9),
            line("unchanged", by, 6),
        ];
        let lines = parse(&format!("<jobhistlist>{}</jobhistlist>", lines.join(""))).unwrap();
        let built: Vec<_> = lines.iter().map(|l| l.build().is_some()).collect();
        assert_eq!(built, [false, false, false, false, false, true]);
        let words = [lines[3].outcome.as_str(), lines[5].outcome.as_str()];
        assert_eq!(words, ["other", "unchanged"]);
    }

    #[test]
    fn a_document_cut_anywhere_is_an_error_and_not_a_shorter_history() {
        let history = include_str!("../../tests/data/obs/jobhistory-building.xml");
        assert_eq!(parse(history).unwrap().len(), 2);
        for end in 0..history.trim_end().len() {
            assert!(parse(&history[..end]).is_err(), "cut at {end}");
        }
    }

    /// A log of 5000 jobs of which every second one failed; the last two ended in the wrong order.
    fn log() -> Vec<String> {
        let line = |n: usize| {
            let code = if n.is_multiple_of(2) {
                "failed"
            } else {
                "succeeded"
            };
            let end = if n == 5_000 { 4_990 } else { n };
            let start = end - 1;
            format!(
                "<jobhist package='p{n}' code='{code}' starttime='{start}' endtime='{end}' workerid='w:1'/>"
            )
        };
        (1..=5_000).map(line).collect()
    }

    #[tokio::test]
    async fn a_history_is_read_back_only_as_far_as_it_is_not_known_and_each_line_once() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let log = log();
        let at = serve(move |route| {
            let limit: usize = route.rsplit_once('=').unwrap().1.parse().unwrap();
            noted.lock().unwrap().push(limit);
            let lines = log[log.len().saturating_sub(limit)..].join("");
            async move { Answer::ok(format!("<jobhistlist>{lines}</jobhistlist>")) }
        });
        let client = ObsClient::new(&backend("b", at.await), Duration::from_secs(10)).unwrap();
        let mark = |n: i64| Bookmark {
            package: format!("p{n}"),
            start: n - 1,
            end: n,
        };
        let gone = Bookmark {
            package: "gone".to_owned(),
            ..mark(4_000)
        };
        let last = Bookmark {
            package: "p5000".to_owned(),
            ..mark(4_990)
        };
        let mut steps = Vec::new();
        for (mark, new) in [
            (None, 5_000),
            (Some(mark(4_999)), 1),
            (Some(last), 0),
            (Some(mark(4_500)), 500),
            (Some(gone), 1_000),
        ] {
            let ended = client.ended_since(mark.as_ref(), &target()).await.unwrap();
            assert_eq!(ended.len(), new, "{mark:?}");
            steps.push(std::mem::take(&mut *asked.lock().unwrap()));
        }
        let (whole, short) = (vec![100, 1_000, 10_000], vec![100]);
        let expected = [whole.clone(), short.clone(), short, vec![100, 1_000], whole];
        assert_eq!(steps, expected);
    }
}
