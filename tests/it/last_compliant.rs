//! The last worker that meets what a job asks stays, on the real OBS; and what OBS does where it does not.
//!
//! A job is blocked while another package builds: only then do workers stand idle, and may be given back, that
//! it will need. The dispatcher looks at it when it is free, finds nobody, and fails it.

use crate::the_loop::{MINUTE, on_a_farm, options};
use anyhow::{Context as _, Result, ensure};
use rig::Farm;
use serde_json::Value;

/// Built on the small worker alone, which nobody bought.
const NEEDED: &str = "needed";
/// Built with it, on a bought worker alone: those have 32 processors.
const WIDE: &str = "wide";
const SMALL: &str = "small";

#[tokio::test]
async fn the_last_worker_that_a_job_needs_stays_and_without_it_obs_fails_the_job() {
    on_a_farm(options(), async |farm: &mut Farm| {
        farm.boot_unmanaged(SMALL, "127.0.9.1", 4, 8).await?;
        // before OBS lists it the dispatcher would fail the job
        farm.wait("the small worker is there", MINUTE, async |farm: &Farm| {
            Ok(farm.obs().instances("idle").await?.len() == 1)
        })
        .await?;
        farm.package(NEEDED, 2, "jobs=8", None).await?;
        has(farm, NEEDED, "succeeded").await?;
        the_last_one_stays_until_the_job_has_it(farm).await?;
        farm.kill_scaler().await?;
        without_it_the_job_fails(farm).await
    })
    .await;
}

async fn has(farm: &mut Farm, package: &str, code: &str) -> Result<()> {
    let what = format!("{package} is {code}");
    farm.wait(&what, 2 * MINUTE, async |farm: &Farm| {
        Ok(farm.obs().code(package).await? == code)
    })
    .await
}

/// The names of the servers that were ever bought.
async fn bought(farm: &Farm) -> Result<Vec<String>> {
    let ledger = farm.ledger().await?;
    let name = |server: &&Value| server["name"].as_str().unwrap_or_default().to_owned();
    Ok(ledger.servers().iter().map(name).collect())
}

/// Of two bought workers that stand idle one is given back; the other is kept for the job that is blocked,
/// builds it, and goes then.
async fn the_last_one_stays_until_the_job_has_it(farm: &mut Farm) -> Result<()> {
    farm.rebuild(NEEDED, 75).await?;
    has(farm, NEEDED, "building").await?;
    farm.package(WIDE, 2, "processors=16", Some(NEEDED)).await?;
    has(farm, WIDE, "blocked").await?;
    farm.queue(4, "x86_64", 2, "pkg").await?;
    let given_back = "one of two is given back, the other is kept for the blocked job";
    farm.wait(given_back, 2 * MINUTE, async |farm: &Farm| {
        let log = std::fs::read_to_string(farm.scaler_log())?;
        Ok(log.contains("release none: no other worker meets the constraints of some job"))
    })
    .await?;
    has(farm, WIDE, "succeeded").await?;
    let goes = "nothing needs it any more, and it goes";
    farm.wait(goes, 2 * MINUTE, async |farm: &Farm| {
        Ok(farm.ledger().await?.alive() == 0)
    })
    .await?;
    let ends = farm.obs().ends(WIDE).await?;
    let names = bought(farm).await?;
    ensure!(names.len() == 2, "{} servers were bought", names.len());
    let by_us = |by: &str| names.iter().any(|name| by.starts_with(&format!("{name}:")));
    ensure!(
        ends.len() == 1 && by_us(&ends[0].0),
        "built by {ends:?}, not by {names:?}"
    );
    Ok(())
}

/// The same job with new sources, where OBS lists none of them any more, not even as down: the dispatcher itself
/// ends it.
async fn without_it_the_job_fails(farm: &mut Farm) -> Result<()> {
    for name in bought(farm).await? {
        farm.forget(&name).await?;
    }
    farm.package(WIDE, 3, "processors=16", Some(NEEDED)).await?;
    has(farm, WIDE, "failed").await?;
    let ends = farm.obs().ends(WIDE).await?;
    let (by, code) = ends.last().context("an end")?;
    ensure!(by == "dispatcher" && code == "failed", "{ends:?}");
    Ok(())
}
