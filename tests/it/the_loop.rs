//! End to end: every real part running, each stage asserted from outside. One farm at a time, since
//! OBS has one set of ports.

use anyhow::Context;
use rig::{Farm, Load, Options, Story};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::Mutex;

/// OBS has one set of ports.
pub(crate) static ONE_FARM: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn options() -> Options {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let binaries = Path::new(env!("CARGO_BIN_EXE_obs-scaler"))
        .parent()
        .unwrap()
        .to_owned();
    Options::new(repository, binaries)
}

/// Runs a story on a farm of its own, and takes the farm down whatever came of it.
pub(crate) async fn on_a_farm<F>(options: Options, story: F)
where
    F: AsyncFn(&mut Farm) -> anyhow::Result<()>,
{
    let _mine = ONE_FARM.lock().await;
    let mut farm = Farm::start(options).await.unwrap();
    let mut told = story(&mut farm).await;
    if told.is_err() {
        farm.keep_logs().unwrap();
        told = told.context(what_was_ordered(&farm));
    }
    let stopped = farm.stop().await;
    told.unwrap();
    stopped.unwrap();
}

/// What obs-scaler said of its orders and servers: a run elsewhere shows no more of its log than this.
fn what_was_ordered(farm: &Farm) -> String {
    let log = std::fs::read_to_string(farm.scaler_log()).unwrap();
    let told = |line: &&str| {
        let of_it = [": order ", "reconcile::orders", "reconcile::servers"];
        of_it.iter().any(|part| line.contains(part)) && !line.contains("order none: held")
    };
    let lines: Vec<&str> = log.lines().filter(told).collect();
    lines.join("\n")
}

#[tokio::test]
async fn a_queue_is_bought_for_once_built_once_and_given_back() {
    on_a_farm(options(), async |farm: &mut Farm| {
        let load = Load {
            jobs: 6,
            seconds: 6,
        };
        let mut story = Story::begin(false);
        rig::run(farm, load, &mut story).await?;
        crate::dashboards::every_query_answers(story.lasted().as_secs()).await?;
        let servers = farm.ledger().await?.servers().len();
        anyhow::ensure!(
            servers == 6,
            "three workers a pool are needed, {servers} servers were bought"
        );
        anyhow::ensure!(farm.ledger().await?.creates() == 2, "one order a pool");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_alertmanagers_buy_once() {
    let options = Options {
        two_alertmanagers: true,
        ..options()
    };
    on_a_farm(options, async |farm: &mut Farm| {
        farm.queue(4, "both", 5, "pkg").await?;
        let delivered = "both Alertmanagers have delivered";
        farm.wait(delivered, 2 * MINUTE, async |farm: &Farm| {
            for alertmanager in farm.alertmanagers() {
                let name = "alertmanager_notifications_total";
                let sent = farm
                    .metric(alertmanager, name, &["integration=\"webhook\""])
                    .await?;
                if sent.unwrap_or(0.0) < 3.0 {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await?;
        farm.wait(
            "everything is built and given back",
            6 * MINUTE,
            async |farm: &Farm| {
                let built = farm.obs().packages().await?.get("succeeded") == Some(&8);
                Ok(built && farm.ledger().await?.alive() == 0)
            },
        )
        .await?;
        let ledger = farm.ledger().await?;
        anyhow::ensure!(
            ledger.creates() == 2,
            "one order a pool, not {}",
            ledger.creates()
        );
        anyhow::ensure!(
            ledger.servers().len() == 4,
            "{} servers",
            ledger.servers().len()
        );
        rig::judge(farm, 8).await
    })
    .await;
}

/// A server that never gets into service is withdrawn at its deadline, and no job is harmed.
async fn is_withdrawn(options: Options, words: &'static str) {
    let options = Options {
        check_deadline: 25,
        ..options
    };
    on_a_farm(options, async |farm: &mut Farm| {
        farm.queue(4, "x86_64", 5, "pkg").await?;
        farm.wait("servers are ACTIVE", 2 * MINUTE, async |farm: &Farm| {
            let ledger = farm.ledger().await?;
            Ok(ledger.servers().len() == 2 && ledger.active() == 2)
        })
        .await?;
        let named = "both are withdrawn for the right reason";
        farm.wait(named, 2 * MINUTE, async |farm: &Farm| {
            let log = std::fs::read_to_string(farm.scaler_log())?;
            let given_up = log
                .lines()
                .filter(|l| l.contains("withdrawn") && l.contains(words));
            Ok(given_up.count() >= 2)
        })
        .await?;
        farm.wait(
            "the first order's servers are deleted",
            2 * MINUTE,
            async |farm: &Farm| {
                let ledger = farm.ledger().await?;
                let gone = |s: &&&serde_json::Value| s["deleted_at"].is_string();
                Ok(ledger.servers().iter().filter(gone).count() >= 2)
            },
        )
        .await?;
        let waiting = farm.obs().packages().await?.get("scheduled").copied();
        anyhow::ensure!(waiting == Some(4), "no job was touched: {waiting:?} wait");
        let live = farm.obs().live().await?;
        anyhow::ensure!(live == 0, "no instance ever registered: {live}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_refuses_our_credential_is_withdrawn() {
    is_withdrawn(
        Options {
            wrong_credential: true,
            ..options()
        },
        "the key was refused",
    )
    .await;
}

#[tokio::test]
async fn a_server_whose_service_does_not_start_is_withdrawn() {
    is_withdrawn(
        Options {
            machine_fault: Some("service-broken"),
            ..options()
        },
        "service",
    )
    .await;
}

#[tokio::test]
async fn a_crash_between_the_create_call_and_its_answer_buys_once_and_forgets_nothing() {
    on_a_farm(options(), async |farm: &mut Farm| {
        farm.cloud_faults(r#"{"create_answer_delay_seconds": 60}"#)
            .await?;
        farm.queue(4, "x86_64", 5, "pkg").await?;
        farm.wait(
            "the call has had its effect",
            2 * MINUTE,
            async |farm: &Farm| Ok(farm.ledger().await?.creates() == 1),
        )
        .await?;
        farm.kill_scaler().await?;
        farm.cloud_faults("{}").await?;
        farm.start_scaler().await?;
        farm.wait(
            "everything is built and given back",
            6 * MINUTE,
            async |farm: &Farm| {
                let built = farm.obs().packages().await?.get("succeeded") == Some(&4);
                Ok(built && farm.ledger().await?.alive() == 0)
            },
        )
        .await?;
        let ledger = farm.ledger().await?;
        anyhow::ensure!(
            ledger.creates() == 1,
            "bought once, not {} times",
            ledger.creates()
        );
        anyhow::ensure!(
            ledger.servers().len() == 2,
            "{} servers",
            ledger.servers().len()
        );
        rig::judge(farm, 4).await
    })
    .await;
}
