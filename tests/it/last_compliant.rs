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
        farm.package(NEEDED, 2, "jobs=8", None).await?;
        has(farm, NEEDED, "succeeded").await?;
        let kept = the_last_one_stays(farm).await?;
        without_it_the_job_waits_for_what_obs_remembers(farm, &kept).await?;
        and_fails_when_obs_does_not(farm, &kept).await
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

/// The servers that are there: id and name.
async fn alive(farm: &Farm) -> Result<Vec<(String, String)>> {
    let ledger = farm.ledger().await?;
    let there = |s: &&&Value| !s["deleted_at"].is_string();
    let word = |s: &Value, key: &str| s[key].as_str().unwrap_or_default().to_owned();
    let servers = ledger.servers();
    let servers = servers.iter().filter(there);
    Ok(servers.map(|s| (word(s, "id"), word(s, "name"))).collect())
}

/// Of two bought workers that stand idle one is given back, and the other is kept for the job that is blocked.
async fn the_last_one_stays(farm: &mut Farm) -> Result<(String, String)> {
    farm.rebuild(NEEDED, 75).await?;
    has(farm, NEEDED, "building").await?;
    farm.package(WIDE, 2, "processors=16", Some(NEEDED)).await?;
    has(farm, WIDE, "blocked").await?;
    farm.queue(4, "x86_64", 2, "pkg").await?;
    let given_back = "one of two is given back, the other is kept for the blocked job";
    farm.wait(given_back, 2 * MINUTE, async |farm: &Farm| {
        let log = std::fs::read_to_string(farm.scaler_log())?;
        let kept = log.contains("no other worker meets the constraints of some job");
        let servers = farm.ledger().await?.servers().len();
        Ok(kept && servers == 2 && alive(farm).await?.len() == 1)
    })
    .await?;
    let code = farm.obs().code(WIDE).await?;
    ensure!(code == "blocked", "{WIDE} was {code} when the other went");
    has(farm, WIDE, "succeeded").await?;
    let kept = alive(farm).await?.pop().context("a worker was kept")?;
    let ends = farm.obs().ends(WIDE).await?;
    let by_it = ends
        .iter()
        .all(|(by, _)| by.starts_with(&format!("{}:", kept.1)));
    ensure!(
        ends.len() == 1 && by_it,
        "built by {ends:?}, not by {}",
        kept.1
    );
    Ok(kept)
}

/// Nobody guards it now: a person deletes the server. OBS finds out when it offers the job, and has it wait for
/// the worker that it remembers as down.
async fn without_it_the_job_waits_for_what_obs_remembers(
    farm: &mut Farm,
    (id, name): &(String, String),
) -> Result<()> {
    farm.kill_scaler().await?;
    farm.destroy(id).await?;
    farm.rebuild(NEEDED, 5).await?;
    let down = "OBS finds the worker gone, and the job waits";
    farm.wait(down, MINUTE, async |farm: &Farm| {
        let down = farm.obs().instances("down").await?;
        let gone = down.iter().filter(|i| i.starts_with(&format!("{name}:")));
        let waits = farm.obs().code(WIDE).await? == "scheduled";
        Ok(gone.count() == 2 && waits)
    })
    .await
}

/// The same once OBS does not list it any more: the dispatcher itself ends the job.
async fn and_fails_when_obs_does_not(farm: &mut Farm, (_, name): &(String, String)) -> Result<()> {
    farm.forget(name).await?;
    farm.rebuild(NEEDED, 5).await?;
    has(farm, WIDE, "failed").await?;
    let ends = farm.obs().ends(WIDE).await?;
    let last = ends.last().context("an end")?;
    ensure!(
        *last == ("dispatcher".to_owned(), "failed".to_owned()),
        "{ends:?}"
    );
    farm.start_scaler().await
}
