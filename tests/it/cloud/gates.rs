//! What is not acted on and not started yet: a backend under maintenance, one that was started just now, and new
//! workers of which so many others were started.

use super::farm::{Farm, Setup};
use super::owners::until;
use super::scaler::{Bell, Said, Scaler};
use jiff::{Timestamp, ToSpan as _};
use obs_scaler::config::Config;
use obs_scaler::model::{Action, BackendName, ServerId, Stage, elapsed};
use obs_scaler::policy::RAMP;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const POOL: &str = "x86-l1";

/// A farm on addresses of its own, and its program.
async fn farm(network: [u8; 3], change: impl FnOnce(&mut Config)) -> (Farm, Scaler) {
    let mut farm = Farm::start(Setup {
        seed: 3,
        ceiling: 384,
        times: 60,
        patience: "1s",
        deadlines: "",
        network,
    })
    .await;
    let mut config = Config::clone(&farm.config);
    change(&mut config);
    farm.config = Arc::new(config);
    let scaler = Scaler::start(&farm, &Said::default());
    (farm, scaler)
}

fn stages(scaler: &Scaler) -> BTreeMap<ServerId, Stage> {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    let members = ledger.members.values();
    members
        .map(|m| (m.server.clone(), m.stage.clone()))
        .collect()
}

fn serving(scaler: &Scaler) -> usize {
    let stages = stages(scaler).into_values();
    stages.filter(|stage| *stage == Stage::Serving).count()
}

fn none_leaves(scaler: &Scaler) -> bool {
    !stages(scaler).values().any(Stage::is_leaving)
}

fn bought(farm: &Farm) -> usize {
    farm.cloud.ledger().servers.len()
}

/// When the first server after those was bought.
fn bought_after(farm: &Farm, before: usize) -> Option<Timestamp> {
    let servers = farm.cloud.ledger().servers;
    servers.into_iter().nth(before).map(|s| s.created_at)
}

fn maintenance(scaler: &Scaler) -> Option<Timestamp> {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    ledger.maintenance.get(&BackendName::new("main")).copied()
}

fn is_halted(scaler: &Scaler) -> bool {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    let mut known = ledger.supply.values();
    known.any(|supply| supply.halted_below.is_some())
}

/// Rings for as long, and looks that nothing is bought and nobody leaves.
async fn frozen(farm: &Farm, scaler: &Scaler, bell: &Bell, minutes: i64) {
    let (before, end) = (bought(farm), after(farm, minutes));
    until(farm, &[scaler], bell, "time passes", || {
        assert!(none_leaves(scaler), "{:?}", stages(scaler));
        assert_eq!(bought(farm), before, "{}", scaler.said.text());
        farm.now() >= end
    })
    .await;
}

fn after(farm: &Farm, minutes: i64) -> Timestamp {
    farm.now().checked_add(minutes.minutes()).unwrap()
}

/// A worker that has built what there was.
async fn one_is_idle(farm: &Farm, scaler: &Scaler, bell: &mut Bell) {
    farm.queue("x86_64", "first", 2, 30).await;
    bell.ring(farm, Action::Apply, POOL);
    until(farm, &[scaler], bell, "one serves", || serving(scaler) == 1).await;
    bell.hush(Action::Apply, POOL);
    assert_eq!(bought(farm), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_maintenance_nothing_is_bought_and_nobody_released_through_a_kill_until_it_is_over() {
    let (farm, scaler) = farm([127, 0, 218], |_| {}).await;
    let mut bell = Bell::default();
    one_is_idle(&farm, &scaler, &mut bell).await;
    let over = after(&farm, 9);
    scaler.maintain("main", Some(over)).await;
    let said = scaler.said.clone();
    scaler.kill().await;
    let scaler = Scaler::start(&farm, &said);
    assert_eq!(
        maintenance(&scaler),
        Some(over),
        "what was answered is in the journal"
    );

    // an idle worker would be released after 3 looks, one each minute
    bell.ring(&farm, Action::Release, POOL);
    frozen(&farm, &scaler, &bell, 5).await;
    bell.hush(Action::Release, POOL);
    farm.queue("x86_64", "more", 8, 600).await;
    bell.ring(&farm, Action::Apply, POOL);
    let ours = [&scaler];
    until(&farm, &ours, &bell, "more are bought", || {
        assert!(none_leaves(&scaler), "{:?}", stages(&scaler));
        bought(&farm) > 1
    })
    .await;
    let first = bought_after(&farm, 1).unwrap();
    assert!(first >= over, "bought at {first}, before {over}");
    scaler.terminate().await;
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maintenance_that_is_ended_by_hand_is_over_at_once() {
    let (farm, scaler) = farm([127, 0, 221], |_| {}).await;
    let mut bell = Bell::default();
    one_is_idle(&farm, &scaler, &mut bell).await;
    let tomorrow = after(&farm, 24 * 60);
    scaler.maintain("main", Some(tomorrow)).await;
    bell.ring(&farm, Action::Release, POOL);
    frozen(&farm, &scaler, &bell, 5).await;
    scaler.maintain("main", None).await;
    assert_eq!(maintenance(&scaler), None);
    let ended = farm.now();
    until(&farm, &[&scaler], &bell, "it is released", || {
        !none_leaves(&scaler)
    })
    .await;
    // its 3 idle looks are counted from then on; what the first one reads may be a moment older
    let spent = elapsed(ended, farm.now());
    assert!(spent >= Duration::from_mins(1), "released after {spent:?}");
    scaler.terminate().await;
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_of_its_backend_nothing_is_bought_and_nobody_released_until_it_has_settled() {
    let settling = Duration::from_mins(6);
    let (farm, scaler) = farm([127, 0, 219], |config| {
        config.policy.gates.settling = settling;
    })
    .await;
    let mut bell = Bell::default();
    let began = farm.now();
    one_is_idle(&farm, &scaler, &mut bell).await;
    let first = bought_after(&farm, 0).unwrap();
    // the start that OBS tells of was a moment before
    assert!(
        elapsed(began, first) + Duration::from_secs(60) >= settling,
        "{first} of {began}"
    );

    farm.obs(Method::POST, "restart", json!({})).await;
    let began = farm.now();
    bell.ring(&farm, Action::Release, POOL);
    until(&farm, &[&scaler], &bell, "it is released", || {
        !none_leaves(&scaler)
    })
    .await;
    let spent = elapsed(began, farm.now());
    assert!(spent >= settling, "released after {spent:?}");
    scaler.terminate().await;
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_its_backend_lost_from_sight_over_a_restart_is_not_bought_again_and_halts_nothing()
 {
    let settling = Duration::from_mins(6);
    let (farm, scaler) = farm([127, 0, 222], |config| {
        config.policy.gates.settling = settling;
    })
    .await;
    let mut bell = Bell::default();
    one_is_idle(&farm, &scaler, &mut bell).await;
    let server = farm.cloud.ledger().servers.remove(0);
    farm.obs(Method::POST, "restart", json!({})).await;
    let began = farm.now();
    let lost = format!("hosts/{}/kill", server.name);
    farm.obs(Method::POST, &lost, json!({})).await;
    farm.queue("x86_64", "more", 8, 600).await;
    bell.ring(&farm, Action::Apply, POOL);
    bell.ring(&farm, Action::Release, POOL);
    frozen(&farm, &scaler, &bell, 4).await;
    assert!(!is_halted(&scaler), "{}", scaler.said.text());

    // its idle report comes late, but before that is over
    let back = json!({"name": server.name, "ip": server.ip, "arch": "x86_64", "instances": 2});
    farm.obs(Method::POST, "hosts", back).await;
    let ours = [&scaler];
    until(&farm, &ours, &bell, "more are bought", || {
        assert!(none_leaves(&scaler), "{:?}", stages(&scaler));
        assert!(!is_halted(&scaler), "{}", scaler.said.text());
        bought(&farm) > 1
    })
    .await;
    let spent = elapsed(began, bought_after(&farm, 1).unwrap());
    let spent = spent + Duration::from_secs(5); // OBS tells of its start in whole seconds
    assert!(spent >= settling, "bought after {spent:?}");
    scaler.terminate().await;
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_order_no_more_are_started_in_a_minute_than_the_ramp_lets_and_all_serve_in_the_end() {
    let main = BackendName::new("main");
    let (farm, scaler) = farm([127, 0, 220], |config| {
        config.policy.gates.ramps.insert(main, 2);
    })
    .await;
    let mut bell = Bell::default();
    farm.queue("x86_64", "job", 100, 600).await;
    bell.ring(&farm, Action::Apply, POOL);
    let ours = [&scaler];
    let mut starts = BTreeMap::new();
    until(&farm, &ours, &bell, "two serve, others stand by", || {
        starts.extend(scaler.in_hand.borrow().ledger.started.clone());
        let stages = stages(&scaler);
        let waits = |stage: &Stage| matches!(stage, Stage::Standby { .. });
        serving(&scaler) >= 2 && stages.values().any(waits)
    })
    .await;
    let state = farm.obs_state().await;
    let listed = state["instances"].as_object().unwrap().values();
    let listed: u64 = listed.filter_map(serde_json::Value::as_u64).sum();
    starts.extend(scaler.in_hand.borrow().ledger.started.clone());
    assert!(
        listed <= 2 * starts.len() as u64,
        "who stands by has no service: {state}"
    );

    until(&farm, &ours, &bell, "five serve", || {
        starts.extend(scaler.in_hand.borrow().ledger.started.clone());
        serving(&scaler) >= 5
    })
    .await;
    let starts: Vec<Timestamp> = starts.into_values().collect();
    assert!(starts.len() >= 5, "{starts:?}");
    for first in &starts {
        let within = |at: &&Timestamp| *at >= first && elapsed(*first, **at) < RAMP;
        assert!(starts.iter().filter(within).count() <= 2, "{starts:?}");
    }
    scaler.terminate().await;
    farm.stop().await;
}
