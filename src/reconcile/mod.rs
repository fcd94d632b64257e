//! Wake, look, plan, audit, carry out. One task owns what is in hand; a pass changes nothing outside
//! by itself: it starts deeds, and takes in how they ended.
//!
//! A pass is wanted when the webhook rings, when a reading changes, when a deed ends, and on a timer.
//! It is always the same pass.

mod black_holes;
mod books;
mod configure;
mod costs;
mod deeds;
mod ends;
mod exclusive;
mod ghosts;
mod lease;
mod leftovers;
mod names;
mod orders;
mod people;
mod reports;
mod servers;
mod spans;

use crate::clock::Clock;
use crate::cloud::Leftovers;
use crate::config::{Config, Policy};
use crate::execute::Hands;
use crate::gather::LookAgain;
use crate::journal::{Journal, JournalError};
use crate::metrics::{Direction, Own};
use crate::model::{Action, Alarms, Ledger, OrderId, PoolName, ServerId, Snapshot, elapsed};
use crate::policy::orders::Calls;
use crate::policy::{
    self, Absence, CheckReport, DrainReport, Lawful, Lease, Outcome, Plan, Step, SubJob, View,
};
use crate::random::Random;
pub use books::Bills;
use books::Books;
use costs::Meter;
use deeds::Deeds;
use jiff::Timestamp;
pub use leftovers::Tidied;
pub use people::{Reply, Word};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long deeds may go on once the process is told to stop: less than the supervisor waits, and
/// the web server may take 5 s more.
const FINISH: Duration = Duration::from_secs(12);

/// Odd things that are remembered as told; beyond that they are told again.
const MAX_ODDITIES: usize = 1000;

/// Why the reconciler ends. The process ends with it, and is started again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// What can not be remembered must not be done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A deed panicked.
    #[error("a deed broke off: {0}")]
    Deed(#[from] tokio::task::JoinError),
    /// The pollers have ended.
    #[error("nothing reads the farm any more")]
    Blind,
}

/// What the reconciler rests on, and what it shows.
#[derive(Debug)]
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// Tells the time.
    pub clock: Clock,
    /// Carries deeds out.
    pub hands: Arc<Hands>,
    /// The outside world.
    pub snapshot: watch::Receiver<Snapshot>,
    /// What Alertmanager rang for.
    pub alarms: watch::Sender<Alarms>,
    /// Rung by the webhook.
    pub wake: Arc<Notify>,
    /// Asks the pollers to look again at once.
    pub look: LookAgain,
    /// What people say.
    pub words: mpsc::Receiver<Word>,
    /// Counts.
    pub own: Own,
}

/// What is in hand, for whoever shows it.
#[derive(Debug, Default, Clone)]
pub struct InHand {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The last check of each server that was checked since the start.
    pub checks: Arc<BTreeMap<ServerId, CheckReport>>,
    /// What each server costs and has cost.
    pub bills: Arc<Bills>,
}

/// What was seen of servers and jobs besides the snapshot. Lost with the process, and looked at anew.
#[derive(Debug, Default)]
struct Seen {
    checks: BTreeMap<ServerId, CheckReport>,
    drains: BTreeMap<ServerId, DrainReport>,
    absences: BTreeMap<ServerId, Absence>,
    /// Since when each server's instances have all been down.
    quiet: BTreeMap<ServerId, Timestamp>,
    /// Since when every list has had a server.
    presences: BTreeMap<ServerId, Timestamp>,
    /// Servers that people took from us: lists that were asked for until then may still show them as ours.
    /// `None` while their tags are being taken off.
    let_go: BTreeMap<ServerId, Option<Timestamp>>,
    /// Who waits to hear that a server was let go.
    waiting: BTreeMap<ServerId, Reply>,
    standing: Option<Lease>,
    /// Which list the host keys of adopted servers were last looked up for.
    pins_at: Option<Timestamp>,
    sub_jobs: BTreeMap<ServerId, SubJob>,
    ended_jobs: BTreeSet<String>,
    calls: BTreeMap<OrderId, Calls>,
    /// What was last found of servers that are gone.
    left: BTreeMap<ServerId, (Timestamp, Leftovers)>,
    verdicts: BTreeMap<(PoolName, Action), String>,
    halted: BTreeMap<PoolName, Timestamp>,
    black_holes: black_holes::Told,
    oddities: BTreeSet<String>,
}

/// What a pass looks at: the same all through it.
#[derive(Debug, Clone, Copy)]
struct Look<'a> {
    snapshot: &'a Snapshot,
    alarms: &'a Alarms,
    policy: &'a Policy,
    now: Timestamp,
}

impl<'a> Look<'a> {
    /// The view with what is in hand just now.
    const fn view(&self, ledger: &'a Ledger) -> View<'a> {
        View {
            snapshot: self.snapshot,
            ledger,
            alarms: self.alarms,
            policy: self.policy,
            now: self.now,
        }
    }
}

/// The one task that changes what is in hand.
#[derive(Debug)]
pub struct Reconciler {
    parts: Parts,
    books: Books,
    deeds: Deeds,
    seen: Seen,
    meter: Meter,
    random: Random,
    began: Timestamp,
    shown: watch::Sender<InHand>,
}

impl Reconciler {
    /// Takes up what the journal remembers.
    ///
    /// # Errors
    /// Where the journal can not be read.
    pub fn new(parts: Parts, journal: Arc<Journal>) -> Result<Self, ReconcileError> {
        let now = parts.clock.now();
        let books = Books::open(journal, || parts.hands.new_scaler(now))?;
        let (shown, _) = watch::channel(InHand {
            ledger: Arc::new(books.ledger().clone()),
            checks: Arc::default(),
            bills: Arc::clone(books.bills()),
        });
        let (orders, servers) = (books.ledger().orders.len(), books.ledger().members.len());
        tracing::info!(orders, servers, "taken up from the journal");
        Ok(Self {
            deeds: Deeds::new(Arc::clone(&parts.hands)),
            began: now,
            seen: Seen::default(),
            meter: Meter::begin(books.listed()),
            random: Random::default(),
            parts,
            books,
            shown,
        })
    }

    /// What is in hand, as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<InHand> {
        self.shown.subscribe()
    }

    /// Runs until `stop`, then lets the deeds under way end.
    ///
    /// # Errors
    /// Where it can not go on.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ReconcileError> {
        let tick = self.parts.config.policy.tick;
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.parts.wake.notified() => {}
                changed = self.parts.snapshot.changed() => match changed {
                    Ok(()) => {}
                    // the pollers are told to stop together with this
                    Err(_) if stop.is_cancelled() => break,
                    Err(_) => return Err(ReconcileError::Blind),
                },
                Some(ended) = self.deeds.next() => {
                    let (subject, done) = ended?;
                    self.take_in(subject, done)?;
                }
                Some(word) = self.parts.words.recv() => self.obey(word)?,
                () = tokio::time::sleep(tick) => {}
            }
            self.pass()?;
        }
        self.finish().await
    }

    /// Lets the deeds under way end. What takes longer is cut off: every deed may be cut off anywhere,
    /// and is taken up again from the journal.
    async fn finish(mut self) -> Result<(), ReconcileError> {
        match tokio::time::timeout(FINISH, self.take_in_all()).await {
            Ok(finished) => {
                finished?;
                tracing::info!("the steps in hand are finished, and the journal is written");
            }
            Err(_) => tracing::info!("steps still in hand are left to the next start"),
        }
        Ok(())
    }

    async fn take_in_all(&mut self) -> Result<(), ReconcileError> {
        while let Some(ended) = self.deeds.next().await {
            let (subject, done) = ended?;
            self.take_in(subject, done)?;
        }
        Ok(())
    }

    /// One pass: everything that the present view asks for is started.
    fn pass(&mut self) -> Result<(), ReconcileError> {
        let now = self.parts.clock.now();
        let expiry = self.parts.config.policy.alarm_expiry;
        self.parts.alarms.send_if_modified(|alarms| {
            let before = alarms.iter().count();
            alarms.expire(now, expiry);
            alarms.iter().count() != before
        });
        let config = Arc::clone(&self.parts.config);
        let look = Look {
            snapshot: &self.parts.snapshot.borrow_and_update().clone(),
            alarms: &self.parts.alarms.borrow().clone(),
            policy: &config.policy,
            now,
        };
        self.seen.keep(self.books.ledger());
        self.keep_lease(&look);
        self.note_pins(&look);
        self.books.forget_setbacks_of_servers_gone();
        self.end_maintenance(now)?;
        self.take_up(&look)?;
        self.keep_exclusive(&look)?;
        self.count(&look)?;
        self.keep_bills(&look)?;
        self.move_servers_on(&look)?;
        self.move_orders_on(&look)?;
        self.decide(&look)?;
        self.free_ghosts(&look);
        self.follow_trails(&look)?;
        self.show();
        Ok(())
    }

    /// Shows what is in hand to whoever asks.
    fn show(&self) {
        self.shown.send_replace(InHand {
            ledger: Arc::new(self.books.ledger().clone()),
            checks: Arc::new(self.seen.checks.clone()),
            bills: Arc::clone(self.books.bills()),
        });
    }

    /// Counts the looks that found workers idle, and the instances that each pool is known to have.
    fn count(&mut self, look: &Look<'_>) -> Result<(), JournalError> {
        let view = look.view(self.books.ledger());
        let states = policy::decidable(&view);
        let streaks = policy::look(&view, &states);
        let gaps = policy::next_gaps(&view, &states);
        self.books.looks(streaks, gaps);
        for (pool, state) in &states {
            let Ok(state) = state else { continue };
            let (live, excused) = (state.supply.live(), state.excused());
            let before = self.books.known_supply(pool);
            let ratio = look.policy.known_instances_ratio;
            let after = policy::supply::observe(&before, live, excused, look.now, ratio);
            self.seen
                .tell_halt(pool, live, after.halted_below, look.now);
            self.books.supply(pool, after)?;
        }
        Ok(())
    }

    fn decide(&mut self, look: &Look<'_>) -> Result<(), JournalError> {
        let view = look.view(self.books.ledger());
        let plan = policy::plan(&view);
        let (lawful, refusals) = policy::audit(plan.clone(), &view);
        for refusal in &refusals {
            tracing::error!(step = ?refusal.step, law = refusal.law.label(), "the audit refused a step of the plan");
        }
        self.tell(&plan, look.now);
        self.tell_of_black_holes(&plan.suspects, look.now);
        self.carry_out(&lawful, look)
    }

    /// One line for each verdict that differs from the last one, and a count.
    fn tell(&mut self, plan: &Plan, now: Timestamp) {
        for verdict in &plan.verdicts {
            let key = (verdict.pool.clone(), verdict.direction);
            let reason = verdict.reason.label().to_owned();
            let acts = matches!(verdict.outcome, Outcome::Act(_));
            let changed = self.seen.verdicts.get(&key) != Some(&reason);
            if acts || changed {
                tracing::info!(pool = %verdict.pool, direction = verdict.label(), reason, "{verdict}");
                let direction = match verdict.label() {
                    "apply" => Direction::Apply,
                    "release" => Direction::Release,
                    _ => Direction::Hold,
                };
                self.parts
                    .own
                    .decided(direction, &verdict.pool, &reason, now);
            }
            self.seen.verdicts.insert(key, reason);
        }
    }

    fn carry_out(&mut self, plan: &Lawful<Plan>, look: &Look<'_>) -> Result<(), JournalError> {
        for step in &plan.get().steps {
            match step {
                Step::Order {
                    pool, count, offer, ..
                } => self.order(pool, *count, offer.clone(), look)?,
                Step::Release { server, pool } => self.release(server, pool, look.now)?,
                Step::TakeBack { server, pool } => self.take_back(server, pool, look.now)?,
                Step::Refit { server, .. } => self.refit(server, look.now)?,
                Step::Isolate { .. } => self.isolate(step, look.now)?,
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Forgets what is no longer in hand.
    fn keep(&mut self, ledger: &Ledger) {
        let in_hand = |server: &ServerId| ledger.members.contains_key(server);
        self.checks.retain(|server, _| in_hand(server));
        self.drains.retain(|server, _| in_hand(server));
        self.absences.retain(|server, _| in_hand(server));
        self.quiet.retain(|server, _| in_hand(server));
        self.presences.retain(|server, _| in_hand(server));
        self.sub_jobs.retain(|server, _| in_hand(server));
        self.calls
            .retain(|order, _| ledger.orders.contains_key(order));
    }

    /// Tells of a halted pool once it has been halted for longer than OBS may fail to list an instance
    /// that is there: between two jobs for half a second, and while a worker takes new code.
    fn tell_halt(&mut self, pool: &PoolName, live: u32, below: Option<u32>, now: Timestamp) {
        let Some(below) = below else {
            if self
                .halted
                .remove(pool)
                .is_some_and(|since| elapsed(since, now) >= policy::SETTLE)
            {
                tracing::info!(%pool, live, "not halted any more");
            }
            return;
        };
        let since = *self.halted.entry(pool.clone()).or_insert(now);
        if elapsed(since, now) >= policy::SETTLE {
            let words = format!(
                "pool {pool} is halted since {since}: fewer than the share of {below} instances are \
                 there, without our doing; nothing is ordered or released there until they are back \
                 or a person says `obs-scaler pool accept {pool}`"
            );
            self.odd(words);
        }
    }

    /// Logs what stays so for many passes once.
    fn odd(&mut self, words: String) {
        if !self.oddities.contains(&words) {
            tracing::warn!("{words}");
            if self.oddities.len() >= MAX_ODDITIES {
                self.oddities.clear();
            }
            self.oddities.insert(words);
        }
    }
}
