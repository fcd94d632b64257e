//! What is bought, and what of it is on its way into service.
//!
//! Bought is what the ceiling is held against: the servers of open orders that have no id yet, every
//! member that an order bought and that is not gone (in creation, serving, failed, in deletion), and
//! every listed server with an order's tag that no member knows. Adopted servers do not count.

use super::placement::{Hosts, Standing};
use crate::model::{Fleet, Ledger, Member, OrderId, PoolName, Server, Stage, Vcpus, Why};
use std::collections::BTreeMap;

/// The vCPU accounts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Account {
    /// All that is bought, pools that are no longer configured included.
    pub bought: Vcpus,
    /// By pool.
    pub pools: BTreeMap<PoolName, PoolAccount>,
}

/// The account of one pool.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PoolAccount {
    /// What is bought for it.
    pub bought: Vcpus,
    /// How many of its workers are on their way into service.
    pub in_flight: u32,
    /// The size of those.
    pub in_flight_vcpus: Vcpus,
}

impl Account {
    /// From the cloud's list and what we have in hand.
    #[must_use]
    pub fn of(fleet: &Fleet, ledger: &Ledger) -> Self {
        let mut account = Self::default();
        account.add_unnamed(ledger);
        for member in ledger.members.values() {
            account.add_member(member, fleet.servers.get(&member.server));
        }
        account.add_unknown(fleet, ledger);
        account
    }

    /// The account of one pool; nothing bought where there is none.
    #[must_use]
    pub fn pool(&self, pool: &PoolName) -> PoolAccount {
        self.pools.get(pool).copied().unwrap_or_default()
    }

    /// How many of our workers are on their way out: all that may be at once is `max_releases`. A black hole
    /// that is kept for a look holds up nobody.
    #[must_use]
    pub fn leaving(ledger: &Ledger) -> u32 {
        let leaving = |m: &&Member| m.stage.is_leaving() && !is_gone(m) && !is_kept(m);
        count(ledger.members.values().filter(leaving))
    }

    fn add_unnamed(&mut self, ledger: &Ledger) {
        for order in ledger.orders.values() {
            let unnamed = ledger.unnamed(order);
            self.add_bought(Some(&order.pool), order.vcpus.times(unnamed));
            self.add_in_flight(&order.pool, unnamed, order.vcpus);
        }
    }

    fn add_member(&mut self, member: &Member, listed: Option<&Server>) {
        let size = listed.map_or(member.vcpus, |server| server.vcpus.max(member.vcpus));
        let ordered = member.order.is_some() || listed.is_some_and(|s| s.tags.order.is_some());
        if ordered && (listed.is_some() || !is_gone(member)) {
            self.add_bought(Some(&member.pool), size);
        }
        if member.stage.is_in_flight() {
            self.add_in_flight(&member.pool, 1, size);
        }
    }

    /// A listed server of an order that has not been answered is one of its unnamed, and those are
    /// counted already.
    fn add_unknown(&mut self, fleet: &Fleet, ledger: &Ledger) {
        let hosts = Hosts::new(fleet, ledger);
        let mut unnamed: BTreeMap<&OrderId, u32> = ledger
            .orders
            .values()
            .map(|order| (&order.id, ledger.unnamed(order)))
            .collect();
        for server in fleet.servers.values() {
            let Some(order) = &server.tags.order else {
                continue;
            };
            if ledger.members.contains_key(&server.id) {
                continue;
            }
            if let Some(left @ 1..) = unnamed.get_mut(order) {
                *left -= 1;
                continue;
            }
            let pool = server.tags.pool.as_ref();
            self.add_bought(pool, server.vcpus);
            let standing = hosts.of(&server.name);
            if let (Some(pool), Some((_, Standing::InFlight))) = (pool, standing) {
                self.add_in_flight(pool, 1, server.vcpus);
            }
        }
    }

    fn add_bought(&mut self, pool: Option<&PoolName>, size: Vcpus) {
        self.bought = self.bought + size;
        if let Some(pool) = pool {
            let account = self.pools.entry(pool.clone()).or_default();
            account.bought = account.bought + size;
        }
    }

    fn add_in_flight(&mut self, pool: &PoolName, workers: u32, size: Vcpus) {
        let account = self.pools.entry(pool.clone()).or_default();
        account.in_flight += workers;
        account.in_flight_vcpus = account.in_flight_vcpus + size.times(workers);
    }
}

const fn is_kept(member: &Member) -> bool {
    let Stage::Cordoned { why } = &member.stage else {
        return false;
    };
    matches!(why, Why::BlackHole { .. })
}

const fn is_gone(member: &Member) -> bool {
    matches!(member.stage, Stage::Gone { .. })
}

/// How many there are.
pub(super) fn count<T>(of: impl Iterator<Item = T>) -> u32 {
    u32::try_from(of.count()).unwrap_or(u32::MAX)
}
