//! The law that the last worker which meets what a job asks stays: without it the dispatcher does not let
//! the job wait, it fails it.

use super::{Court, Law, law};
use crate::config::Pool;
use crate::model::{
    Arch, BackendName, BackendView, Constraints, HostName, JobState, Server, Stage,
};
use crate::policy::fit;
use crate::policy::setup::is_told_enough;
use std::collections::BTreeSet;

impl Court<'_> {
    /// Whether a worker is left for everything that is asked and that the server meets.
    pub(super) fn leaves_a_fit(&self, server: &Server, pool: &Pool) -> Result<(), Law> {
        let backends = &self.view.snapshot.backends;
        let of = |name: &BackendName| backends.get(name).ok_or(Law::Fresh);
        for name in &pool.backends {
            self.leaves_a_fit_at((name, of(name)?), &server.name, pool.arch)?;
        }
        Ok(())
    }

    fn leaves_a_fit_at(
        &self,
        (name, backend): (&BackendName, &BackendView),
        host: &HostName,
        arch: Arch,
    ) -> Result<(), Law> {
        let asked = self.asked(backend, arch)?;
        let mut there = self.there_to_build(backend, arch);
        there.retain(|other| !self.was_told_otherwise(other, name));
        if asked.is_empty() || !there.contains(host) {
            return Ok(());
        }
        let known = backend.requirements.last().ok_or(Law::LastFit)?;
        let workers = &known.value.workers;
        let own = workers.get(host).ok_or(Law::LastFit)?;
        for asked in asked.iter().filter(|asked| fit::meets(asked, own)) {
            let mut others = there.iter().filter(|other| **other != host);
            let meets = |other: &&HostName| {
                let has = workers.get(*other);
                let has = has.is_some_and(|has| fit::meets(asked, has));
                has && is_told_enough(self.view, other, asked)
            };
            law(others.any(meets), Law::LastFit)?;
        }
        Ok(())
    }

    /// What the backend's jobs ask that are not built yet, those that ask for something.
    fn asked(&self, backend: &BackendView, arch: Arch) -> Result<BTreeSet<Constraints>, Law> {
        let mut all = BTreeSet::new();
        let (now, max_age) = (self.view.now, self.view.policy.max_age);
        let results = backend.results.fresh(now, max_age);
        let known = backend.requirements.last().map(|reading| &reading.value);
        for job in &results.map_err(|_| Law::Fresh)?.value().jobs {
            let is_built = job.state == JobState::Building;
            if is_built || self.view.policy.host_arch(&job.key.arch) != Some(arch) {
                continue;
            }
            let asked = known.and_then(|known| fit::asked(known, &job.key));
            let asked = asked.ok_or(Law::LastFit)?;
            if !asked.is_empty() {
                all.insert(asked);
            }
        }
        Ok(all)
    }

    /// The hosts of an arch that are there to build, without those that are leaving and those that an
    /// earlier step released.
    fn there_to_build<'b>(&self, backend: &'b BackendView, arch: Arch) -> BTreeSet<&'b HostName> {
        let last = backend.workers.last().into_iter();
        let instances = last.flat_map(|reading| reading.value.instances.values());
        let live = instances.filter(|i| i.arch == Some(arch) && i.state.is_live());
        let hosts = live.map(|instance| &instance.id.host);
        hosts.filter(|host| !self.is_going(host)).collect()
    }

    /// Whether it serves others only, whatever the backend still lists.
    fn was_told_otherwise(&self, host: &HostName, backend: &BackendName) -> bool {
        let Some(member) = self.view.ledger.by_host(host) else {
            return false;
        };
        let told = member.own.backends.as_ref();
        let bound = member.bound.as_ref();
        let serves = match (bound, told) {
            (Some(bound), _) => bound == backend,
            (None, Some(told)) => told.contains(backend),
            (None, None) => true,
        };
        member.stage == Stage::Serving && member.due.is_none() && !serves
    }

    fn is_going(&self, host: &HostName) -> bool {
        let Ok(fleet) = self.fleet() else {
            return true;
        };
        let mut members = self.view.ledger.members.values();
        members.any(|member| {
            let listed = fleet.servers.get(&member.server);
            let named = listed.map(|server| &server.name).or(member.name.as_ref());
            let leaves = matches!(
                member.stage,
                Stage::Refitting
                    | Stage::Cordoned { .. }
                    | Stage::Deleting { .. }
                    | Stage::Gone { .. }
            );
            named == Some(host) && (leaves || self.released.contains(&member.server))
        })
    }
}
