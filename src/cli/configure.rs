//! `worker configure`: what workers are told, brought about by the running daemon.

use super::plan::{Output, print};
use super::{Failure, say_error};
use crate::config::Config;
use crate::configure::{Configure, Outcome, Row};
use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

const ROUTE: &str = "workers/configure";

/// Between two looks of `--wait`.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  obs-scaler worker configure 10.0.0.11 --instances 4 --jobs 16 --wait\n  \
    obs-scaler worker configure 10.0.0.11 10.0.0.12 --servers main --at-once 2\n  \
    obs-scaler worker configure 10.0.0.11 --reset\n\n\
    A worker finishes its builds first, then it is stopped, set, started and checked. Without options it is told \
    what the configuration says. Ctrl-C ends the waiting and nothing else."
)]
pub(super) struct Args {
    /// The workers' addresses
    #[arg(required = true)]
    ips: Vec<IpAddr>,
    /// Build instances (OBS_WORKER_INSTANCES)
    #[arg(long, value_name = "N")]
    instances: Option<u32>,
    /// Processes of one build (OBS_WORKER_JOBS)
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// The backends to serve, of its pool's: the first is the source server
    #[arg(long, value_name = "BACKEND,…", value_delimiter = ',')]
    servers: Option<Vec<String>>,
    /// The size of the cache of binaries, in MiB (OBS_CACHE_SIZE)
    #[arg(long, value_name = "MIB")]
    cache_size: Option<u64>,
    /// First forget what was asked for before
    #[arg(long)]
    reset: bool,
    /// How many workers of a pool may be on their way at once [default: 1]
    #[arg(long, value_name = "N")]
    at_once: Option<u32>,
    /// Wait until every worker serves with its settings
    #[arg(long)]
    wait: bool,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(path: &Path, args: Args) -> Result<(), Failure> {
    let config = super::config::load(path)?;
    let ask = Configure {
        ips: args.ips,
        instances: args.instances,
        jobs: args.jobs,
        servers: args.servers,
        cache_mib: args.cache_size,
        reset: args.reset,
        at_once: args.at_once,
    };
    let token = config.web.token.expose_secret();
    let Some(answer) = super::daemon::post_json(&config, ROUTE, token, &json!(ask))? else {
        let listen = config.web.listen;
        let why = anyhow::anyhow!(
            "no obs-scaler answers at {listen}: workers are configured by the running daemon, \
             start it with `obs-scaler serve`"
        );
        return Err(why.into());
    };
    let mut rows = rows(answer)?;
    if args.wait {
        wait(&config, &mut rows)?;
    }
    Ok(tell(&rows, args.output)?)
}

fn rows(answer: Value) -> anyhow::Result<Vec<Row>> {
    let rows = answer.get("workers").cloned().unwrap_or_default();
    serde_json::from_value(rows).context("the daemon's answer")
}

/// Waits for all that was not refused, and says what changes meanwhile.
fn wait(config: &Config, rows: &mut [Row]) -> anyhow::Result<()> {
    let mut said = BTreeMap::new();
    loop {
        let present = self::rows(super::daemon::get(config, ROUTE)?)?;
        for row in rows
            .iter_mut()
            .filter(|row| row.outcome != Outcome::Refused)
        {
            let now = present.iter().find(|now| now.ip == row.ip);
            row.outcome = now.map_or(Outcome::Settled, |now| now.outcome);
            row.why = now.and_then(|now| now.why.clone());
            let why = row.why.as_ref().map(|why| format!(": {why}"));
            let line = format!(
                "{} {}{}",
                row.ip,
                row.outcome.as_str(),
                why.unwrap_or_default()
            );
            if said.insert(row.ip, line.clone()).as_ref() != Some(&line) {
                say_error(&line);
            }
        }
        let settled = |row: &Row| matches!(row.outcome, Outcome::Settled | Outcome::Refused);
        if rows.iter().all(settled) {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

fn tell(rows: &[Row], output: Output) -> anyhow::Result<()> {
    print(&json!(rows), output, |_| table(rows))?;
    let refused = rows.iter().filter(|row| row.outcome == Outcome::Refused);
    let refused = refused.count();
    if refused > 0 {
        bail!("{refused} of {} workers were refused", rows.len());
    }
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<16} {:<10} {:<24} {:<16} {:<44} {}\n",
        "IP", "OUTCOME", "HOST", "POOL", "SETTINGS", "WHY"
    );
    for row in rows {
        let cell = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
        let _infallible = writeln!(
            text,
            "{:<16} {:<10} {:<24} {:<16} {:<44} {}",
            row.ip,
            row.outcome.as_str(),
            cell(&row.host),
            cell(&row.pool),
            cell(&row.settings),
            cell(&row.why),
        );
    }
    text
}
