//! The canary of an order: the first of its servers builds before the others are started, so that an image or a
//! setting which is wrong loses a few builds of one worker, and not those of all.

use super::View;
use super::setup;
use crate::model::{BuildEnd, HostName, Member, OrderId, PackageKey, ServerId, Stage, elapsed};
use std::collections::BTreeSet;

/// A canary that lost so many packages, and built none, is withdrawn: any one may be broken itself.
const LOST: usize = 3;

/// What the builds on a new worker say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It may join: it is no canary, or something was built on it.
    Passed,
    /// It may join: it had its time, nothing was built on it, and little was lost. Nothing is known of its image.
    Unproved,
    /// Not enough was seen yet.
    Pending,
    /// So many packages were lost on it and on no other host, and none was built.
    Failed {
        /// How many.
        lost: usize,
    },
}

/// What the builds on a worker say that has registered. It had its time since then.
#[must_use]
pub fn trial(view: &View<'_>, member: &Member) -> Trial {
    if !is_asked(view, member) {
        return Trial::Passed;
    }
    let own = own_builds(view, member);
    if own.iter().any(|build| !build.came.is_lost()) {
        return Trial::Passed;
    }
    let lost: BTreeSet<&PackageKey> = own.iter().map(|build| &build.package).collect();
    let own_fault = |package: &&&PackageKey| !is_lost_elsewhere(view, member, package);
    match lost.iter().filter(own_fault).count() {
        lost @ LOST.. => Trial::Failed { lost },
        _ if had_its_time(view, member) => Trial::Unproved,
        _ => Trial::Pending,
    }
}

/// The server of an order that is under way to show that it builds, while none has: the others wait for it.
#[must_use]
pub(super) fn of_order<'a>(view: &View<'a>, order: &OrderId) -> Option<&'a ServerId> {
    if is_proved(view, order) {
        return None;
    }
    let mut members = view.ledger.members.values();
    let canary = members.find(|member| {
        let waits = matches!(member.stage, Stage::Creating | Stage::Standby { .. });
        member.order.as_ref() == Some(order) && member.stage.is_in_flight() && !waits
    });
    canary.map(|member| &member.server)
}

/// Whether new workers are asked for a build at all, and some worker of the order has not come into service yet.
#[must_use]
pub(super) fn is_asked(view: &View<'_>, member: &Member) -> bool {
    let order = member.order.as_ref();
    !view.policy.gates.canary.is_zero() && order.is_some_and(|order| !is_proved(view, order))
}

fn is_proved(view: &View<'_>, order: &OrderId) -> bool {
    let mut members = view.ledger.members_of(order);
    members.any(|member| matches!(member.stage, Stage::Serving | Stage::Refitting))
}

/// What ended on it since the cloud created it: a worker of the same name may have been there before.
fn own_builds<'a>(view: &View<'a>, member: &Member) -> Vec<&'a BuildEnd> {
    let fleet = view.fleet().ok();
    let server = fleet.and_then(|fleet| fleet.value().servers.get(&member.server));
    let Some(server) = server else {
        return Vec::new();
    };
    let backends = view.snapshot.backends.values();
    let builds = backends.flat_map(|backend| backend.record.of(&server.name));
    builds
        .filter(|build| build.began >= server.created)
        .collect()
}

/// Whether the last build of the package on some other host was lost too: that is the package's fault.
fn is_lost_elsewhere(view: &View<'_>, member: &Member, package: &PackageKey) -> bool {
    let others = |host: &HostName| member.name.as_ref() != Some(host);
    let hosts = view
        .snapshot
        .backends
        .values()
        .flat_map(|b| b.record.hosts());
    let mut hosts = hosts.filter(|(host, _)| others(host));
    hosts.any(|(_, builds)| {
        let of_package = builds.iter().filter(|build| build.package == *package);
        let last = of_package.max_by_key(|build| build.ended);
        last.is_some_and(|build| build.came.is_lost())
    })
}

/// Whether each of its backends was read as long after it had registered.
fn had_its_time(view: &View<'_>, member: &Member) -> bool {
    let Some(pool) = view.policy.pools.get(&member.pool) else {
        return false;
    };
    let read = |backend| {
        let read = view.snapshot.backends.get(backend)?.history.last()?;
        Some(read.at)
    };
    let backends = setup::wanted(member, pool).backends;
    member.stage == Stage::Proving
        && backends.iter().all(|backend| {
            read(backend).is_some_and(|at| elapsed(member.since, at) >= view.policy.gates.canary)
        })
}
