//! What jobs ask of workers, what workers have, and since when jobs wait. The source server answers
//! all of it, and OBS' frontend passes it through.

use super::client::{ObsClient, route};
use super::error::ObsError;
use super::xml::walk_text;
use super::{capabilities, constraints, project_config};
use crate::model::{
    Capabilities, Constraints, InstanceId, PackageConstraints, PackageKey, TargetKey,
};
use jiff::Timestamp;

impl ObsClient {
    /// `_constraints` of a package (without a multibuild flavor), links followed; nothing is asked
    /// where it has none.
    ///
    /// # Errors
    /// Where it was not read whole.
    pub async fn constraints(
        &self,
        project: &str,
        package: &str,
    ) -> Result<PackageConstraints, ObsError> {
        let path = ["source", project, package, "_constraints"];
        let url = route(&self.source, &path, &[("expand", "1")]);
        or_none(self.get_short(url, constraints::parse).await)
    }

    /// What the configuration of a target asks for every job, from `_buildconfig`: the configurations
    /// of its repository's whole path. `None` where they can not be understood.
    ///
    /// # Errors
    /// Where it was not read.
    pub async fn project_constraints(
        &self,
        (project, repository, arch): &TargetKey,
    ) -> Result<Option<Constraints>, ObsError> {
        let path = ["build", project, repository, "_buildconfig"];
        let url = route(&self.source, &path, &[]);
        let read = self.get_short(url, |text| {
            Ok(project_config::parse(text, repository, arch))
        });
        match read.await {
            Err(error) if error.is_not_found() => Ok(Some(Constraints::default())),
            read => read,
        }
    }

    /// What an instance has.
    ///
    /// # Errors
    /// Where it was not read whole.
    pub async fn capabilities(
        &self,
        hostarch: &str,
        instance: &InstanceId,
    ) -> Result<Capabilities, ObsError> {
        let path = ["worker", &format!("{hostarch}:{instance}")];
        let url = route(&self.source, &path, &[]);
        self.get_short(url, capabilities::parse).await
    }

    /// When a job that waits became ready to be built: the scheduler writes the same moment into
    /// the job (`readytime`) and into `_reason` (`BuildJob.pm`, `writejob`), of which `_reason` is by
    /// far the smaller. `None` where OBS knows none.
    ///
    /// # Errors
    /// Where it was not read whole.
    pub async fn ready(&self, job: &PackageKey) -> Result<Option<Timestamp>, ObsError> {
        let path = [
            "build",
            &job.project,
            &job.repository,
            &job.arch,
            &job.package,
            "_reason",
        ];
        let url = route(&self.source, &path, &[]);
        let read = self.get_short(url, |text| {
            let mut ready = None;
            walk_text(text, "reason", |element, text| {
                if element.path() == "reason/time" {
                    let second = text.parse().map_err(|_| element.odd("content", text))?;
                    ready = Timestamp::from_second(second).ok();
                }
                Ok(())
            })?;
            Ok(ready)
        });
        or_none(read.await)
    }
}

/// What OBS has not is none.
fn or_none<T: Default>(read: Result<T, ObsError>) -> Result<T, ObsError> {
    match read {
        Err(error) if error.is_not_found() => Ok(T::default()),
        read => read,
    }
}
