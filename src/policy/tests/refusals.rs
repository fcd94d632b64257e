//! What is ordered after the cloud refused something.

use super::super::fixtures::{Farm, NOW, at, pool};
use super::super::offers::{Refused, created, may_delete, stands_against};
use super::super::{Outcome, Plan, Reason, Step, audit, plan};
use super::decided;
use crate::model::{
    Action, Arch, Availability, Class, FlavorName, FlavorStock, Limit, Market, Observed, Offer,
    Order, OrderId, Quota, Scope, ServerId, Stage, Stock, Vcpus, Why, ZoneName,
};

/// A pool of two flavors in two zones, with jobs for three workers.
fn farm() -> Farm {
    let mut farm = Farm::new();
    farm.policy.zones = ["a", "b"].map(ZoneName::new).into();
    farm.pool("x-l1").alternatives = vec![FlavorName::new("other")];
    farm.schedule("x-l1", 21);
    farm.ring(Action::Apply, "x-l1");
    farm
}

fn offer(flavor: &str, zone: &str) -> Offer {
    Offer {
        flavor: FlavorName::new(flavor),
        zone: Some(ZoneName::new(zone)),
    }
}

const FIRST: &str = "x86_64.32";

/// What the plan orders for pools, with how many.
fn orders(farm: &Farm) -> Vec<(String, u32)> {
    let of = |step: &Step| match step {
        Step::Order { offer, count, .. } => Some((offer.to_string(), *count)),
        Step::TakeBack { .. }
        | Step::Release { .. }
        | Step::Refit { .. }
        | Step::Isolate { .. } => None,
    };
    farm.see(plan).steps.iter().filter_map(of).collect()
}

fn refuse(farm: &mut Farm, scope: Scope, class: Class, when: i64) {
    let words = class.label();
    farm.ledger
        .setbacks
        .refused(scope, class, words, at(when - 1), at(when));
}

fn pause(class: Class) -> i64 {
    i64::try_from(class.first_pause().as_secs()).unwrap()
}

fn order(of: &Offer, when: i64) -> Order {
    Order {
        id: OrderId::new("probe"),
        pool: pool("x-l1"),
        flavor: of.flavor.clone(),
        zone: of.zone.clone(),
        names: None,
        vcpus: Vcpus(32),
        count: 1,
        at: at(when),
        job: None,
        body_sha256: String::new(),
        closed: None,
    }
}

fn reason(farm: &Farm, name: &str, direction: Action) -> (Outcome, Reason) {
    decided(farm, name, direction)
}

#[test]
fn after_a_refusal_for_capacity_the_next_zone_and_then_the_next_flavor_is_ordered() {
    let mut farm = farm();
    assert_eq!(orders(&farm), [(format!("{FIRST} in a"), 3)]);
    for (refused, next) in [
        (offer(FIRST, "a"), format!("{FIRST} in b")),
        (offer(FIRST, "b"), "other in a".to_owned()),
        (offer("other", "a"), "other in b".to_owned()),
    ] {
        refuse(&mut farm, Scope::Offer(refused), Class::Capacity, NOW);
        assert_eq!(orders(&farm), [(next, 3)]);
    }
    let last = Scope::Offer(offer("other", "b"));
    refuse(&mut farm, last, Class::Capacity, NOW);
    let held = (Outcome::Hold, Reason::NoOffer);
    assert_eq!(reason(&farm, "x-l1", Action::Apply), held);
}

#[test]
fn after_its_pause_one_server_is_tried_and_no_other_until_it_has_told() {
    let mut farm = farm();
    let scope = Scope::Offer(offer(FIRST, "a"));
    let refused = NOW - pause(Class::Capacity);
    refuse(&mut farm, scope.clone(), Class::Capacity, refused);
    let probe = (Outcome::Act(1), Reason::Probing);
    assert_eq!(orders(&farm), [(format!("{FIRST} in a"), 1)]);
    assert_eq!(reason(&farm, "x-l1", Action::Apply), probe);
    let probe = order(&offer(FIRST, "a"), NOW);
    farm.ledger.orders.insert(probe.id.clone(), probe.clone());
    assert_eq!(orders(&farm), [(format!("{FIRST} in b"), 2)]);
    created(&mut farm.ledger.setbacks, &probe);
    assert_eq!(orders(&farm), [(format!("{FIRST} in a"), 2)]);
}

#[test]
fn two_pools_do_not_probe_the_same_offer_at_once() {
    let mut farm = farm();
    farm.policy.zones.truncate(1);
    farm.pool("x-l1").alternatives.clear();
    farm.pool("x-l2").flavor = FlavorName::new(FIRST);
    farm.schedule("x-l2", 7);
    farm.ring(Action::Apply, "x-l2");
    let scope = Scope::Offer(offer(FIRST, "a"));
    let refused = NOW - pause(Class::Capacity);
    refuse(&mut farm, scope, Class::Capacity, refused);
    assert_eq!(orders(&farm), [(format!("{FIRST} in a"), 1)]);
    let second = (Outcome::Hold, Reason::Probing);
    assert_eq!(reason(&farm, "x-l2", Action::Apply), second);
}

#[test]
fn a_quota_holds_the_pool_and_no_other() {
    let mut farm = farm();
    farm.schedule("x-l2", 7);
    farm.ring(Action::Apply, "x-l2");
    refuse(&mut farm, Scope::Pool(pool("x-l1")), Class::Quota, NOW);
    let held = (Outcome::Hold, Reason::CloudRefuses(Class::Quota));
    assert_eq!(reason(&farm, "x-l1", Action::Apply), held);
    let other = (Outcome::Act(1), Reason::Needed);
    assert_eq!(reason(&farm, "x-l2", Action::Apply), other);
}

#[test]
fn an_account_that_is_refused_holds_every_order_and_every_release() {
    let mut farm = farm();
    farm.worker("x-l2", "w-1", 7);
    farm.ring(Action::Release, "x-l2");
    refuse(&mut farm, Scope::Everything, Class::Account, NOW);
    let held = (Outcome::Hold, Reason::CloudRefuses(Class::Account));
    assert_eq!(reason(&farm, "x-l1", Action::Apply), held);
    assert_eq!(reason(&farm, "x-l2", Action::Release), held);
}

#[test]
fn the_audit_lets_nothing_pass_while_everything_is_refused_and_no_offer_that_is_not_listed() {
    let mut farm = farm();
    let planned = farm.see(plan);
    let step = |of: Offer| Step::Order {
        pool: pool("x-l1"),
        count: 1,
        offer: of,
        vcpus: Vcpus(32),
    };
    for wrong in [offer(FIRST, "c"), offer("c", "a")] {
        let steps = vec![step(wrong)];
        let proposed = Plan {
            steps,
            ..Plan::default()
        };
        let (lawful, refusals) = farm.see(|view| audit(proposed.clone(), view));
        assert!(lawful.get().steps.is_empty());
        assert_eq!(refusals[0].law.label(), "order");
    }
    refuse(&mut farm, Scope::Everything, Class::Permission, NOW);
    let (lawful, refusals) = farm.see(|view| audit(planned.clone(), view));
    assert!(lawful.get().steps.is_empty());
    assert_eq!(refusals[0].law.label(), "refused");
}

#[test]
fn once_everything_may_be_tried_again_one_pool_tries_one_server() {
    let mut farm = farm();
    farm.schedule("x-l2", 7);
    farm.ring(Action::Apply, "x-l2");
    let refused = NOW - pause(Class::Account);
    refuse(&mut farm, Scope::Everything, Class::Account, refused);
    assert_eq!(orders(&farm), [(format!("{FIRST} in a"), 1)]);
    let probe = order(&offer(FIRST, "a"), NOW);
    farm.ledger.orders.insert(probe.id.clone(), probe.clone());
    assert_eq!(orders(&farm), []);
    created(&mut farm.ledger.setbacks, &probe);
    assert_eq!(orders(&farm).len(), 2);
}

#[test]
fn while_everything_is_refused_nothing_is_deleted_and_then_one_server_is_tried() {
    let mut farm = farm();
    let servers = ["w-1", "w-2"].map(|host| farm.worker("x-l2", host, 7));
    let may = |farm: &Farm, second: i64| {
        let each = |server| may_delete(&farm.ledger, server, at(second));
        servers.each_ref().map(each)
    };
    assert_eq!(may(&farm, NOW), [true; 2]);
    refuse(&mut farm, Scope::Everything, Class::Account, NOW);
    assert_eq!(may(&farm, NOW + 1), [false; 2]);
    let later = NOW + pause(Class::Account);
    assert_eq!(may(&farm, later), [true; 2]);
    let first = farm.ledger.members.get_mut(&servers[0]).unwrap();
    first.stage = Stage::Deleting { why: Why::Idle };
    first.since = at(later);
    assert_eq!(may(&farm, later + 1), [false; 2], "one is being tried");
    assert_eq!(orders(&farm), [], "and nothing is ordered meanwhile");
    farm.ledger.setbacks.done(&Scope::Everything, at(later));
    assert_eq!(may(&farm, later + 1), [true; 2]);
    let own = Scope::Server(servers[1].clone());
    refuse(&mut farm, own, Class::State, later);
    assert_eq!(may(&farm, later + 1), [true, false]);
}

#[test]
fn each_class_stands_against_what_its_reaction_says() {
    let of = order(&offer(FIRST, "a"), NOW);
    let the_offer = Some(Scope::Offer(offer(FIRST, "a")));
    let the_pool = Some(Scope::Pool(pool("x-l1")));
    let server = ServerId::new("s");
    let deletion = Some(Scope::Server(server.clone()));
    let everything = Some(Scope::Everything);
    for (class, call, part, delete) in [
        (Class::Capacity, &the_offer, &the_offer, &deletion),
        (Class::Quota, &the_pool, &the_pool, &deletion),
        (Class::Account, &everything, &everything, &everything),
        (Class::Permission, &everything, &everything, &everything),
        (Class::Request, &the_pool, &the_pool, &deletion),
        (Class::State, &the_offer, &the_offer, &deletion),
        (Class::Gone, &None, &the_offer, &None),
        (Class::Transient, &None, &the_offer, &deletion),
        (Class::Throttled, &None, &the_offer, &deletion),
        (Class::Unknown, &None, &the_offer, &deletion),
    ] {
        let label = class.label();
        assert_eq!(stands_against(Refused::Call(&of), class), *call, "{label}");
        assert_eq!(stands_against(Refused::Part(&of), class), *part, "{label}");
        let refused = Refused::Deletion(&server);
        assert_eq!(stands_against(refused, class), *delete, "{label}");
    }
}

/// What the cloud shows of the pool's first flavor in the two zones; the other one is on sale.
fn market(zones: [Availability; 2]) -> Market {
    let stock = |zones: [Availability; 2]| FlavorStock {
        arch: Arch::X86_64,
        vcpus: Vcpus(32),
        memory_mib: None,
        local_disk: false,
        zones: ["a", "b"]
            .map(ZoneName::new)
            .into_iter()
            .zip(zones)
            .collect(),
        elsewhere: Availability::NotOffered,
    };
    let other = stock([Availability::OnSale; 2]);
    let flavors = [(FIRST, stock(zones)), ("other", other)];
    let flavors = flavors.map(|(name, stock)| (FlavorName::new(name), stock));
    let limit = Limit { max: None, used: 0 };
    Market {
        stock: Stock {
            flavors: flavors.into(),
        },
        quota: Quota {
            instances: limit,
            cores: limit,
            ram_mib: limit,
        },
    }
}

#[test]
fn a_zone_that_the_cloud_shows_as_sold_out_is_skipped_while_that_is_known() {
    use Availability::{NotOffered, OnSale, SoldOut};
    let mut farm = farm();
    for (shown, next) in [
        ([OnSale, OnSale], format!("{FIRST} in a")),
        ([SoldOut, OnSale], format!("{FIRST} in b")),
        ([SoldOut, NotOffered], "other in a".to_owned()),
    ] {
        farm.market = Observed::known(at(NOW), market(shown));
        assert_eq!(orders(&farm), [(next, 3)]);
    }
    farm.pool("x-l1").alternatives.clear();
    let held = (Outcome::Hold, Reason::SoldOut);
    assert_eq!(reason(&farm, "x-l1", Action::Apply), held);
    let stale = NOW - 121;
    farm.market = Observed::known(at(stale), market([SoldOut, SoldOut]));
    assert_eq!(orders(&farm), [(format!("{FIRST} in a"), 3)]);
}

#[test]
fn a_pool_that_can_not_order_takes_no_probe_from_another() {
    let mut farm = farm();
    farm.schedule("x-l2", 7);
    farm.ring(Action::Apply, "x-l2");
    let refused = NOW - pause(Class::Account);
    refuse(&mut farm, Scope::Everything, Class::Account, refused);
    farm.pool("x-l1").vcpus = Vcpus(farm.policy.ceiling.0 + 1);
    assert_eq!(orders(&farm), [("x86_64.64 in a".to_owned(), 1)]);
    let held = (Outcome::Hold, Reason::Ceiling);
    assert_eq!(reason(&farm, "x-l1", Action::Apply), held);
}

#[test]
fn an_order_whose_servers_can_not_tell_any_more_is_no_probe() {
    let mut farm = farm();
    let scope = Scope::Pool(pool("x-l1"));
    let refused = NOW - pause(Class::Quota);
    refuse(&mut farm, scope, Class::Quota, refused);
    let mut probe = order(&offer(FIRST, "a"), NOW);
    probe.job = Some("job".to_owned());
    farm.ledger.orders.insert(probe.id.clone(), probe);
    assert_eq!(orders(&farm), [(format!("{FIRST} in a"), 1)]);
}

#[test]
fn a_flavor_that_the_cloud_has_in_another_size_is_not_ordered() {
    let mut farm = farm();
    farm.pool("x-l1").alternatives.clear();
    let mut shown = market([Availability::OnSale; 2]);
    for stock in shown.stock.flavors.values_mut() {
        stock.vcpus = Vcpus(64);
    }
    farm.market = Observed::known(at(NOW), shown);
    let held = (Outcome::Hold, Reason::WrongSize);
    assert_eq!(reason(&farm, "x-l1", Action::Apply), held);
}
