//! Instances of workers in service that OBS does not show idle or at work: which, and since when.

use super::demand::PoolState;
use super::held::Held;
use super::setup::wanted;
use super::{SETTLE, View};
use crate::config::Pool;
use crate::model::{
    Fleet, Gap, HostName, InstanceId, InstanceState, Member, PoolName, ServerStatus, Stage, elapsed,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Those of a pool, where this is the state in which each instance counts there. A worker that one list of the
/// cloud lacks keeps its excuse: whether it is gone is not known yet.
pub(super) fn of_pool(
    view: &View<'_>,
    fleet: &Fleet,
    pool: &Pool,
    listed: impl Fn(&InstanceId) -> Option<InstanceState>,
) -> BTreeMap<InstanceId, Gap> {
    let members = view.ledger.members.values();
    let serving = members.filter(|m| m.pool == pool.name && m.stage == Stage::Serving);
    let hosts = serving.filter_map(|member| Some((host(member, fleet)?, member)));
    let instance = |(host, member): (&HostName, &Member)| {
        let host = host.clone();
        (1..=wanted(member, pool).instances).map(move |number| InstanceId {
            host: host.clone(),
            number,
        })
    };
    let instances = hosts.flat_map(instance);
    let with_gap = instances.filter_map(|id| Some((gap(listed(&id))?, id)));
    with_gap.map(|(gap, id)| (id, gap)).collect()
}

/// The name of its server, unless the cloud says that it does not run.
fn host<'a>(member: &'a Member, fleet: &'a Fleet) -> Option<&'a HostName> {
    match fleet.servers.get(&member.server) {
        Some(server) => (server.status == ServerStatus::Active).then_some(&server.name),
        None => member.name.as_ref(),
    }
}

/// A dead one may only not have answered, and has no excuse.
const fn gap(listed: Option<InstanceState>) -> Option<Gap> {
    match listed {
        None | Some(InstanceState::Down) => Some(Gap::Absent),
        Some(InstanceState::Away) => Some(Gap::Passing),
        Some(InstanceState::Building | InstanceState::Idle | InstanceState::Dead) => None,
    }
}

/// How many have been in such a gap for less than [`SETTLE`].
pub(super) fn lately(view: &View<'_>, gaps: &BTreeMap<InstanceId, Gap>, which: Gap) -> u32 {
    let such = gaps.iter().filter(|(_, gap)| **gap == which);
    let is_new = |id: &InstanceId| elapsed(since(view, id, which), view.now) < SETTLE;
    super::account::count(such.filter(|(id, _)| is_new(id)))
}

/// Now, where it was in no such gap at the last look.
fn since(view: &View<'_>, id: &InstanceId, gap: Gap) -> Timestamp {
    let before = view.ledger.gaps.get(id).filter(|(was, _)| *was == gap);
    before.map_or(view.now, |(_, since)| *since)
}

/// Whether some instance of this host is absent for so long that it is not expected back.
pub(super) fn is_missed(view: &View<'_>, host: &HostName) -> bool {
    let mut absent = view.ledger.absent(host);
    absent.any(|since| elapsed(since, view.now) >= SETTLE)
}

/// The gaps of all workers in service after one more look, and since when. Of a pool that is held it is not known
/// whether they are over: that ends none.
#[must_use]
pub fn next_gaps(
    view: &View<'_>,
    states: &BTreeMap<PoolName, Result<PoolState, Held>>,
) -> BTreeMap<InstanceId, (Gap, Timestamp)> {
    let members = view.ledger.members.values();
    let held = members.filter(|m| matches!(states.get(&m.pool), Some(Err(_))));
    let held: BTreeSet<&HostName> = held.filter_map(|m| m.name.as_ref()).collect();
    let before = view.ledger.gaps.iter();
    let unseen = before.filter(|(id, _)| held.contains(&id.host));
    let unseen = unseen.map(|(id, known)| (id.clone(), *known));
    let seen = states.values().flatten().flat_map(|state| &state.gaps);
    let seen = seen.map(|(id, gap)| (id.clone(), (*gap, since(view, id, *gap))));
    unseen.chain(seen).collect()
}
