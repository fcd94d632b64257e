//! The demo where one is not root or not on Debian: the loop against a simulated OBS and a simulated
//! cloud whose servers are records that answer over ssh. Ports are chosen free, everything lies in one
//! folder of its own, and both go when it ends.

mod doorbell;
mod parts;

use crate::story::Load;
use crate::watch::Story;
use anyhow::{Result, ensure};
use parts::Parts;
use std::path::Path;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// What the demo says before anything else.
const NOT_REAL: &str = "SIMULATED: this demo runs without root and without Open Build Service.
  real:      obs-scaler itself; HTTP, the signed calls, ssh with pinned host keys, the webhook
  not real:  OBS (obs-sim obs), the cloud (obs-sim ecs), the servers: records that answer the checks over
             ssh as a healthy worker would. No build runs, no service starts, no disk or memory is looked at.
  `make demo` as root on Debian 12 shows the same with a real OBS and real worker processes.";

/// Runs the loop from an empty queue to an empty cloud, and takes everything down.
///
/// # Errors
/// Says which stage was not reached, which promise was broken, or what did not end.
pub async fn demo(repository: &Path, binaries: &Path, load: Load) -> Result<()> {
    crate::farm::say(NOT_REAL);
    let mut parts = Parts::new(repository, binaries)?;
    let mut story = Story::begin(true);
    let told = tokio::select! {
        told = tell(&mut parts, load, &mut story) => match told {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = parts.cause(error).await;
                parts.keep_logs()?;
                Err(error)
            }
        },
        ended = interrupted() => ended,
    };
    crate::farm::say("stopping ...");
    let stopped = parts.stop().await;
    crate::farm::say("\nWhat happened, and when (SIMULATED, see above):");
    crate::farm::say(&story.summary());
    told.and(stopped)
}

/// Ends, with an error, at Ctrl-C or SIGTERM.
async fn interrupted() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
    anyhow::bail!("interrupted")
}

async fn tell(parts: &mut Parts, load: Load, story: &mut Story) -> Result<()> {
    crate::farm::say(&parts.start().await?);
    grow(parts, load, story).await?;
    build(parts, load, story).await?;
    give_back(parts, story).await?;
    judge(parts, load).await?;
    story.reached("every job was built exactly once, and nothing is left behind");
    Ok(())
}

async fn grow(parts: &mut Parts, load: Load, story: &mut Story) -> Result<()> {
    let jobs = jobs_of(load);
    parts.queue(load).await?;
    story.reached(format!("OBS has {jobs} jobs in its queue and no worker"));
    let ordered = "servers are ordered";
    parts
        .wait(ordered, 2 * MINUTE, async |parts: &Parts| {
            Ok(parts.ledger().await?.creates() == 2)
        })
        .await?;
    let who = parts.who_rings();
    story.reached(format!(
        "{who}: obs-scaler has sent its create calls, one a pool"
    ));
    parts
        .wait(
            "every server is ACTIVE",
            3 * MINUTE,
            async |parts: &Parts| {
                let ledger = parts.ledger().await?;
                Ok(!ledger.servers().is_empty() && ledger.active() == ledger.servers().len())
            },
        )
        .await?;
    let servers = parts.ledger().await?.servers().len();
    story.reached(format!("the cloud has created {servers} servers: ACTIVE"));
    let live = u64::try_from(servers * crate::INSTANCES)?;
    parts
        .wait(
            "every instance is in OBS",
            3 * MINUTE,
            async |parts: &Parts| {
                let farm = parts.state().await?;
                let live_now = farm.instances("idle") + farm.instances("building");
                Ok(live_now == live
                    || farm.packages("building") == 0 && farm.packages("scheduled") == 0)
            },
        )
        .await?;
    story.reached(format!(
        "checked over ssh (against records) and in service: {live} instances in OBS"
    ));
    Ok(())
}

async fn build(parts: &mut Parts, load: Load, story: &mut Story) -> Result<()> {
    let jobs = jobs_of(load);
    parts
        .wait(
            "every package is built",
            5 * MINUTE,
            async |parts: &Parts| {
                let farm = parts.state().await?;
                Ok(farm.packages("succeeded") + farm.packages("failed") == jobs)
            },
        )
        .await?;
    story.reached("the last job is done: the queue is empty");
    Ok(())
}

async fn give_back(parts: &mut Parts, story: &mut Story) -> Result<()> {
    parts
        .wait(
            "every server is deleted",
            5 * MINUTE,
            async |parts: &Parts| Ok(parts.ledger().await?.alive() == 0),
        )
        .await?;
    let who = parts.who_rings();
    story.reached(format!(
        "{who}: drained over ssh and deleted, the cloud has no server of ours"
    ));
    Ok(())
}

async fn judge(parts: &Parts, load: Load) -> Result<()> {
    let (jobs, mut builds) = (jobs_of(load), parts.builds().await?);
    let built = u64::try_from(builds.len())?;
    ensure!(built == jobs, "{jobs} jobs were queued, {built} were built");
    builds.sort_unstable();
    let twice = builds
        .iter()
        .zip(builds.iter().skip(1))
        .find(|(a, b)| a == b);
    ensure!(twice.is_none(), "built twice: {twice:?}");
    let farm = parts.state().await?;
    let live = farm.instances("idle") + farm.instances("building");
    ensure!(live == 0, "OBS still lists {live} live instances");
    ensure!(farm.ghosts() == 0, "{} builds were killed", farm.ghosts());
    let unknown = parts.unknown_command()?;
    ensure!(unknown.is_none(), "a record was asked: {unknown:?}");
    Ok(())
}

fn jobs_of(load: Load) -> u64 {
    u64::from(load.jobs) * 2
}
