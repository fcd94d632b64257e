//! What Prometheus' own check, and our alerting rules, ask of the metrics.

use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    promtool(&page(state()));
}

/// Has the real promtool check a page.
pub(super) fn promtool(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: apt-get install prometheus");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let verdict = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&verdict.stderr);
    assert!(verdict.status.success() && said.is_empty(), "{said}");
}

/// Words that look like metrics and are made elsewhere: by Prometheus, or by the rules themselves.
fn metrics_named_in(rules: &str) -> BTreeSet<String> {
    let code = rules
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = code.flat_map(|line| line.split(move |c: char| !word(c)).map(str::to_owned));
    words
        .filter(|w| w.starts_with("obs_") && !w.contains(':'))
        .collect()
}

#[test]
fn every_metric_named_in_the_rules_is_exported() {
    let page = page(state());
    let exported = |name: &str| {
        page.lines().any(|l| {
            l.strip_prefix(name)
                .is_some_and(|l| l.starts_with(['{', ' ']))
        })
    };
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/alerting-rules");
    let mut named = BTreeSet::new();
    for entry in std::fs::read_dir(rules).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            named.extend(metrics_named_in(&std::fs::read_to_string(path).unwrap()));
        }
    }
    assert!(
        named.len() > 5,
        "hardly any metric found in {rules}: {named:?}"
    );
    let unknown: Vec<_> = named.iter().filter(|name| !exported(name)).collect();
    assert!(unknown.is_empty(), "not exported: {unknown:?}");
}
