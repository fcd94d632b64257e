//! The ledger and its journal as one: a change is on disk before anything rests on it.

use crate::journal::{Entry, Journal, JournalError};
use crate::model::{
    BackendName, Bill, Exclusive, Gap, HostName, IdleStreak, InstanceId, Ledger, Member, Order,
    OrderId, Overrides, OwnLease, PoolName, Scaler, ServerId, Setbacks, Stage, Supply, Trail,
    TurnedBack, elapsed,
};
use crate::policy::RAMP;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What each server costs and has cost.
pub type Bills = BTreeMap<ServerId, Arc<Bill>>;

/// What the program has in hand, kept so that a crash loses none of it.
#[derive(Debug)]
pub(super) struct Books {
    ledger: Ledger,
    bills: Arc<Bills>,
    listed: Option<Timestamp>,
    journal: Arc<Journal>,
}

impl Books {
    /// Takes up what was in hand when the journal was last written.
    pub(super) fn open(
        journal: Arc<Journal>,
        new: impl FnOnce() -> Option<Scaler>,
    ) -> Result<Self, JournalError> {
        let mut ledger = journal.load()?;
        ledger.lease.me = journal.scaler(new)?;
        ledger.started = started(&ledger);
        let (bills, listed) = journal.load_bills()?;
        let bills = bills.into_iter();
        let bills = bills.map(|bill| (bill.server.clone(), Arc::new(bill)));
        Ok(Self {
            ledger,
            bills: Arc::new(bills.collect()),
            listed,
            journal,
        })
    }

    /// What each server costs and has cost.
    pub(super) const fn bills(&self) -> &Arc<Bills> {
        &self.bills
    }

    /// When the list was read that the bills rest on.
    pub(super) const fn listed(&self) -> Option<Timestamp> {
        self.listed
    }

    /// Writes bills that are new or have changed, and forgets others; with the time of the list that says so,
    /// where one does.
    pub(super) fn bill(
        &mut self,
        changed: Vec<Bill>,
        forgotten: &[ServerId],
        listed: Option<Timestamp>,
    ) -> Result<(), JournalError> {
        self.journal.keep_bills(&changed, forgotten, listed)?;
        self.listed = listed.or(self.listed);
        if !changed.is_empty() || !forgotten.is_empty() {
            let bills = Arc::make_mut(&mut self.bills);
            bills.retain(|server, _| !forgotten.contains(server));
            let changed = changed.into_iter();
            bills.extend(changed.map(|bill| (bill.server.clone(), Arc::new(bill))));
        }
        Ok(())
    }

    pub(super) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Writes the intent to buy, before the call, and with it which names it uses.
    pub(super) fn intend(&mut self, order: Order) -> Result<(), JournalError> {
        let last = order.names.as_ref().map(|names| names.last(order.count));
        let numbers = last.map(|last| Entry::LastNumber(&order.pool, last));
        let entries: Vec<_> = numbers.into_iter().chain([Entry::Order(&order)]).collect();
        self.journal.write(&entries)?;
        if let Some(last) = last {
            self.ledger.last_numbers.insert(order.pool.clone(), last);
        }
        self.put(order);
        Ok(())
    }

    fn put(&mut self, order: Order) {
        self.ledger.orders.insert(order.id.clone(), order);
    }

    /// The cloud has answered: its job, and the servers that are to come. Those that the list
    /// showed before keep their stage.
    pub(super) fn answered(
        &mut self,
        id: &OrderId,
        job: String,
        servers: Vec<ServerId>,
    ) -> Result<(), JournalError> {
        let Some(mut order) = self.ledger.orders.get(id).cloned() else {
            return Ok(());
        };
        order.job = Some(job);
        let known = &self.ledger.members;
        let new = servers
            .into_iter()
            .filter(|server| !known.contains_key(server));
        let members: Vec<_> = new.map(|server| ordered(server, &order)).collect();
        let entries = members.iter().map(Entry::Member);
        let entries: Vec<_> = entries.chain([Entry::Order(&order)]).collect();
        self.journal.write(&entries)?;
        for member in members {
            self.ledger.members.insert(member.server.clone(), member);
        }
        self.put(order);
        Ok(())
    }

    /// What the cloud refused, to be changed. Not written: after a restart the cloud is asked again.
    pub(super) const fn setbacks(&mut self) -> &mut Setbacks {
        &mut self.ledger.setbacks
    }

    pub(super) fn forget_setbacks_of_servers_gone(&mut self) {
        let Ledger {
            setbacks, members, ..
        } = &mut self.ledger;
        setbacks.keep_servers(|server| members.contains_key(server));
    }

    /// Nothing more is expected of an order that was refused, or not answered.
    pub(super) fn close(&mut self, id: &OrderId, why: String) -> Result<(), JournalError> {
        let Some(mut order) = self.ledger.orders.get(id).cloned() else {
            return Ok(());
        };
        order.closed = Some(why);
        self.journal.write(&[Entry::Order(&order)])?;
        self.put(order);
        Ok(())
    }

    /// Every server of the order is in service or gone.
    pub(super) fn done(&mut self, id: &OrderId) -> Result<(), JournalError> {
        if let Some(order) = self.ledger.orders.get(id) {
            self.journal.write(&[Entry::OrderDone(order)])?;
        }
        self.ledger.orders.remove(id);
        Ok(())
    }

    /// Takes up a server, or what has changed about one.
    pub(super) fn follow(&mut self, member: Member) -> Result<(), JournalError> {
        self.journal.write(&[Entry::Member(&member)])?;
        self.ledger.members.insert(member.server.clone(), member);
        Ok(())
    }

    /// Notes a server's name, which the cloud's list brings later than its id.
    pub(super) fn name(&mut self, server: &ServerId, name: &HostName) -> Result<(), JournalError> {
        match self.ledger.members.get(server) {
            Some(member) if member.name.as_ref() != Some(name) => {
                let name = Some(name.clone());
                self.follow(Member {
                    name,
                    ..member.clone()
                })
            }
            _ => Ok(()),
        }
    }

    /// A server is gone: it is forgotten, but for what it may have left behind.
    pub(super) fn gone(
        &mut self,
        server: &ServerId,
        trail: Option<Trail>,
    ) -> Result<(), JournalError> {
        let entries = trail.iter().map(Entry::Trail);
        let entries: Vec<_> = entries.chain([Entry::MemberGone(server)]).collect();
        self.journal.write(&entries)?;
        self.ledger.members.remove(server);
        self.ledger.streaks.remove(server);
        self.ledger.turned_back.remove(server);
        let trails = &mut self.ledger.trails;
        trails.extend(trail.map(|trail| (trail.server.clone(), trail)));
        Ok(())
    }

    /// Nothing of a server that is gone is there any more.
    pub(super) fn forget_trail(&mut self, server: &ServerId) -> Result<(), JournalError> {
        self.journal.write(&[Entry::TrailDone(server)])?;
        self.ledger.trails.remove(server);
        Ok(())
    }

    /// Moves a server to another stage.
    pub(super) fn enter(
        &mut self,
        server: &ServerId,
        stage: Stage,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Some(member) = self.ledger.members.get(server) else {
            return Ok(());
        };
        let stood = matches!(member.stage, Stage::Creating | Stage::Standby { .. });
        if stood && !member.reached && matches!(stage, Stage::Booting { .. }) {
            let started = &mut self.ledger.started;
            started.retain(|_, at| elapsed(*at, now) < RAMP);
            started.insert(server.clone(), now);
        }
        self.follow(Member {
            stage,
            since: now,
            ..member.clone()
        })
    }

    /// What is known of the own lease, and of adopted servers' host keys: both are learnt anew after a
    /// restart, and so not written.
    pub(super) const fn lease(&mut self) -> &mut OwnLease {
        &mut self.ledger.lease
    }

    pub(super) const fn pinned(&mut self) -> &mut BTreeSet<ServerId> {
        &mut self.ledger.pinned
    }

    /// A worker that could not be set is in service as before. What it was to be told stays due.
    pub(super) fn turned_back(
        &mut self,
        server: &ServerId,
        back: TurnedBack,
    ) -> Result<(), JournalError> {
        let Some(member) = self.ledger.members.get(server).cloned() else {
            return Ok(());
        };
        self.ledger.turned_back.insert(server.clone(), back);
        self.follow(Member {
            due: Some(1),
            ..member
        })
    }

    /// Writes down what a worker is to be told. One that is on its way already begins anew: what was found on it so
    /// far was judged by other settings.
    pub(super) fn tell(&mut self, member: Member, now: Timestamp) -> Result<(), JournalError> {
        self.ledger.turned_back.remove(&member.server);
        self.follow(match member.stage {
            Stage::Refitting => Member {
                since: now,
                due: None,
                ..member
            },
            _ => member,
        })
    }

    /// Forgets a server that a person took from us.
    pub(super) fn let_go(&mut self, server: &ServerId) -> Result<(), JournalError> {
        self.journal.write(&[Entry::MemberGone(server)])?;
        self.ledger.members.remove(server);
        self.ledger.streaks.remove(server);
        self.ledger.turned_back.remove(server);
        Ok(())
    }

    /// A person sets or ends the exclusive mode.
    pub(super) fn exclusive(&mut self, mode: Option<Exclusive>) -> Result<(), JournalError> {
        self.journal.write(&[Entry::Exclusive(mode.as_ref())])?;
        self.ledger.exclusive = mode;
        Ok(())
    }

    /// A person begins (until when) or ends the maintenance of a backend.
    pub(super) fn maintenance(
        &mut self,
        backend: &BackendName,
        until: Option<Timestamp>,
    ) -> Result<(), JournalError> {
        self.journal.write(&[Entry::Maintenance(backend, until)])?;
        let maintenance = &mut self.ledger.maintenance;
        maintenance.remove(backend);
        maintenance.extend(until.map(|until| (backend.clone(), until)));
        Ok(())
    }

    /// What a pool is known to have had.
    pub(super) fn known_supply(&self, pool: &PoolName) -> Supply {
        self.ledger.supply.get(pool).cloned().unwrap_or_default()
    }

    /// Changes what a pool is known to have had. Written only where it differs.
    pub(super) fn supply(&mut self, pool: &PoolName, known: Supply) -> Result<(), JournalError> {
        if self.ledger.supply.get(pool) == Some(&known) {
            return Ok(());
        }
        self.journal.write(&[Entry::Supply(pool, &known)])?;
        self.ledger.supply.insert(pool.clone(), known);
        Ok(())
    }

    /// How long each worker has been idle, and since when instances are in a gap: both are counted anew after a
    /// restart, and so not written.
    pub(super) fn looks(
        &mut self,
        streaks: BTreeMap<ServerId, IdleStreak>,
        gaps: BTreeMap<InstanceId, (Gap, Timestamp)>,
    ) {
        self.ledger.streaks = streaks;
        self.ledger.gaps = gaps;
    }
}

/// When the servers on their way into service were to be started: what is in service by now was so before.
fn started(ledger: &Ledger) -> BTreeMap<ServerId, Timestamp> {
    let members = ledger.members.values().filter(|member| member.ordered_here);
    let at = members.filter_map(|member| match member.stage {
        Stage::Booting { active } | Stage::Checking { active } | Stage::Joining { active } => {
            Some((member.server.clone(), active))
        }
        _ => None,
    });
    at.collect()
}

fn ordered(server: ServerId, order: &Order) -> Member {
    Member {
        server,
        name: None,
        pool: order.pool.clone(),
        order: Some(order.id.clone()),
        vcpus: order.vcpus,
        stage: Stage::Creating,
        since: order.at,
        reached: false,
        ordered_here: true,
        own: Overrides::default(),
        bound: None,
        due: None,
    }
}
