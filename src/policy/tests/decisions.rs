//! Buying and giving back: examples, and the defects that others paid for.

use super::super::fixtures::{Farm, NOW, at, key, minutes, pool};
use super::super::{
    Outcome, Reason, assess, evaluate, instances_seen, look, next_gaps, next_streak, plan,
};
use super::{absent, book, decided, instance, ordered, released};
use crate::config::Mode;
use crate::model::{
    Action, Arch, BackendName, Gap, HostName, InstanceState, JobState, Level, ServerStatus, Stage,
    Supply, Vcpus, Why,
};
use std::collections::BTreeMap;

fn busy(name: &str, jobs: u32) -> Farm {
    let mut farm = Farm::new();
    farm.schedule(name, jobs);
    farm.ring(Action::Apply, name);
    farm
}

fn idle(name: &str, workers: u32) -> Farm {
    let mut farm = Farm::new();
    for n in 1..=workers {
        farm.worker(name, &format!("w-{n}"), 7);
    }
    farm.ring(Action::Release, name);
    farm
}

#[test]
fn the_seeds_example_rounds_up() {
    let policy = Farm::new().policy;
    let l2 = (Arch::X86_64, Level::L2);
    let workers = evaluate(&[(l2, 10)].into(), &[(l2, 1)].into(), &policy);
    assert_eq!(workers, BTreeMap::from([(l2, 2)]));
}

#[test]
fn a_level_comes_from_the_name_then_the_history_then_the_default() {
    let mut farm = Farm::new();
    farm.takes(&key("i586", "gcc"), minutes(1));
    farm.takes(&key("i586", "short"), minutes(1));
    farm.takes(&key("i586", "gcc-doc"), minutes(1));
    for package in ["gcc:cross", "short", "gcc-doc", "never-built"] {
        farm.job("main", "i586", package, JobState::Scheduled);
    }
    farm.job("main", "riscv64", "short", JobState::Scheduled);
    let states = farm.see(assess);
    let scheduled = |name| states[&pool(name)].as_ref().unwrap().scheduled;
    assert_eq!(scheduled("x-l3"), 1, "gcc, whatever its flavor");
    assert_eq!(scheduled("x-l1"), 2, "a pattern matches the whole name");
    assert_eq!(scheduled("x-l2"), 1, "never built");
    assert_eq!(scheduled("a-l1") + scheduled("home"), 0);
}

#[test]
fn idle_is_counted_per_instance_and_not_per_worker() {
    let mut farm = busy("x-l1", 10);
    farm.worker("x-l1", "w", 3);
    farm.list("x-l1", "w", InstanceState::Building, 4);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1, "10 - 3 over 7");
}

#[test]
fn a_job_that_an_instance_builds_does_not_wait_whatever_older_results_say() {
    let mut farm = busy("x-l1", 7);
    farm.worker("x-l1", "w", 0);
    farm.list("x-l1", "w", InstanceState::Building, 7);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1);
    let waiting = farm.backend("main").results.jobs.clone();
    let instances = farm.backend("main").workers.instances.values_mut();
    for (instance, job) in instances.zip(waiting) {
        instance.job = Some(job.key);
    }
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 0);
}

#[test]
fn instances_that_are_listed_nowhere_for_a_moment_are_not_bought_for() {
    let mut farm = busy("x-l1", 7);
    farm.worker("x-l1", "w", 2);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 0);
    let look = |farm: &Farm| farm.see(|view| next_gaps(view, &assess(view)));
    assert_eq!(look(&farm), absent("w", 3..=7, NOW));
    farm.ledger.gaps = absent("w", 3..=7, NOW - 30);
    assert_eq!(look(&farm), farm.ledger.gaps, "since the first look");
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1, "they do not come back");
}

#[test]
fn instances_that_take_new_code_are_down_for_a_moment_and_not_bought_for() {
    let mut farm = busy("x-l1", 7);
    farm.worker("x-l1", "w", 2);
    farm.list("x-l1", "w", InstanceState::Down, 5);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 0);
    farm.ledger.gaps = absent("w", 3..=7, NOW - 30);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1, "they do not come back");
}

#[test]
fn an_instance_that_stays_away_takes_the_excuse_of_no_other() {
    let mut farm = busy("x-l1", 6);
    farm.worker("x-l1", "w", 5);
    farm.list("x-l1", "w", InstanceState::Down, 1);
    farm.ledger.gaps = absent("w", 6..=6, NOW - 60);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 0, "the seventh is new");
    farm.ledger.gaps = absent("w", 6..=7, NOW - 30);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1);
}

#[test]
fn a_worker_that_one_list_of_the_cloud_lacks_keeps_its_excuse() {
    let mut farm = busy("x-l1", 7);
    let server = farm.worker("x-l1", "w", 6);
    farm.fleet.servers.remove(&server);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 0);
    let lacks = farm.see(|view| next_gaps(view, &assess(view)));
    assert_eq!(lacks, absent("w", 7..=7, NOW));
    farm.server("x-l1", "w").status = ServerStatus::Other("SHUTOFF".to_owned());
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1, "it does not run");
}

#[test]
fn an_instance_that_is_handed_a_job_is_in_no_list_of_that_backend_for_a_moment_and_not_bought_for()
{
    let mut farm = busy("x-l1", 7);
    farm.pool("x-l1").backends.push(BackendName::new("home"));
    farm.policy.pools.remove(&pool("home"));
    farm.worker("x-l1", "w", 6);
    farm.list("x-l1", "w", InstanceState::Away, 1);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 0, "home hands it a job");
    let look = |farm: &Farm| farm.see(|view| next_gaps(view, &assess(view)));
    let since = |second| BTreeMap::from([(instance("w", 7), (Gap::Passing, at(second)))]);
    assert_eq!(look(&farm), since(NOW), "it is listed, and not absent");
    farm.ledger.gaps = absent("w", 7..=7, NOW - 30);
    assert_eq!(look(&farm), since(NOW), "another cause");
    farm.ledger.gaps = since(NOW - 30);
    assert_eq!(look(&farm), farm.ledger.gaps, "since the first look");
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1, "it is not free");
}

#[test]
fn an_instance_listed_by_two_backends_counts_once() {
    let mut farm = busy("x-l1", 7);
    farm.pool("x-l1").backends.push(BackendName::new("home"));
    farm.policy.pools.remove(&pool("home"));
    farm.worker("x-l1", "w", 7);
    let mut elsewhere = farm.backend("main").workers.clone();
    for instance in elsewhere.instances.values_mut() {
        instance.state = InstanceState::Building;
    }
    farm.backend("home").workers = elsewhere;
    let states = farm.see(assess);
    let state = states[&pool("x-l1")].as_ref().unwrap();
    assert_eq!(state.instances.get(InstanceState::Building), 7);
    assert_eq!(state.idle, 0, "building anywhere comes first");
}

#[test]
fn workers_in_flight_reduce_the_need() {
    let mut farm = busy("x-l1", 35);
    farm.order("x-l1", 1);
    farm.member("x-l1", "booting", Stage::Booting { active: at(NOW) });
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 3);
}

#[test]
fn a_joining_worker_with_idle_instances_is_not_counted_twice() {
    let mut farm = busy("x-l1", 21);
    farm.member("x-l1", "joining", Stage::Joining { active: at(NOW) });
    farm.list("x-l1", "joining", InstanceState::Idle, 7);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 2);
}

#[test]
fn an_ordered_server_that_nobody_remembers_is_in_flight_and_bought() {
    let mut farm = busy("x-l1", 21);
    farm.server("x-l1", "orphan");
    farm.policy.ceiling = Vcpus(64);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1);
}

#[test]
fn servers_in_build_or_error_count_as_bought() {
    let mut farm = busy("x-l1", 14);
    farm.server("x-l1", "building").status = ServerStatus::Building;
    farm.server("x-l1", "broken").status = ServerStatus::Error(String::new());
    farm.policy.ceiling = Vcpus(64);
    assert_eq!(decided(&farm, "x-l1", Action::Apply).1, Reason::Ceiling);
    farm.policy.ceiling = Vcpus(96);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1, "one is on its way");
}

#[test]
fn a_listed_server_of_an_unanswered_order_is_one_of_its_unnamed() {
    let mut farm = busy("x-l1", 21);
    let order = farm.order("x-l1", 2);
    farm.server("x-l1", "early").tags.order = Some(order);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1);
}

#[test]
fn adopted_servers_do_not_use_the_ceiling() {
    let mut farm = busy("x-l1", 7);
    farm.policy.ceiling = Vcpus(32);
    farm.member("x-l1", "adopted", Stage::Serving).order = None;
    farm.server("x-l1", "adopted").tags.order = None;
    farm.list("x-l1", "adopted", InstanceState::Building, 7);
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1);
}

#[test]
fn a_leaving_worker_is_no_supply_but_uses_the_ceiling() {
    let mut farm = busy("x-l1", 7);
    farm.worker("x-l1", "w", 7);
    assert_eq!(decided(&farm, "x-l1", Action::Apply).1, Reason::Enough);
    let member = farm.member("x-l1", "w", Stage::Serving);
    member.stage = Stage::Cordoned { why: Why::Asked };
    assert_eq!(ordered(&farm.see(plan), "x-l1"), 1);
    farm.policy.ceiling = Vcpus(63);
    assert_eq!(decided(&farm, "x-l1", Action::Apply).1, Reason::Ceiling);
}

#[test]
fn an_order_over_the_ceiling_is_clipped_and_not_refused() {
    let mut farm = busy("x-l1", 700);
    farm.policy.ceiling = Vcpus(100);
    let decided = decided(&farm, "x-l1", Action::Apply);
    assert_eq!(decided, (Outcome::Act(3), Reason::Ceiling));
}

#[test]
fn what_holds_an_order_back_is_said() {
    let reason = |farm: &Farm| decided(farm, "x-l1", Action::Apply).1;
    let mut farm = Farm::new();
    farm.schedule("x-l1", 7);
    assert_eq!(reason(&farm), Reason::NoAlarm);
    farm.ring(Action::Apply, "x-l1");
    assert_eq!(reason(&farm), Reason::Needed);
    farm.schedule("x-l1", 7);
    farm.policy.max_order = 1;
    assert_eq!(reason(&farm), Reason::MaxOrder);
    farm.pool("x-l1").mode = Mode::Observe;
    assert_eq!(reason(&farm), Reason::Observe);
    let halted = Supply {
        halted_below: Some(70),
        ..Supply::default()
    };
    farm.ledger.supply.insert(pool("x-l1"), halted);
    assert_eq!(reason(&farm), Reason::Halted { below: 70 });
    farm.backend("main").workers_at = NOW - 121;
    assert_eq!(reason(&farm).label(), "stale");
}

#[test]
fn a_repeated_look_buys_once() {
    let mut farm = busy("x-l1", 700);
    for _ in 0..10 {
        let plan = farm.see(plan);
        book(&mut farm, &plan);
    }
    assert_eq!(farm.ledger.orders.len(), 1);
}

#[test]
fn a_worker_idle_long_enough_is_released() {
    let farm = idle("x-l1", 1);
    assert_eq!(released(&farm.see(plan)), ["w-1"]);
}

#[test]
fn an_adopted_worker_that_can_not_be_drained_is_not_released() {
    let mut farm = idle("x-l1", 1);
    farm.server("x-l1", "w-1").tags.order = None;
    assert_eq!(decided(&farm, "x-l1", Action::Release).1, Reason::NoHostKey);
}

#[test]
fn what_holds_a_release_back_is_said() {
    let base = idle("x-l1", 2);
    let reason = |change: &dyn Fn(&mut Farm)| {
        let mut farm = base.clone();
        change(&mut farm);
        assert_eq!(released(&farm.see(plan)), [""; 0]);
        decided(&farm, "x-l1", Action::Release).1
    };
    assert_eq!(
        reason(&|f| f.pool("x-l1").mode = Mode::Apply),
        Reason::ApplyOnly
    );
    assert_eq!(reason(&|f| f.pool("x-l1").reserve = 2), Reason::Reserve);
    assert_eq!(reason(&|f| f.policy.max_releases = 0), Reason::MaxReleases);
    assert_eq!(reason(&|f| f.schedule("x-l1", 8)), Reason::Waiting);
    assert_eq!(reason(&|f| f.alarms = Farm::new().alarms), Reason::NoAlarm);
    assert_eq!(
        reason(&|f| {
            f.alarms = crate::model::Alarms::default();
            f.ring(Action::Release, "x-l1");
        }),
        Reason::NoWatchdog
    );
    assert_eq!(reason(&|f| _ = f.order("x-l1", 1)), Reason::InFlight);
    assert_eq!(
        reason(&|f| f.ledger.streaks.clear()),
        Reason::NotLongEnough { looks: 0 }
    );
    let protect = |f: &mut Farm| {
        f.server("x-l1", "w-1").tags.protected = true;
        f.server("x-l1", "w-2").tags.protected = true;
    };
    assert_eq!(reason(&protect), Reason::Protected);
}

#[test]
fn idle_instances_that_cover_what_waits_are_kept() {
    let mut farm = idle("x-l1", 3);
    farm.schedule("x-l1", 8);
    let plan = farm.see(plan);
    assert_eq!(released(&plan), ["w-1"], "two workers cover eight jobs");
    assert!(plan.kept.iter().all(|kept| kept.reason == Reason::Waiting));
}

#[test]
fn jobs_of_another_arch_do_not_hold_a_release_back() {
    let mut farm = idle("x-l1", 1);
    farm.schedule("a-l1", 50);
    assert_eq!(released(&farm.see(plan)), ["w-1"]);
}

#[test]
fn an_instance_in_no_list_is_not_idle() {
    let mut farm = Farm::new();
    farm.worker("x-l1", "w", 6);
    farm.ring(Action::Release, "x-l1");
    assert_eq!(decided(&farm, "x-l1", Action::Release).1, Reason::Busy);
}

#[test]
fn missing_data_is_not_idle() {
    let mut farm = idle("x-l1", 1);
    farm.backend("main").workers = crate::model::Workers::default();
    assert_eq!(released(&farm.see(plan)), [""; 0]);
    farm.fleet_at = 0;
    assert_eq!(decided(&farm, "x-l1", Action::Release).1.label(), "stale");
    assert!(farm.see(|view| look(view, &assess(view))).is_empty());
}

#[test]
fn what_a_stale_backend_would_say_of_a_host_is_unknown() {
    let mut farm = Farm::new();
    farm.worker("x-l1", "w", 7);
    let idle = |farm: &Farm| {
        let seen = farm.see(|view| instances_seen(view, &pool("x-l1"), &HostName::new("w")));
        seen.map(|seen| seen.counts.get(InstanceState::Idle))
    };
    assert_eq!(idle(&farm), Some(7));
    farm.backend("main").workers_at = 0;
    assert_eq!(idle(&farm), None);
}

#[test]
fn a_reserve_is_not_filled_by_workers_that_are_not_there() {
    let mut farm = idle("x-l1", 1);
    farm.pool("x-l1").reserve = 1;
    farm.member("x-l1", "dead", Stage::Serving);
    farm.list("x-l1", "dead", InstanceState::Dead, 7);
    assert_eq!(decided(&farm, "x-l1", Action::Release).1, Reason::Reserve);
}

#[test]
fn the_longest_idle_leaves_first() {
    let mut farm = idle("x-l1", 3);
    farm.policy.max_releases = 1;
    let id = farm.member("x-l1", "w-2", Stage::Serving).server.clone();
    farm.ledger.streaks.get_mut(&id).unwrap().since = at(0);
    assert_eq!(released(&farm.see(plan)), ["w-2"]);
}

#[test]
fn looks_are_counted_by_readings_and_not_by_calls() {
    let looks = |times: &[i64]| {
        let mut streak = None;
        for time in times {
            streak = next_streak(streak, true, at(*time), minutes(1));
        }
        streak.unwrap().looks
    };
    assert_eq!(looks(&[100, 100, 100]), 1);
    assert_eq!(looks(&[100, 130, 159]), 1);
    assert_eq!(looks(&[100, 130, 160, 190, 220]), 3);
    assert_eq!(looks(&[100, 160, 40]), 2);
    let ended = next_streak(
        next_streak(None, true, at(1), minutes(1)),
        false,
        at(2),
        minutes(1),
    );
    assert_eq!(ended, None);
}
