//! What the machines themselves leave of each build. OBS' history has one line of a job that was begun twice.

use crate::backend::Backend;
use crate::farm::Farm;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// One line of the trace that every build leaves as it begins and as it ends (tests/rig/build-stand-in.sh).
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// `begin`, or `end-` and the exit code.
    pub what: String,
    /// The package.
    pub package: String,
    /// What it is built for.
    pub arch: String,
    /// The host name of the machine.
    pub host: String,
    /// Seconds since 1970.
    pub at: f64,
}

impl Trace {
    fn parse(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, package, arch, host, at] = *words else {
            anyhow::bail!("a line of the trace: {line:?}");
        };
        Ok(Self {
            what: what.to_owned(),
            package: package.to_owned(),
            arch: arch.to_owned(),
            host: host.to_owned(),
            at: at.parse()?,
        })
    }
}

/// The trace of everything that was built below this root.
pub(crate) fn read(root: &Path) -> Result<Vec<Trace>> {
    let text = std::fs::read_to_string(root.join("builds.trace")).unwrap_or_default();
    text.lines().map(Trace::parse).collect()
}

impl Farm {
    /// Fails unless `jobs` jobs were built for this backend, each once and well: by OBS' history, and by the
    /// machines' own trace.
    ///
    /// # Errors
    /// Names a job that was not.
    pub async fn each_job_was_built_once(&self, backend: Backend, jobs: usize) -> Result<()> {
        let history = self.obs_at(backend).history().await?;
        let trace = read(&self.options().root).context("the trace of the builds")?;
        for ((package, arch), codes) in &history {
            let of_it = trace
                .iter()
                .filter(|line| line.package == *package && line.arch == *arch);
            let left: Vec<&str> = of_it.map(|line| line.what.as_str()).collect();
            ensure!(
                codes == &["succeeded"] && left == ["begin", "end-0"],
                "{package} for {arch} was built as {codes:?}, and left {left:?} on the machines"
            );
        }
        let built = history.len();
        ensure!(built == jobs, "{jobs} jobs were queued, {built} were built");
        Ok(())
    }
}
