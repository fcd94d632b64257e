//! Workers are told something else: each finishes its builds first, few at a time, and a restart in the middle
//! loses nothing of what was asked for.

use super::farm::{Farm, Setup};
use super::scaler::{Bell, Said, Scaler};
use obs_scaler::config::Config;
use obs_scaler::configure::{Configure, Outcome, Row};
use obs_scaler::model::{Action, ServerId, Stage};
use reqwest::Method;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const POOL: &str = "arm-l1";

/// Rings until this is so.
async fn until(farm: &Farm, scaler: &Scaler, bell: &Bell, what: &str, so: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(90);
    while !so().await {
        assert!(
            Instant::now() < end,
            "never: {what}\n{}",
            scaler.said.text()
        );
        assert!(!scaler.has_ended(), "it ended before: {what}");
        scaler.notify(farm, bell);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn stages(scaler: &Scaler) -> Vec<Stage> {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    ledger.members.values().map(|m| m.stage.clone()).collect()
}

fn on_the_way(scaler: &Scaler) -> usize {
    let stages = stages(scaler);
    stages.iter().filter(|s| **s == Stage::Refitting).count()
}

/// Whether both workers serve, and nothing is due any more.
fn settled(scaler: &Scaler) -> bool {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    let mut members = ledger.members.values();
    let settled = members.all(|m| m.stage == Stage::Serving && m.due.is_none());
    settled && ledger.members.len() == 2
}

fn addresses(farm: &Farm) -> Vec<IpAddr> {
    let servers = farm.cloud.ledger().servers.into_iter();
    servers
        .filter_map(|s| s.ip?.to_string().parse().ok())
        .collect()
}

async fn packages(farm: &Farm, code: &str) -> u64 {
    farm.obs_state().await["packages"][code]
        .as_u64()
        .unwrap_or(0)
}

/// How many instances OBS knows of both.
async fn instances(farm: &Farm) -> usize {
    let mut count = 0;
    for server in farm.cloud.ledger().servers {
        let route = format!("hosts/{}", server.name);
        let host = farm.obs(Method::GET, &route, json!({})).await;
        count += host["instances"].as_array().unwrap().len();
    }
    count
}

async fn farm(network: [u8; 3]) -> Farm {
    let setup = Setup {
        seed: 11,
        ceiling: 64,
        times: 60,
        patience: "1s",
        deadlines: "",
        network,
    };
    Farm::start(setup).await
}

/// The servers whose settings could not be begun with.
fn turned_back(scaler: &Scaler) -> usize {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    let due = |server: &&ServerId| ledger.members[*server].due.is_some();
    ledger.turned_back.keys().filter(due).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_can_not_be_set_build_on_have_their_turns_and_are_set_once_they_can_be() {
    let mut farm = farm([127, 0, 221]).await;
    let (said, mut bell) = (Said::default(), Bell::default());
    let scaler = Scaler::start(&farm, &said);
    farm.queue("aarch64", "first", 4, 600).await;
    bell.ring(&farm, Action::Apply, POOL);
    until(&farm, &scaler, &bell, "two workers serve", async || {
        settled(&scaler)
    })
    .await;
    scaler.terminate().await;

    let right = Arc::clone(&farm.config);
    let mut config = Config::clone(&right);
    config.checks.min_free_gib = 1 << 20;
    farm.config = Arc::new(config);
    let scaler = Scaler::start(&farm, &said);
    let ask = Configure {
        ips: addresses(&farm),
        jobs: Some(9),
        ..Configure::default()
    };
    until(&farm, &scaler, &bell, "the cloud is listed", async || {
        let rows = scaler.configure(ask.clone()).await;
        rows.iter().all(|row| row.outcome == Outcome::Due)
    })
    .await;
    until(&farm, &scaler, &bell, "both are turned back", async || {
        assert!(on_the_way(&scaler) <= 1, "more than one at once");
        turned_back(&scaler) == 2 && on_the_way(&scaler) == 0
    })
    .await;
    assert_eq!(instances(&farm).await, 4, "they serve as before");
    assert_eq!(farm.cloud.ledger().servers.len(), 2, "nothing is bought");
    scaler.terminate().await;

    farm.config = right;
    let scaler = Scaler::start(&farm, &said);
    until(&farm, &scaler, &bell, "both are set", async || {
        settled(&scaler)
    })
    .await;
    until(&farm, &scaler, &bell, "everything is built", async || {
        packages(&farm, "succeeded").await == 4
    })
    .await;
    assert_eq!(farm.obs_state().await["ghosts"], 0);
    scaler.terminate().await;
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_get_other_settings_one_after_the_other_and_no_build_is_lost() {
    let farm = farm([127, 0, 213]).await;
    let (said, mut bell) = (Said::default(), Bell::default());
    let scaler = Scaler::start(&farm, &said);
    farm.queue("aarch64", "first", 4, 120).await;
    bell.ring(&farm, Action::Apply, POOL);
    until(&farm, &scaler, &bell, "two workers serve", async || {
        settled(&scaler)
    })
    .await;
    until(&farm, &scaler, &bell, "they build", async || {
        packages(&farm, "building").await >= 2
    })
    .await;

    let ask = Configure {
        ips: addresses(&farm),
        instances: Some(1),
        jobs: Some(9),
        ..Configure::default()
    };
    let rows = scaler.configure(ask).await;
    assert!(
        rows.iter().all(|row: &Row| row.outcome == Outcome::Due),
        "{rows:?}"
    );
    assert_eq!(
        rows[0].settings.as_deref(),
        Some("1 instances, 9 jobs, for main")
    );
    until(
        &farm,
        &scaler,
        &bell,
        "the first is on its way",
        async || on_the_way(&scaler) == 1,
    )
    .await;
    scaler.kill().await;
    let scaler = Scaler::start(&farm, &said);
    until(
        &farm,
        &scaler,
        &bell,
        "both have their settings",
        async || {
            assert!(on_the_way(&scaler) <= 1, "more than one at once");
            settled(&scaler) && instances(&farm).await == 2
        },
    )
    .await;
    until(&farm, &scaler, &bell, "everything is built", async || {
        packages(&farm, "succeeded").await == 4
    })
    .await;
    let state = farm.obs_state().await;
    assert_eq!(state["ghosts"], 0, "{state}");
    assert_eq!(state["haunted"], json!({}), "{state}");
    let ledger = farm.cloud.ledger();
    assert_eq!(
        ledger.servers.len(),
        2,
        "nothing was bought for what was on its way"
    );
    let elsewhere = Configure {
        ips: vec![IpAddr::from([10, 9, 9, 9])],
        ..Configure::default()
    };
    let rows = scaler.configure(elsewhere).await;
    assert_eq!(rows[0].outcome, Outcome::Refused);
    scaler.terminate().await;
    farm.stop().await;
}
