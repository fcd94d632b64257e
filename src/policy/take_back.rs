//! Which workers on their way out are taken back into service in place of buying new ones.

use super::View;
use crate::config::{Mode, Pool};
use crate::model::{Fleet, Member, PoolName, ServerId, ServerStatus, Stage, Why};
use std::cmp::Reverse;

/// The pool's workers that may be taken back, at most so many, the one given up last first. Only one that left because it was idle: what a
/// person gave up, what broke and what a person is to look at goes its way, and a deletion that was asked for can
/// not be taken back. A pool whose mode never releases takes nothing back.
pub(super) fn take_back(view: &View<'_>, fleet: &Fleet, pool: &Pool, most: u32) -> Vec<ServerId> {
    if pool.mode != Mode::Full {
        return Vec::new();
    }
    let mut leaving: Vec<&Member> = view
        .ledger
        .members
        .values()
        .filter(|member| may_be_taken_back(member, fleet, &pool.name))
        .collect();
    leaving.sort_by_key(|member| (Reverse(member.since), &member.server));
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let first = leaving.into_iter().take(most);
    first.map(|member| member.server.clone()).collect()
}

fn may_be_taken_back(member: &Member, fleet: &Fleet, pool: &PoolName) -> bool {
    let idle = member.stage == Stage::Cordoned { why: Why::Idle };
    let listed = fleet.servers.get(&member.server);
    let runs = listed.is_some_and(|server| server.status == ServerStatus::Active);
    idle && runs && member.pool == *pool
}
