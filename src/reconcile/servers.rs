//! Servers: taken up from the cloud's list, moved on, and let go.

use super::{Look, Reconciler, ends::stage_word, reports, spans};
use crate::config::Policy;
use crate::execute::Deed;
use crate::journal::JournalError;
use crate::metrics::{OrderEnd, ReleaseEnd};
use crate::model::{
    Class, Fleet, Member, Overrides, PoolName, Server, ServerId, ServerStatus, Stage, TurnedBack,
    Why, elapsed,
};
use crate::policy::offers::{self, Refused};
use crate::policy::{
    self, Act, CheckOutcome, Cloud, Lease, Sight, SubJob, Terms, View, advance, instances_seen,
    next_absence, pool_of_server, supply,
};
use jiff::Timestamp;

impl Reconciler {
    /// Follows every listed server of ours from here on, whoever ordered it, and learns names.
    pub(super) fn take_up(&mut self, look: &Look<'_>) -> Result<(), JournalError> {
        let Ok(fleet) = look.snapshot.fleet.fresh(look.now, look.policy.max_age) else {
            return Ok(());
        };
        let standing = policy::lease(&look.view(self.books.ledger()));
        for server in fleet.value().servers.values() {
            if self.books.ledger().members.contains_key(&server.id) {
                self.learn_name(server)?;
            } else if server.status != ServerStatus::Deleting
                && self.may_take_up(server, fleet.at(), &standing)
            {
                self.take_up_one(server, look.policy)?;
            }
        }
        self.note_absences(fleet.value(), fleet.at());
        Ok(())
    }

    /// Whether a server that the journal does not know may be followed: one that another scaler ordered is
    /// that one's as long as it is alive, and one that a person took from us just now is nobody's.
    fn may_take_up(&self, server: &Server, listed: Timestamp, standing: &Lease) -> bool {
        if self
            .seen
            .let_go
            .get(&server.id)
            .is_some_and(|at| at.is_none_or(|at| listed <= at))
        {
            return false;
        }
        let orders = &self.books.ledger().orders;
        match &server.tags.order {
            Some(order) if orders.contains_key(order) => true,
            Some(_) => standing.may_act() && !standing.has_others(),
            None => standing.may_act(),
        }
    }

    fn take_up_one(&mut self, server: &Server, policy: &Policy) -> Result<(), JournalError> {
        let Some(pool) = pool_of_server(server, policy).cloned() else {
            self.seen.odd(format!(
                "server {} ({}) has no pool's tag, and {} is not the flavor of one pool: left alone",
                server.id, server.name, server.flavor
            ));
            return Ok(());
        };
        let ordered = server.tags.order.is_some();
        // Of an order that is still open here no server has been reached yet: its members are written
        // down before that. Of any other an earlier journal may have known more.
        let orders = &self.books.ledger().orders;
        let new = server
            .tags
            .order
            .as_ref()
            .is_some_and(|id| orders.contains_key(id));
        tracing::warn!(server = %server.id, host = %server.name, %pool, order = ?server.tags.order,
            "a server of ours that the journal does not know: taken up");
        self.books.follow(Member {
            server: server.id.clone(),
            name: Some(server.name.clone()),
            pool,
            order: server.tags.order.clone(),
            vcpus: server.vcpus,
            stage: if ordered {
                Stage::Creating
            } else {
                Stage::Serving
            },
            since: server.created,
            reached: !new && server.status != ServerStatus::Building,
            ordered_here: new,
            own: Overrides::default(),
            bound: None,
            due: None,
        })
    }

    fn note_absences(&mut self, fleet: &Fleet, at: Timestamp) {
        let members = &self.books.ledger().members;
        for server in members.keys() {
            let listed = fleet.servers.contains_key(server);
            let before = self.seen.absences.get(server).copied();
            match next_absence(before, listed, at) {
                Some(absence) => {
                    self.seen.presences.remove(server);
                    self.seen.absences.insert(server.clone(), absence);
                }
                None => {
                    self.seen.absences.remove(server);
                    self.seen.presences.entry(server.clone()).or_insert(at);
                }
            }
        }
    }

    /// Moves every server on by one step, and starts what it asks for; where another scaler goes first,
    /// only those that this one ordered.
    pub(super) fn move_servers_on(&mut self, look: &Look<'_>) -> Result<(), JournalError> {
        let now = look.now;
        let members: Vec<Member> = self.books.ledger().members.values().cloned().collect();
        let standing = policy::lease(&look.view(self.books.ledger()));
        let held_back = policy::held_back(&look.view(self.books.ledger()));
        for member in members {
            let Some(pool) = look.policy.pools.get(&member.pool) else {
                self.seen.odd(format!(
                    "server {}: no pool {} is configured: left alone",
                    member.server, member.pool
                ));
                continue;
            };
            let view = look.view(self.books.ledger());
            let ordered = member
                .order
                .as_ref()
                .and_then(|id| view.ledger.orders.get(id));
            let ordered = ordered.cloned();
            let flavor = ordered.as_ref().map(|order| &order.flavor);
            let terms = Terms::new(look.policy, pool, &member, flavor);
            let mut sight = self.sight(&view, &member);
            sight.held_back = held_back.contains_key(&member.server);
            sight.quiet = self.seen.note_quiet(&member, &sight, &terms);
            let live = sight
                .instances
                .map(|seen| seen.counts.live())
                .unwrap_or_default();
            let server = listed(&sight).cloned();
            let next = advance(&member, &sight, &terms, now);
            let trial = sight.trial;
            let gone = matches!(next.stage, Stage::Gone { .. });
            if !member.ordered_here && !gone && !standing.may_act() {
                continue;
            }
            let active = matches!(next.stage, Stage::Standby { .. } | Stage::Booting { .. });
            if let (Some(order), Stage::Creating, true) = (&ordered, &member.stage, active) {
                offers::created(self.books.setbacks(), order);
            }
            reports::tell_of_trial(&member, &next.stage, trial);
            self.enter(&member, next.stage, next.reached, live, now)?;
            self.act(&member, next.act, server.as_ref(), look);
        }
        Ok(())
    }

    fn sight<'a>(&self, view: &View<'a>, member: &Member) -> Sight<'a> {
        let cloud = match (view.fleet(), self.seen.absences.get(&member.server)) {
            (Err(_), _) => Cloud::Unknown,
            (Ok(fleet), absence) => match (fleet.value().servers.get(&member.server), absence) {
                (Some(server), _) => Cloud::Listed {
                    server,
                    since: self
                        .seen
                        .presences
                        .get(&member.server)
                        .map_or(fleet.at(), |since| *since),
                    at: fleet.at(),
                },
                (None, Some(absence)) => Cloud::Absent(*absence),
                (None, None) => Cloud::Unknown,
            },
        };
        let name = member.name.as_ref();
        let running = member.order.as_ref().is_some_and(|id| {
            let order = view.ledger.orders.get(id);
            let job = order.and_then(|order| order.job.as_ref());
            job.is_some_and(|job| !self.seen.ended_jobs.contains(job))
        });
        let unsettled = if running {
            SubJob::Running
        } else {
            SubJob::Unknown
        };
        Sight {
            cloud,
            sub_job: self
                .seen
                .sub_jobs
                .get(&member.server)
                .cloned()
                .unwrap_or(unsettled),
            check: self.seen.checks.get(&member.server).cloned(),
            instances: name.and_then(|name| instances_seen(view, &member.pool, name)),
            drain: self.seen.drains.get(&member.server).cloned(),
            quiet: None,
            checking: self.deeds.is_checking(&member.server),
            held_back: false,
            trial: policy::trial(view, member),
            may_delete: offers::may_delete(view.ledger, &member.server, view.now),
        }
    }

    /// Writes a change of stage down, and tells of it.
    pub(super) fn enter(
        &mut self,
        member: &Member,
        stage: Stage,
        reached: bool,
        live: u32,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        if reached != member.reached {
            self.books.follow(Member {
                reached,
                ..member.clone()
            })?;
        }
        if stage == member.stage {
            return Ok(());
        }
        self.tell_stage(member, &stage, now);
        self.set_back_what_broke(member, &stage, now);
        self.give_up_supply(member, &stage, live)?;
        if matches!(stage, Stage::Gone { .. }) {
            let trail = self.trail(member, &stage, now);
            return self.books.gone(&member.server, trail);
        }
        let back = self.turned_back(member, &stage, now);
        self.books.enter(&member.server, stage, now)?;
        back.map_or(Ok(()), |back| self.books.turned_back(&member.server, back))
    }

    /// Whether it is in service again and has not been set.
    fn turned_back(&self, member: &Member, to: &Stage, now: Timestamp) -> Option<TurnedBack> {
        let check = self.seen.checks.get(&member.server)?;
        let back = member.stage == Stage::Refitting && *to == Stage::Serving;
        let set = check.outcome == CheckOutcome::Passed;
        (back && !set).then(|| TurnedBack {
            at: now,
            why: check.outcome.to_string(),
        })
    }

    /// The list may show a server in ERROR before its job is asked why: until then the same is not bought
    /// again in the same place.
    fn set_back_what_broke(&mut self, member: &Member, stage: &Stage, now: Timestamp) {
        let told = self.seen.sub_jobs.get(&member.server);
        let (Some(Why::CloudError { words }), true) = (stage.why(), member.stage.is_in_flight())
        else {
            return;
        };
        let orders = &self.books.ledger().orders;
        let order = member.order.as_ref().and_then(|id| orders.get(id)).cloned();
        if let Some(order) = order.filter(|_| !matches!(told, Some(SubJob::Failed(_)))) {
            let scope = offers::stands_against(Refused::Part(&order), Class::Unknown);
            if let Some(scope) = scope {
                self.set_back(scope, Class::Unknown, words, order.at, now);
            }
        }
    }

    /// Instances that leave by our doing did not vanish.
    fn give_up_supply(
        &mut self,
        member: &Member,
        to: &Stage,
        live: u32,
    ) -> Result<(), JournalError> {
        let pool = &member.pool;
        let configured = self.configured(pool);
        let given_up = supply::given_up(&member.stage, to, live, configured);
        let before = self.books.known_supply(pool);
        self.books
            .supply(pool, supply::gave_back(&before, given_up))
    }

    fn tell_stage(&self, member: &Member, stage: &Stage, now: Timestamp) {
        let (server, pool, order) = (&member.server, &member.pool, &member.order);
        let host = member
            .name
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let order = order.as_ref().map(ToString::to_string).unwrap_or_default();
        let own = &self.parts.own;
        let spent = elapsed(member.since, now);
        let check = self.seen.checks.get(server);
        for (span, took) in spans::ended(member, stage, check, now) {
            own.spent(span, took);
        }
        let seconds = spent.as_secs_f64();
        if let Some(why) = stage.why().filter(|_| member.stage.is_in_flight()) {
            own.ordered(pool, order_end(why), 1);
        }
        match stage {
            Stage::Cordoned { why } if matches!(member.stage, Stage::Deleting { .. }) => {
                tracing::warn!(%server, host, %pool, order, seconds,
                    "the cloud did not take up the deletion, cordoned again: {why}");
            }
            Stage::Cordoned { why } if why.is_withdrawal() => {
                tracing::error!(%server, host, %pool, order, seconds, "withdrawn: {why}");
            }
            Stage::Cordoned { why } => {
                tracing::info!(%server, host, %pool, order, seconds, "cordoned: {why}");
            }
            Stage::Deleting { why } => {
                tracing::info!(%server, host, %pool, order, seconds, "drained, deleting: {why}");
            }
            Stage::Gone { why } => {
                tracing::info!(%server, host, %pool, order, seconds, "gone: {why}");
                if let Some(end) = release_end(why).filter(|_| !member.stage.is_in_flight()) {
                    own.released(pool, end);
                }
            }
            Stage::Serving if self.turned_back(member, stage, now).is_some() => {
                let found = check.map(|check| check.outcome.to_string());
                tracing::error!(%server, host, %pool, found,
                    "its settings could not be begun with: it is in service as before, and tried again later");
            }
            Stage::Serving if member.stage == Stage::Refitting => {
                tracing::info!(%server, host, %pool, seconds, "in service again, with its settings");
            }
            Stage::Serving => {
                tracing::info!(%server, host, %pool, order, seconds, "in service");
                own.ordered(pool, OrderEnd::InService, 1);
            }
            Stage::Creating
            | Stage::Standby { .. }
            | Stage::Booting { .. }
            | Stage::Checking { .. }
            | Stage::Joining { .. }
            | Stage::Proving
            | Stage::Refitting => {
                let stage = stage_word(stage);
                tracing::info!(%server, host, %pool, order, seconds, "now {stage}");
            }
        }
    }

    fn act(&mut self, member: &Member, act: Act, server: Option<&Server>, look: &Look<'_>) {
        let now = look.now;
        match (act, server.and_then(|server| server.ip)) {
            (Act::None, _) => {}
            (Act::Delete, _) => self.deeds.start_surely(Deed::Delete(member.server.clone())),
            (Act::Check, Some(ip)) => {
                let deed = Deed::Check {
                    member: Box::new(member.clone()),
                    ip,
                    flavor: server.map(|server| Box::new(look.snapshot.flavor_of(server))),
                };
                self.deeds.start(deed, now);
            }
            (Act::Cordon, Some(ip)) => {
                let deed = Deed::Drain {
                    member: Box::new(member.clone()),
                    ip,
                };
                self.deeds.start(deed, now);
            }
            (Act::Check | Act::Cordon, None) => {}
        }
    }

    /// Sends a worker on its way to the settings that are due.
    pub(super) fn refit(&mut self, server: &ServerId, now: Timestamp) -> Result<(), JournalError> {
        let Some(member) = self.books.ledger().members.get(server).cloned() else {
            return Ok(());
        };
        let live = self.configured(&member.pool);
        self.tell_stage(&member, &Stage::Refitting, now);
        self.give_up_supply(&member, &Stage::Refitting, live)?;
        self.books.follow(Member {
            stage: Stage::Refitting,
            since: now,
            due: None,
            ..member
        })
    }

    /// Takes a worker back that is on its way out: what the check finds cordoned it takes back.
    pub(super) fn take_back(
        &mut self,
        server: &ServerId,
        pool: &PoolName,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        tracing::info!(%server, %pool, "needed again: taken back");
        self.refit(server, now)
    }

    /// How many instances a worker of the pool has, going by the configuration.
    fn configured(&self, pool: &PoolName) -> u32 {
        let pool = self.parts.config.policy.pools.get(pool);
        pool.map_or(0, |pool| pool.instances)
    }

    /// Begins the release of a worker.
    pub(super) fn release(
        &mut self,
        server: &ServerId,
        pool: &PoolName,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Some(member) = self.books.ledger().members.get(server).cloned() else {
            return Ok(());
        };
        tracing::info!(%server, %pool, "releasing");
        let live = self.configured(pool);
        let stage = Stage::Cordoned { why: Why::Idle };
        self.enter(&member, stage, member.reached, live, now)
    }
}

const fn listed<'a>(sight: &Sight<'a>) -> Option<&'a Server> {
    match sight.cloud {
        Cloud::Listed { server, .. } => Some(server),
        Cloud::Unknown | Cloud::Absent(_) => None,
    }
}

const fn order_end(why: &Why) -> OrderEnd {
    match why {
        Why::CloudError { .. } => OrderEnd::CloudError,
        Why::NotActive => OrderEnd::NotActive,
        Why::NotInService { .. } => OrderEnd::NotInService,
        Why::Vanished | Why::Idle | Why::Asked | Why::BlackHole { .. } => OrderEnd::Vanished,
    }
}

/// How a release ended; a server that was withdrawn was never given back.
const fn release_end(why: &Why) -> Option<ReleaseEnd> {
    match why {
        Why::Vanished => Some(ReleaseEnd::Vanished),
        Why::Idle | Why::Asked | Why::BlackHole { .. } => Some(ReleaseEnd::Deleted),
        Why::CloudError { .. } | Why::NotActive | Why::NotInService { .. } => None,
    }
}
