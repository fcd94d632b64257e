//! Which workers are given back.

use super::View;
use super::account::{Account, count};
use super::demand::{PoolState, WorkerState};
use super::held::Held;
use super::reason::Reason;
use super::supply;
use super::waiting::LastFits;
use crate::config::{Mode, Pool};
use crate::model::{Action, HostName, IdleStreak, InstanceState, PoolName, ServerId, elapsed};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The streak after one more look, by a reading taken `at`. A look that did not find every instance
/// idle ends the streak; one closer than `interval` to the last that counted does not count again,
/// and neither does the same reading.
#[must_use]
pub fn next_streak(
    before: Option<IdleStreak>,
    idle: bool,
    at: Timestamp,
    interval: Duration,
) -> Option<IdleStreak> {
    if !idle {
        return None;
    }
    Some(match before {
        None => IdleStreak {
            since: at,
            last: at,
            looks: 1,
        },
        Some(streak) if at <= streak.last || elapsed(streak.last, at) < interval => streak,
        Some(streak) => IdleStreak {
            last: at,
            looks: streak.looks.saturating_add(1),
            ..streak
        },
    })
}

/// The streaks of all workers in service after one more look. What can not be seen has no streak:
/// a pool that is held begins anew.
#[must_use]
pub fn look(
    view: &View<'_>,
    states: &BTreeMap<PoolName, Result<PoolState, Held>>,
) -> BTreeMap<ServerId, IdleStreak> {
    let known = states.values().flatten();
    let workers = known.flat_map(|state| state.workers.iter().map(move |w| (state, w)));
    let streak = |(state, worker): (&PoolState, &WorkerState)| {
        let before = view.ledger.streaks.get(&worker.server).copied();
        let idle = worker.is_idle();
        let next = next_streak(before, idle, state.at, view.policy.release_interval)?;
        Some((worker.server.clone(), next))
    };
    workers.filter_map(streak).collect()
}

/// A worker in service that is not released, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its server.
    pub server: ServerId,
    /// Its host name.
    pub host: HostName,
    /// Its pool.
    pub pool: PoolName,
    /// Why it stays.
    pub reason: Reason,
}

/// What is released and what is not.
#[derive(Debug, Default)]
pub(super) struct Retiring {
    /// The workers to release, longest idle first.
    pub(super) released: Vec<Candidate>,
    /// Every other worker in service.
    pub(super) kept: Vec<Kept>,
    /// Of each pool that releases nothing, why not.
    pub(super) held: BTreeMap<PoolName, Reason>,
}

/// A worker that has been idle long enough.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    since: Timestamp,
    pub(super) host: HostName,
    pub(super) server: ServerId,
    pub(super) pool: PoolName,
    idle: u32,
}

/// What one pool may still give.
struct Spare {
    /// Workers above the reserve.
    workers: u32,
    /// Idle instances above the jobs that wait.
    idle: u32,
}

/// Chooses the workers to release: over all pools the longest idle first, then by name.
pub(super) fn retire(view: &View<'_>, states: &BTreeMap<PoolName, &PoolState>) -> Retiring {
    let mut retiring = Retiring::default();
    let mut spare = BTreeMap::new();
    let mut candidates = Vec::new();
    // Without the cloud's list no pool is known: there are no states.
    let Ok(fleet) = view.fleet() else {
        return retiring;
    };
    let last_fits = LastFits::new(view, fleet.value());
    for (name, state) in states {
        let Some(pool) = view.policy.pools.get(name) else {
            continue;
        };
        let gate = gate(view, pool, state).and_then(|()| last_fits.are_known(pool));
        for worker in &state.workers {
            let candidate = gate.clone().and_then(|()| candidate(view, name, worker));
            match candidate {
                Ok(candidate) => candidates.push(candidate),
                Err(reason) => retiring.keep(worker, name, reason),
            }
        }
        if let Err(reason) = gate {
            retiring.held.insert(name.clone(), reason);
        }
        spare.insert(name.clone(), Spare::of(state));
    }
    candidates.sort();
    retiring.choose(view, candidates, spare, last_fits);
    retiring.explain(states);
    retiring
}

/// Whether anything may be released in the pool at all.
fn gate(view: &View<'_>, pool: &Pool, state: &PoolState) -> Result<(), Reason> {
    view.may_act()?;
    if let Some(below) = view.halted_below(&pool.name) {
        return Err(Reason::Halted { below });
    }
    match pool.mode {
        Mode::Observe => return Err(Reason::Observe),
        Mode::Apply => return Err(Reason::ApplyOnly),
        Mode::Full => {}
    }
    if let Some(class) = view.refused_everything() {
        return Err(Reason::CloudRefuses(class));
    }
    let most = supply::most(view.ledger.supply.get(&pool.name), view.now);
    let ratio = view.policy.known_instances_ratio;
    let gates = [
        (state.workers.is_empty(), Reason::NoWorker),
        (!view.rings(Action::Release, &pool.name), Reason::NoAlarm),
        (!view.watched(), Reason::NoWatchdog),
        (state.in_flight > 0, Reason::InFlight),
        (state.no_idle_fit > 0, Reason::Waiting),
        // what is excused may stay away: while it does, nothing more is given up
        (
            supply::fell_below(state.supply.live(), most, ratio),
            Reason::Halted { below: most },
        ),
    ];
    let closed = gates.into_iter().find(|(closed, _)| *closed);
    closed.map_or(Ok(()), |(_, reason)| Err(reason))
}

/// The worker as a candidate, where it has been idle for enough looks and still is.
fn candidate(view: &View<'_>, pool: &PoolName, worker: &WorkerState) -> Result<Candidate, Reason> {
    if worker.protected {
        return Err(Reason::Protected);
    }
    if !worker.reachable {
        return Err(Reason::NoHostKey);
    }
    if !worker.is_idle() {
        return Err(Reason::Busy);
    }
    let streak = view.ledger.streaks.get(&worker.server);
    match streak {
        Some(streak) if streak.looks >= view.policy.release_checks => Ok(Candidate {
            since: streak.since,
            host: worker.host.clone(),
            server: worker.server.clone(),
            pool: pool.clone(),
            idle: worker.instances.get(InstanceState::Idle),
        }),
        _ => Err(Reason::NotLongEnough {
            looks: streak.map_or(0, |streak| streak.looks),
        }),
    }
}

impl Spare {
    fn of(state: &PoolState) -> Self {
        Self {
            workers: count(state.whole()).saturating_sub(state.reserve),
            idle: state.idle.saturating_sub(state.scheduled),
        }
    }

    /// Takes one worker out, or says what forbids it.
    fn take(&mut self, candidate: &Candidate, last_fits: &mut LastFits<'_>) -> Result<(), Reason> {
        if self.workers == 0 {
            return Err(Reason::Reserve);
        }
        let idle = self.idle.checked_sub(candidate.idle);
        let idle = idle.ok_or(Reason::Waiting)?;
        last_fits.take(&candidate.host)?;
        self.idle = idle;
        self.workers -= 1;
        Ok(())
    }
}

impl Retiring {
    fn keep(&mut self, worker: &WorkerState, pool: &PoolName, reason: Reason) {
        self.kept.push(Kept {
            server: worker.server.clone(),
            host: worker.host.clone(),
            pool: pool.clone(),
            reason,
        });
    }

    fn choose(
        &mut self,
        view: &View<'_>,
        candidates: Vec<Candidate>,
        mut spare: BTreeMap<PoolName, Spare>,
        mut last_fits: LastFits<'_>,
    ) {
        let mut room = view
            .policy
            .max_releases
            .saturating_sub(Account::leaving(view.ledger));
        for candidate in candidates {
            let Some(spare) = spare.get_mut(&candidate.pool) else {
                continue;
            };
            let taken = match room {
                0 => Err(Reason::MaxReleases),
                _ => spare.take(&candidate, &mut last_fits),
            };
            match taken {
                Ok(()) => {
                    room -= 1;
                    self.released.push(candidate);
                }
                Err(reason) => self.kept.push(Kept {
                    server: candidate.server,
                    host: candidate.host,
                    pool: candidate.pool,
                    reason,
                }),
            }
        }
    }

    /// Says of each pool that releases nothing what the worker nearest to its release lacks.
    fn explain(&mut self, states: &BTreeMap<PoolName, &PoolState>) {
        for name in states.keys() {
            let releases = self.released.iter().any(|c| c.pool == *name);
            if releases || self.held.contains_key(name) {
                continue;
            }
            let kept = self.kept.iter().filter(|kept| kept.pool == *name);
            let nearest = kept.max_by_key(|kept| nearness(&kept.reason));
            let reason = nearest.map_or(Reason::NoWorker, |kept| kept.reason.clone());
            self.held.insert(name.clone(), reason);
        }
    }
}

/// How near to its release a worker is that is kept for this reason.
const fn nearness(reason: &Reason) -> u32 {
    match reason {
        Reason::MaxReleases => 5,
        Reason::Waiting => 4,
        Reason::LastFit | Reason::Reserve => 3,
        Reason::NotLongEnough { .. } => 2,
        Reason::Busy => 1,
        Reason::Needed
        | Reason::Idle
        | Reason::Unknown(_)
        | Reason::Halted { .. }
        | Reason::NoAlarm
        | Reason::Observe
        | Reason::ApplyOnly
        | Reason::Enough
        | Reason::TakenBack
        | Reason::CloudRefuses(_)
        | Reason::NoOffer
        | Reason::SoldOut
        | Reason::WrongSize
        | Reason::Probing
        | Reason::Ceiling
        | Reason::MaxOrder
        | Reason::MaxRefits
        | Reason::TurnedBack(_)
        | Reason::NoWatchdog
        | Reason::InFlight
        | Reason::Unread
        | Reason::NoWorker
        | Reason::Names
        | Reason::SecondScaler
        | Reason::LeaseUnread
        | Reason::NoHostKey
        | Reason::Protected => 0,
    }
}
