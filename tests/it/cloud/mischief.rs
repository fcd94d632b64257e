//! Faults by name: each that the simulators have can be drawn, with a value that hurts.

use super::farm::FLAVORS;
use super::random::Random;
use obs_sim::ecs::Faults;
use serde_json::{Map, Value, json};

/// What the routes of the simulated OBS can be told (`sim/README.md`).
const ROUTES: [&str; 4] = ["workerstatus", "result", "jobhistory", "all"];
const BACKEND_FAULTS: [&str; 7] = ["hang", "cut", "error", "garbage", "empty", "frozen", "slow"];

/// No fault at all: every name with the value by which nothing goes wrong.
pub(super) fn none() -> Map<String, Value> {
    match serde_json::to_value(Faults::default()) {
        Ok(Value::Object(faults)) => faults,
        other => panic!("faults are no object: {other:?}"),
    }
}

/// The set as the simulator takes it.
pub(super) fn set_of(faults: &Map<String, Value>) -> Faults {
    serde_json::from_value(Value::Object(faults.clone())).unwrap()
}

/// A value of this fault that hurts.
pub(super) fn value(name: &str, random: &mut Random) -> Value {
    let mut soon = |most| json!(1 + random.below(most));
    match name {
        // of the cloud's time
        "address_delay_seconds" => soon(300),
        // true seconds: around what the program waits for an answer
        "create_answer_delay_seconds" => json!(soon(15).as_f64().unwrap_or_default() / 10.0),
        "list_truncate_bytes" => soon(3000),
        "hidden_shortage" => json!(random.some(&FLAVORS)),
        "sold_out" => json!(random.some(&stock())),
        "hang" => json!(random.some(&["create", "list", "delete", "job"])),
        _ => match none().get(name) {
            Some(Value::Bool(false)) => json!(true),
            Some(Value::Number(_)) => soon(5),
            other => panic!("teach the walk what hurts as {name}, which is {other:?} at first"),
        },
    }
}

/// Flavors, and flavors in a zone.
fn stock() -> Vec<String> {
    let zones = ["", "@cn-north-4a", "@cn-north-4b"];
    let of = |flavor: &&str| zones.map(|zone| format!("{flavor}{zone}"));
    FLAVORS.iter().flat_map(of).collect()
}

/// A fault of one route of the simulated OBS.
pub(super) fn of_backend(random: &mut Random) -> Value {
    let route = random.one(&ROUTES).copied().unwrap_or_default();
    let fault = random.one(&BACKEND_FAULTS).copied().unwrap_or_default();
    json!({"routes": {route: fault}})
}

#[test]
fn every_fault_of_the_simulated_cloud_can_be_drawn() {
    let mut random = Random::new(1);
    for name in none().keys() {
        let mut faults = none();
        faults.insert(name.clone(), value(name, &mut random));
        assert_ne!(set_of(&faults), Faults::default(), "{name}");
    }
}
