//! The alerting rules say what they should, and the example configurations are accepted: checked by the
//! tools that Prometheus and Alertmanager bring along.

mod kept;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of a directory, as arguments.
fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join(directory)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files: Vec<_> = paths.filter(|path| path.is_file()).collect();
    assert!(!files.is_empty(), "no file in {directory}");
    files
}

fn assert_accepts(tool: &str, package: &str, arguments: &[&str], files: &[PathBuf]) {
    let run = Command::new(tool).args(arguments).args(files).output();
    let run = run.unwrap_or_else(|e| panic!("{tool} is needed ({e}): apt-get install {package}"));
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        run.status.success(),
        "{tool} {arguments:?} refuses:\n{said}"
    );
}

#[test]
fn the_rules_ring_and_stay_silent_as_their_tests_say() {
    assert_accepts(
        "promtool",
        "prometheus",
        &["test", "rules"],
        &files("alerting-rules/tests"),
    );
}

#[test]
fn the_rules_are_free_of_lint() {
    let check = ["check", "rules", "--lint=all", "--lint-fatal"];
    assert_accepts("promtool", "prometheus", &check, &files("alerting-rules"));
}

#[test]
fn the_example_configurations_are_accepted() {
    let prometheus = repository().join("packaging/prometheus.yml");
    assert_accepts(
        "promtool",
        "prometheus",
        &["check", "config"],
        &[prometheus],
    );
    let alertmanager = repository().join("packaging/alertmanager.yml");
    assert_accepts(
        "amtool",
        "prometheus-alertmanager",
        &["check-config"],
        &[alertmanager],
    );
}

/// What is for obs-scaler reaches it, and what is for people reaches them by severity.
#[test]
fn each_alert_is_routed_to_those_whom_it_is_for() {
    let alertmanager = repository().join("packaging/alertmanager.yml");
    for alert in kept::alerts() {
        let receiver = match (alert.label("action"), alert.label("severity")) {
            (Some(_), _) => "obs-scaler",
            _ if alert.name == "Watchdog" => "obs-scaler-watchdog",
            (None, Some(severity)) => &format!("people-{severity}"),
            (None, None) => panic!("{} is for nobody", alert.name),
        };
        let config = format!("--config.file={}", alertmanager.display());
        let verify = format!("--verify.receivers={receiver}");
        let labels = alert.labels.iter().map(|(k, v)| format!("{k}={v}"));
        let labels: Vec<String> = labels
            .chain([format!("alertname={}", alert.name)])
            .collect();
        let mut arguments = vec!["config", "routes", "test", &config, &verify];
        arguments.extend(labels.iter().map(String::as_str));
        assert_accepts("amtool", "prometheus-alertmanager", &arguments, &[]);
    }
}
