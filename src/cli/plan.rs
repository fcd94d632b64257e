//! `plan apply` and `plan release`: a dry run with reasons.

use super::{Failure, say};
use crate::config::Config;
use crate::model::{Arch, Level};
use crate::policy;
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What would be bought now, and why not more
    #[command(
        after_help = "Examples:\n  obs-scaler plan apply\n  obs-scaler plan apply -o json\n  \
        obs-scaler plan apply --queue '[{\"aarch64\":{\"l1\":100}}]' --idle '[{\"aarch64\":{\"l1\":10}}]'"
    )]
    Apply(Apply),
    /// What would be released now, and why not the others
    #[command(after_help = "Example:\n  obs-scaler plan release --checks 3 --interval 30s")]
    Release(Release),
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// Waiting jobs by architecture and level, to be judged instead of the live farm
    #[arg(long, value_name = "JSON", requires = "idle")]
    queue: Option<String>,
    /// Idle instances by architecture and level
    #[arg(long, value_name = "JSON", requires = "queue")]
    idle: Option<String>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Release {
    /// How many looks in a row must have found a worker idle
    #[arg(long, value_name = "N")]
    checks: Option<u32>,
    /// How far apart two looks are, such as 30s
    #[arg(long, value_name = "DURATION")]
    interval: Option<String>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(config: &Path, command: &Command) -> Result<(), Failure> {
    let config = Config::load_without_secrets(config)?;
    match command {
        Command::Apply(Apply {
            queue: Some(queue),
            idle: Some(idle),
            output,
        }) => {
            let (queue, idle) = (counts("--queue", queue)?, counts("--idle", idle)?);
            let answer = as_json(&policy::evaluate(&queue, &idle, &config.policy));
            print(&answer, *output, |answer| format!("{answer:#}"))?;
        }
        Command::Apply(Apply { output, .. }) => {
            print(&super::daemon::get(&config, "plan/apply")?, *output, table)?;
        }
        Command::Release(Release {
            checks,
            interval,
            output,
        }) => {
            let checks = checks.map(|n| format!("checks={n}"));
            let interval = interval.as_ref().map(|d| format!("interval={d}"));
            let query: Vec<_> = checks.into_iter().chain(interval).collect();
            let route = format!("plan/release?{}", query.join("&"));
            print(&super::daemon::get(&config, &route)?, *output, table)?;
        }
    }
    Ok(())
}

/// Prints an answer, for people as `table` writes it.
pub(super) fn print(
    answer: &Value,
    output: Output,
    table: impl Fn(&Value) -> String,
) -> anyhow::Result<()> {
    match output {
        Output::Json => say(&serde_json::to_string(answer)?),
        Output::Table => say(table(answer).trim_end()),
    }
    Ok(())
}

/// One line a verdict, then one for each worker that is released or kept, in columns.
fn table(answer: &Value) -> String {
    let mut text = format!("{:<16} {:<36} {}\n", "POOL", "OUTCOME", "WHY");
    let mut row = |of: &Value, outcome: &str| {
        let cell = |name: &str| of.get(name).and_then(Value::as_str);
        let (pool, why) = (cell("pool").unwrap_or("-"), cell("why").unwrap_or("-"));
        let figures = cell("figures").map(|figures| format!(" ({figures})"));
        let figures = figures.unwrap_or_default();
        let _infallible = writeln!(text, "{pool:<16} {outcome:<36} {why}{figures}");
    };
    let text_of = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    for verdict in rows(answer, "verdicts") {
        row(verdict, &text_of(verdict, "outcome").unwrap_or_default());
    }
    for (list, verb) in [
        ("released", "release"),
        ("kept", "keep"),
        ("black_holes", "black hole"),
    ] {
        for worker in rows(answer, list) {
            let host = text_of(worker, "host").or_else(|| text_of(worker, "server"));
            row(worker, &format!("{verb} {}", host.unwrap_or_default()));
        }
    }
    text
}

fn rows<'a>(answer: &'a Value, list: &str) -> &'a [Value] {
    let rows = answer.get(list).and_then(Value::as_array);
    rows.map(Vec::as_slice).unwrap_or_default()
}

type Counts = BTreeMap<(Arch, Level), u32>;

/// Reads the seed's shape: `[{"aarch64":{"l1":100,"l2":10}},{"x86":{"l1":80}}]`, or one such object.
fn counts(option: &str, text: &str) -> anyhow::Result<Counts> {
    type ByArch = BTreeMap<String, BTreeMap<String, u32>>;
    let list = serde_json::from_str::<Vec<ByArch>>(text)
        .or_else(|_| serde_json::from_str::<ByArch>(text).map(|one| vec![one]))
        .with_context(|| format!("{option}: expected [{{\"aarch64\":{{\"l1\":100}}}}, …]"))?;
    let mut counts = Counts::new();
    for (arch, levels) in list.into_iter().flatten() {
        let arch: Arch = arch.parse().with_context(|| option.to_owned())?;
        for (level, count) in levels {
            let level: Level = level.parse().with_context(|| option.to_owned())?;
            let sum = counts.entry((arch, level)).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    Ok(counts)
}

/// The seed's shape again: `[{"aarch64":{"l1":13}}, …]`.
fn as_json(counts: &Counts) -> Value {
    let of = |arch: Arch| {
        let levels = counts.iter().filter(move |((a, _), _)| *a == arch);
        let levels = levels.map(|((_, level), n)| (level.to_string(), Value::from(*n)));
        Value::Object(
            [(arch.to_string(), Value::Object(levels.collect()))]
                .into_iter()
                .collect(),
        )
    };
    Value::Array(Arch::ALL.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dry_run_names_every_worker_that_goes_or_stays_and_why() {
        let answer = json!({
            "verdicts": [{"pool": "p", "outcome": "release 1", "why": "idle", "figures": "0 scheduled"}],
            "released": [{"pool": "p", "host": "w-1", "server": "s-1"}],
            "kept": [{"pool": "p", "host": "w-2", "server": "s-2", "why": "only the reserve is left"}],
        });
        let table = table(&answer);
        let words: Vec<Vec<&str>> = table
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(words[1], ["p", "release", "1", "idle", "(0", "scheduled)"]);
        assert_eq!(words[2][..3], ["p", "release", "w-1"]);
        assert_eq!(words[3].join(" "), "p keep w-2 only the reserve is left");
    }
}
