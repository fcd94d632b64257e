//! The canary of an order: one server builds before the others are started; where it loses what it takes, it
//! is withdrawn, and the next one takes its place.

use super::farm::{Farm, Setup};
use super::owners::until;
use super::scaler::{Bell, Said, Scaler};
use obs_scaler::config::Config;
use obs_scaler::model::{Action, HostName, Member, Stage};
use std::sync::Arc;
use std::time::Duration;

const POOL: &str = "x86-l1";

fn members(scaler: &Scaler) -> Vec<Member> {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    ledger.members.values().cloned().collect()
}

/// Those that were started and are not on their way out: one of an order at most, while none of it serves.
fn started(scaler: &Scaler) -> Vec<Member> {
    let waits = |stage: &Stage| matches!(stage, Stage::Creating | Stage::Standby { .. });
    let mut all = members(scaler);
    all.retain(|member| !waits(&member.stage) && !member.stage.is_leaving());
    for member in &all {
        let of_order = || all.iter().filter(|other| other.order == member.order);
        let serves = of_order().any(|other| other.stage == Stage::Serving);
        assert!(serves || of_order().count() == 1, "{all:?}");
    }
    all
}

fn canary(scaler: &Scaler) -> Option<HostName> {
    let started = started(scaler).into_iter();
    let mut proving = started.filter(|member| member.stage == Stage::Proving);
    proving.find_map(|member| member.name)
}

fn withdrawn(scaler: &Scaler, host: &HostName) -> Option<String> {
    started(scaler);
    let all = members(scaler).into_iter();
    let mut of_host = all.filter(|member| member.name.as_ref() == Some(host));
    of_host.find_map(|member| member.stage.why().map(ToString::to_string))
}

/// Four workers, as many as the ceiling lets in. A canary has so many minutes, and servers are in 127.0.`network`.
async fn farm(minutes: u64, network: u8) -> Farm {
    let mut farm = Farm::start(Setup {
        seed: 12,
        ceiling: 128,
        times: 60,
        patience: "1s",
        deadlines: "",
        network: [127, 0, network],
    })
    .await;
    let mut config = Config::clone(&farm.config);
    config.policy.gates.canary = Duration::from_mins(minutes);
    farm.config = Arc::new(config);
    farm
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_of_an_order_builds_before_the_others_start_and_one_that_loses_its_builds_is_withdrawn()
 {
    let farm = farm(120, 216).await;
    let (said, mut bell) = (Said::default(), Bell::default());
    let scaler = Scaler::start(&farm, &said);
    farm.queue("x86_64", "job", 400, 240).await;
    bell.ring(&farm, Action::Apply, POOL);
    let ours = [&scaler];
    until(&farm, &ours, &bell, "a canary", || {
        canary(&scaler).is_some()
    })
    .await;
    let lame = canary(&scaler).unwrap();
    let spoil = format!("hosts/{lame}/spoil");
    farm.obs(reqwest::Method::POST, &spoil, serde_json::json!({}))
        .await;
    until(&farm, &ours, &bell, "it is withdrawn", || {
        withdrawn(&scaler, &lame).is_some()
    })
    .await;
    let why = withdrawn(&scaler, &lame).unwrap();
    assert!(why.contains("canary: found "), "{why}");

    until(&farm, &ours, &bell, "the next canary", || {
        canary(&scaler).is_some_and(|host| host != lame)
    })
    .await;
    let next = canary(&scaler).unwrap();
    let serves = |host: &HostName| {
        let serving = started(&scaler);
        let mut serving = serving.iter().filter(|m| m.stage == Stage::Serving);
        serving.any(|member| member.name.as_ref() == Some(host))
    };
    until(&farm, &ours, &bell, "it serves", || serves(&next)).await;
    until(&farm, &ours, &bell, "all that were bought serve", || {
        let all = started(&scaler);
        all.len() >= 3 && all.iter().all(|member| member.stage == Stage::Serving)
    })
    .await;
    scaler.terminate().await;
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_on_which_nothing_was_built_in_its_time_serves_and_the_log_warns() {
    let farm = farm(5, 223).await;
    let (said, mut bell) = (Said::default(), Bell::default());
    let scaler = Scaler::start(&farm, &said);
    farm.queue("x86_64", "job", 8, 1_000_000).await;
    bell.ring(&farm, Action::Apply, POOL);
    let ours = [&scaler];
    let warning = "nothing was built on the canary of its order";
    until(&farm, &ours, &bell, "the others start", || {
        started(&scaler).len() >= 3
    })
    .await;
    assert!(said.text().contains(warning), "{}", said.text());
    scaler.terminate().await;
    farm.stop().await;
}
