//! Exclusive mode: which workers serve one backend alone, which are kept for the others, and how far that is.
//!
//! Here it is only decided whose `bound` is to change. The way to other settings is that of any whose settings
//! are due ([`super::refit`]): drained first, few of a pool at once, never the last that a job needs.

use super::View;
use super::demand::fresh;
use super::fit::{asked, meets};
use super::gaps;
use super::held::{Held, Source};
use super::reason::Reason;
use super::setup::wanted;
use super::waiting::Workforce;
use crate::config::Pool;
use crate::model::{
    Arch, BackendName, Capabilities, Constraints, Exclusive, Fleet, HostName, Member, PoolName,
    ServerId, Stage,
};
use std::collections::BTreeMap;

/// A worker that is to be bound, or to get its own backends back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its server.
    pub server: ServerId,
    /// The backend that it is to serve alone; `None` for its own list.
    pub bound: Option<BackendName>,
    /// Its own list, where that is not what its pool has and nobody has said it yet.
    pub own: Option<Vec<BackendName>>,
    /// How many of its pool may be on their way at once; `None` for a new server, which is told so from the start.
    pub due: Option<u32>,
}

/// How far a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// It serves whom it is to serve.
    Settled,
    /// It is drained, set, started and checked.
    OnTheWay,
    /// Its turn comes.
    Due,
    /// It stays for the other backends.
    Kept,
    /// It can not be reached, and so not be told anything.
    Unreachable,
    /// It is new, and not in service yet.
    Joining,
}

impl Progress {
    /// Every one, in the order of the counts.
    pub const ALL: [Self; 6] = [
        Self::Settled,
        Self::OnTheWay,
        Self::Due,
        Self::Kept,
        Self::Unreachable,
        Self::Joining,
    ];

    /// The name in JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::OnTheWay => "on_the_way",
            Self::Due => "due",
            Self::Kept => "kept",
            Self::Unreachable => "unreachable",
            Self::Joining => "joining",
        }
    }
}

/// How far one worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its server.
    pub server: ServerId,
    /// Its name, once the cloud has listed it.
    pub host: Option<HostName>,
    /// Its pool.
    pub pool: PoolName,
    /// How far it is.
    pub progress: Progress,
    /// Why it is kept, can not be reached, or was turned back.
    pub why: Option<String>,
}

/// What exclusive mode asks for now.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// Whose binding is to change.
    pub changes: Vec<Change>,
    /// How far each worker of the pools is that are meant.
    pub rows: Vec<Row>,
    /// Why no further worker in service is bound just now.
    pub held: Option<Reason>,
    /// It was taken back, and every worker has its own list again.
    pub over: bool,
}

/// Why a worker stays, in words, by server.
type Kept<'a> = BTreeMap<&'a ServerId, String>;

/// Decides. Without the mode whoever is still bound gets its own list back.
#[must_use]
pub fn exclusion(view: &View<'_>) -> Exclusion {
    let mode = view.ledger.exclusive.as_ref();
    let at_once = mode.map_or(1, |mode| mode.at_once);
    let mut all = Exclusion::default();
    let kept = match mode.filter(|mode| !mode.ending) {
        Some(mode) => keep(view, mode),
        None => view.may_act().map(|()| Kept::new()),
    };
    let kept = kept.map_err(|reason| all.held = Some(reason)).ok();
    for member in view.ledger.members.values() {
        let Some(pool) = view.policy.pools.get(&member.pool) else {
            continue;
        };
        if member.stage.is_leaving() {
            continue;
        }
        let meant = mode.filter(|mode| mode.pools.contains(&member.pool));
        let why = kept.as_ref().and_then(|kept| kept.get(&member.server));
        let to = target(meant, member, pool).filter(|_| why.is_none());
        let change = change(view, member, to, kept.is_some(), at_once);
        if meant.is_some() {
            all.rows.push(row(view, member, why, change.is_some(), to));
        }
        all.changes.extend(change);
    }
    all.rows
        .sort_by(|a, b| (&a.pool, &a.host).cmp(&(&b.pool, &b.host)));
    let done = |row: &Row| row.progress == Progress::Settled;
    all.over = mode.is_some_and(|mode| mode.ending) && all.rows.iter().all(done);
    all
}

/// The one backend that the worker is to serve, were it not kept: none where it serves that one alone anyway.
fn target<'a>(
    meant: Option<&'a Exclusive>,
    member: &Member,
    pool: &Pool,
) -> Option<&'a BackendName> {
    let backend = &meant.filter(|mode| !mode.ending)?.backend;
    (own_list(member, pool) != [backend.clone()]).then_some(backend)
}

/// The backends that it serves when it is not bound.
fn own_list(member: &Member, pool: &Pool) -> Vec<BackendName> {
    let free = Member {
        bound: None,
        ..member.clone()
    };
    wanted(&free, pool).backends
}

/// A new server is told from the start; one whose check may be under way only once it is in service, since that
/// check knows nothing of the change.
fn change(
    view: &View<'_>,
    member: &Member,
    to: Option<&BackendName>,
    known: bool,
    at_once: u32,
) -> Option<Change> {
    if member.bound.as_ref() == to {
        return None;
    }
    let due = match member.stage {
        Stage::Creating | Stage::Standby { .. } => None,
        Stage::Serving | Stage::Refitting => {
            let may = known && (to.is_none() || is_reachable(view, member));
            may.then_some(())?;
            Some(at_once)
        }
        Stage::Booting { .. }
        | Stage::Checking { .. }
        | Stage::Joining { .. }
        | Stage::Proving
        | Stage::Cordoned { .. }
        | Stage::Deleting { .. }
        | Stage::Gone { .. } => return None,
    };
    Some(Change {
        server: member.server.clone(),
        bound: to.cloned(),
        own: found_list(view, member),
        due,
    })
}

/// The backends that an adopted worker serves as it was found, those that list it, before it is told anything by us.
fn found_list(view: &View<'_>, member: &Member) -> Option<Vec<BackendName>> {
    let as_found =
        member.order.is_none() && member.bound.is_none() && member.own.backends.is_none();
    let pool = view.policy.pools.get(&member.pool).filter(|_| as_found)?;
    let host = member.name.as_ref()?;
    let lists = |name: &&BackendName| {
        let workers = view.snapshot.backends.get(*name);
        let workers = workers.and_then(|backend| backend.workers.last());
        workers.is_some_and(|read| read.value.of_host(host).any(|i| i.state.is_live()))
    };
    let found: Vec<BackendName> = pool.backends.iter().filter(lists).cloned().collect();
    (!found.is_empty() && found.len() < pool.backends.len()).then_some(found)
}

fn row(
    view: &View<'_>,
    member: &Member,
    kept: Option<&String>,
    changes: bool,
    to: Option<&BackendName>,
) -> Row {
    let pending = changes || member.due.is_some() || member.bound.as_ref() != to;
    let (progress, why) = match (&member.stage, kept) {
        (Stage::Refitting, _) => (Progress::OnTheWay, None),
        (Stage::Serving, _) if !is_reachable(view, member) && pending => {
            (Progress::Unreachable, Some(Reason::NoHostKey.to_string()))
        }
        (Stage::Serving, _) if pending => {
            let back = view.ledger.turned_back.get(&member.server);
            (Progress::Due, back.map(|back| back.why.clone()))
        }
        (Stage::Serving, Some(why)) => (Progress::Kept, Some(why.clone())),
        (Stage::Serving, None) => (Progress::Settled, None),
        _ if !pending && to.is_none() => (Progress::Settled, None),
        _ => (Progress::Joining, None),
    };
    Row {
        server: member.server.clone(),
        host: member.name.clone(),
        pool: member.pool.clone(),
        progress,
        why,
    }
}

fn is_reachable(view: &View<'_>, member: &Member) -> bool {
    let fleet = view.snapshot.fleet.last();
    let server = fleet.and_then(|list| list.value.servers.get(&member.server));
    let ordered = server.is_some_and(|server| server.tags.order.is_some());
    ordered || view.ledger.pinned.contains(&member.server)
}

/// Whether the jobs of this backend wait by a person's word: the workers of the pool are meant for another.
pub(super) fn sets_aside(view: &View<'_>, pool: &PoolName, backend: &BackendName) -> bool {
    let mode = view.ledger.exclusive.as_ref();
    mode.is_some_and(|m| !m.ending && m.pools.contains(pool) && m.backend != *backend)
}

/// What jobs of the other backends ask of a worker, those that ask for something, each with one that does.
/// OBS lets a job wait that asks for nothing, but fails one for which no worker is compliant.
type Demands<'a> = BTreeMap<(&'a BackendName, Arch, Constraints), &'a str>;

fn demands<'a>(view: &View<'a>, mode: &'a Exclusive) -> Result<Demands<'a>, Reason> {
    let mut demands = Demands::new();
    let pools = mode.pools.iter();
    for pool in pools.filter_map(|name| view.policy.pools.get(name)) {
        for name in pool.backends.iter().filter(|name| **name != mode.backend) {
            add_demands(view, pool, name, &mut demands)?;
        }
    }
    Ok(demands)
}

fn add_demands<'a>(
    view: &View<'a>,
    pool: &Pool,
    name: &'a BackendName,
    demands: &mut Demands<'a>,
) -> Result<(), Reason> {
    let unknown = |source, why| Reason::Unknown(Held::backend(source, name, why));
    let backend = view.snapshot.backends.get(name).ok_or(Reason::Unread)?;
    let _workers = fresh(&backend.workers, view).map_err(|why| unknown(Source::Workers, why))?;
    let results = fresh(&backend.results, view).map_err(|why| unknown(Source::Results, why))?;
    let known = backend.requirements.last().map(|reading| &reading.value);
    for job in &results.value().jobs {
        if !job.state.is_pending() || view.policy.host_arch(&job.key.arch) != Some(pool.arch) {
            continue;
        }
        let asked = known.and_then(|known| asked(known, &job.key));
        let asked = asked.ok_or(Reason::Unread)?;
        if !asked.is_empty() {
            demands.insert((name, pool.arch, asked), &job.key.package);
        }
    }
    Ok(())
}

/// A worker that could be kept.
struct Candidate<'a> {
    member: &'a Member,
    host: &'a HostName,
    arch: Arch,
    serves: Vec<BackendName>,
    has: Option<&'a Capabilities>,
}

/// One worker for everything that jobs of the other backends ask, where none that stays theirs anyway meets it.
fn keep<'a>(view: &View<'a>, mode: &'a Exclusive) -> Result<Kept<'a>, Reason> {
    view.may_act()?;
    let fleet = view.fleet();
    let fleet = fleet.map_err(|why| Reason::Unknown(Held::cloud(why)))?;
    let demands = demands(view, mode)?;
    let candidates = candidates(view, mode);
    let free = |host: &HostName| is_free(view, fleet.value(), mode, host);
    let workforce = Workforce::new(view, fleet.value());
    let mut kept = Kept::new();
    for ((backend, arch, asked), package) in &demands {
        let fits = |has: Option<&Capabilities>| has.is_some_and(|has| meets(asked, has));
        let mut able = workforce.able(backend, *arch);
        if able.any(|(host, has)| free(host) && fits(has)) {
            continue;
        }
        let fitting =
            |c: &&Candidate<'_>| c.arch == *arch && c.serves.contains(backend) && fits(c.has);
        let mut of_kept = candidates.iter().filter(fitting);
        if of_kept.any(|c| kept.contains_key(&c.member.server)) {
            continue;
        }
        // one that is not bound needs nothing done to it, and stays the one that is kept
        let fitting = candidates.iter().filter(fitting);
        let first = fitting.min_by_key(|c| (c.member.bound.is_some(), c.host));
        if let Some(one) = first {
            let why = format!("{package} at {backend} needs a worker such as it");
            kept.insert(&one.member.server, why);
        }
    }
    Ok(kept)
}

/// Whether the host is none of the workers that are meant.
fn is_free(view: &View<'_>, fleet: &Fleet, mode: &Exclusive, host: &HostName) -> bool {
    let mut members = view.ledger.members.values();
    !members.any(|member| {
        let listed = fleet.servers.get(&member.server);
        let named = listed.map(|server| &server.name).or(member.name.as_ref());
        named == Some(host) && mode.pools.contains(&member.pool) && is_reachable(view, member)
    })
}

fn candidates<'a>(view: &View<'a>, mode: &Exclusive) -> Vec<Candidate<'a>> {
    let members = view.ledger.members.values();
    let meant = members.filter(|m| mode.pools.contains(&m.pool) && is_reachable(view, m));
    let there = meant.filter(|m| match m.stage {
        Stage::Serving => {
            let host = m.name.as_ref();
            !host.is_some_and(|host| gaps::is_missed(view, host))
        }
        Stage::Refitting => true,
        Stage::Creating
        | Stage::Standby { .. }
        | Stage::Booting { .. }
        | Stage::Checking { .. }
        | Stage::Joining { .. }
        | Stage::Proving
        | Stage::Cordoned { .. }
        | Stage::Deleting { .. }
        | Stage::Gone { .. } => false,
    });
    let candidate = |member: &'a Member| {
        let pool = view.policy.pools.get(&member.pool)?;
        let host = member.name.as_ref()?;
        // every backend is told the same by a worker; one that is bound is known at its own alone
        let mut backends = view.snapshot.backends.values();
        let has = backends.find_map(|b| b.requirements.last()?.value.workers.get(host));
        Some(Candidate {
            member,
            host,
            arch: pool.arch,
            serves: own_list(member, pool),
            has,
        })
    };
    there.filter_map(candidate).collect()
}
