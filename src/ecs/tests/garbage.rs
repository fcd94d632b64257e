//! Any text may be garbage.

use super::*;
use crate::cloud::{Gone, LeftVolume, Leftovers};
use crate::model::{FlavorName, HostName};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Answers that are well, of every call.
fn well() -> Value {
    let record: Value = serde_json::from_str(&server(ID)).unwrap();
    json!({
        "count": 1, "servers": [record], "server": record,
        "flavors": [{"id": "f", "vcpus": "2", "ram": 4096, "os_extra_specs":
            {"cond:operation:az": "a(normal), b(sellout)"}}],
        "absolute": {"maxTotalInstances": 9, "totalInstancesUsed": 1, "maxTotalCores": -1,
            "totalCoresUsed": 2, "maxTotalRAMSize": -1, "totalRAMUsed": 4096},
        "currency": "CNY", "product_rating_results": [{"id": "0", "amount": 1.5}],
        "status": "SUCCESS", "job_id": "ff80", "serverIds": [ID], "entities": {"sub_jobs": [
            {"status": "SUCCESS", "end_time": "2026-01-22T10:16:20.006Z", "entities": {"server_id": ID}}]},
        "volumes": [], "ports": [], "images": [{"id": "i", "name": "n", "status": "active", "min_disk": 1}],
    })
}

fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[], {"id": ""}, null, -1])),
        Just(json!({"code": "Ecs.0219", "message": "No valid host"})),
    ]
}

/// Puts junk in the place of one value of the document, wherever it is.
fn spoil(value: &mut Value, place: &mut usize, junk: &Value) {
    if *place == 0 {
        *value = junk.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, place, junk)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|item| spoil(item, place, junk)),
        _ => {}
    }
}

fn body() -> impl Strategy<Value = String> {
    let spoilt = (0..70_usize, junk(), 0..3_u8).prop_map(|(mut place, junk, cut)| {
        let mut document = well();
        spoil(&mut document, &mut place, &junk);
        let text = document.to_string();
        let end = text.char_indices().nth(text.chars().count() / 2);
        match (cut, end) {
            (0, Some((end, _))) => text.get(..end).unwrap_or_default().to_owned(),
            _ => text,
        }
    });
    prop_oneof![8 => spoilt, 1 => ".{0,40}", 1 => junk().prop_map(|junk| junk.to_string())]
}

async fn every_call(cloud: &Cloud) {
    let (id, flavor) = (ServerId::new(ID), FlavorName::new("f"));
    let gone = Gone {
        server: id.clone(),
        name: Some(HostName::new("w")),
    };
    let request = request::write(&order(1), &pool(), &config(""), "me", "").unwrap();
    // A client of its own for each: a refusal or a pause of one must not keep the next from its answer.
    let _ = cloud.client().create(&request).await;
    let _ = cloud.client().job("ff80").await;
    let _ = cloud.client().show(&id).await;
    let _ = cloud.client().find(&["10.0.0.1".parse().unwrap()]).await;
    let _ = cloud.client().delete(std::slice::from_ref(&id)).await;
    let _ = cloud.client().leftovers(&gone).await;
    let _ = cloud.client().image("i").await;
    let _ = cloud.client().vpc_of_subnet("s").await;
    let _ = cloud.client().key_pair("k").await;
    if let Ok(quota) = cloud.client().quota().await {
        assert!(quota.instances.used != 0 || quota.instances.max.is_some());
    }
    if let Ok(list) = cloud.client().price(std::slice::from_ref(&flavor)).await {
        assert!(!list.currency.is_empty() && list.flavors.contains_key(&flavor));
    }
    if let Ok(stock) = cloud.client().stock().await {
        assert!(stock.flavors.values().all(|offer| offer.vcpus.0 > 0));
    }
}

/// The calls of whose success nothing is read.
async fn bare_calls(cloud: &Cloud) -> Vec<Result<(), EcsError>> {
    let id = ServerId::new(ID);
    let volume = LeftVolume {
        id: ID.to_owned(),
        name: "w-volume-0000".to_owned(),
        gib: 40,
        created: "2026-01-22T10:15:30Z".parse().unwrap(),
    };
    let volumes = Leftovers {
        volumes: vec![volume],
        ports: Vec::new(),
    };
    let ports = Leftovers {
        ports: vec![ID.to_owned()],
        ..Leftovers::default()
    };
    vec![
        cloud.client().tag(&id, &[("key", "value")]).await,
        cloud.client().untag(&id, &["key"]).await,
        cloud.client().clear(&volumes).await,
        cloud.client().clear(&ports).await,
        cloud.client().terminate_at(&id, None).await,
    ]
}

#[tokio::test]
async fn garbage_in_the_place_of_a_success_of_which_nothing_is_read_is_no_success() {
    for well in ["", " \r\n", "{}", r#"{"job_id":"ff80"}"#] {
        let cloud = Cloud::start(vec![answer(200, well)]).await;
        for result in bare_calls(&cloud).await {
            assert!(result.is_ok(), "{well:?}: {result:?}");
        }
    }
    for garbage in [
        "<html>sign in</html>",
        "{",
        "[]",
        "null",
        "\"done\"",
        r#"{"error_code":null}"#,
        r#"{"error":null}"#,
    ] {
        let cloud = Cloud::start(vec![answer(200, garbage)]).await;
        for result in bare_calls(&cloud).await {
            let error = result.unwrap_err();
            assert!(
                matches!(error, EcsError::Garbled { .. }),
                "{garbage}: {error}"
            );
            assert!(!error.outcome_known(), "{garbage}");
        }
    }
}

fn is_ours(record: &Value) -> bool {
    let tags = record["tags"].as_array();
    tags.is_some_and(|tags| tags.contains(&json!("obs-scaler-owner=me")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_an_error_and_never_a_list(status in prop_oneof![6 => Just(200_u16), 1 => Just(202), 1 => Just(404), 1 => Just(500)], text in body()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cloud = Cloud::start(vec![answer(status, &text)]).await;
            every_call(&cloud).await;
            if let Ok(fleet) = cloud.client().list().await {
                let document: Value = serde_json::from_str(&text).unwrap();
                let servers = document["servers"].as_array().unwrap();
                let ours = servers.iter().filter(|record| is_ours(record)).count();
                assert_eq!(fleet.servers.len(), ours, "{text}");
                assert!(fleet.servers.values().all(|s| !s.id.as_str().is_empty() && s.vcpus.0 > 0));
            }
        });
    }
}
