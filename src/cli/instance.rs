//! `instance idle`.

use super::Failure;
use super::worker::{Of, ask_of, columns};
use crate::model::Level;
use clap::Subcommand;
use serde_json::Value;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// How many instances wait for a job, by architecture and level
    #[command(after_help = "Example:\n  obs-scaler instance idle -o json")]
    Idle(Of),
}

pub(super) fn run(path: &Path, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Idle(of) => ask_of(path, "instances/idle", of, table),
    }
}

/// A line for each architecture, a column for each level.
fn table(answer: &Value) -> String {
    let mut lines = vec![vec!["ARCH".to_owned()]];
    if let Some(head) = lines.first_mut() {
        head.extend(Level::ALL.map(|level| level.to_string()));
    }
    let archs = answer.as_array().into_iter().flatten();
    for (arch, levels) in archs.filter_map(Value::as_object).flatten() {
        let count = |level: Level| {
            let count = levels.get(level.as_str()).and_then(Value::as_u64);
            count.map_or_else(|| "-".to_owned(), |count| count.to_string())
        };
        let counts = Level::ALL.map(count).into_iter();
        lines.push(std::iter::once(arch.clone()).chain(counts).collect());
    }
    columns(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn idle_instances_stand_by_arch_and_level_and_unknown_ones_are_no_number() {
        let answer = json!([{"aarch64": {"l1": 10, "l2": 1, "l3": 0}},
            {"x86_64": {"l1": 8, "l2": null, "l3": 0}}]);
        let table = table(&answer);
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0], ["ARCH", "l1", "l2", "l3"]);
        assert_eq!(lines[1], ["aarch64", "10", "1", "0"]);
        assert_eq!(lines[2], ["x86_64", "8", "-", "0"]);
    }
}
