//! `maintenance`: which backends are left alone, and a person's word about one.

use super::plan::{Output, print};
use super::{Failure, daemon, say};
use crate::clock::Clock;
use crate::config::Config;
use anyhow::{Context, anyhow};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  obs-scaler maintenance\n  obs-scaler maintenance main --for 2h\n  \
    obs-scaler maintenance main --until 2026-01-31T06:00:00Z\n  obs-scaler maintenance main --off"
)]
pub(super) struct Args {
    /// The backend; without it, which ones are under maintenance is shown
    #[arg(requires = "word")]
    backend: Option<String>,
    #[command(flatten)]
    word: When,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, clap::Args)]
#[group(id = "word", multiple = false, requires = "backend")]
struct When {
    /// Nothing is bought or released for it until this moment
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Nothing is bought or released for it for this long
    #[arg(long = "for", value_name = "TIME")]
    length: Option<SignedDuration>,
    /// It is over now
    #[arg(long)]
    off: bool,
}

pub(super) fn run(path: &Path, args: &Args) -> Result<(), Failure> {
    let Some(backend) = &args.backend else {
        let config = Config::load_without_secrets(path)?;
        print(&daemon::get(&config, "maintenance")?, args.output, table)?;
        return Ok(());
    };
    let config = super::config::load(path)?;
    let ask = ask(backend, &args.word, Clock::default().now())?;
    let token = config.web.token.expose_secret();
    let answer = daemon::post_json(&config, "maintenance", token, &ask)
        .with_context(|| format!("backend {backend}"))?;
    let nobody = || anyhow!("no obs-scaler runs: nothing is bought or released anyway");
    let answer = answer.ok_or_else(nobody)?;
    match answer.get("until").and_then(Value::as_str) {
        Some(until) => say(&format!(
            "backend {backend}: under maintenance until {until}"
        )),
        None => say(&format!("backend {backend}: no maintenance")),
    }
    Ok(())
}

fn ask(backend: &str, word: &When, now: Timestamp) -> anyhow::Result<Value> {
    let until = match word.length {
        Some(length) => Some(now.checked_add(length).context("--for")?),
        None => word.until,
    };
    Ok(match until {
        Some(until) => json!({ "backend": backend, "until": until }),
        None => json!({ "backend": backend, "off": word.off }),
    })
}

/// One line for each backend.
fn table(answer: &Value) -> String {
    let mut table = format!("{:<16} {:<30} POOLS\n", "BACKEND", "MAINTENANCE UNTIL");
    let backends = answer.get("backends").and_then(Value::as_array);
    for backend in backends.into_iter().flatten() {
        let text = |name: &str| backend.get(name).and_then(Value::as_str);
        let pools = backend.get("pools").and_then(Value::as_array);
        let pools = pools.into_iter().flatten().filter_map(Value::as_str);
        let pools: Vec<&str> = pools.collect();
        let (name, until) = (text("backend").unwrap_or("?"), text("until").unwrap_or("-"));
        let _infallible = writeln!(table, "{name:<16} {until:<30} {}", pools.join(" "));
    }
    table
}
