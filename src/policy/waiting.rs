//! Which workers may take the jobs that wait, by what the jobs ask.

use super::View;
use super::demand::fresh;
use super::fit::{asked, meets, would_meet};
use super::gates::believed;
use super::placement::{Hosts, Standing};
use super::reason::Reason;
use super::setup::{is_told_enough, not_served};
use crate::config::Pool;
use crate::model::{
    Arch, BackendName, Capabilities, Constraints, Fleet, HostName, PackageKey, PoolName,
    Requirements,
};
use std::collections::{BTreeMap, BTreeSet};

/// The hosts of one backend and arch that are there to build, and stay: with what each has, `None`
/// where that has not been read.
type Able<'a> = BTreeMap<&'a HostName, Option<&'a Capabilities>>;

/// Every host that is there to build, by backend and arch, and a known worker of each pool.
#[derive(Debug, Default)]
pub(super) struct Workforce<'a> {
    able: BTreeMap<(&'a BackendName, Arch), Able<'a>>,
    like: BTreeMap<PoolName, &'a Capabilities>,
}

impl<'a> Workforce<'a> {
    pub(super) fn new(view: &View<'a>, fleet: &'a Fleet) -> Self {
        let hosts = Hosts::new(fleet, view.ledger);
        let not_served = not_served(view);
        let mut all = Self::default();
        for (name, backend) in &view.snapshot.backends {
            let Ok(workers) = believed(&backend.workers, view) else {
                continue;
            };
            let known = backend.requirements.last().map(|r| &r.value.workers);
            for instance in workers.value().instances.values() {
                let host = &instance.id.host;
                let has = known.and_then(|known| known.get(host));
                let standing = hosts.of(host);
                if let (Some((pool, _)), Some(has)) = (standing, has) {
                    all.like.insert(pool.clone(), has);
                }
                let leaving = standing
                    .is_some_and(|(_, s)| matches!(s, Standing::Leaving | Standing::Refitting));
                if let Some(arch) = instance.arch
                    && instance.state.is_live()
                    && !leaving
                    && !not_served.contains(&(host, name))
                {
                    all.able.entry((name, arch)).or_default().insert(host, has);
                }
            }
        }
        all
    }

    pub(super) fn able<'s>(
        &'s self,
        backend: &'s BackendName,
        arch: Arch,
    ) -> impl Iterator<Item = (&'s HostName, Option<&'s Capabilities>)> {
        let able = self.able.get(&(backend, arch)).into_iter().flatten();
        able.map(|(host, has)| (*host, *has))
    }

    /// Whether no worker that is there meets the constraints, nor would one that is bought for the
    /// pool. What is not known is given the benefit of the doubt.
    fn is_hopeless(&self, asked: &Constraints, backend: &BackendName, pool: &Pool) -> bool {
        let could = |(_, has): (_, Option<&Capabilities>)| has.is_none_or(|has| meets(asked, has));
        let like = self.like.get(&pool.name).copied();
        !self.able(backend, pool.arch).any(could) && would_meet(asked, pool, like) == Some(false)
    }
}

/// Whether waiting jobs will ever be built by the workers that there are or would be bought.
#[derive(Debug)]
pub struct Prospects<'a> {
    view: &'a View<'a>,
    workforce: Workforce<'a>,
}

impl<'a> Prospects<'a> {
    /// Of the jobs in this view; `fleet` is the cloud's list in it.
    #[must_use]
    pub fn new(view: &'a View<'a>, fleet: &'a Fleet) -> Self {
        Self {
            view,
            workforce: Workforce::new(view, fleet),
        }
    }

    /// Whether it is known that no worker meets what the job asks, nor would one that is bought for its
    /// pool.
    #[must_use]
    pub fn is_hopeless(&self, backend: &BackendName, pool: &Pool, job: &PackageKey) -> bool {
        let known = self.view.snapshot.backends.get(backend);
        let known = known.and_then(|b| b.requirements.last());
        let asked = known.and_then(|known| asked(&known.value, job));
        let asked = asked.filter(|asked| !asked.is_empty());
        asked.is_some_and(|asked| self.workforce.is_hopeless(&asked, backend, pool))
    }
}

/// The jobs of a pool that wait, by their backend and what they ask (`None`: not read).
type Lines = BTreeMap<(BackendName, Option<Constraints>), u32>;

/// The jobs that wait, by pool.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    lines: BTreeMap<PoolName, Lines>,
}

/// What became of a pool's waiting jobs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// Jobs that some worker may take, now or once it is bought.
    pub(super) scheduled: u32,
    /// Of these, those that no idle instance of the pool may take.
    pub(super) no_idle_fit: u32,
    /// Jobs that no worker there is, and none that would be bought, may take.
    pub(super) no_compliant: u32,
}

impl Waiting {
    pub(super) fn add(
        &mut self,
        pool: &Pool,
        backend: &BackendName,
        job: &PackageKey,
        known: Option<&Requirements>,
    ) {
        let asked = known.and_then(|known| asked(known, job));
        let lines = self.lines.entry(pool.name.clone()).or_default();
        *lines.entry((backend.clone(), asked)).or_default() += 1;
    }

    /// Gives each job an idle instance that may take it, those that ask for something first. `idle` is
    /// how many each host has.
    pub(super) fn place(
        &self,
        pool: &Pool,
        workforce: &Workforce<'_>,
        mut idle: BTreeMap<&HostName, u32>,
    ) -> Placed {
        let mut placed = Placed::default();
        let mut undemanding = 0;
        for ((backend, asked), count) in self.lines.get(&pool.name).into_iter().flatten() {
            let Some(asked) = asked.as_ref().filter(|asked| !asked.is_empty()) else {
                undemanding += count;
                continue;
            };
            if workforce.is_hopeless(asked, backend, pool) {
                placed.no_compliant += count;
                continue;
            }
            placed.scheduled += count;
            let mut left = *count;
            for (host, has) in workforce.able(backend, pool.arch) {
                let fits = has.is_some_and(|has| meets(asked, has));
                if let Some(free) = idle.get_mut(host).filter(|_| fits) {
                    let taken = left.min(*free);
                    *free -= taken;
                    left -= taken;
                }
            }
            placed.no_idle_fit += left;
        }
        let free: u32 = idle.into_values().sum();
        placed.scheduled += undemanding;
        placed.no_idle_fit += undemanding.saturating_sub(free);
        placed
    }
}

/// Keeps the last worker that meets what a waiting or blocked job asks: without it the dispatcher does
/// not let the job wait, it fails it ("no compliant workers"; `bs_dispatch`, `checkconstraints`).
#[derive(Debug, Default)]
pub(super) struct LastFits<'a> {
    /// The workers that meet something that is asked; a set that is empty guards nothing.
    sets: Vec<BTreeSet<&'a HostName>>,
    /// Hosts of which it is not known what they have, where something is asked.
    strangers: BTreeSet<&'a HostName>,
    /// Where it is not known what some job asks.
    unread: BTreeSet<(&'a BackendName, Arch)>,
}

impl<'a> LastFits<'a> {
    pub(super) fn new(view: &View<'a>, fleet: &'a Fleet) -> Self {
        let workforce = Workforce::new(view, fleet);
        let mut demands = BTreeSet::new();
        let mut fits = Self::default();
        for (name, backend) in &view.snapshot.backends {
            let known = backend.requirements.last().map(|r| &r.value);
            let Ok(results) = fresh(&backend.results, view) else {
                continue;
            };
            for job in results
                .value()
                .jobs
                .iter()
                .filter(|job| job.state.is_pending())
            {
                // whether a pool is for it or not, the dispatcher gives it to any worker
                let Some(arch) = view.policy.host_arch(&job.key.arch) else {
                    continue;
                };
                match known.and_then(|known| asked(known, &job.key)) {
                    None => {
                        fits.unread.insert((name, arch));
                    }
                    Some(asked) if asked.is_empty() => {}
                    Some(asked) => {
                        demands.insert((name, arch, asked));
                    }
                }
            }
        }
        for (backend, arch, asked) in &demands {
            fits.guard(view, &workforce, (backend, *arch), asked);
        }
        fits
    }

    fn guard(
        &mut self,
        view: &View<'a>,
        workforce: &Workforce<'a>,
        of: (&'a BackendName, Arch),
        asked: &Constraints,
    ) {
        let mut set = BTreeSet::new();
        let able = workforce.able.get(&of);
        for (host, has) in able.into_iter().flatten() {
            match has {
                None => {
                    self.strangers.insert(*host);
                }
                Some(has) if meets(asked, has) && is_told_enough(view, host, asked) => {
                    set.insert(*host);
                }
                Some(_) => {}
            }
        }
        self.sets.push(set);
    }

    /// Whether it is known what every job asks that the pool's workers could take, of whatever pool
    /// the job is.
    ///
    /// # Errors
    /// Says that it is not.
    pub(super) fn are_known(&self, pool: &Pool) -> Result<(), Reason> {
        let unread = |backend| self.unread.contains(&(backend, pool.arch));
        if pool.backends.iter().any(unread) {
            return Err(Reason::Unread);
        }
        Ok(())
    }

    /// Takes a worker away.
    ///
    /// # Errors
    /// Says that a job needs it, or may need it.
    pub(super) fn take(&mut self, host: &HostName) -> Result<(), Reason> {
        let last = |set: &BTreeSet<&HostName>| set.len() == 1 && set.contains(host);
        if self.strangers.contains(host) || self.sets.iter().any(last) {
            return Err(Reason::LastFit);
        }
        for set in &mut self.sets {
            set.remove(host);
        }
        Ok(())
    }
}
