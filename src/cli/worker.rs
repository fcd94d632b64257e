//! `worker list`, `instances`, `usage` and `check`, answered by the running daemon; and `configure`.

use super::plan::{Output, print};
use super::{Failure, configure, daemon};
use crate::config::Config;
use crate::inspect::{CheckAsked, Expect};
use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Every worker's address by architecture, ours and others
    #[command(
        after_help = "Examples:\n  obs-scaler worker list\n  obs-scaler worker list --idle -o json"
    )]
    List(List),
    /// What each worker's instances do
    #[command(after_help = "Example:\n  obs-scaler worker instances 10.0.0.11 10.0.0.12")]
    Instances(Of),
    /// What workers used of their resources over a while
    #[command(
        after_help = "Example:\n  obs-scaler worker usage 10.0.0.11 --window 15m --resource cpu,mem\n\n\
        CPU and mem in percent, IOPS in disk operations a second, net in bytes a second. `-` is what is not known."
    )]
    Usage(Usage),
    /// Look at workers from all sides, and change nothing; ends with 1 where something is wrong or not known
    #[command(after_help = "Examples:\n  obs-scaler worker check 10.0.0.11\n  \
        obs-scaler worker check 10.0.0.11 --expect vcpus=32,ram=64,instances=10,jobs=32")]
    Check(Check),
    /// Tell workers something else than their pool's settings: each is drained first
    Configure(configure::Args),
}

/// Which workers, and how the answer is printed.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// Only the workers with these addresses
    ips: Vec<IpAddr>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    of: Of,
    /// Only those that could take a job and have none
    #[arg(long)]
    idle: bool,
}

#[derive(Debug, Args)]
pub(super) struct Usage {
    /// The workers' addresses
    #[arg(required = true)]
    ips: Vec<IpAddr>,
    /// Over which while until now, at most 1h
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    window: String,
    /// Of which resources
    #[arg(long, value_name = "LIST", default_value = "cpu,mem,iops,net")]
    resource: String,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The workers' addresses
    #[arg(required = true)]
    ips: Vec<IpAddr>,
    /// What they should be, other than what the configuration says
    #[arg(long, value_name = "KEY=N,…", value_parser = expect)]
    expect: Option<Expect>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(path: &Path, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(List { of, idle }) => {
            let idle = idle.then(|| "idle=true".to_owned());
            ask(path, "workers", &query(&of.ips, idle), of.output, list)
        }
        Command::Instances(of) => ask_of(path, "instances", &of, instances),
        Command::Usage(of) => {
            let (window, resource) = (&of.window, &of.resource);
            let more = format!("window={window}&resource={resource}");
            let query = query(&of.ips, Some(more));
            ask(path, "workers/usage", &query, of.output, usage)
        }
        Command::Check(asked) => check(path, &asked),
        Command::Configure(args) => configure::run(path, args),
    }
}

/// `?ip=…&ip=…`, with more behind it.
fn query(ips: &[IpAddr], more: Option<String>) -> String {
    let ips = ips.iter().map(|ip| format!("ip={ip}"));
    ips.chain(more).collect::<Vec<_>>().join("&")
}

/// A question about workers that needs no more than their addresses.
pub(super) fn ask_of(
    path: &Path,
    route: &str,
    of: &Of,
    table: impl Fn(&Value) -> String,
) -> Result<(), Failure> {
    ask(path, route, &query(&of.ips, None), of.output, table)
}

fn ask(
    path: &Path,
    route: &str,
    query: &str,
    output: Output,
    table: impl Fn(&Value) -> String,
) -> Result<(), Failure> {
    let config = Config::load_without_secrets(path)?;
    let answer = daemon::get(&config, &format!("{route}?{query}"))?;
    Ok(print(&answer, output, table)?)
}

fn check(path: &Path, asked: &Check) -> Result<(), Failure> {
    let config = super::config::load(path)?;
    let question = json!(CheckAsked {
        ips: asked.ips.clone(),
        expect: asked.expect.unwrap_or_default(),
    });
    let token = config.web.token.expose_secret();
    let patience = config.poll.timeout + config.ecs.timeout + config.ssh.session_timeout;
    let answer = daemon::post_and_wait(&config, "workers/check", token, &question, patience)?;
    print(&answer, asked.output, checks)?;
    let rows = rows(&answer);
    let wrong = rows
        .iter()
        .filter(|row| row.get("ok") != Some(&json!(true)));
    all_well(wrong.count(), rows.len())?;
    Ok(())
}

fn all_well(wrong: usize, all: usize) -> anyhow::Result<()> {
    if wrong > 0 {
        bail!("{wrong} of {all} workers are not as they should be, or that is not known");
    }
    Ok(())
}

/// Reads `vcpus=32,ram=64,instances=10,jobs=32`, some of it.
fn expect(text: &str) -> Result<Expect, anyhow::Error> {
    let mut expect = Expect::default();
    for pair in text.split(',') {
        let (key, number) = pair.split_once('=').unwrap_or((pair, ""));
        let number = number.parse().ok().filter(|n| *n > 0);
        let number = Some(number.with_context(|| format!("{pair}: expected KEY=NUMBER"))?);
        match key {
            "vcpus" => expect.vcpus = number,
            "ram" => expect.ram = number,
            "instances" => expect.instances = number,
            "jobs" => expect.jobs = number,
            _ => return Err(anyhow!("{key}: expected vcpus, ram, instances or jobs")),
        }
    }
    Ok(expect)
}

fn rows(answer: &Value) -> &[Value] {
    answer.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A value as a word; `-` for what is not known.
fn cell(of: &Value, name: &str) -> String {
    match of.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Columns as wide as their widest cell.
pub(super) fn columns(table: &[Vec<String>]) -> String {
    let count = table.iter().map(Vec::len).max().unwrap_or_default();
    let width = |n: usize| {
        let cells = table.iter().filter_map(|row| row.get(n));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in table {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _infallible = write!(line, "{cell:<width$}  ");
        }
        let _infallible = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// A line for each row, with these columns.
fn table_of(rows: &[&Value], names: &[(&str, &str)]) -> String {
    let head = names.iter().map(|(head, _)| (*head).to_owned()).collect();
    let line = |row: &&Value| names.iter().map(|(_, name)| cell(row, name)).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    columns(&lines)
}

const WHO: [(&str, &str); 8] = [
    ("IP", "ip"),
    ("HOST", "host"),
    ("ARCH", "arch"),
    ("MANAGED", "managed"),
    ("POOL", "pool"),
    ("LEVEL", "level"),
    ("FLAVOR", "flavor"),
    ("STATE", "state"),
];

fn list(answer: &Value) -> String {
    let of_arch = |arch: &'_ Value| arch.get("workers").cloned().unwrap_or_default();
    let workers: Vec<Value> = rows(answer).iter().map(of_arch).collect();
    let workers: Vec<&Value> = workers.iter().flat_map(rows).collect();
    let mut names = WHO.to_vec();
    let waits = |worker: &&Value| worker.get("waits_for").is_some_and(Value::is_string);
    if workers.iter().any(waits) {
        names.push(("WAITS FOR", "waits_for"));
    }
    table_of(&workers, &names)
}

fn instances(answer: &Value) -> String {
    let names = [
        ("IP", "ip"),
        ("HOST", "host"),
        ("ALL", "instance_all"),
        ("RUN", "instance_run"),
        ("IDLE", "instance_idle"),
        ("AWAY", "instance_away"),
        ("DOWN", "instance_down"),
        ("DEAD", "instance_dead"),
        ("MANAGED", "managed"),
        ("POOL", "pool"),
        ("FLAVOR", "flavor"),
    ];
    table_of(&rows(answer).iter().collect::<Vec<_>>(), &names)
}

fn usage(answer: &Value) -> String {
    let mut names = vec![("IP", "ip"), ("HOST", "host"), ("OVER", "times")];
    for name in ["CPU", "mem", "IOPS"] {
        if rows(answer).iter().any(|row| row.get(name).is_some()) {
            names.push((name, name));
        }
    }
    let net = rows(answer).iter().any(|row| row.get("net").is_some());
    if net {
        names.extend([("RECEIVED", "received"), ("TRANSMITTED", "transmitted")]);
    }
    names.push(("WHY", "why"));
    let flat = |row: &Value| {
        let mut flat = row.clone();
        for key in ["received", "transmitted"] {
            if let Some(value) = row.pointer(&format!("/net/{key}"))
                && let Some(object) = flat.as_object_mut()
            {
                object.insert(key.to_owned(), value.clone());
            }
        }
        flat
    };
    let rows: Vec<Value> = rows(answer).iter().map(flat).collect();
    table_of(&rows.iter().collect::<Vec<_>>(), &names)
}

fn checks(answer: &Value) -> String {
    let mut text = String::new();
    for worker in rows(answer) {
        let [ip, host, status, state] = ["ip", "host", "status", "state"].map(|n| cell(worker, n));
        let service = match worker.get("service_OK").and_then(Value::as_u64) {
            Some(0) => "healthy".to_owned(),
            Some(_) => format!("not healthy: {}", cell(worker, "why")),
            None => format!("not known: {}", cell(worker, "why")),
        };
        let _infallible = writeln!(
            text,
            "{ip} {host}: machine {status}, state {state}, service {service}"
        );
        let names = [
            ("CHECK", "check"),
            ("WHAT", "what"),
            ("FOUND", "found"),
            ("EXPECTED", "expected"),
            ("VERDICT", "verdict"),
        ];
        let checks = worker.get("checks").map(rows).unwrap_or_default();
        text += &table_of(&checks.iter().collect::<Vec<_>>(), &names);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(table: &str) -> Vec<Vec<&str>> {
        table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect()
    }

    #[test]
    fn what_is_not_known_is_no_number_in_a_table() {
        let answer = json!([{"ip": "10.0.0.1", "host": "w-1", "instance_all": 7, "instance_run": 0,
            "instance_idle": null, "managed": false}]);
        let table = instances(&answer);
        let words = words(&table);
        assert_eq!(words[0][..5], ["IP", "HOST", "ALL", "RUN", "IDLE"]);
        assert_eq!(words[1][..5], ["10.0.0.1", "w-1", "7", "0", "-"]);
        let used = usage(
            &json!([{"ip": "10.0.0.1", "host": "w-1", "times": "5m", "CPU": null,
            "net": {"received": 5.5, "transmitted": 1.0}, "why": null}]),
        );
        let words = self::words(&used);
        assert_eq!(
            words[0],
            [
                "IP",
                "HOST",
                "OVER",
                "CPU",
                "RECEIVED",
                "TRANSMITTED",
                "WHY"
            ]
        );
        assert_eq!(words[1], ["10.0.0.1", "w-1", "5m", "-", "5.5", "1.0", "-"]);
    }

    #[test]
    fn the_workers_of_every_architecture_are_in_one_table() {
        let answer = json!([{"aarch64": ["10.0.0.1"], "workers": [{"ip": "10.0.0.1", "host": "a"}]},
            {"x86_64": [], "workers": [{"ip": null, "host": "b"}]}]);
        let table = list(&answer);
        let words = words(&table);
        assert_eq!((words[1][1], words[2][1]), ("a", "b"));
        assert_eq!(words[2][0], "-");
        assert_eq!(words[0].last(), Some(&"STATE"));
    }

    #[test]
    fn what_a_new_worker_waits_for_is_in_the_table() {
        let ramp = "the ramp of main: 2 a minute";
        let answer = json!([{"aarch64": [], "workers": [
            {"ip": null, "host": "a", "state": "booting", "waits_for": ramp},
            {"ip": null, "host": "b", "state": "booting", "waits_for": null}]}]);
        let table = list(&answer);
        let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
        assert!(lines[0].ends_with("WAITS FOR"), "{table}");
        assert!(lines[1].ends_with(ramp), "{table}");
        assert!(lines[2].ends_with('-'), "{table}");
    }

    #[test]
    fn a_check_names_everything_with_what_was_found_and_expected() {
        let answer = json!([{"ip": "10.0.0.1", "host": "w", "status": "active", "state": "serving",
            "service_OK": 1, "why": "unit failed", "checks": [
            {"check": "service", "what": "unit", "found": "failed", "expected": "active", "verdict": "wrong"}]}]);
        let table = checks(&answer);
        assert!(
            table.starts_with(
                "10.0.0.1 w: machine active, state serving, service not healthy: unit failed\n"
            ),
            "{table}"
        );
        assert_eq!(
            words(&table)[2],
            ["service", "unit", "failed", "active", "wrong"]
        );
    }

    #[test]
    fn what_is_expected_instead_is_read_from_pairs() {
        let wanted = Expect {
            vcpus: Some(32),
            ram: Some(64),
            instances: Some(10),
            jobs: Some(32),
        };
        assert_eq!(
            expect("vcpus=32,ram=64,instances=10,jobs=32").unwrap(),
            wanted
        );
        for wrong in ["vcpus", "vcpus=", "vcpus=x", "vcpus=0", "disks=3", ""] {
            assert!(expect(wrong).is_err(), "{wrong}");
        }
    }
}
