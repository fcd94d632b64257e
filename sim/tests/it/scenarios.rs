use std::path::Path;
use std::process::Command;

use jiff::SignedDuration;
use obs_sim::ecs::Scenario;
use serde_json::json;

use super::client::{Client, cloud_with, order};

async fn faults(client: &Client) -> serde_json::Value {
    client
        .control("GET", "/_sim/faults", &json!({}))
        .await
        .json()
}

#[tokio::test]
async fn the_example_of_a_bad_day_takes_its_course() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bad-day.yaml");
    let scenario = Scenario::read(&path).unwrap();
    let (cloud, client) = cloud_with(|o| {
        o.scenario = scenario;
        o.speed = 10.0;
    })
    .await;
    let pass = |seconds| cloud.advance(SignedDuration::from_secs(seconds));
    pass(11);
    assert_eq!(
        faults(&client).await["stock"],
        json!({"ki1.8xlarge.4@cn-north-4b": 2})
    );
    let answer = client
        .create(&order(1, json!({"name": "obs-1"})), None)
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    pass(50);
    let now = faults(&client).await;
    assert_eq!(
        now["stock"],
        json!({"ki1.8xlarge.4@cn-north-4b": 1}),
        "added to, not replaced"
    );
    assert_eq!(now["fail_subs"][0]["code"], "Ecs.0402");
    pass(125);
    let ledger = cloud.ledger();
    let mut states: Vec<_> = ledger
        .servers
        .iter()
        .map(|s| (s.name.as_str(), s.status.as_str()))
        .collect();
    states.sort();
    assert_eq!(states, [("obs-1", "SHUTOFF"), ("web-1", "ACTIVE")]);
    pass(174);
    assert_eq!(faults(&client).await["arrears"], false);
    let clock = client
        .control("GET", "/_sim/clock", &json!({}))
        .await
        .json();
    assert_eq!(
        clock["ahead_seconds"], 3960.0,
        "360 from here and 3600 from the scenario"
    );
}

#[test]
fn a_wrong_scenario_ends_the_command_with_2_and_says_what_is_wrong() {
    let path = std::env::temp_dir().join(format!("obs-sim-scenario-{}.yaml", std::process::id()));
    std::fs::write(&path, "steps: [{at: 5, add_faults: {arears: true}}]").unwrap();
    // A command that took the file would find its address taken, and end with another status.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = |path: &Path| {
        Command::new(env!("CARGO_BIN_EXE_obs-sim"))
            .args([
                "ecs",
                "--project-id",
                "p",
                "--access-key",
                "a",
                "--secret-key",
                "s",
            ])
            .args(["--listen", &address, "--scenario"])
            .arg(path)
            .output()
            .unwrap()
    };
    let output = run(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("steps[0]") && text.contains("`arears`"),
        "{text}"
    );
    assert_eq!(run(&path).status.code(), Some(2), "no such file");
}
