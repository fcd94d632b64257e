//! Freeing ghosts: jobs that OBS shows on an instance that does not build them.
//!
//! There is no journal of it: a ghost is found by looking, a repeat after a crash looks again before
//! it calls, and a build that is handed out anew is another one.

use super::{Look, Reconciler};
use crate::execute::Deed;
use crate::metrics::GhostEnd;
use crate::model::{BackendName, Build};
use crate::obs::Freed;
use crate::policy;
use std::time::Duration;

/// A ghost that was tried is left alone for this long, however it went.
pub(super) const PAUSE: Duration = Duration::from_secs(300);

impl Reconciler {
    pub(super) fn free_ghosts(&mut self, look: &Look<'_>) {
        for (name, backend) in &look.snapshot.backends {
            let Ok(known) = backend.ghosts.fresh(look.now, look.policy.max_age) else {
                continue;
            };
            for build in policy::to_be_freed(known.value(), &look.policy.ghosts) {
                let deed = Deed::Free {
                    backend: name.clone(),
                    build: build.clone(),
                };
                self.deeds.start(deed, look.now);
            }
        }
    }

    pub(super) fn freed(&mut self, backend: &BackendName, build: &Build, freed: &Freed) {
        let (package, instance) = (&build.job.package, &build.instance);
        let project = &build.job.project;
        match freed {
            Freed::Freed => {
                tracing::warn!(%backend, project, package, %instance, "a ghost was freed");
                self.parts.own.ghost(backend, GhostEnd::Freed);
            }
            Freed::NoGhost(why) => {
                tracing::info!(%backend, project, package, %instance, why, "a ghost is left alone");
            }
            Freed::Failed(why) => {
                tracing::warn!(%backend, project, package, %instance, why, "a ghost was not freed");
                self.parts.own.ghost(backend, GhostEnd::Failed);
            }
        }
    }
}
