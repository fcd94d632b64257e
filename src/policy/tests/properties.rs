//! What holds of every farm.

use super::super::fixtures::{Farm, NOW};
use super::super::{Account, Law, Plan, Reason, Step, audit, plan};
use super::{book, ordered, released};
use crate::config::Mode;
use crate::model::{Action, InstanceState, Stage, Vcpus, Why};
use proptest::prelude::*;
use proptest::sample::select;

const POOLS: [&str; 5] = ["x-l1", "x-l2", "x-l3", "a-l1", "home"];

/// What one worker in service shows.
#[derive(Debug, Clone)]
struct AnyWorker {
    idle: u32,
    building: u32,
    besides: Option<InstanceState>,
    looks: u32,
    protected: bool,
}

/// One pool's part of a farm.
#[derive(Debug, Clone)]
struct AnyPool {
    scheduled: u32,
    workers: Vec<AnyWorker>,
    booting: u32,
    unnamed: u32,
    leaving: u32,
    unmanaged: u32,
    reserve: u32,
    mode: Mode,
    busy: bool,
    idle: bool,
}

fn any_worker() -> impl Strategy<Value = AnyWorker> {
    // Mostly whole and idle ones, else nothing would ever be released.
    let building = prop_oneof![4 => Just(0), 1 => 1..=7u32];
    let missing = prop_oneof![4 => Just(0), 1 => 1..=2u32];
    let besides = select(vec![Some(InstanceState::Dead), Some(InstanceState::Away)]);
    let besides = prop_oneof![4 => Just(None), 1 => besides];
    let protected = prop_oneof![6 => Just(false), 1 => Just(true)];
    (building, missing, besides, 0..=3u32, protected).prop_map(
        |(building, missing, besides, looks, protected)| AnyWorker {
            idle: 12u32.saturating_sub(building + missing),
            building,
            besides,
            looks,
            protected,
        },
    )
}

fn any_pool() -> impl Strategy<Value = AnyPool> {
    let scheduled = prop_oneof![1 => Just(0), 2 => 0..=120u32];
    let workers = proptest::collection::vec(any_worker(), 0..4);
    let few = || prop_oneof![3 => Just(0), 1 => 0..=3u32];
    let mode = prop_oneof![
        1 => Just(Mode::Observe),
        1 => Just(Mode::Apply),
        4 => Just(Mode::Full),
    ];
    let counts = (scheduled, few(), few(), few(), 0..=9u32, 0..=2u32);
    let alarms = (mode, any::<bool>(), any::<bool>());
    (counts, workers, alarms).prop_map(|(counts, workers, (mode, busy, idle))| {
        let (scheduled, booting, unnamed, leaving, unmanaged, reserve) = counts;
        AnyPool {
            scheduled,
            workers,
            booting,
            unnamed,
            leaving,
            unmanaged,
            reserve,
            mode,
            busy,
            idle,
        }
    })
}

impl AnyPool {
    fn build(&self, farm: &mut Farm, name: &str) {
        farm.pool(name).mode = self.mode;
        farm.pool(name).reserve = self.reserve;
        let per_worker = farm.pool(name).instances;
        farm.schedule(name, self.scheduled);
        for (n, worker) in self.workers.iter().enumerate() {
            let host = format!("{name}-w{n}");
            let id = farm.worker(name, &host, worker.idle.min(per_worker));
            farm.list(name, &host, InstanceState::Building, worker.building);
            if let Some(state) = worker.besides {
                farm.list(name, &host, state, 1);
            }
            farm.server(name, &host).tags.protected = worker.protected;
            farm.ledger.streaks.get_mut(&id).unwrap().looks = worker.looks;
        }
        for n in 0..self.booting {
            farm.member(name, &format!("{name}-b{n}"), Stage::Creating);
        }
        for n in 0..self.leaving {
            let why = Why::NotActive;
            farm.member(name, &format!("{name}-c{n}"), Stage::Cordoned { why });
        }
        if self.unnamed > 0 {
            farm.order(name, self.unnamed);
        }
        farm.list(
            name,
            &format!("{name}-u"),
            InstanceState::Idle,
            self.unmanaged,
        );
        for (rings, action) in [(self.busy, Action::Apply), (self.idle, Action::Release)] {
            if rings {
                farm.ring(action, name);
            }
        }
    }
}

prop_compose! {
    fn any_farm()(
        pools in proptest::collection::vec(any_pool(), POOLS.len()),
        ceiling in 0..3000u32,
        max_order in prop_oneof![Just(100), 1..=20u32],
        max_releases in 0..=12u32,
    ) -> Farm {
        let mut farm = Farm::new();
        for (name, pool) in POOLS.iter().zip(&pools) {
            pool.build(&mut farm, name);
        }
        farm.policy.ceiling = Vcpus(ceiling);
        farm.policy.max_order = max_order;
        farm.policy.max_releases = max_releases;
        farm
    }
}

fn bought(farm: &Farm) -> u32 {
    Account::of(&farm.fleet, &farm.ledger).bought.0
}

/// The vCPU that a plan orders.
fn vcpus(plan: &Plan) -> u32 {
    let of = |step: &Step| match step {
        Step::Order { count, vcpus, .. } => vcpus.times(*count).0,
        Step::TakeBack { .. }
        | Step::Release { .. }
        | Step::Refit { .. }
        | Step::Isolate { .. } => 0,
    };
    plan.steps.iter().map(of).sum()
}

/// The steps that concern these pools.
fn steps_of(plan: &Plan, pools: &[&str]) -> Vec<Step> {
    let concerns = |step: &&Step| match step {
        Step::Order { pool, .. }
        | Step::TakeBack { pool, .. }
        | Step::Release { pool, .. }
        | Step::Refit { pool, .. }
        | Step::Isolate { pool, .. } => pools.contains(&pool.as_str()),
    };
    plan.steps.iter().filter(concerns).cloned().collect()
}

fn ring_all(farm: &mut Farm) {
    for name in POOLS {
        farm.pool(name).mode = Mode::Full;
        farm.ring(Action::Apply, name);
    }
}

proptest! {
    #[test]
    fn the_ceiling_holds_at_every_instant(mut farm in any_farm()) {
        for _ in 0..4 {
            let before = bought(&farm);
            let plan = farm.see(plan);
            book(&mut farm, &plan);
            prop_assert!(bought(&farm) <= farm.policy.ceiling.0.max(before));
        }
    }

    /// Save for what the largest order and the largest round hold back, and then nothing is ever
    /// bought beyond the need.
    #[test]
    fn the_same_view_with_its_own_steps_booked_gives_an_empty_plan(mut farm in any_farm()) {
        let first = farm.see(plan);
        book(&mut farm, &first);
        let second = farm.see(plan);
        let clipped = |reason: &Reason| matches!(reason, Reason::MaxOrder);
        if !first.verdicts.iter().any(|verdict| clipped(&verdict.reason)) {
            prop_assert_eq!(&second.steps, &[]);
        }
        for verdict in first.verdicts.iter().filter(|v| v.direction == Action::Apply) {
            let name = verdict.pool.as_str();
            let needed = verdict.figures.as_ref().unwrap().needed;
            prop_assert!(ordered(&first, name) + ordered(&second, name) <= needed);
        }
    }

    #[test]
    fn a_worker_in_flight_reduces_the_order_by_one(mut farm in any_farm(), which in 0..5usize) {
        ring_all(&mut farm);
        farm.policy.ceiling = Vcpus(1_000_000);
        farm.policy.max_order = 1000;
        let name = POOLS[which];
        let before = ordered(&farm.see(plan), name);
        farm.member(name, "another", Stage::Creating);
        prop_assert_eq!(ordered(&farm.see(plan), name), before.saturating_sub(1));
        farm.order(name, 1);
        prop_assert_eq!(ordered(&farm.see(plan), name), before.saturating_sub(2));
    }

    #[test]
    fn a_stale_backend_holds_its_own_pools_and_no_other(
        mut farm in any_farm(),
        results: bool,
        home: bool,
    ) {
        farm.policy.ceiling = Vcpus(1_000_000);
        farm.policy.max_releases = 1000;
        let (stale, held, others): (_, &[&str], &[&str]) = if home {
            ("home", &POOLS[4..], &POOLS[..4])
        } else {
            ("main", &POOLS[..4], &POOLS[4..])
        };
        let before = farm.see(plan);
        let backend = farm.backend(stale);
        let read = if results { &mut backend.results_at } else { &mut backend.workers_at };
        *read = NOW - 121;
        let after = farm.see(plan);
        prop_assert_eq!(steps_of(&after, held), vec![]);
        prop_assert_eq!(steps_of(&after, others), steps_of(&before, others));
        farm.fleet_at = NOW - 121;
        prop_assert_eq!(farm.see(plan).steps, vec![]);
    }

    #[test]
    fn no_worker_with_a_build_or_in_an_unknown_state_is_released(farm in any_farm()) {
        for host in released(&farm.see(plan)) {
            let hosts = farm.backends.values().flat_map(|b| b.workers.instances.values());
            let own: Vec<_> = hosts.filter(|i| i.id.host.as_str() == host).collect();
            prop_assert!(own.iter().all(|i| i.state == InstanceState::Idle), "{own:?}");
            let pool = &farm.ledger.by_host(&own[0].id.host).unwrap().pool;
            prop_assert!(own.len() >= farm.policy.pools[pool].instances as usize);
        }
    }

    #[test]
    fn the_reserve_stays_and_what_waits_stays_covered(farm in any_farm()) {
        let plan = farm.see(plan);
        for verdict in plan.verdicts.iter().filter(|v| v.direction == Action::Release) {
            let name = verdict.pool.as_str();
            let gone = u32::try_from(steps_of(&plan, &[name]).iter()
                .filter(|step| matches!(step, Step::Release { .. })).count()).unwrap();
            let figures = verdict.figures.as_ref().unwrap();
            if gone > 0 {
                prop_assert!(figures.serving - gone >= figures.reserve);
                prop_assert!(figures.idle >= figures.scheduled + gone * figures.per_worker);
                prop_assert_eq!(ordered(&plan, name), 0);
            }
        }
    }

    #[test]
    fn more_work_never_lowers_the_order(mut farm in any_farm(), which in 0..5usize, more in 1..50u32) {
        let name = POOLS[which];
        let before = ordered(&farm.see(plan), name);
        farm.schedule(name, more);
        prop_assert!(ordered(&farm.see(plan), name) >= before);
    }

    #[test]
    fn a_larger_ceiling_never_lowers_the_total(mut farm in any_farm(), more in 1..500u32) {
        ring_all(&mut farm);
        let before = vcpus(&farm.see(plan));
        farm.policy.ceiling = Vcpus(farm.policy.ceiling.0 + more);
        prop_assert!(vcpus(&farm.see(plan)) >= before);
    }

    /// Max–min: a pool that gets less than it needs stands no more than one worker below any pool
    /// that got one, unless its own flavor does not fit what is left.
    #[test]
    fn no_pool_starves(mut farm in any_farm()) {
        ring_all(&mut farm);
        let plan = farm.see(plan);
        let account = Account::of(&farm.fleet, &farm.ledger);
        let left = farm.policy.ceiling.less(account.bought).less(Vcpus(vcpus(&plan)));
        let stands = |name: &str| {
            let pool = &farm.policy.pools[&super::pool(name)];
            (account.pool(&pool.name).bought + pool.vcpus.times(ordered(&plan, name)), pool.vcpus)
        };
        for verdict in plan.verdicts.iter().filter(|v| v.reason == Reason::Ceiling) {
            let (mine, size) = stands(verdict.pool.as_str());
            prop_assert!(left < size, "room for one was left unused");
            for name in POOLS.into_iter().filter(|name| ordered(&plan, name) > 0) {
                let (theirs, each) = stands(name);
                prop_assert!(theirs.less(each) <= mine || each < size);
            }
        }
    }

    #[test]
    fn every_plan_of_ours_is_lawful(farm in any_farm()) {
        let proposed = farm.see(plan);
        let (lawful, refusals) = farm.see(|view| audit(proposed.clone(), view));
        prop_assert_eq!(refusals, vec![]);
        prop_assert_eq!(lawful.into_inner(), proposed);
    }

    /// The auditor alone keeps the ceiling, whatever is proposed.
    #[test]
    fn the_auditor_never_lets_the_ceiling_be_passed(
        mut farm in any_farm(),
        counts in proptest::collection::vec((0..5usize, 0..20u32), 0..8),
    ) {
        ring_all(&mut farm);
        let order = |(which, count): &(usize, u32)| {
            let pool = &farm.policy.pools[&super::pool(POOLS[*which])];
            Step::Order {
                pool: pool.name.clone(),
                count: *count,
                offer: farm.policy.offers(pool).next().unwrap(),
                vcpus: pool.vcpus,
            }
        };
        let steps = counts.iter().map(order).collect();
        let proposed = Plan { steps, ..Plan::default() };
        let (lawful, refusals) = farm.see(|view| audit(proposed, view));
        let before = bought(&farm);
        book(&mut farm, lawful.get());
        prop_assert!(bought(&farm) <= farm.policy.ceiling.0.max(before));
        let lawful_causes = [Law::Ceiling, Law::Order];
        prop_assert!(refusals.iter().all(|refusal| lawful_causes.contains(&refusal.law)));
    }
}
