//! Workers that lose the builds which they take are found, and healthy ones are not taken for them.

use super::super::fixtures::{Farm, NOW, at, key, pool};
use super::super::{Law, Left, Plan, Step, Suspect, audit, plan};
use super::book;
use crate::config::{BlackHoleAction, Mode};
use crate::model::{
    BuildEnd, Came, Capabilities, Constraints, Hardware, HostName, InstanceState, JobState,
    ServerId, ServerStatus, Stage, Supply, WantedHardware, Why,
};
use std::time::Duration;

/// A source of chance that is the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn comes(&mut self, chance: f64) -> bool {
        f64::from(u32::try_from(self.next() % 1_000_000).unwrap()) < chance * 1e6
    }
}

/// Workers `w-0` and on, idle, in one pool.
fn workers(count: usize) -> Farm {
    let mut farm = Farm::new();
    for n in 0..count {
        farm.worker("x-l1", &format!("w-{n}"), 7);
    }
    farm
}

/// A build of this package ended on a host.
fn ended(farm: &mut Farm, host: &str, package: &str, second: i64, came: Came) {
    let build = BuildEnd {
        package: key("x86_64", package),
        began: at(second - 10),
        ended: at(second),
        came,
    };
    let oldest = at(NOW - 100_000);
    let record = &mut farm.backend("main").record;
    record.add([(HostName::new(host), build)], oldest);
}

/// `w-0` lost `lost` builds, each of another package, while the others built well.
fn hole(count: usize, lost: i64) -> Farm {
    holes(count, 1, lost)
}

/// The same with so many of them bad.
fn holes(count: usize, bad: usize, lost: i64) -> Farm {
    let mut farm = workers(count);
    for w in 0..count {
        let (builds, came) = match w < bad {
            true => (lost, Came::Failed),
            false => (60, Came::Built),
        };
        for n in 0..builds {
            let (host, package) = (format!("w-{w}"), format!("p-{w}-{n}"));
            let second = NOW - 1000 + n * lost / builds;
            ended(&mut farm, &host, &package, second, came);
        }
    }
    farm
}

fn suspects(farm: &Farm) -> Vec<Suspect> {
    farm.see(plan).suspects
}

fn left(farm: &Farm) -> Vec<(String, Option<Left>)> {
    let suspects = suspects(farm).into_iter();
    suspects
        .map(|s| (s.host.as_str().to_owned(), s.left))
        .collect()
}

/// Ten workers through a rebuild of many packages, some of which are broken; a look every minute. What
/// became of the build, by the dice; how many builds `w-0` lost before it was suspected, and who else was.
fn rebuild(seed: u64, broken: f64, hole: Option<f64>, minutes: i64) -> (Option<u32>, Vec<String>) {
    let (mut farm, mut dice) = (workers(10), Dice(0x9e37_79b9_7f4a_7c15 ^ seed));
    let is_broken: Vec<bool> = (0..400).map(|_| dice.comes(broken)).collect();
    let (mut lost, mut others) = (0, Vec::new());
    for minute in 0..minutes {
        let now = NOW + 60 * minute;
        for w in 0..10 {
            // seven instances and five minutes a build; who fails at once takes ten times as many
            let at_once = if w == 0 && hole.is_some() { 14 } else { 3 };
            for _ in 0..dice.below(at_once) {
                let package = dice.below(400);
                let bad = is_broken[package] || dice.comes(0.01);
                let sunk = w == 0 && hole.is_some_and(|chance| dice.comes(chance));
                let came = if bad || sunk {
                    Came::Failed
                } else {
                    Came::Built
                };
                lost += u32::from(w == 0 && came == Came::Failed);
                let second = now - i64::try_from(dice.below(60)).unwrap();
                ended(
                    &mut farm,
                    &format!("w-{w}"),
                    &format!("p-{package}"),
                    second,
                    came,
                );
            }
        }
        let suspects = look(&mut farm, now);
        if suspects.iter().any(|host| host == "w-0") {
            return (Some(lost), others);
        }
        others.extend(suspects);
    }
    (None, others)
}

/// Who is suspected at a later moment, where everything else has been read again.
fn look(farm: &mut Farm, now: i64) -> Vec<String> {
    farm.fleet_at = now;
    let suspects = farm.see_at(now, plan).suspects.into_iter();
    suspects.map(|s| s.host.as_str().to_owned()).collect()
}

#[test]
fn healthy_workers_are_no_black_holes_however_many_builds_fail() {
    for broken in [0.02, 0.1, 0.3, 0.6, 0.9] {
        for seed in 1..=4 {
            let found = rebuild(seed, broken, None, 120);
            assert_eq!(found, (None, Vec::new()), "{broken} of all, seed {seed}");
        }
    }
}

#[test]
fn a_worker_that_loses_what_it_takes_is_found_after_a_few_dozen_builds_and_no_other() {
    for (chance, broken, most) in [
        (1.0, 0.02, 30),
        (1.0, 0.1, 45),
        (0.8, 0.1, 45),
        (1.0, 0.3, 90),
    ] {
        for seed in 1..=8 {
            let (lost, others) = rebuild(seed, broken, Some(chance), 60);
            assert_eq!(others, Vec::<String>::new(), "{chance} {broken} {seed}");
            assert!(
                lost.is_some_and(|lost| lost <= most),
                "{chance} {broken} {seed}: {lost:?}"
            );
        }
    }
}

#[test]
fn a_black_hole_is_cordoned_with_the_evidence_and_nothing_else_is_done() {
    let farm = hole(4, 20);
    let planned = farm.see(plan);
    let evidence =
        "of the builds of 20 packages 20 were lost, where at most 0.3 would be elsewhere";
    let step = Step::Isolate {
        server: ServerId::new("w-0"),
        pool: pool("x-l1"),
        evidence: evidence.to_owned(),
    };
    assert_eq!(planned.steps, [step]);
    let (lawful, refusals) = farm.see(|view| audit(planned.clone(), view));
    assert_eq!((lawful.into_inner(), refusals), (planned, Vec::new()));
}

#[test]
fn a_package_that_fails_everywhere_says_nothing_of_a_worker() {
    let mut farm = hole(4, 6);
    assert_eq!(left(&farm), [("w-0".to_owned(), None)]);
    for n in 0..6 {
        for w in 1..4 {
            let (host, package) = (format!("w-{w}"), format!("p-0-{n}"));
            ended(&mut farm, &host, &package, NOW - 500, Came::Failed);
        }
    }
    assert_eq!(suspects(&farm), []);
}

#[test]
fn what_is_broken_for_all_is_nobodys_fault() {
    let mut farm = hole(4, 20);
    for n in 0..20 {
        for w in 1..4 {
            let (host, package) = (format!("w-{w}"), format!("too-{w}-{n}"));
            ended(&mut farm, &host, &package, NOW - 990, Came::Failed);
        }
    }
    assert_eq!(suspects(&farm), []);
}

#[test]
fn a_worker_without_peers_is_not_judged() {
    assert_eq!(suspects(&hole(2, 50)), []);
    assert_eq!(suspects(&hole(3, 4)), [], "too few were lost");
}

#[test]
fn a_worker_that_was_restarted_lost_its_builds_by_one_cause_and_one_that_loses_them_again_and_again_did_not()
 {
    let vanish = |farm: &mut Farm, every: i64| {
        for n in 0..7 {
            let second = NOW - 10_000 + n * every;
            ended(farm, "w-0", &format!("gone-{n}"), second, Came::Vanished);
        }
    };
    let mut others = hole(4, 0);
    for w in 1..4 {
        for n in 0..500 {
            let (host, package) = (format!("w-{w}"), format!("more-{w}-{n}"));
            ended(
                &mut others,
                &host,
                &package,
                NOW - 10_000 + n * 18,
                Came::Built,
            );
        }
    }
    let mut once = others.clone();
    vanish(&mut once, 2);
    assert_eq!(suspects(&once), []);
    let mut again = others;
    vanish(&mut again, 1200);
    let found = suspects(&again);
    assert!(found[0].evidence.contains("(7 vanished)"), "{found:?}");
}

#[test]
fn a_server_is_not_judged_by_what_another_of_its_name_built() {
    let mut farm = hole(4, 20);
    farm.server("x-l1", "w-0").created = at(NOW - 100);
    assert_eq!(suspects(&farm), []);
}

#[test]
fn a_worker_that_is_gone_is_not_told_of_though_obs_remembers_it() {
    let mut farm = hole(4, 20);
    farm.fleet.servers.remove(&ServerId::new("w-0"));
    farm.ledger.members.remove(&ServerId::new("w-0"));
    assert_eq!(left(&farm), [("w-0".to_owned(), Some(Left::Unmanaged))]);
    let instances = farm.backend("main").workers.instances.values_mut();
    for instance in instances.filter(|i| i.id.host.as_str() == "w-0") {
        instance.state = InstanceState::Down;
    }
    assert_eq!(suspects(&farm), []);
}

#[test]
fn what_may_not_be_cordoned_is_told_of() {
    type Case = (Left, fn(&mut Farm));
    let cases: [Case; 10] = [
        (Left::ReportOnly, |f| {
            f.policy.black_holes.action = BlackHoleAction::Report
        }),
        (Left::Mode, |f| f.pool("x-l1").mode = Mode::Apply),
        (Left::Unmanaged, |f| {
            f.fleet.servers.remove(&ServerId::new("w-0"));
            f.ledger.members.remove(&ServerId::new("w-0"));
        }),
        (Left::Pool, |f| f.backend("main").workers_at = 0),
        (Left::Pool, |f| halt(f)),
        (Left::NoHostKey, |f| {
            f.server("x-l1", "w-0").tags.order = None
        }),
        (Left::NotServing, |f| {
            f.server("x-l1", "w-0").status = ServerStatus::Other("SHUTOFF".to_owned());
        }),
        (Left::Reserve, |f| f.pool("x-l1").reserve = 4),
        (Left::Share, |f| held(f)),
        (Left::LastFit, |f| asked_for(f)),
    ];
    for (why, change) in cases {
        let mut farm = hole(4, 20);
        if why == Left::Unmanaged {
            // a host that is not ours is in the pool of its size
            let has = Capabilities {
                hardware: Some(Hardware {
                    processors: 32,
                    ..Hardware::default()
                }),
                ..Capabilities::default()
            };
            farm.backend("main").has.insert(HostName::new("w-0"), has);
        }
        change(&mut farm);
        assert_eq!(left(&farm), [("w-0".to_owned(), Some(why))], "{why}");
        let steps = farm.see(plan).steps;
        assert_eq!(steps, [], "{why}");
    }
    let mut off = hole(4, 20);
    off.policy.black_holes.action = BlackHoleAction::None;
    assert_eq!(suspects(&off), []);
}

fn halt(farm: &mut Farm) {
    let supply = Supply {
        halted_below: Some(100),
        ..Supply::default()
    };
    farm.ledger.supply.insert(pool("x-l1"), supply);
}

/// Another one is cordoned already.
fn held(farm: &mut Farm) {
    let evidence = String::new();
    let why = Why::BlackHole { evidence };
    farm.member("x-l1", "held", Stage::Cordoned { why });
}

/// A job waits that only `w-0` meets.
fn asked_for(farm: &mut Farm) {
    farm.job("main", "x86_64", "wide", JobState::Blocked);
    let main = farm.backend("main");
    let asks = Constraints {
        hardware: Some(WantedHardware {
            processors: Some(32),
            ..WantedHardware::default()
        }),
        ..Constraints::default()
    };
    main.asks.insert("wide".to_owned(), asks);
    for n in 0..4 {
        let hardware = Hardware {
            processors: if n == 0 { 32 } else { 8 },
            ..Hardware::default()
        };
        let has = Capabilities {
            hardware: Some(hardware),
            ..Capabilities::default()
        };
        main.has.insert(HostName::new(format!("w-{n}")), has);
    }
}

#[test]
fn an_unlawful_isolation_is_refused_by_name() {
    type Case = (Law, fn(&mut Farm));
    let cases: [Case; 12] = [
        (Law::Fresh, |f| f.backend("main").workers_at = 0),
        (Law::Fresh, |f| f.fleet_at = 0),
        (Law::Mode, |f| f.pool("x-l1").mode = Mode::Apply),
        (Law::Mode, |f| {
            f.policy.black_holes.action = BlackHoleAction::Report
        }),
        (Law::Halt, |f| halt(f)),
        (Law::Managed, |f| f.ledger.members.clear()),
        (Law::Pinned, |f| f.server("x-l1", "w-0").tags.order = None),
        (Law::LastFit, |f| asked_for(f)),
        (Law::Reserve, |f| f.pool("x-l1").reserve = 4),
        (Law::BlackHole, |f| {
            f.backend("main").record = hole(4, 4).backend("main").record.clone()
        }),
        (Law::BlackHole, |f| {
            f.policy.black_holes.window = Duration::from_secs(60)
        }),
        (Law::Share, |f| held(f)),
    ];
    for (law, change) in cases {
        let mut farm = hole(4, 20);
        let steps = farm.see(plan).steps;
        assert_eq!(steps.len(), 1);
        change(&mut farm);
        let proposed = Plan {
            steps,
            ..Plan::default()
        };
        let (_, refusals) = farm.see(|view| audit(proposed, view));
        let laws: Vec<Law> = refusals.iter().map(|refusal| refusal.law).collect();
        assert_eq!(laws, [law], "{law}");
    }
}

#[test]
fn black_holes_are_cordoned_one_after_the_other_and_never_more_than_a_third() {
    for (count, most) in [(5, 1), (6, 2), (9, 2)] {
        let mut farm = holes(count, 2, 40);
        for round in 1..=3 {
            let planned = farm.see(plan);
            book(&mut farm, &planned);
            let members = farm.ledger.members.values();
            let held = members.filter(|m| m.stage.is_leaving()).count();
            assert_eq!(held, round.min(most), "of {count}, round {round}");
        }
    }
}

#[test]
fn a_worker_that_builds_may_be_cordoned_since_its_builds_end_first() {
    let mut farm = hole(4, 20);
    farm.list("x-l1", "w-0", InstanceState::Building, 1);
    assert_eq!(left(&farm), [("w-0".to_owned(), None)]);
}
