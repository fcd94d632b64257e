use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::client::{Client, PROJECT, order};

/// A child that does not outlive a test that fails.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_command_says_where_it_listens_and_ends_cleanly_on_sigterm() {
    let ledger = std::env::temp_dir().join(format!("obs-sim-ledger-{}.json", std::process::id()));
    let child = Command::new(env!("CARGO_BIN_EXE_obs-sim"))
        .args([
            "ecs",
            "--listen",
            "127.0.0.1:0",
            "--project-id",
            PROJECT,
            "--speed",
            "100",
        ])
        .args(["--access-key", "AK", "--secret-key", "SK"])
        .arg("--ledger")
        .arg(&ledger)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Guarded(child);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let addr = line
        .trim()
        .strip_prefix("listening on ")
        .unwrap()
        .parse()
        .unwrap();
    let client = Client {
        addr,
        ak: "AK",
        sk: "SK",
        skew_seconds: 0,
    };
    client.buy(&order(2, serde_json::json!({}))).await;
    let killed = Command::new("kill")
        .args(["-TERM", &child.0.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert!(child.0.wait().unwrap().success());
    let text = std::fs::read_to_string(&ledger).unwrap();
    std::fs::remove_file(&ledger).unwrap();
    let ledger: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ledger["totals"]["servers_created"], 2);
    assert!(!text.contains("\"SK\""));
}
