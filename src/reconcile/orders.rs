//! Orders: from the intent to the last of their servers.

use super::{Look, Reconciler};
use crate::cloud::{self, Created, JobState, JobStatus};
use crate::execute::{Deed, Subject};
use crate::journal::JournalError;
use crate::metrics::OrderEnd;
use crate::model::{
    Action, Allowed, Class, Offer, Order, OrderId, PoolName, Retry, Scope, ServerId, Stage, elapsed,
};
use crate::policy::SubJob;
use crate::policy::names::names_for;
use crate::policy::offers::{self, Refused};
use crate::policy::orders::{self, OrderNext, OrderSight};
use jiff::Timestamp;

impl Reconciler {
    /// Writes the intent to buy. [`Self::move_orders_on`] makes the call, as it does after a crash.
    pub(super) fn order(
        &mut self,
        pool: &PoolName,
        count: u32,
        offer: Offer,
        look: &Look<'_>,
    ) -> Result<(), JournalError> {
        let now = look.now;
        let Some(pool) = look.policy.pools.get(pool) else {
            return Ok(());
        };
        let Some(id) = self.parts.hands.new_order_id() else {
            self.can_not_be_written(&pool.name, "the system gives no randomness", now);
            return Ok(());
        };
        let view = look.view(self.books.ledger());
        let Some((names, count)) = names_for(&view, &pool.name, count) else {
            return Ok(());
        };
        let mut order = Order {
            id,
            pool: pool.name.clone(),
            flavor: offer.flavor,
            zone: offer.zone,
            vcpus: pool.vcpus,
            count,
            names: Some(names),
            at: now,
            job: None,
            body_sha256: String::new(),
            closed: None,
        };
        match self.parts.hands.request(&order) {
            Ok(request) => order.body_sha256 = request.sha256(),
            Err(error) => {
                self.can_not_be_written(&order.pool, &error.to_string(), now);
                return Ok(());
            }
        }
        self.react(&order, look);
        tracing::info!(order = %order.id, pool = %order.pool, count, offer = %order.offer(), "ordering");
        self.books.intend(order.clone())?;
        self.send(&order, now);
        Ok(())
    }

    /// Nothing has left the house: the next order of the pool would fail in the same way.
    fn can_not_be_written(&mut self, pool: &PoolName, why: &str, now: Timestamp) {
        tracing::error!(%pool, why, "the order can not be written");
        let scope = Scope::Pool(pool.clone());
        self.books
            .setbacks()
            .refused(scope, Class::Request, why, now, now);
    }

    /// How long ago the notification came that this order answers.
    fn react(&self, order: &Order, look: &Look<'_>) {
        let rings = |a: &&crate::model::Alarm| a.action == Action::Apply && a.pool == order.pool;
        let heard = look
            .alarms
            .iter()
            .filter(rings)
            .map(|alarm| alarm.heard)
            .max();
        if let Some(heard) = heard {
            self.parts.own.reacted(elapsed(heard, look.now));
        }
    }

    /// Starts what each open order asks for next.
    pub(super) fn move_orders_on(&mut self, look: &Look<'_>) -> Result<(), JournalError> {
        let (deadline, now) = (look.policy.create_deadline, look.now);
        let open: Vec<Order> = self.books.ledger().orders.values().cloned().collect();
        for order in open {
            let sight = self.order_sight(&order, look);
            match orders::next(&order, self.books.ledger(), sight, deadline, now) {
                OrderNext::Send => self.send(&order, now),
                OrderNext::Poll => self.poll(&order, now),
                OrderNext::Wait => {}
                OrderNext::Close => {
                    tracing::error!(order = %order.id, pool = %order.pool, refused = sight.calls.refused,
                        "the cloud did not take the order, and lists nothing of it: closed");
                    let end = if sight.calls.refused {
                        OrderEnd::Refused
                    } else {
                        OrderEnd::Unanswered
                    };
                    self.parts
                        .own
                        .ordered(&order.pool, end, self.books.ledger().unnamed(&order));
                    let scope = Scope::Pool(order.pool.clone());
                    self.set_back(scope, Class::Unknown, "not answered", order.at, now);
                    self.books.close(&order.id, "not answered".to_owned())?;
                }
                OrderNext::Done => {
                    tracing::info!(order = %order.id, pool = %order.pool, "the order is done");
                    order.job.iter().for_each(|job| {
                        self.seen.ended_jobs.remove(job);
                    });
                    self.books.done(&order.id)?;
                }
            }
        }
        Ok(())
    }

    fn order_sight(&self, order: &Order, look: &Look<'_>) -> OrderSight {
        let view = look.view(self.books.ledger());
        let ended = |job: &String| self.seen.ended_jobs.contains(job);
        OrderSight {
            began: self.began,
            listed: look.snapshot.fleet.last().map(|reading| reading.at),
            job_ended: order.job.as_ref().is_some_and(ended),
            under_way: self.deeds.is_busy(&Subject::Order(order.id.clone())),
            refused: view.refused_everything().is_some(),
            calls: self.seen.calls.get(&order.id).copied().unwrap_or_default(),
        }
    }

    /// Sends the create call, or sends it again under the same token. A request that is not the one
    /// that was written down (the configuration has changed) is not sent: what the first one did is
    /// found by its tag.
    fn send(&mut self, order: &Order, now: Timestamp) {
        match self.parts.hands.request(order) {
            Ok(request) if request.sha256() == order.body_sha256 => {
                self.deeds.start(Deed::Create(Box::new(request)), now);
            }
            Ok(_) => {
                let words = format!("order {}: the configuration has changed since", order.id);
                self.seen.odd(words);
            }
            Err(error) => self.seen.odd(format!("order {}: {error}", order.id)),
        }
    }

    fn poll(&mut self, order: &Order, now: Timestamp) {
        if let Some(job) = &order.job {
            let (order, job) = (order.id.clone(), job.clone());
            self.deeds.start(Deed::Poll { order, job }, now);
        }
    }

    /// Takes in the answer to a create call.
    pub(super) fn created(
        &mut self,
        id: &OrderId,
        result: Result<Created, cloud::Error>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Some(order) = self.books.ledger().orders.get(id).cloned() else {
            return Ok(());
        };
        let calls = self.seen.calls.entry(id.clone()).or_default();
        calls.last = Some(now);
        let doubtful = calls.are_doubtful(&order, self.began);
        match result {
            Ok(created) if created.servers.len() == to_usize(order.count) => {
                let Created { job, servers } = created;
                tracing::info!(order = %id, pool = %order.pool, job, servers = servers.len(),
                    ?servers, "the cloud has taken the order");
                self.parts.look.now();
                self.books.setbacks().done(&Scope::Everything, order.at);
                self.books.answered(id, job, servers)
            }
            Ok(created) => {
                tracing::warn!(order = %id, found = created.servers.len(), expected = order.count,
                    "the cloud did not name every server: asking again");
                calls.unanswered = true;
                self.ask_again(id, now);
                Ok(())
            }
            Err(error) if error.outcome_known() && error.retry() != Retry::SameToken => {
                tracing::error!(order = %id, pool = %order.pool, %error, class = error.label(),
                    doubtful, "the cloud refuses the order");
                // What an earlier call did is not undone by it: the list will tell.
                calls.refused |= doubtful;
                let class = error.class();
                if let Some(scope) = offers::stands_against(Refused::Call(&order), class) {
                    self.set_back(scope, class, &error.to_string(), order.at, now);
                }
                if doubtful {
                    return Ok(());
                }
                self.parts
                    .own
                    .ordered(&order.pool, OrderEnd::Refused, order.count);
                self.books.close(id, error.to_string())
            }
            Err(error) => {
                tracing::warn!(order = %id, pool = %order.pool, %error, class = error.label(),
                    "not answered: asking again under the same token");
                calls.unanswered |= !error.outcome_known();
                self.ask_again(id, now);
                Ok(())
            }
        }
    }

    /// After a pause.
    fn ask_again(&mut self, id: &OrderId, now: Timestamp) {
        let calls = self.seen.calls.entry(id.clone()).or_default();
        let pause = calls.again(self.random.fraction());
        tracing::info!(order = %id, seconds = pause.as_secs_f64(), "the create call waits");
        self.deeds.rest(Subject::Order(id.clone()), now, pause);
    }

    /// Takes in what the cloud's job says. Its parts are the truth.
    pub(super) fn polled(
        &mut self,
        id: &OrderId,
        result: Result<JobStatus, cloud::Error>,
        now: Timestamp,
    ) {
        let Some(order) = self.books.ledger().orders.get(id).cloned() else {
            return;
        };
        match (result, order.job.clone()) {
            (Ok(status), Some(job)) => {
                let ended = status.state != JobState::Running
                    && !status.sub_jobs.contains(&cloud::SubJob::Pending);
                for part in status.sub_jobs {
                    self.part(&order, part, now);
                }
                if ended {
                    self.settle_parts(id);
                    self.seen.ended_jobs.insert(job);
                    self.parts.look.now();
                }
            }
            (Err(error), Some(job)) if error.class() == Class::Gone => {
                tracing::warn!(order = %id, job, "the cloud no longer knows the job");
                self.seen.ended_jobs.insert(job);
            }
            (Err(error), _) => self
                .seen
                .odd(format!("order {id}: its job can not be read: {error}")),
            (Ok(_), None) => {}
        }
    }

    fn part(&mut self, order: &Order, part: cloud::SubJob, now: Timestamp) {
        match part {
            cloud::SubJob::Pending => {}
            cloud::SubJob::Succeeded { server, .. } => {
                offers::created(self.books.setbacks(), order);
                let settled = server.map(|server| (server, SubJob::Succeeded));
                self.seen.sub_jobs.extend(settled);
            }
            cloud::SubJob::Failed {
                server, failure, ..
            } => {
                let words = format!("{}: {}", failure.code, failure.words);
                let name = server.as_ref().map_or("of no name", ServerId::as_str);
                let class = failure.class;
                self.seen.odd(format!(
                    "order {}: the cloud could not create server {name} ({}): {words}",
                    order.id,
                    class.label()
                ));
                if let Some(scope) = offers::stands_against(Refused::Part(order), class) {
                    self.set_back(scope, class, &words, order.at, now);
                }
                if let Some(server) = server {
                    self.seen.sub_jobs.insert(server, SubJob::Failed(words));
                }
            }
        }
    }

    /// Takes a refusal in, and says what is left alone because of it.
    pub(super) fn set_back(
        &mut self,
        scope: Scope,
        class: Class,
        words: &str,
        asked: Timestamp,
        now: Timestamp,
    ) {
        let setbacks = self.books.setbacks();
        setbacks.refused(scope.clone(), class, words, asked, now);
        let Allowed::No { until, .. } = setbacks.allowed(&scope, now) else {
            return;
        };
        let class = class.label();
        self.seen.odd(format!(
            "{scope}: left alone until {until} ({class}): {words}"
        ));
    }

    /// After the job's end no server of it is under way any more. One that no part named is judged
    /// by the cloud's list alone.
    fn settle_parts(&mut self, order: &OrderId) {
        let members: Vec<ServerId> = self
            .books
            .ledger()
            .members_of(order)
            .filter(|m| matches!(m.stage, Stage::Creating))
            .map(|m| m.server.clone())
            .collect();
        for server in members {
            self.seen.sub_jobs.entry(server).or_insert(SubJob::Unknown);
        }
    }
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
