//! What servers cost is what the cloud lists, at the prices that are known.

use super::super::bills::Tariff;
use super::super::fixtures::{Farm, NOW, pool};
use super::super::{Cost, Costs, costs};
use crate::model::{FlavorName, InstanceState, OrderId, Price, ServerStatus, Stage};
use std::collections::BTreeMap;

/// `x-l1` and `home` have servers of the first flavor, `a-l1` of the second; nothing else has a price.
fn prices() -> BTreeMap<FlavorName, Price> {
    let prices = [("x86_64.32", 5.5), ("aarch64.32", 0.0)];
    let price = |per_hour| Price::new(per_hour).unwrap();
    prices
        .map(|(flavor, p)| (FlavorName::new(flavor), price(p)))
        .into()
}

fn seen(farm: &Farm) -> Option<Costs> {
    seen_with(farm, None)
}

fn seen_with(farm: &Farm, disk: Option<Price>) -> Option<Costs> {
    let tariff = Tariff {
        flavors: &prices(),
        disk_gib: 40,
        disk_kind: "SSD",
        disk,
    };
    farm.see(|view| costs(view, &tariff))
}

fn of(farm: &Farm, name: &str) -> (f64, f64) {
    let flavor = farm.policy.pools[&pool(name)].flavor.clone();
    let cost = seen(farm).unwrap()[&(pool(name), flavor)];
    (cost.per_hour, cost.idle_per_hour)
}

#[test]
fn a_priced_pool_without_servers_costs_an_explicit_zero_and_one_without_a_price_is_not_there() {
    let costs = seen(&Farm::new()).unwrap();
    let names: Vec<_> = costs.keys().map(|(pool, _)| pool.as_str()).collect();
    assert_eq!(names, ["a-l1", "home", "x-l1"]);
    assert!(costs.values().all(|cost| *cost == Cost::default()));
}

#[test]
fn every_listed_server_costs_whatever_its_state() {
    let mut farm = Farm::new();
    farm.member("x-l1", "w1", Stage::Creating);
    farm.server("x-l1", "w2").status = ServerStatus::Deleting;
    farm.server("x-l2", "w3");
    farm.server("x-l1", "w4").tags.pool = None;
    assert_eq!(of(&farm, "x-l1"), (11.0, 0.0));
    assert_eq!(of(&farm, "home"), (0.0, 0.0));
    assert_eq!(seen(&farm).unwrap().len(), 3, "x-l2 has no price");
}

#[test]
fn the_disk_of_a_server_that_was_bought_costs_too() {
    let mut farm = Farm::new();
    farm.server("x-l1", "bought").tags.order = Some(OrderId::new("o"));
    farm.server("x-l1", "adopted").tags.order = None;
    let costs = seen_with(&farm, Price::new(0.01)).unwrap();
    let cost = costs.values().find(|cost| cost.per_hour > 0.0).unwrap();
    assert_eq!(cost.per_hour, 11.4);
}

#[test]
fn a_worker_in_service_that_builds_nothing_is_idle_and_one_that_is_not_known_is_not() {
    let mut farm = Farm::new();
    farm.worker("x-l1", "idle", 7);
    farm.worker("x-l1", "busy", 6);
    farm.list("x-l1", "busy", InstanceState::Building, 1);
    farm.member("x-l1", "new", Stage::Creating);
    assert_eq!(of(&farm, "x-l1"), (16.5, 5.5));
    farm.backend("main").workers_at = NOW - 121;
    assert_eq!(of(&farm, "x-l1"), (16.5, 0.0), "OBS' list is stale");
    farm.fleet_at = NOW - 121;
    assert_eq!(seen(&farm), None, "the cloud's list is stale");
}
