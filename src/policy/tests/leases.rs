//! Of two scalers of one owner only the elder acts.

use super::super::fixtures::{Farm, NOW, at, minutes, pool};
use super::super::lease::{Errand, FORGET, GRACE, RENEW, TTL, errands, next_own};
use super::super::{Law, Lease, Outcome, Plan, Reason, Step, audit, lease};
use super::decided;
use crate::model::{
    Action, LeaseTag, Offer, OwnLease, Scaler, ScalerId, ServerId, ServerStatus, Stage, Vcpus,
};
use proptest::prelude::*;
use std::time::Duration;

/// A scaler that was first started then, and is named by that.
fn scaler(since: i64) -> Scaler {
    Scaler {
        since: at(since),
        id: ScalerId::new(u32::try_from(since).unwrap()),
    }
}

/// A farm whose cloud's list was just read, and in which this scaler, of second 50, has been seen for long.
fn farm() -> Farm {
    let mut farm = Farm::new();
    farm.worker("x-l1", "w", 7);
    farm.ledger.lease = OwnLease {
        me: Some(scaler(50)),
        possible: Some(at(NOW - 600)),
        seen: Some(at(NOW - 600)),
        refused: None,
    };
    renew(&mut farm, 50, NOW - 60);
    farm
}

/// The scaler of this second wrote its lease at that one, on the server `w`.
fn renew(farm: &mut Farm, since: i64, renewed: i64) {
    let server = farm.server("x-l1", "w");
    let tags = &mut server.tags.leases;
    tags.retain(|tag| tag.scaler != scaler(since));
    tags.push(LeaseTag {
        scaler: scaler(since),
        renewed: at(renewed),
    });
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap()
}

#[test]
fn a_scaler_that_sees_no_lease_but_its_own_is_the_only_one() {
    assert_eq!(farm().see(lease), Lease::Sole);
}

#[test]
fn of_two_that_are_alive_the_one_that_began_first_goes_first() {
    let mut farm = farm();
    renew(&mut farm, 60, NOW - 60);
    let others = vec![scaler(60)];
    assert_eq!(farm.see(lease), Lease::Elder { others });
    renew(&mut farm, 40, NOW - 60);
    let elder = scaler(40);
    assert_eq!(farm.see(lease), Lease::Younger { elder });
}

#[test]
fn a_lease_that_is_not_renewed_counts_no_more() {
    let mut farm = farm();
    let ttl = seconds(TTL);
    renew(&mut farm, 40, NOW - ttl + 1);
    assert_eq!(farm.see(lease).label(), "younger");
    renew(&mut farm, 40, NOW - ttl);
    assert_eq!(farm.see(lease), Lease::Sole);
    // a clock may be wrong by hours, and not by days
    renew(&mut farm, 40, NOW + 3600);
    assert_eq!(farm.see(lease).label(), "younger");
    renew(&mut farm, 40, NOW + seconds(FORGET));
    assert_eq!(farm.see(lease), Lease::Sole);
}

#[test]
fn the_elder_waits_until_no_list_may_be_in_use_that_lacks_it() {
    let mut farm = farm();
    renew(&mut farm, 60, NOW - 60);
    let max_age = seconds(farm.policy.max_age);
    farm.ledger.lease.seen = Some(at(NOW - max_age + 1));
    assert_eq!(farm.see(lease), Lease::Starting);
    farm.ledger.lease.seen = Some(at(NOW - max_age));
    assert_eq!(farm.see(lease).label(), "elder");
}

#[test]
fn one_that_is_not_in_the_list_itself_lets_any_other_go_first() {
    let mut farm = farm();
    renew(&mut farm, 60, NOW - 60);
    farm.ledger.lease.seen = None;
    let elder = scaler(60);
    assert_eq!(farm.see(lease), Lease::Younger { elder });
}

#[test]
fn a_start_waits_for_the_own_lease_and_not_for_ever() {
    let mut farm = farm();
    let own = &mut farm.ledger.lease;
    own.seen = None;
    own.possible = Some(at(NOW - seconds(GRACE) + 1));
    own.refused = Some("Ecs.0905".to_owned());
    assert_eq!(farm.see(lease), Lease::Starting);
    farm.ledger.lease.possible = Some(at(NOW - seconds(GRACE)));
    let why = Some("Ecs.0905".to_owned());
    assert_eq!(farm.see(lease), Lease::Unkept { why });
    farm.ledger.lease.possible = None;
    assert_eq!(farm.see(lease), Lease::NoServer);
}

#[test]
fn the_younger_neither_buys_nor_releases_and_the_elder_does() {
    for (other, buys) in [(60, true), (40, false)] {
        let mut farm = farm();
        farm.schedule("x-l2", 20);
        farm.ring(Action::Apply, "x-l2");
        farm.ring(Action::Release, "x-l1");
        renew(&mut farm, other, NOW - 60);
        let verdicts = [("x-l2", Action::Apply), ("x-l1", Action::Release)];
        for (name, direction) in verdicts {
            let (outcome, reason) = decided(&farm, name, direction);
            assert_eq!(matches!(outcome, Outcome::Act(_)), buys, "{name}: {reason}");
            assert_eq!(reason == Reason::SecondScaler, !buys, "{name}: {reason}");
        }
    }
}

#[test]
fn the_audit_lets_no_step_of_the_younger_pass() {
    let order = |farm: &mut Farm| Step::Order {
        pool: pool("x-l2"),
        count: 1,
        offer: Offer {
            flavor: farm.pool("x-l2").flavor.clone(),
            zone: None,
        },
        vcpus: Vcpus(64),
    };
    let judge = |farm: &mut Farm| {
        farm.ring(Action::Apply, "x-l2");
        let plan = Plan {
            steps: vec![order(farm)],
            ..Plan::default()
        };
        let (_, refusals) = farm.see(|view| audit(plan.clone(), view));
        refusals.first().map(|refusal| refusal.law)
    };
    let mut sole = farm();
    assert_eq!(judge(&mut sole), None);
    let mut younger = farm();
    renew(&mut younger, 40, NOW - 60);
    assert_eq!(judge(&mut younger), Some(Law::Lease));
    let mut fresh = farm();
    renew(&mut fresh, 60, NOW - 60);
    fresh.ledger.lease.seen = Some(at(NOW - 30));
    assert_eq!(judge(&mut fresh), Some(Law::Lease));
    let mut unread = farm();
    unread.ledger.lease.seen = None;
    unread.ledger.lease.possible = Some(at(NOW - 30));
    assert_eq!(judge(&mut unread), Some(Law::Lease));
}

#[test]
fn the_audit_releases_no_adopted_worker_whose_host_key_is_not_known() {
    let mut farm = farm();
    farm.server("x-l1", "w").tags.order = None;
    farm.ring(Action::Release, "x-l1");
    let step = Step::Release {
        server: ServerId::new("w"),
        pool: pool("x-l1"),
    };
    let plan = || Plan {
        steps: vec![step.clone()],
        ..Plan::default()
    };
    let (_, refusals) = farm.see(|view| audit(plan(), view));
    assert_eq!(refusals.first().map(|r| r.law), Some(Law::Pinned));
    let (_, reason) = decided(&farm, "x-l1", Action::Release);
    assert_eq!(reason, Reason::NoHostKey);
    farm.ledger.pinned.insert(ServerId::new("w"));
    let (_, refusals) = farm.see(|view| audit(plan(), view));
    assert_eq!(refusals, []);
    let (_, reason) = decided(&farm, "x-l1", Action::Release);
    assert_eq!(reason, Reason::Idle);
}

#[test]
fn a_lease_stands_on_the_two_oldest_servers_that_stay() {
    let mut farm = Farm::new();
    for (age, host) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        farm.member("x-l1", host, Stage::Serving);
        farm.server("x-l1", host).created = at(i64::try_from(age).unwrap());
    }
    farm.server("x-l1", "a").tags.protected = true;
    farm.server("x-l1", "b").status = ServerStatus::Deleting;
    farm.server("x-l1", "c").status = ServerStatus::Building;
    let why = crate::model::Why::Idle;
    farm.member("x-l1", "d", Stage::Serving).stage = Stage::Cordoned { why };
    farm.ledger.lease.me = Some(scaler(50));
    let write = |host| Errand::Write {
        server: ServerId::new(host),
    };
    let asked = |farm: &Farm| errands(&farm.fleet, &farm.ledger, at(NOW));
    assert_eq!(asked(&farm), [write("e"), write("f")]);
    let mut young = LeaseTag {
        scaler: scaler(50),
        renewed: at(NOW - seconds(RENEW) + 1),
    };
    farm.server("x-l1", "e").tags.leases = vec![young.clone()];
    young.renewed = at(NOW - seconds(RENEW));
    farm.server("x-l1", "f").tags.leases = vec![young];
    assert_eq!(asked(&farm), [write("f")]);
    farm.fleet.servers.remove(&ServerId::new("f"));
    assert_eq!(asked(&farm), [write("a")]);
}

#[test]
fn the_leases_of_scalers_that_are_long_gone_are_swept_and_no_others() {
    let mut farm = farm();
    renew(&mut farm, 40, NOW - seconds(FORGET) + 1);
    let asked = |farm: &Farm| errands(&farm.fleet, &farm.ledger, at(NOW));
    assert_eq!(asked(&farm), []);
    renew(&mut farm, 40, NOW - seconds(FORGET));
    let swept = Errand::Sweep {
        server: ServerId::new("w"),
        keys: vec!["obs-scaler-lease-00000028".to_owned()],
    };
    assert_eq!(asked(&farm), [swept]);
}

#[test]
fn a_list_without_the_own_lease_begins_its_time_anew() {
    let mut farm = farm();
    let own = farm.ledger.lease.clone();
    let next = |farm: &Farm, own| next_own(own, &farm.fleet, &farm.ledger, at(NOW));
    assert_eq!(next(&farm, &own), own);
    farm.server("x-l1", "w").tags.leases.clear();
    let gone = next(&farm, &own);
    assert_eq!((gone.seen, gone.possible), (None, own.possible));
    renew(&mut farm, 50, NOW - 1);
    assert_eq!(next(&farm, &gone).seen, Some(at(NOW)));
    farm.fleet.servers.clear();
    assert_eq!(next(&farm, &own).possible, None);
}

/// One of the scalers of the model below: who it is, and the last list that it read.
struct Player {
    me: Scaler,
    farm: Farm,
}

impl Player {
    fn new(since: i64) -> Self {
        let mut farm = Farm::new();
        farm.ledger.lease.me = Some(scaler(since));
        farm.fleet_at = NOW - 100_000;
        Self {
            me: scaler(since),
            farm,
        }
    }

    fn read(&mut self, tags: &[LeaseTag], now: i64) {
        self.farm.server("x-l1", "w").tags.leases = tags.to_vec();
        self.farm.fleet_at = now;
        let farm = &self.farm;
        let own = next_own(&farm.ledger.lease, &farm.fleet, &farm.ledger, at(now));
        self.farm.ledger.lease = own;
    }

    /// Whether it may act, by a list that is young enough to act on.
    fn acts(&self, now: i64) -> bool {
        let fresh = now - self.farm.fleet_at <= seconds(minutes(2));
        fresh && self.farm.see_at(now, |view| lease(view).may_act())
    }
}

proptest! {
    /// Two scalers read and write in any order. The grace is left out of it: it ends while the cloud takes
    /// no tags, and here it takes each.
    #[test]
    fn two_scalers_never_act_at_the_same_moment(
        steps in proptest::collection::vec((0_usize..2, 0_u8..3, 1_i64..100), 1..60)
    ) {
        let mut players = [Player::new(40), Player::new(50)];
        let mut tags: Vec<LeaseTag> = Vec::new();
        let mut now = NOW;
        for (who, what, later) in steps {
            now += later;
            let player = &mut players[who];
            match what {
                0 => player.read(&tags, now),
                1 => {
                    tags.retain(|tag| tag.scaler != player.me);
                    tags.push(LeaseTag { scaler: player.me.clone(), renewed: at(now) });
                }
                _ => {}
            }
            for player in &mut players {
                // each keeps its lease, as far as it is there to do so
                for tag in tags.iter_mut().filter(|tag| tag.scaler == player.me) {
                    tag.renewed = at(now);
                }
                let own = &mut player.farm.ledger.lease;
                own.possible = own.possible.map(|_| at(now));
            }
            let acting = players.iter().filter(|player| player.acts(now)).count();
            prop_assert!(acting <= 1, "{now}: both act");
        }
    }
}
