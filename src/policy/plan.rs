//! What is to be done now, and of everything else why not.

use super::View;
use super::account::Account;
use super::black_holes::{Suspect, suspects};
use super::demand::{PoolState, assess};
use super::held::Held;
use super::offers::{Choice, Chooser};
use super::reason::{Figures, Reason};
use super::refit::{Postponed, refits};
use super::retire::{Kept, Retiring, retire};
use super::share::{Wish, share};
use super::take_back::take_back;
use crate::config::{Mode, Pool};
use crate::model::{Action, Offer, PoolName, ServerId, Vcpus};
use std::collections::BTreeMap;
use std::fmt;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Buy workers.
    Order {
        /// For which pool.
        pool: PoolName,
        /// How many; at least 1.
        count: u32,
        /// What is bought, and where.
        offer: Offer,
        /// The size of each.
        vcpus: Vcpus,
    },
    /// Give a worker back: cordon it, and let its life take its course.
    Release {
        /// Which server.
        server: ServerId,
        /// Its pool.
        pool: PoolName,
    },
    /// Take a worker back that is on its way out, in place of buying one.
    TakeBack {
        /// Which server.
        server: ServerId,
        /// Its pool.
        pool: PoolName,
    },
    /// Send a worker on its way to the settings that are due.
    Refit {
        /// Which server.
        server: ServerId,
        /// Its pool.
        pool: PoolName,
    },
    /// Take a black hole out of service: cordon it, keep it for a look, and let its life take its course.
    Isolate {
        /// Which server.
        server: ServerId,
        /// Its pool.
        pool: PoolName,
        /// What was seen of its builds.
        evidence: String,
    },
}

/// What a verdict comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// This many workers are bought, or given back; at least 1.
    Act(u32),
    /// Nothing is done.
    Hold,
}

/// What was decided for one pool in one direction, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The pool.
    pub pool: PoolName,
    /// Buying, or giving back.
    pub direction: Action,
    /// What it comes to.
    pub outcome: Outcome,
    /// Why that, or why not more.
    pub reason: Reason,
    /// The numbers that led to it; `None` where they are not known.
    pub figures: Option<Figures>,
}

impl Verdict {
    /// The metric label `direction`: `apply`, `release`, or `hold` where nothing is done.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self.outcome {
            Outcome::Act(_) => self.direction.as_str(),
            Outcome::Hold => "hold",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, reason, .. } = self;
        match (self.direction, self.outcome) {
            (Action::Apply, Outcome::Act(count)) => write!(f, "{pool}: order {count}: {reason}")?,
            (Action::Apply, Outcome::Hold) => write!(f, "{pool}: order none: {reason}")?,
            (Action::Release, Outcome::Act(count)) => {
                write!(f, "{pool}: release {count}: {reason}")?;
            }
            (Action::Release, Outcome::Hold) => write!(f, "{pool}: release none: {reason}")?,
        }
        match &self.figures {
            Some(figures) => write!(f, " ({figures})"),
            None => Ok(()),
        }
    }
}

/// Steps, and the reasons for them and for what is not done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What to do: takings back first, then orders.
    pub steps: Vec<Step>,
    /// Two for every configured pool: buying, and giving back.
    pub verdicts: Vec<Verdict>,
    /// Of every worker in service that is not released, why not.
    pub kept: Vec<Kept>,
    /// Of every worker whose settings are due and that is not sent on its way yet, why not.
    pub postponed: Vec<Postponed>,
    /// The workers that are black holes, ours or not.
    pub suspects: Vec<Suspect>,
}

/// Decides. The same view gives the same plan; a view in which the plan's own steps are booked gives
/// an empty one, save for what an order's or a round's largest size held back.
#[must_use]
pub fn plan(view: &View<'_>) -> Plan {
    let states = assess(view);
    let known = states
        .iter()
        .filter_map(|(name, state)| Some((name.clone(), state.as_ref().ok()?)))
        .collect();
    let returned = taken_back(view, &known);
    let draft = Draft {
        view,
        bought: bought(view),
        granted: grant(view, &known, &returned),
        returned,
        retiring: retire(view, &known),
    };
    let released = draft.retiring.released.iter().map(|worker| &worker.host);
    let refits = refits(view, &states, &released.collect());
    let busy = !draft.retiring.released.is_empty() || !refits.steps.is_empty();
    let suspects = suspects(view, &known, busy);
    let mut plan = Plan::default();
    for (name, pool) in &view.policy.pools {
        let state = states.get(name);
        for direction in [Action::Apply, Action::Release] {
            let verdict = match state {
                Some(Ok(state)) => draft.verdict(pool, state, direction),
                Some(Err(held)) => unknown(name, direction, held),
                None => continue,
            };
            plan.verdicts.push(verdict);
        }
    }
    plan.steps = draft.steps();
    plan.steps.extend(suspects.iter().filter_map(isolation));
    plan.steps.extend(refits.steps);
    plan.postponed = refits.postponed;
    plan.suspects = suspects;
    plan.kept = draft.retiring.kept;
    plan
}

fn isolation(suspect: &Suspect) -> Option<Step> {
    let server = suspect.server.clone().filter(|_| suspect.left.is_none())?;
    Some(Step::Isolate {
        server,
        pool: suspect.pool.clone(),
        evidence: suspect.evidence.clone(),
    })
}

/// What was decided, before it is put in words.
struct Draft<'a> {
    view: &'a View<'a>,
    bought: Vcpus,
    /// The workers that each pool takes back.
    returned: BTreeMap<PoolName, Vec<ServerId>>,
    granted: BTreeMap<PoolName, Result<Grant, Reason>>,
    retiring: Retiring,
}

/// What a pool gets: how many workers, of what it chose.
struct Grant {
    workers: u32,
    choice: Choice,
}

impl Grant {
    fn outcome(&self, needed: u32) -> (Outcome, Reason) {
        let reason = match self.workers {
            0 => return (Outcome::Hold, Reason::Ceiling),
            all if all == needed => Reason::Needed,
            most if most == self.choice.most => self.choice.limit.clone(),
            _ => Reason::Ceiling,
        };
        (Outcome::Act(self.workers), reason)
    }
}

/// The workers that each pool takes back, where it asks for any.
fn taken_back(
    view: &View<'_>,
    states: &BTreeMap<PoolName, &PoolState>,
) -> BTreeMap<PoolName, Vec<ServerId>> {
    // without the cloud's list no pool is known: there are no states
    let Ok(fleet) = view.fleet() else {
        return BTreeMap::new();
    };
    let of = |(name, state): (&PoolName, &&PoolState)| {
        let pool = view.policy.pools.get(name)?;
        wanted(view, pool, state).ok()?;
        let servers = take_back(view, fleet.value(), pool, state.needed());
        Some((name.clone(), servers))
    };
    states.iter().filter_map(of).collect()
}

/// How many workers the pool asks for beyond those that it takes back.
fn to_buy(state: &PoolState, name: &PoolName, returned: &BTreeMap<PoolName, Vec<ServerId>>) -> u32 {
    let returned = returned.get(name).into_iter().flatten();
    state
        .needed()
        .saturating_sub(super::account::count(returned))
}

/// What each pool gets, or why it asks for nothing.
fn grant(
    view: &View<'_>,
    states: &BTreeMap<PoolName, &PoolState>,
    returned: &BTreeMap<PoolName, Vec<ServerId>>,
) -> BTreeMap<PoolName, Result<Grant, Reason>> {
    let mut wishes = Vec::new();
    let mut choices = BTreeMap::new();
    let mut granted = BTreeMap::new();
    let mut chooser = Chooser::new(view);
    let room = view.policy.ceiling.less(bought(view));
    for (name, state) in states {
        let Some(pool) = view.policy.pools.get(name) else {
            continue;
        };
        let needed = to_buy(state, name, returned);
        let choice = wanted(view, pool, state)
            .and(if needed == 0 {
                Err(Reason::TakenBack)
            } else {
                Ok(())
            })
            .and_then(|()| chooser.choose(pool))
            .and_then(|choice| choice.named(view, pool, needed));
        match choice {
            // one that can not be had takes no probe from the others
            Ok(_) if pool.vcpus > room => {
                granted.insert(name.clone(), Err(Reason::Ceiling));
            }
            Ok(choice) => {
                chooser.take(&choice);
                wishes.push(Wish {
                    pool: name.clone(),
                    workers: needed.min(choice.most),
                    size: pool.vcpus,
                    bought: state.bought,
                });
                choices.insert(name.clone(), choice);
            }
            Err(reason) => {
                granted.insert(name.clone(), Err(reason));
            }
        }
    }
    for (name, workers) in share(room, &wishes) {
        if let Some(choice) = choices.remove(&name) {
            granted.insert(name, Ok(Grant { workers, choice }));
        }
    }
    granted
}

/// Whether the pool asks for any worker, and may.
fn wanted(view: &View<'_>, pool: &Pool, state: &PoolState) -> Result<(), Reason> {
    view.may_act()?;
    if let Some(below) = view.halted_below(&pool.name) {
        return Err(Reason::Halted { below });
    }
    if state.needed() == 0 {
        return Err(Reason::Enough);
    }
    match pool.mode {
        Mode::Observe => return Err(Reason::Observe),
        Mode::Apply | Mode::Full => {}
    }
    if !view.rings(Action::Apply, &pool.name) {
        return Err(Reason::NoAlarm);
    }
    Ok(())
}

/// What is bought over all pools; the ceiling itself where that is not known.
fn bought(view: &View<'_>) -> Vcpus {
    let account = |fleet| Account::of(fleet, view.ledger).bought;
    let fleet = view.fleet();
    fleet.map_or(view.policy.ceiling, |fleet| account(fleet.value()))
}

fn unknown(pool: &PoolName, direction: Action, held: &Held) -> Verdict {
    Verdict {
        pool: pool.clone(),
        direction,
        outcome: Outcome::Hold,
        reason: Reason::Unknown(held.clone()),
        figures: None,
    }
}

impl Draft<'_> {
    fn verdict(&self, pool: &Pool, state: &PoolState, direction: Action) -> Verdict {
        let (outcome, reason) = match direction {
            Action::Apply => self.applied(pool, state),
            Action::Release => self.released(pool),
        };
        Verdict {
            pool: pool.name.clone(),
            direction,
            outcome,
            reason,
            figures: Some(Figures::of(state, self.bought, self.view.policy.ceiling)),
        }
    }

    fn applied(&self, pool: &Pool, state: &PoolState) -> (Outcome, Reason) {
        match self.granted.get(&pool.name) {
            None => (Outcome::Hold, Reason::Enough),
            Some(Err(reason)) => (Outcome::Hold, reason.clone()),
            Some(Ok(grant)) => grant.outcome(to_buy(state, &pool.name, &self.returned)),
        }
    }

    fn released(&self, pool: &Pool) -> (Outcome, Reason) {
        if let Some(reason) = self.retiring.held.get(&pool.name) {
            return (Outcome::Hold, reason.clone());
        }
        let released = self.retiring.released.iter();
        let count = super::account::count(released.filter(|c| c.pool == pool.name));
        (Outcome::Act(count), Reason::Idle)
    }

    fn steps(&self) -> Vec<Step> {
        let orders = self.granted.iter().filter_map(|(name, granted)| {
            let grant = granted.as_ref().ok().filter(|grant| grant.workers > 0)?;
            let pool = self.view.policy.pools.get(name)?;
            Some(Step::Order {
                pool: name.clone(),
                count: grant.workers,
                offer: grant.choice.offer.clone(),
                vcpus: pool.vcpus,
            })
        });
        let returned = self.returned.iter().flat_map(|(pool, servers)| {
            servers.iter().map(|server| Step::TakeBack {
                server: server.clone(),
                pool: pool.clone(),
            })
        });
        let releases = self.retiring.released.iter().map(|worker| Step::Release {
            server: worker.server.clone(),
            pool: worker.pool.clone(),
        });
        returned.chain(orders).chain(releases).collect()
    }
}
