//! The whole loop, stage by stage, each seen from outside.

use crate::backend::Backend;
use crate::farm::Farm;
use crate::watch::{Obs, Story};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// What is put into the queue.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Jobs for each architecture.
    pub jobs: u32,
    /// How long each builds, in seconds.
    pub seconds: u32,
}

/// Both architectures.
const ARCHES: u32 = 2;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs the loop from an empty queue to an empty cloud.
///
/// # Errors
/// Says which stage was not reached, or which promise was broken.
pub async fn run(farm: &mut Farm, load: Load, story: &mut Story) -> Result<()> {
    let jobs = usize::try_from(load.jobs * ARCHES)?;
    grow(farm, load, story).await?;
    serve(farm, story).await?;
    build(farm, jobs, story).await?;
    give_back(farm, story).await?;
    judge(farm, jobs).await?;
    story.reached("every job was built exactly once, and nothing is left behind");
    Ok(())
}

async fn packages(obs: &Obs, code: &str) -> Result<usize> {
    Ok(obs.packages().await?.get(code).copied().unwrap_or_default())
}

async fn grow(farm: &mut Farm, load: Load, story: &mut Story) -> Result<()> {
    let jobs = usize::try_from(load.jobs * ARCHES)?;
    farm.queue(load.jobs, "both", load.seconds, "pkg").await?;
    farm.wait(
        "the jobs are scheduled in OBS",
        MINUTE,
        async |farm: &Farm| Ok(packages(&farm.obs(), "scheduled").await? >= jobs),
    )
    .await?;
    story.reached(format!("OBS has {jobs} jobs in its queue and no worker"));
    farm.wait(
        "ObsBusy fires for both pools",
        MINUTE,
        async |farm: &Farm| {
            let firing = farm.firing().await?;
            Ok(firing
                .iter()
                .filter(|(alert, _)| alert == "ObsBusy")
                .count()
                == 2)
        },
    )
    .await?;
    story.reached("Prometheus fires ObsBusy for both architectures");
    farm.wait(
        "Alertmanager delivers to obs-scaler",
        MINUTE,
        async |farm: &Farm| delivered(farm).await,
    )
    .await?;
    story.reached("Alertmanager has called obs-scaler");
    Ok(())
}

/// Whether every Alertmanager counts a delivery to the webhook beside the Watchdog's.
async fn delivered(farm: &Farm) -> Result<bool> {
    for address in farm.alertmanagers() {
        let name = "alertmanager_notifications_total";
        let sent = farm
            .metric(address, name, &["integration=\"webhook\""])
            .await?;
        if sent.unwrap_or(0.0) < 2.0 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn serve(farm: &mut Farm, story: &mut Story) -> Result<()> {
    farm.wait("servers are ordered", MINUTE, async |farm: &Farm| {
        Ok(farm.ledger().await?.creates() == 2)
    })
    .await?;
    story.reached("obs-scaler has sent its create calls, one a pool");
    farm.wait("every server is ACTIVE", 3 * MINUTE, async |farm: &Farm| {
        let ledger = farm.ledger().await?;
        Ok(!ledger.servers().is_empty() && ledger.active() == ledger.servers().len())
    })
    .await?;
    let servers = farm.ledger().await?.servers().len();
    story.reached(format!("the cloud has created {servers} servers: ACTIVE"));
    farm.wait(
        "every instance is registered with OBS",
        4 * MINUTE,
        async |farm: &Farm| Ok(farm.obs().live().await? == servers * crate::INSTANCES),
    )
    .await?;
    let instances = servers * crate::INSTANCES;
    story.reached(format!(
        "checked over ssh and in service: {instances} instances in OBS"
    ));
    Ok(())
}

async fn build(farm: &mut Farm, jobs: usize, story: &mut Story) -> Result<()> {
    farm.wait("OBS builds", MINUTE, async |farm: &Farm| {
        Ok(
            packages(&farm.obs(), "building").await? + packages(&farm.obs(), "succeeded").await?
                > 0,
        )
    })
    .await?;
    story.reached("OBS builds on them");
    farm.wait("every package is built", 6 * MINUTE, async |farm: &Farm| {
        Ok(packages(&farm.obs(), "succeeded").await? == jobs)
    })
    .await?;
    story.reached("the last job is done: the queue is empty");
    Ok(())
}

async fn give_back(farm: &mut Farm, story: &mut Story) -> Result<()> {
    farm.wait("ObsIdle fires", 2 * MINUTE, async |farm: &Farm| {
        let firing = farm.firing().await?;
        Ok(firing.iter().any(|(alert, _)| alert == "ObsIdle"))
    })
    .await?;
    story.reached("Prometheus fires ObsIdle");
    farm.wait(
        "the first worker is cordoned",
        2 * MINUTE,
        async |farm: &Farm| {
            let (address, name) = (farm.scaler_address(), "obs_workers");
            let serving = farm.metric(address, name, &["state=\"serving\""]).await?;
            let all = farm.ledger().await?.servers().len();
            Ok(serving
                .is_some_and(|count| count < f64::from(u32::try_from(all).unwrap_or(u32::MAX))))
        },
    )
    .await?;
    story.reached("obs-scaler cordons the first idle worker");
    farm.wait(
        "every server is deleted",
        4 * MINUTE,
        async |farm: &Farm| Ok(farm.ledger().await?.alive() == 0),
    )
    .await?;
    story.reached("drained and deleted: the cloud has no server of ours");
    Ok(())
}

/// What must be true when all is over.
///
/// # Errors
/// Says which promise was broken.
pub async fn judge(farm: &Farm, jobs: usize) -> Result<()> {
    farm.each_job_was_built_once(Backend::First, jobs).await?;
    let live = farm.obs().live().await?;
    ensure!(live == 0, "OBS still lists {live} live instances");
    let ledger = farm.ledger().await?;
    ensure!(
        ledger.alive() == 0,
        "the cloud still has {} servers",
        ledger.alive()
    );
    farm.nothing_left().await.context("on this machine")
}
