//! Black holes: workers that lose the builds which they take. One that fails quickly takes job after job.
//!
//! A failed build may be the package's fault, the project's, or the worker's. What is held against a worker
//! is how many packages it lost *more than chance explains*, where chance is what became at the same time of
//! the builds of the pool's other workers, in the same repository, and of the same packages elsewhere:
//!
//! 1. Of each package only its last build on the worker counts: a broken one that is tried ten times is one.
//! 2. Only the time from the worker's first lost build to its last is looked at, and only repositories of
//!    which the others ended [`PEER_BUILDS`] builds in that time: what was broken for all is in their share.
//! 3. That share is taken at its upper bound, since it was seen in few builds (two standard deviations).
//!    Builds of the same package on other hosts move it up or down for that package.
//! 4. The sum of these chances is what a healthy worker was to lose. Chernoff's bound for a sum of independent
//!    yes-and-no events gives how likely as many as were lost are: `exp(lost - mean - lost * ln(lost / mean))`.
//!    Below [`CHANCE`] it was not chance; and it has to be [`TIMES`] as many, since "far more often" is asked for.
//!
//! The bound is weak where little was seen, and so are its verdicts: a worker without peers is never judged.

use super::View;
use super::demand::PoolState;
use super::placement::{Hosts, Placement, Standing};
use super::waiting::LastFits;
use crate::config::{BlackHoleAction, BlackHoles, Mode, Pool};
use crate::model::{
    BuildEnd, Came, Fleet, HostName, Member, PackageKey, PoolName, Server, ServerId, ServerStatus,
    Stage, Why, elapsed,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// How likely chance alone may be at most. A farm of 60 workers is judged some thousand times a day anew: one
/// healthy worker in more than a year.
const CHANCE: f64 = 1e-6;

/// How many times as many as a healthy worker was to lose have to be lost.
const TIMES: f64 = 2.0;

/// So many builds of others at least must have ended in a repository meanwhile.
const PEER_BUILDS: usize = 10;

/// So many other workers at least must have ended them: of two workers nobody can say which is the odd one.
const PEERS: usize = 2;

/// How many builds of no known outcome a package's own history is weighed against.
const PRIOR: f64 = 2.0;

/// Builds that vanish within this of each other vanished by one cause: a worker that was restarted loses all
/// that it had in hand, once.
const ONE_CAUSE: Duration = Duration::from_secs(600);

/// What was seen of a worker's builds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Evidence {
    /// Packages of which the last build there was lost.
    lost: u32,
    /// Of these, builds that vanished.
    vanished: u32,
    /// Packages that were built there in the time looked at.
    of: u32,
    /// How many a healthy worker was to lose, at most.
    expected: f64,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lost,
            vanished,
            of,
            expected,
        } = self;
        write!(f, "of the builds of {of} packages {lost} were lost")?;
        if *vanished > 0 {
            write!(f, " ({vanished} vanished)")?;
        }
        write!(f, ", where at most {expected:.1} would be elsewhere")
    }
}

/// Why a black hole is not cordoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The configuration says that it is only told of.
    ReportOnly,
    /// It is not ours.
    Unmanaged,
    /// The pool's mode is not `full`.
    Mode,
    /// Another scaler goes first, or that is not known.
    Lease,
    /// The pool is halted, or not known.
    Pool,
    /// Its host key is not known: it can not be reached.
    NoHostKey,
    /// It does not run, or does not stand in service.
    NotServing,
    /// Only the reserve would be left.
    Reserve,
    /// A third of the pool's workers are cordoned as black holes: it may be something else.
    Share,
    /// What some job asks of a worker has not been read.
    Unread,
    /// It is the last worker that meets what some job asks.
    LastFit,
    /// Others are released or cordoned first: one thing at a time.
    NotNow,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReportOnly => "black_holes.action is report",
            Self::Unmanaged => "it is not ours",
            Self::Mode => "the pool's mode is not full",
            Self::Lease => "another obs-scaler goes first",
            Self::Pool => "its pool is halted or not known",
            Self::NoHostKey => "its host key is not known, so it can not be reached",
            Self::NotServing => "it does not stand in service",
            Self::Reserve => "only the reserve would be left",
            Self::Share => "a third of the pool is cordoned for the same: it may be something else",
            Self::Unread => "what some job asks of a worker has not been read yet",
            Self::LastFit => "no other worker meets the constraints of some job",
            Self::NotNow => "one thing at a time",
        })
    }
}

/// A worker that is a black hole by what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Its host name.
    pub host: HostName,
    /// Its pool.
    pub pool: PoolName,
    /// Its server, where it is ours.
    pub server: Option<ServerId>,
    /// What was seen, in words.
    pub evidence: String,
    /// Why it is left in service; `None` where it is cordoned now.
    pub left: Option<Left>,
}

/// The last build of each package on one host.
type Last<'a> = BTreeMap<&'a PackageKey, &'a BuildEnd>;

/// Every host with a pool and its last builds.
struct Builds<'a> {
    settings: BlackHoles,
    hosts: BTreeMap<&'a HostName, (&'a PoolName, Last<'a>)>,
}

/// The workers that are black holes. At most one of them is to be cordoned now, and none where workers are
/// released, or sent to other settings, in the same round: what each law counts has to be what the others left.
pub(super) fn suspects(
    view: &View<'_>,
    states: &BTreeMap<PoolName, &PoolState>,
    mut busy: bool,
) -> Vec<Suspect> {
    let settings = view.policy.black_holes;
    let Ok(fleet) = view.fleet() else {
        return Vec::new();
    };
    let conspicuous = conspicuous(view, &settings);
    if settings.action == BlackHoleAction::None || conspicuous.is_empty() {
        return Vec::new();
    }
    let placement = Placement::new(view.policy, &view.snapshot.build_times);
    let hosts = Hosts::new(fleet.value(), view.ledger);
    let hosts = hosts.and_unmanaged(view.snapshot, fleet.value(), &placement);
    let builds = Builds::new(view, fleet.value(), &hosts);
    let mut last_fits = LastFits::new(view, fleet.value());
    let mut judge = |host: &HostName| {
        is_there(view, host).then_some(())?;
        let (pool, evidence) = builds.judge(host)?;
        let server = fleet.value().by_name(host);
        let pool = view.policy.pools.get(pool)?;
        let left = may_go(view, states, pool, server)
            .and_then(|()| last_fits.are_known(pool).map_err(|_| Left::Unread))
            .and(if busy { Err(Left::NotNow) } else { Ok(()) })
            .and_then(|()| last_fits.take(host).map_err(|_| Left::LastFit));
        busy |= left.is_ok();
        Some(Suspect {
            host: host.clone(),
            pool: pool.name.clone(),
            server: server.map(|server| server.id.clone()),
            evidence: evidence.to_string(),
            left: left.err(),
        })
    };
    conspicuous.into_iter().filter_map(&mut judge).collect()
}

/// The hosts that lost as many builds, and such a share of them, as a black hole does.
fn conspicuous<'a>(view: &View<'a>, settings: &BlackHoles) -> BTreeSet<&'a HostName> {
    let mut counts = BTreeMap::<_, (u32, u32)>::new();
    for backend in view.snapshot.backends.values() {
        for (host, builds) in backend.record.hosts() {
            let young = builds.iter();
            let young = young.filter(|b| elapsed(b.ended, view.now) <= settings.window);
            let (lost, all) = counts.entry(host).or_default();
            for build in young {
                *lost += u32::from(build.came.is_lost());
                *all += 1;
            }
        }
    }
    let enough = |(lost, all): (u32, u32)| {
        lost >= settings.packages && f64::from(lost) >= settings.share * f64::from(all)
    };
    let hosts = counts.into_iter().filter(|(_, counts)| enough(*counts));
    hosts.map(|(host, _)| host).collect()
}

impl<'a> Builds<'a> {
    /// Of the hosts that stand in service in some pool, ours or not: without those that are on their way
    /// out as black holes themselves, or of a server that had the same name before.
    fn new(view: &View<'a>, fleet: &'a Fleet, hosts: &Hosts<'a>) -> Self {
        let settings = view.policy.black_holes;
        let mut all = BTreeMap::new();
        for backend in view.snapshot.backends.values() {
            for (host, builds) in backend.record.hosts() {
                let (pool, counts) = match hosts.of(host) {
                    Some((_, Standing::InFlight | Standing::Leaving)) | None => continue,
                    Some((pool, _)) => (pool, fleet.by_name(host).map(|server| server.created)),
                };
                let (_, last) = all.entry(host).or_insert_with(|| (pool, Last::new()));
                let own = |build: &&BuildEnd| {
                    let young = elapsed(build.ended, view.now) <= settings.window;
                    young && counts.is_none_or(|created| build.began >= created)
                };
                let own: Vec<&BuildEnd> = builds.iter().filter(own).collect();
                for build in one_cause(&own) {
                    let known = last.entry(&build.package).or_insert(build);
                    if build.ended > known.ended {
                        *known = build;
                    }
                }
            }
        }
        Self {
            settings,
            hosts: all,
        }
    }

    /// The pool of a host, and what is held against it, where that is not chance.
    fn judge(&self, host: &HostName) -> Option<(&'a PoolName, Evidence)> {
        let (pool, own) = self.hosts.get(host)?;
        let lost = own.values().filter(|build| build.came.is_lost());
        let times: Vec<Timestamp> = lost.map(|build| build.ended).collect();
        let (first, last) = (*times.iter().min()?, *times.iter().max()?);
        let meanwhile = |build: &&BuildEnd| (first..=last).contains(&build.ended);
        let shares = self.shares_of_peers(host, pool, meanwhile)?;
        let mut evidence = Evidence {
            lost: 0,
            vanished: 0,
            of: 0,
            expected: 0.0,
        };
        for build in own.values().filter(|build| meanwhile(build)) {
            let Some(share) = shares.get(&repository(&build.package)) else {
                continue;
            };
            evidence.of += 1;
            evidence.lost += u32::from(build.came.is_lost());
            evidence.vanished += u32::from(build.came == Came::Vanished);
            evidence.expected += self.chance(host, &build.package, *share);
        }
        let enough = evidence.lost >= self.settings.packages
            && f64::from(evidence.lost) >= self.settings.share * f64::from(evidence.of);
        (enough && is_no_chance(&evidence)).then_some((*pool, evidence))
    }

    /// By repository the share of builds that the pool's other workers lost, at most; without those of which
    /// too little was seen.
    fn shares_of_peers(
        &self,
        host: &HostName,
        pool: &PoolName,
        meanwhile: impl Fn(&&BuildEnd) -> bool,
    ) -> Option<BTreeMap<[&'a str; 3], f64>> {
        let mut counts = BTreeMap::<_, (u32, u32)>::new();
        let mut peers = BTreeSet::new();
        let others = self.hosts.iter();
        let others = others.filter(|(name, (of, _))| **name != host && *of == pool);
        for (name, (_, last)) in others {
            for build in last.values().filter(|build| meanwhile(build)) {
                peers.insert(*name);
                let (lost, all) = counts.entry(repository(&build.package)).or_default();
                *lost += u32::from(build.came.is_lost());
                *all += 1;
            }
        }
        if peers.len() < PEERS {
            return None;
        }
        let enough = |all: u32| usize::try_from(all).is_ok_and(|all| all >= PEER_BUILDS);
        let seen = counts.into_iter().filter(|(_, (_, all))| enough(*all));
        Some(seen.map(|(of, counts)| (of, upper_bound(counts))).collect())
    }

    /// How likely a build of this package is lost on a healthy worker, by its builds on other hosts.
    fn chance(&self, host: &HostName, package: &PackageKey, share: f64) -> f64 {
        let others = self.hosts.iter().filter(|(name, _)| **name != host);
        let (mut lost, mut all) = (0.0, 0.0);
        for (_, (_, last)) in others {
            if let Some(build) = last.get(package) {
                lost += f64::from(u8::from(build.came.is_lost()));
                all += 1.0;
            }
        }
        (lost + PRIOR * share) / (all + PRIOR)
    }
}

/// The builds in which vanishings by one cause count as one.
fn one_cause<'b>(builds: &[&'b BuildEnd]) -> Vec<&'b BuildEnd> {
    let mut before: Option<Timestamp> = None;
    let mut ordered = builds.to_vec();
    ordered.sort_by_key(|build| build.ended);
    ordered.retain(|build| {
        if build.came != Came::Vanished {
            return true;
        }
        let same = before.is_some_and(|before| elapsed(before, build.ended) < ONE_CAUSE);
        before = Some(build.ended);
        !same
    });
    ordered
}

fn repository(package: &PackageKey) -> [&str; 3] {
    [&package.project, &package.repository, &package.arch]
}

/// Two standard deviations above what was seen; of nothing lost in few builds nothing is known for sure.
fn upper_bound((lost, all): (u32, u32)) -> f64 {
    let lost = f64::from(lost) + 1.0;
    ((lost + 2.0 * lost.sqrt()) / f64::from(all)).min(1.0)
}

/// Whether the chance is below [`CHANCE`] that as many are lost.
fn is_no_chance(evidence: &Evidence) -> bool {
    let (lost, mean) = (f64::from(evidence.lost), evidence.expected);
    lost >= TIMES * mean && mean > 0.0 && lost - mean - lost * (lost / mean).ln() < CHANCE.ln()
}

/// Whether a backend lists a live instance of it: of a worker that is gone OBS remembers those that are down.
fn is_there(view: &View<'_>, host: &HostName) -> bool {
    let backends = view.snapshot.backends.values();
    let mut listed = backends.filter_map(|backend| backend.workers.last());
    listed.any(|reading| reading.value.of_host(host).any(|i| i.state.is_live()))
}

/// Whether a black hole of this pool may be cordoned.
fn may_go(
    view: &View<'_>,
    states: &BTreeMap<PoolName, &PoolState>,
    pool: &Pool,
    server: Option<&Server>,
) -> Result<(), Left> {
    let server = server.ok_or(Left::Unmanaged)?;
    let member = view.ledger.members.get(&server.id).ok_or(Left::Unmanaged)?;
    let known = states.contains_key(&pool.name) && view.halted_below(&pool.name).is_none();
    let reachable = server.tags.order.is_some() || view.ledger.pinned.contains(&server.id);
    let conditions = [
        (
            view.policy.black_holes.action != BlackHoleAction::Cordon,
            Left::ReportOnly,
        ),
        (pool.mode != Mode::Full, Left::Mode),
        (view.may_act().is_err(), Left::Lease),
        (!known, Left::Pool),
        (!reachable, Left::NoHostKey),
        (!is_serving(server, member), Left::NotServing),
    ];
    let kept = conditions.into_iter().find(|(holds, _)| *holds);
    kept.map_or(Ok(()), |(_, why)| Err(why))?;
    leaves_enough(view, pool)
}

fn is_serving(server: &Server, member: &Member) -> bool {
    server.status == ServerStatus::Active && member.stage == Stage::Serving
}

/// Never a third of the pool's workers, and never one of the reserve.
fn leaves_enough(view: &View<'_>, pool: &Pool) -> Result<(), Left> {
    let of_pool = |m: &&Member| m.pool == pool.name;
    let members = || view.ledger.members.values().filter(of_pool);
    let serving = members().filter(|m| m.stage == Stage::Serving).count();
    let held = members().filter(|m| is_held(&m.stage)).count();
    if u32::try_from(serving).unwrap_or(u32::MAX) <= pool.reserve {
        return Err(Left::Reserve);
    }
    if 3 * (held + 1) > serving + held {
        return Err(Left::Share);
    }
    Ok(())
}

/// Whether it is on its way out as a black hole.
fn is_held(stage: &Stage) -> bool {
    matches!(stage.why(), Some(Why::BlackHole { .. }))
}
