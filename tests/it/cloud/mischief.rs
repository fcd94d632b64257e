//! Faults by name: each that the simulators have can be drawn, with a value that hurts.

use super::farm::{ACCESS_KEY, FLAVORS, SUBNET};
use super::random::Random;
use obs_sim::ecs::{Faults, Operation};
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

/// An error of each class, and one that nobody knows (huawei-ecs reference §5).
const CODES: [&str; 12] = [
    "Ecs.0319",
    "Ecs.0001",
    "Ecs.0067",
    "Ecs.0110",
    "Ecs.0005",
    "Ecs.0605",
    "Ecs.0114",
    "Common.0011",
    "Common.0001",
    "Ecs.0603",
    "APIGW.0308",
    "Ecs.9999",
];
/// How the creation of one server may fail; the last leave something behind by themselves.
const PARTS: [&str; 9] = [
    "Ecs.0219", "Ecs.0001", "Ecs.0067", "Ecs.1000", "Ecs.9999", "Ecs.0401", "Ecs.0402", "Ecs.0403",
    "Ecs.0405",
];
/// What any of them may leave besides.
const LEFT: [&str; 5] = ["", "error_server", "system_disk", "data_disks", "port"];
const SPOILT: [&str; 7] = [
    "drop",
    "server_error",
    "busy",
    "garbage",
    "empty",
    "html",
    "truncated",
];
const ZONE_WORDS: [&str; 4] = ["abandon", "sellout", "obt_sellout", "promotion"];

/// Any call that the cloud has, by its name.
fn call(random: &mut Random) -> String {
    let operation = random.one(&Operation::ALL).unwrap();
    let name = serde_json::to_value(operation).unwrap();
    name.as_str().unwrap().to_owned()
}

/// A value of this fault that hurts.
pub(super) fn value(name: &str, random: &mut Random) -> Value {
    let times = 1 + random.below(4);
    let word =
        |random: &mut Random, of: &[&str]| random.one(of).copied().unwrap_or_default().to_owned();
    match name {
        // of the cloud's time
        "address_delay_seconds" | "ghost_seconds" | "job_shows_late_seconds" => {
            json!(1 + random.below(300))
        }
        // true seconds: around what the program waits for an answer
        "create_answer_delay_seconds" => json!((1 + random.below(15)) as f64 / 10.0),
        "delay_seconds" => json!({call(random): (1 + random.below(15)) as f64 / 10.0}),
        "list_truncate_bytes" => json!(1 + random.below(3000)),
        "list_omits" => json!([{"times": times}]),
        "hidden_shortage" | "sold_out" => json!(random.some(&stock())),
        "stock" => json!({word(random, &FLAVORS) + "@cn-north-4a": random.below(3)}),
        "zone_status" => {
            json!({word(random, &FLAVORS) + "@cn-north-4a": word(random, &ZONE_WORDS)})
        }
        "hang" => json!([call(random)]),
        "forbidden" => json!([call(random)]),
        "refuse" => {
            let (operation, code) = (call(random), word(random, &CODES));
            json!([{"operation": operation, "code": code, "times": times}])
        }
        "spoil" => {
            let (operation, how) = (call(random), word(random, &SPOILT));
            json!([{"operation": operation, "how": how, "times": times}])
        }
        "fail_subs" => {
            let left = word(random, &LEFT);
            let leaves: Vec<String> = Some(left)
                .into_iter()
                .filter(|left| !left.is_empty())
                .collect();
            json!([{"code": word(random, &PARTS), "leaves": leaves, "times": times}])
        }
        "quota_instances" => json!(1 + random.below(20)),
        "quota_cores" => json!(32 * (1 + random.below(12))),
        "reads_per_second" => json!(1 + random.below(10)),
        "writes_per_minute" => json!(1 + random.below(10)),
        "disabled_keys" => json!([ACCESS_KEY]),
        "missing" => json!([SUBNET]),
        "token_life_seconds" | "agency_life_seconds" => json!(1),
        _ => match none().get(name) {
            Some(Value::Bool(false)) => json!(true),
            Some(Value::Number(_)) => json!(times),
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
