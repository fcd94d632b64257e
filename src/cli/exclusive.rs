//! `exclusive on|off|status`: workers for one backend alone, brought about by the running daemon.

use super::plan::{Output, print};
use super::{Failure, say_error};
use crate::config::Config;
use crate::exclusive::Ask;
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const ROUTE: &str = "exclusive";

/// Between two looks of `--wait`.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Have the workers serve one backend alone: each finishes its builds first
    #[command(
        after_help = "Example:\n  obs-scaler exclusive on main --pool aarch64-l1 --at-once 2 --wait\n\n\
        One worker stays for everything that jobs of the other backends ask of a worker. Ctrl-C ends the waiting \
        and nothing else."
    )]
    On {
        /// The backend
        backend: String,
        /// Only the workers of this pool; may be given again [default: every pool of the backend]
        #[arg(long = "pool", value_name = "POOL")]
        pools: Vec<String>,
        /// How many workers of a pool may be on their way at once [default: 1]
        #[arg(long, value_name = "N")]
        at_once: Option<u32>,
        #[command(flatten)]
        told: Told,
    },
    /// Give each worker its own list of backends back
    #[command(after_help = "Example:\n  obs-scaler exclusive off --wait")]
    Off {
        #[command(flatten)]
        told: Told,
    },
    /// Show how far each worker is
    #[command(after_help = "Example:\n  obs-scaler exclusive status -o json")]
    Status {
        #[command(flatten)]
        told: Told,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Told {
    /// Wait until every worker that can be is as it is meant to be
    #[arg(long)]
    wait: bool,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(path: &Path, command: Command) -> Result<(), Failure> {
    let config = match command {
        Command::Status { .. } => Config::load_without_secrets(path)?,
        Command::On { .. } | Command::Off { .. } => super::config::load(path)?,
    };
    let told = match command {
        Command::On {
            backend,
            pools,
            at_once,
            told,
        } => {
            let ask = Ask {
                backend,
                pools,
                at_once,
            };
            send(&config, "exclusive/on", &json!(ask))?;
            told
        }
        Command::Off { told } => {
            send(&config, "exclusive/off", &json!({}))?;
            told
        }
        Command::Status { told } => told,
    };
    let mut status = super::daemon::get(&config, ROUTE)?;
    let mut said = String::new();
    while told.wait && !is_settled(&status) {
        let now = counts(&status);
        if now != said {
            say_error(&now);
            said = now;
        }
        std::thread::sleep(PAUSE);
        status = super::daemon::get(&config, ROUTE)?;
    }
    Ok(print(&status, told.output, table)?)
}

fn send(config: &Config, route: &str, body: &Value) -> anyhow::Result<()> {
    let token = config.web.token.expose_secret();
    let answer = super::daemon::post_json(config, route, token, body)?;
    answer.map(drop).ok_or_else(|| {
        let listen = config.web.listen;
        anyhow::anyhow!("no obs-scaler answers at {listen}: is `obs-scaler serve` running?")
    })
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether nothing more is to come.
fn is_settled(status: &Value) -> bool {
    let count = |key| {
        status
            .pointer(&format!("/counts/{key}"))
            .and_then(Value::as_u64)
    };
    let none = |key| count(key).unwrap_or_default() == 0;
    match word(status, "mode") {
        "off" => true,
        "on" => ["due", "on_the_way", "joining"].into_iter().all(none) && status["held"].is_null(),
        _ => false,
    }
}

/// `on for main: 3 settled, 1 on_the_way`.
fn counts(status: &Value) -> String {
    let counts = status.get("counts").and_then(Value::as_object);
    let counts = counts.into_iter().flatten();
    let some = counts.filter(|(_, count)| count.as_u64() != Some(0));
    let words: Vec<String> = some
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let (mode, backend) = (word(status, "mode"), word(status, "backend"));
    let mut text = match backend {
        "" => mode.to_owned(),
        _ => format!("{mode} for {backend}: {}", words.join(", ")),
    };
    if let Some(why) = status.get("held").and_then(Value::as_str) {
        let _infallible = write!(text, "; held: {why}");
    }
    text
}

fn table(status: &Value) -> String {
    let mut text = format!("exclusive mode {}\n", counts(status));
    let workers = status.get("workers").and_then(Value::as_array);
    for worker in workers.into_iter().flatten() {
        let _infallible = writeln!(
            text,
            "{:<24} {:<16} {:<12} {}",
            word(worker, "host"),
            word(worker, "pool"),
            word(worker, "progress"),
            word(worker, "why"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_those_that_can_be_bound_and_for_the_last_to_have_its_list_again() {
        let on = |due, held| {
            json!({"mode": "on", "backend": "main", "held": held, "workers": [],
                "counts": {"settled": 2, "kept": 1, "due": due}})
        };
        assert!(is_settled(&on(0, None::<&str>)));
        assert!(!is_settled(&on(1, None)));
        assert!(!is_settled(&on(0, Some("unread"))));
        let ending = json!({"mode": "ending", "backend": "main", "counts": {"settled": 2}});
        assert!(!is_settled(&ending));
        assert!(is_settled(&json!({"mode": "off", "workers": []})));
        assert_eq!(
            counts(&on(1, Some("stale"))),
            "on for main: 1 due, 1 kept, 2 settled; held: stale"
        );
    }
}
