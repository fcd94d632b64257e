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

/// When the first server after those was bought.
fn bought_after(farm: &Farm, before: usize) -> Option<Timestamp> {
    let servers = farm.cloud.ledger().servers;
    servers.into_iter().nth(before).map(|s| s.created_at)
}

#[tokio::test(flavor = "multi_thread")]
async fn under_maintenance_nothing_is_bought_and_nobody_released_through_a_kill_until_it_is_over() {
    let (farm, scaler) = farm([127, 0, 218], |_| {}).await;
    let mut bell = Bell::default();
    farm.queue("x86_64", "first", 2, 30).await;
    bell.ring(&farm, Action::Apply, POOL);
    until(&farm, &[&scaler], &bell, "one serves and is idle", || {
        serving(&scaler) == 1 && farm.cloud.ledger().servers.len() == 1
    })
    .await;
    let over = farm.now().checked_add(8.minutes()).unwrap();
    scaler.maintain("main", Some(over)).await;
    let said = scaler.said.clone();
    scaler.kill().await;
    let scaler = Scaler::start(&farm, &said);
    let main = BackendName::new("main");
    let kept = scaler
        .in_hand
        .borrow()
        .ledger
        .maintenance
        .get(&main)
        .copied();
    assert_eq!(kept, Some(over), "what was answered is in the journal");

    bell.ring(&farm, Action::Release, POOL);
    farm.queue("x86_64", "more", 40, 600).await;
    until(&farm, &[&scaler], &bell, "more are bought", || {
        assert!(none_leaves(&scaler), "{:?}", stages(&scaler));
        farm.cloud.ledger().servers.len() > 1
    })
    .await;
    let bought = bought_after(&farm, 1).unwrap();
    assert!(bought >= over, "bought at {bought}, before {over}");
    scaler.terminate().await;
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_of_its_backend_nothing_is_bought_and_nobody_released_until_it_has_settled() {
    let settling = Duration::from_mins(8);
    let (farm, scaler) = farm([127, 0, 219], |config| {
        config.policy.gates.settling = settling;
    })
    .await;
    let mut bell = Bell::default();
    let began = farm.now();
    farm.queue("x86_64", "job", 2, 30).await;
    bell.ring(&farm, Action::Apply, POOL);
    until(&farm, &[&scaler], &bell, "one serves", || {
        serving(&scaler) == 1
    })
    .await;
    let bought = bought_after(&farm, 0).unwrap();
    // the start that OBS tells of was a moment before
    assert!(
        elapsed(began, bought) + Duration::from_secs(60) >= settling,
        "{bought} of {began}"
    );

    bell.hush(Action::Apply, POOL);
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
async fn of_an_order_no_more_are_started_in_a_minute_than_the_ramp_lets_and_all_serve_in_the_end() {
    let main = BackendName::new("main");
    let (farm, scaler) = farm([127, 0, 220], |config| {
        config.policy.gates.ramps.insert(main, 2);
    })
    .await;
    let mut bell = Bell::default();
    farm.queue("x86_64", "job", 100, 600).await;
    bell.ring(&farm, Action::Apply, POOL);
    let mut starts = BTreeMap::new();
    let mut stood_by = false;
    until(&farm, &[&scaler], &bell, "five serve", || {
        let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
        starts.extend(ledger.started.clone());
        let mut stages = ledger.members.values().map(|m| &m.stage);
        stood_by |= stages.any(|stage| matches!(stage, Stage::Standby { .. }));
        serving(&scaler) >= 5
    })
    .await;
    assert!(stood_by, "somebody had to wait");
    let starts: Vec<Timestamp> = starts.into_values().collect();
    assert!(starts.len() >= 5, "{starts:?}");
    for first in &starts {
        let within = |at: &&Timestamp| *at >= first && elapsed(*first, **at) < RAMP;
        assert!(starts.iter().filter(within).count() <= 2, "{starts:?}");
    }
    scaler.terminate().await;
    farm.stop().await;
}
