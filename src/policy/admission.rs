//! When a new worker is started: so many a minute for each backend. Each fetches its first packages from the
//! repository server at once.

use super::{View, canary, setup};
use crate::model::{BackendName, Member, OrderId, ServerId, ServerStatus, Stage, elapsed};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time in which so many may be started.
pub const RAMP: Duration = Duration::from_secs(60);

/// What a new worker waits for before it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBack {
    /// As many as may be in a minute were started for this backend.
    Ramp(BackendName),
    /// The first of its order has to build something.
    Canary(ServerId),
}

/// The new workers that are not to be started yet. The others that are `ACTIVE` are started now: first come,
/// first served, but one that has to wait for its backend keeps nobody from another.
#[must_use]
pub fn held_back(view: &View<'_>) -> BTreeMap<ServerId, HeldBack> {
    let mut started = BTreeMap::new();
    for (server, at) in &view.ledger.started {
        if elapsed(*at, view.now) < RAMP {
            let member = view.ledger.members.get(server);
            for backend in member.into_iter().flat_map(|m| served(view, m)) {
                *started.entry(backend).or_default() += 1;
            }
        }
    }
    let mut held = BTreeMap::new();
    let mut canaries = BTreeMap::new();
    for (_, member) in ready(view) {
        let serves = served(view, member);
        let full = serves.iter().find(|b| is_full(view, &started, b));
        let canary = awaited(view, member, &canaries).cloned();
        let why = canary.map(HeldBack::Canary);
        if let Some(why) = why.or_else(|| full.cloned().map(HeldBack::Ramp)) {
            held.insert(member.server.clone(), why);
            continue;
        }
        canaries.extend(member.order.as_ref().map(|order| (order, &member.server)));
        for backend in serves {
            *started.entry(backend).or_default() += 1;
        }
    }
    held
}

/// The canary that has to build before this one is started; `started` now were these of their orders.
fn awaited<'a>(
    view: &View<'a>,
    member: &'a Member,
    started: &BTreeMap<&'a OrderId, &'a ServerId>,
) -> Option<&'a ServerId> {
    let order = member.order.as_ref();
    let order = order.filter(|_| canary::is_asked(view, member))?;
    canary::of_order(view, order).or_else(|| started.get(order).copied())
}

/// The backends that the worker will serve; none where its pool is not configured any more.
fn served(view: &View<'_>, member: &Member) -> Vec<BackendName> {
    let pool = view.policy.pools.get(&member.pool);
    pool.map_or_else(Vec::new, |pool| setup::wanted(member, pool).backends)
}

fn is_full(view: &View<'_>, started: &BTreeMap<BackendName, u32>, backend: &BackendName) -> bool {
    let ramp = view.policy.gates.ramps.get(backend);
    let now = started.get(backend).copied().unwrap_or_default();
    ramp.is_some_and(|ramp| now >= *ramp)
}

/// The new workers that could be started now, those that have waited longest first. One that was reached
/// before this program knew of it may run already.
fn ready<'a>(view: &View<'a>) -> Vec<(Timestamp, &'a Member)> {
    let Ok(fleet) = view.fleet() else {
        return Vec::new();
    };
    let runs = |member: &&Member| {
        let server = fleet.value().servers.get(&member.server);
        server.is_some_and(|s| s.status == ServerStatus::Active && s.ip.is_some())
    };
    let members = view.ledger.members.values();
    let waiting = members.filter(|m| !m.reached).filter(runs);
    let since = waiting.filter_map(|member| match member.stage {
        Stage::Creating => Some((fleet.at(), member)),
        Stage::Standby { active } => Some((active, member)),
        Stage::Booting { .. }
        | Stage::Checking { .. }
        | Stage::Joining { .. }
        | Stage::Proving
        | Stage::Serving
        | Stage::Refitting
        | Stage::Cordoned { .. }
        | Stage::Deleting { .. }
        | Stage::Gone { .. } => None,
    });
    let mut ready: Vec<_> = since.collect();
    ready.sort_by_key(|(since, member)| (*since, &member.server));
    ready
}
