//! A worker that fails every build: it is cordoned, kept for a look, deleted and replaced; the others stay.

use super::farm::{Farm, Setup};
use super::owners::until;
use super::scaler::{Bell, Said, Scaler};
use obs_scaler::config::Config;
use obs_scaler::model::{Action, HostName, Member, Stage, Why, elapsed};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const POOL: &str = "x86-l1";
const KEPT: Duration = Duration::from_secs(600);

fn members(scaler: &Scaler) -> Vec<Member> {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    ledger.members.values().cloned().collect()
}

/// The names of the workers in service.
fn serving(scaler: &Scaler) -> BTreeSet<HostName> {
    let members = members(scaler).into_iter();
    let serving = members.filter(|member| member.stage == Stage::Serving);
    serving.filter_map(|member| member.name).collect()
}

fn isolated(scaler: &Scaler) -> Option<Member> {
    let hole = |m: &Member| matches!(m.stage.why(), Some(Why::BlackHole { .. }));
    members(scaler).into_iter().find(hole)
}

/// Four workers, as many as the ceiling lets in.
async fn farm() -> Farm {
    let mut farm = Farm::start(Setup {
        seed: 11,
        ceiling: 128,
        times: 60,
        patience: "1s",
        deadlines: "",
        network: [127, 0, 214],
    })
    .await;
    let mut config = Config::clone(&farm.config);
    config.policy.black_holes.kept = KEPT;
    farm.config = Arc::new(config);
    farm
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_cordoned_kept_deleted_and_replaced_and_the_others_stay() {
    let farm = farm().await;
    let (said, mut bell) = (Said::default(), Bell::default());
    let scaler = Scaler::start(&farm, &said);
    farm.queue("x86_64", "job", 1500, 60).await;
    bell.ring(&farm, Action::Apply, POOL);
    let ours = [&scaler];
    until(&farm, &ours, &bell, "four serve", || {
        serving(&scaler).len() == 4
    })
    .await;
    let healthy = serving(&scaler);
    let hole = healthy.iter().next().unwrap().clone();
    let spoil = format!("hosts/{hole}/spoil");
    farm.obs(reqwest::Method::POST, &spoil, serde_json::json!({}))
        .await;

    until(&farm, &ours, &bell, "it is cordoned", || {
        isolated(&scaler).is_some()
    })
    .await;
    let cordoned = isolated(&scaler).unwrap();
    assert_eq!(cordoned.name.as_ref(), Some(&hole));
    assert_eq!(serving(&scaler).len(), 3, "the others stay");
    until(&farm, &ours, &bell, "it is deleted", || {
        isolated(&scaler).is_none()
    })
    .await;
    let servers = farm.cloud.ledger().servers;
    let gone = servers.iter().find(|s| s.name == hole.as_str()).unwrap();
    let kept = elapsed(cordoned.since, gone.deleted_at.unwrap());
    assert!(kept >= KEPT, "kept for {kept:?} only");

    until(&farm, &ours, &bell, "it is replaced", || {
        serving(&scaler).len() == 4
    })
    .await;
    let stayed: BTreeSet<_> = serving(&scaler).intersection(&healthy).cloned().collect();
    assert_eq!(stayed.len(), 3, "the others stayed");
    assert!(!stayed.contains(&hole));
    let told = said
        .text()
        .matches("a black hole: it loses the builds")
        .count();
    assert_eq!(told, 1, "{}", said.text());
    scaler.terminate().await;
    farm.stop().await;
}
