//! Which workers are sent on their way to other settings: those whose settings are due, so many of a pool at once.

use super::View;
use super::account::count;
use super::demand::PoolState;
use super::held::Held;
use super::plan::Step;
use super::reason::Reason;
use super::waiting::LastFits;
use crate::model::{HostName, Member, PoolName, ServerId, Stage, elapsed};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One that was turned back is tried again after this time.
const AGAIN: Duration = Duration::from_mins(10);

/// A worker whose settings are due and that is not sent on its way yet, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    /// Its server.
    pub server: ServerId,
    /// Why it waits.
    pub reason: Reason,
}

/// What each pool has and needs, or why that is not known.
type States = BTreeMap<PoolName, Result<PoolState, Held>>;

/// What is done about the settings that are due.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Refits {
    /// The workers that are sent on their way now.
    pub steps: Vec<Step>,
    /// Every other whose settings are due.
    pub postponed: Vec<Postponed>,
}

/// Chooses them, by name, after those that leave in the same round were taken away. A worker on its way builds nothing for a while:
/// the last one that meets what some job asks stays until another does.
pub(super) fn refits(view: &View<'_>, states: &States, going: &BTreeSet<&HostName>) -> Refits {
    let mut chosen = Refits::default();
    let Ok(fleet) = view.fleet() else {
        return chosen;
    };
    let mut last_fits = LastFits::new(view, fleet.value());
    for host in going {
        let _lawful = last_fits.take(host);
    }
    let mut due: Vec<(&HostName, &Member, u32)> = Vec::new();
    for member in view.ledger.members.values() {
        let server = fleet.value().servers.get(&member.server);
        if let (Some(server), Some(at_once), Stage::Serving) = (server, member.due, &member.stage) {
            due.push((&server.name, member, at_once));
        }
    }
    due.sort_by_key(|(name, _, _)| *name);
    for (host, member, at_once) in due {
        if going.contains(host) {
            continue;
        }
        // those chosen in this round count as well
        let left = at_once.saturating_sub(chosen.of(&member.pool));
        let may_go = may_go(view, states, &last_fits, member, left);
        match may_go.and_then(|()| last_fits.take(host)) {
            Ok(()) => chosen.steps.push(Step::Refit {
                server: member.server.clone(),
                pool: member.pool.clone(),
            }),
            Err(reason) => chosen.postponed.push(Postponed {
                server: member.server.clone(),
                reason,
            }),
        }
    }
    chosen
}

fn may_go(
    view: &View<'_>,
    states: &States,
    last_fits: &LastFits<'_>,
    member: &Member,
    at_once: u32,
) -> Result<(), Reason> {
    view.may_act()?;
    let pool = view.policy.pools.get(&member.pool);
    let state = states.get(&member.pool);
    let (Some(pool), Some(state)) = (pool, state) else {
        return Err(Reason::NoWorker);
    };
    let state = state
        .as_ref()
        .map_err(|held| Reason::Unknown(held.clone()))?;
    let worker = state.workers.iter().find(|w| w.server == member.server);
    if !worker.ok_or(Reason::NoWorker)?.reachable {
        return Err(Reason::NoHostKey);
    }
    last_fits.are_known(pool)?;
    let turned_back = view.ledger.turned_back.get(&member.server);
    if let Some(back) = turned_back.filter(|back| elapsed(back.at, view.now) < AGAIN) {
        return Err(Reason::TurnedBack(back.why.clone()));
    }
    if on_the_way(view, &member.pool) >= at_once {
        return Err(Reason::MaxRefits);
    }
    Ok(())
}

/// How many of the pool's workers are on their way to other settings.
#[must_use]
pub fn on_the_way(view: &View<'_>, pool: &PoolName) -> u32 {
    let members = view.ledger.members.values();
    count(members.filter(|m| m.pool == *pool && m.stage == Stage::Refitting))
}

/// How many workers will be back soon: those that went on their way within the check deadline. One that still
/// builds after that may take hours.
pub(super) fn back_soon(view: &View<'_>, pool: &PoolName) -> u32 {
    let members = view.ledger.members.values();
    let on_the_way = members.filter(|m| m.pool == *pool && m.stage == Stage::Refitting);
    count(on_the_way.filter(|m| elapsed(m.since, view.now) < view.policy.check_deadline))
}

impl Refits {
    fn of(&self, of: &PoolName) -> u32 {
        let steps = self.steps.iter();
        count(steps.filter(|step| matches!(step, Step::Refit { pool, .. } if pool == of)))
    }
}
