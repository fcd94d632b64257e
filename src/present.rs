//! The present, for whoever asks: `/metrics`, readiness, and the dry runs. From memory only.

mod costs;

use crate::clock::Clock;
use crate::config::{Config, Policy};
use crate::configure;
use crate::exclusive;
use crate::metrics::{FleetState, Source};
use crate::model::{
    Action, Alarms, HostName, Ledger, PoolName, ServerId, Snapshot, Unknown, elapsed,
};
use crate::policy::bills::Tariff;
use crate::policy::{self, Kept, Outcome, Plan, Step, Suspect, Verdict, View};
use crate::reconcile::{InHand, Word};
use crate::roster::{self, NotAnswered, Question};
use crate::web::Answers;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Draws the present state from the latest snapshot, ledger and alarms.
#[derive(Debug)]
pub struct Present {
    /// The configuration.
    pub config: Arc<Config>,
    /// Tells the time.
    pub clock: Clock,
    /// The outside world.
    pub snapshot: watch::Receiver<Snapshot>,
    /// What is in hand.
    pub in_hand: watch::Receiver<InHand>,
    /// What Alertmanager rang for.
    pub alarms: watch::Receiver<Alarms>,
    /// Carries what people say to the reconciler.
    pub speak: mpsc::Sender<Word>,
}

impl Present {
    /// Calls with a view of the present, in which no alarm rings.
    pub fn seen<T>(&self, call: impl FnOnce(&View<'_>) -> T) -> T {
        let snapshot = self.snapshot.borrow().clone();
        let ledger = Arc::clone(&self.in_hand.borrow().ledger);
        call(&View {
            snapshot: &snapshot,
            ledger: &ledger,
            alarms: &Alarms::default(),
            policy: &self.config.policy,
            now: self.clock.now(),
        })
    }

    /// Plans on the present view, with another policy or ledger where they are given.
    fn plan(&self, policy: &Policy, ledger: &Ledger) -> Plan {
        let snapshot = self.snapshot.borrow().clone();
        let alarms = self.alarms.borrow().clone();
        policy::plan(&View {
            snapshot: &snapshot,
            ledger,
            alarms: &alarms,
            policy,
            now: self.clock.now(),
        })
    }
}

impl Source for Present {
    fn state(&self) -> FleetState {
        let snapshot = Arc::new(self.snapshot.borrow().clone());
        let InHand { ledger, checks, .. } = self.in_hand.borrow().clone();
        let alarms = self.alarms.borrow().clone();
        let now = self.clock.now();
        let view = View {
            snapshot: &snapshot,
            ledger: &ledger,
            alarms: &alarms,
            policy: &self.config.policy,
            now,
        };
        let pools = crate::metrics::facts(&view);
        let costs = policy::costs(&view, &Tariff::of(&self.config));
        FleetState {
            now,
            snapshot,
            ledger,
            alarms,
            checks,
            costs,
            pools,
        }
    }
}

impl Answers for Present {
    fn accept(&self, pool: &PoolName) -> bool {
        self.speak.try_send(Word::Accept(pool.clone())).is_ok()
    }

    fn maintenance(&self) -> Value {
        let ledger = Arc::clone(&self.in_hand.borrow().ledger);
        let now = self.clock.now();
        let backends = self.config.backends.keys().map(|name| {
            let until = ledger.maintenance.get(name).filter(|until| now < **until);
            let pools = self.config.policy.pools.values();
            let pools = pools.filter(|pool| pool.backends.contains(name));
            let pools: Vec<&str> = pools.map(|pool| pool.name.as_str()).collect();
            json!({ "backend": name.as_str(), "until": until, "pools": pools })
        });
        json!({ "backends": backends.collect::<Vec<_>>() })
    }

    fn configured(&self) -> Vec<configure::Row> {
        let snapshot = self.snapshot.borrow().clone();
        let InHand { ledger, checks, .. } = self.in_hand.borrow().clone();
        let sight = configure::Sight {
            fleet: snapshot.fleet.last().map(|list| &list.value),
            ledger: &ledger,
            policy: &self.config.policy,
        };
        let plan = self.plan(&self.config.policy, &ledger);
        configure::progress(sight, &plan.postponed, |server, since| {
            let check = checks.get(server).filter(|check| check.at >= since)?;
            Some(check.outcome.to_string())
        })
    }

    fn exclusive(&self) -> Value {
        let snapshot = self.snapshot.borrow().clone();
        let ledger = Arc::clone(&self.in_hand.borrow().ledger);
        exclusive::status(&View {
            snapshot: &snapshot,
            ledger: &ledger,
            alarms: &Alarms::default(),
            policy: &self.config.policy,
            now: self.clock.now(),
        })
    }

    fn discover(&self) -> Result<Value, Unknown> {
        self.seen(|view| crate::hosts::discover(view, self.config.hosts.node_exporter_port))
    }

    fn cost(&self, since: Option<Timestamp>) -> Value {
        let bills = Arc::clone(&self.in_hand.borrow().bills);
        costs::as_json(&bills, since, self.clock.now())
    }

    fn of_workers(&self, question: &Question) -> Result<Value, NotAnswered> {
        self.seen(|view| roster::answer(view, question, self.config.hosts.resource_use))
    }

    fn plan_apply(&self) -> Value {
        let ledger = Arc::clone(&self.in_hand.borrow().ledger);
        let plan = self.plan(&self.config.policy, &ledger);
        json!({ "verdicts": verdicts(&plan, Action::Apply) })
    }

    fn plan_release(&self, checks: Option<u32>, interval: Option<Duration>) -> Value {
        let mut policy = self.config.policy.clone();
        policy.release_checks = checks.unwrap_or(policy.release_checks);
        let mut ledger = Ledger::clone(&self.in_hand.borrow().ledger);
        if let Some(interval) = interval {
            recount(&mut ledger, interval);
        }
        let plan = self.plan(&policy, &ledger);
        json!({
            "verdicts": verdicts(&plan, Action::Release),
            "released": plan.steps.iter().filter_map(|step| released(step, &ledger)).collect::<Vec<_>>(),
            "kept": plan.kept.iter().map(kept).collect::<Vec<_>>(),
            "black_holes": plan.suspects.iter().map(black_hole).collect::<Vec<_>>(),
        })
    }
}

/// Counts the looks of each streak as if they had been `interval` apart.
fn recount(ledger: &mut Ledger, interval: Duration) {
    let interval = interval.as_secs().max(1);
    for streak in ledger.streaks.values_mut() {
        let looks = elapsed(streak.since, streak.last).as_secs() / interval;
        streak.looks = u32::try_from(looks).unwrap_or(u32::MAX).saturating_add(1);
    }
}

fn verdicts(plan: &Plan, direction: Action) -> Vec<Value> {
    let of = plan.verdicts.iter().filter(|v| v.direction == direction);
    of.map(verdict).collect()
}

fn verdict(verdict: &Verdict) -> Value {
    let (count, outcome) = match (verdict.outcome, verdict.direction) {
        (Outcome::Act(count), Action::Apply) => (count, format!("order {count}")),
        (Outcome::Act(count), Action::Release) => (count, format!("release {count}")),
        (Outcome::Hold, Action::Apply) => (0, "order none".to_owned()),
        (Outcome::Hold, Action::Release) => (0, "release none".to_owned()),
    };
    let figures = verdict.figures.as_ref().map(ToString::to_string);
    json!({
        "pool": verdict.pool.as_str(),
        "count": count,
        "outcome": outcome,
        "reason": verdict.reason.label(),
        "why": verdict.reason.to_string(),
        "figures": figures,
    })
}

fn released(step: &Step, ledger: &Ledger) -> Option<Value> {
    let Step::Release { server, pool } = step else {
        return None;
    };
    let name = ledger
        .members
        .get(server)
        .and_then(|member| member.name.as_ref());
    Some(json!({
        "server": server.as_str(),
        "host": name.map(HostName::as_str),
        "pool": pool.as_str(),
    }))
}

fn black_hole(suspect: &Suspect) -> Value {
    let left = suspect.left.map(|left| left.to_string());
    let end = left.as_ref().map_or_else(
        || "it is cordoned".to_owned(),
        |left| format!("it stays: {left}"),
    );
    json!({
        "server": suspect.server.as_ref().map(ServerId::as_str),
        "host": suspect.host.as_str(),
        "pool": suspect.pool.as_str(),
        "evidence": suspect.evidence,
        "left": left,
        "why": format!("{}; {end}", suspect.evidence),
    })
}

fn kept(kept: &Kept) -> Value {
    json!({
        "server": kept.server.as_str(),
        "host": kept.host.as_str(),
        "pool": kept.pool.as_str(),
        "reason": kept.reason.label(),
        "why": kept.reason.to_string(),
    })
}
