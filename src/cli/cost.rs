//! `cost`: what servers have cost.

use super::plan::{Output, print};
use super::{Failure, daemon};
use crate::config::Config;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  obs-scaler cost\n  obs-scaler cost --since 2026-01-01 -o json"
)]
pub(super) struct Args {
    /// Count from this day or moment on (UTC); without it all that is kept, 400 days
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(config: &Path, args: &Args) -> Result<(), Failure> {
    let config = Config::load_without_secrets(config)?;
    let query = args.since.as_ref().map(|date| format!("?since={date}"));
    let route = format!("cost{}", query.unwrap_or_default());
    print(&daemon::get(&config, &route)?, args.output, table)?;
    Ok(())
}

/// One line for each pool and flavor, their sum, and what it does not include.
fn table(answer: &Value) -> String {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut table = String::new();
    let mut row = |cells: [&str; 7]| {
        let [pool, flavor, servers, running, hours, cost, volumes] = cells;
        let _infallible = writeln!(
            table,
            "{pool:<16} {flavor:<18} {servers:>7} {running:>7} {hours:>10} {cost:>12} {volumes:>11}"
        );
    };
    row([
        "POOL",
        "FLAVOR",
        "SERVERS",
        "RUNNING",
        "HOURS",
        "COST",
        "OF IT DISKS",
    ]);
    let lines = answer.get("lines").and_then(Value::as_array);
    let total = answer.get("total").cloned().unwrap_or_default();
    for line in lines.into_iter().flatten().chain([&total]) {
        let number = |name: &str| line.get(name).and_then(Value::as_f64).unwrap_or_default();
        let name = |name: &str, none: &str| text(line, name).unwrap_or_else(|| none.to_owned());
        let of_all = text(line, "flavor").is_none();
        row([
            &name("pool", if of_all { "all" } else { "(none)" }),
            &name("flavor", ""),
            &number("servers").to_string(),
            &number("running").to_string(),
            &format!("{:.1}", number("seconds") / 3600.0),
            &format!("{:.2}", number("cost")),
            &format!("{:.2}", number("volumes")),
        ]);
    }
    let said = |name: &str| text(answer, name).unwrap_or_default();
    let _infallible = writeln!(table, "\nfrom {} to {}", said("since"), said("until"));
    for (name, words) in [
        ("without_price", "servers have no price: not included"),
        (
            "without_volume_price",
            "servers have disks without a price: not included",
        ),
        (
            "uncertain_seconds",
            "seconds at most are counted too much: servers that somebody else deleted",
        ),
    ] {
        let count = total.get(name).and_then(Value::as_u64).unwrap_or_default();
        if count > 0 {
            let _infallible = writeln!(table, "{count} {words}");
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_has_a_sum_and_says_what_it_does_not_include() {
        let line = |pool: Value| {
            json!({"pool": pool, "flavor": "f", "servers": 2, "running": 1, "seconds": 5400,
                "cost": 8.4, "volumes": 0.35, "uncertain_seconds": 0})
        };
        let mut total = line(json!(null));
        total["flavor"] = json!(null);
        total["without_volume_price"] = json!(1);
        let answer = json!({"since": "A", "until": "B", "lines": [line(json!("p")), line(json!(null))],
            "total": total});
        let table = table(&answer);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(rows[1], ["p", "f", "2", "1", "1.5", "8.40", "0.35"]);
        assert_eq!(rows[2][0], "(none)");
        assert_eq!(rows[3], ["all", "2", "1", "1.5", "8.40", "0.35"]);
        assert_eq!(rows[5].join(" "), "from A to B");
        assert_eq!(
            rows[6].join(" "),
            "1 servers have disks without a price: not included"
        );
        assert_eq!(rows.len(), 7);
    }
}
