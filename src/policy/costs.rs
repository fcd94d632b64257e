//! What the servers that exist cost.

use super::bills::Tariff;
use super::{View, instances_seen};
use crate::model::{FlavorName, PoolName, Server, Stage};
use std::collections::BTreeMap;

/// What servers cost in an hour, in the unit of the configured prices.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Cost {
    /// All of them.
    pub per_hour: f64,
    /// Those in service of which OBS lists no instance that builds.
    pub idle_per_hour: f64,
}

/// The costs of each pool by flavor.
pub type Costs = BTreeMap<(PoolName, FlavorName), Cost>;

/// What the servers cost that the cloud lists, with the disks that are known, whatever their state; `None` while its list is not
/// known. A pool whose flavor has a price has an explicit 0, and a flavor without a price has no cost.
#[must_use]
pub fn costs(view: &View<'_>, tariff: &Tariff<'_>) -> Option<Costs> {
    let fleet = view.fleet().ok()?;
    let pools = view.policy.pools.values();
    let mut costs: Costs = pools
        .filter(|pool| tariff.flavors.contains_key(&pool.flavor))
        .map(|pool| ((pool.name.clone(), pool.flavor.clone()), Cost::default()))
        .collect();
    for server in fleet.value().servers.values() {
        let (Some(pool), Some(price)) = (&server.tags.pool, tariff.flavors.get(&server.flavor))
        else {
            continue;
        };
        let cost = costs
            .entry((pool.clone(), server.flavor.clone()))
            .or_default();
        let per_hour = price.per_hour() + tariff.disk_per_hour(server);
        cost.per_hour += per_hour;
        if is_idle(view, pool, server) {
            cost.idle_per_hour += per_hour;
        }
    }
    Some(costs)
}

/// Whether a server of a pool is in service, and OBS lists no instance of it that builds. A worker of which
/// OBS' list is not known is not idle.
#[must_use]
pub fn is_idle(view: &View<'_>, pool: &PoolName, server: &Server) -> bool {
    let member = view.ledger.members.get(&server.id);
    member.is_some_and(|member| member.stage == Stage::Serving)
        && instances_seen(view, pool, &server.name).is_some_and(|seen| !seen.builds())
}
