//! Promises of the policy, each named.

mod backends;
mod black_holes;
mod canaries;
mod costs;
mod decisions;
mod exclusives;
mod fits;
mod gates;
mod lawful;
mod leases;
mod leaving;
mod life;
mod properties;
mod refits;
mod refusals;
mod taking_back;
mod vanished;

use super::fixtures::{Farm, at, pool};
use super::{Outcome, Plan, Reason, Step, plan};
use crate::model::{Action, Gap, HostName, InstanceId};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

fn instance(host: &str, number: u32) -> InstanceId {
    InstanceId {
        host: HostName::new(host),
        number,
    }
}

/// These instances of a host, absent since this second.
fn absent(
    host: &str,
    numbers: RangeInclusive<u32>,
    second: i64,
) -> BTreeMap<InstanceId, (Gap, Timestamp)> {
    let since = (Gap::Absent, at(second));
    numbers.map(|n| (instance(host, n), since)).collect()
}

/// Books the plan as if its calls had been made: orders unanswered, released workers cordoned.
fn book(farm: &mut Farm, plan: &Plan) {
    for step in &plan.steps {
        match step {
            Step::Order { pool, count, .. } => {
                farm.order(pool.as_str(), *count);
            }
            Step::Release { server, .. } => {
                let member = farm.ledger.members.get_mut(server).unwrap();
                member.stage = crate::model::Stage::Cordoned {
                    why: crate::model::Why::Idle,
                };
            }
            Step::TakeBack { server, .. } => {
                let member = farm.ledger.members.get_mut(server).unwrap();
                member.stage = crate::model::Stage::Refitting;
                member.since = super::fixtures::at(super::fixtures::NOW);
            }
            Step::Refit { server, .. } => {
                let member = farm.ledger.members.get_mut(server).unwrap();
                member.stage = crate::model::Stage::Refitting;
                member.due = None;
            }
            Step::Isolate {
                server, evidence, ..
            } => {
                let member = farm.ledger.members.get_mut(server).unwrap();
                let evidence = evidence.clone();
                member.stage = crate::model::Stage::Cordoned {
                    why: crate::model::Why::BlackHole { evidence },
                };
            }
        }
    }
}

/// What was decided for the pool; a pool is held back only for reasons that are counted from 0 on.
fn decided(farm: &Farm, name: &str, direction: Action) -> (Outcome, Reason) {
    let plan = farm.see(plan);
    let of = |v: &&super::Verdict| v.pool == pool(name) && v.direction == direction;
    let verdict = plan.verdicts.iter().find(of).unwrap();
    if verdict.outcome == Outcome::Hold {
        let reason = verdict.reason.label();
        assert!(Reason::HOLDS.contains(&reason), "{reason} is not in HOLDS");
    }
    (verdict.outcome, verdict.reason.clone())
}

/// How many workers the plan orders for the pool.
fn ordered(plan: &Plan, name: &str) -> u32 {
    let of = |step: &Step| match step {
        Step::Order { pool: p, count, .. } if *p == pool(name) => *count,
        Step::Order { .. }
        | Step::TakeBack { .. }
        | Step::Release { .. }
        | Step::Refit { .. }
        | Step::Isolate { .. } => 0,
    };
    plan.steps.iter().map(of).sum()
}

/// The servers that the plan releases.
fn released(plan: &Plan) -> Vec<String> {
    let of = |step: &Step| match step {
        Step::Release { server, .. } => Some(server.as_str().to_owned()),
        Step::Order { .. } | Step::TakeBack { .. } | Step::Refit { .. } | Step::Isolate { .. } => {
            None
        }
    };
    plan.steps.iter().filter_map(of).collect()
}
