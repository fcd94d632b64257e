use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::client::{Client, PROJECT, Reply, cloud, order};

async fn put(client: &Client, faults: Value) {
    let reply = client.control("PUT", "/_sim/faults", &faults).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

async fn create(client: &Client) -> Reply {
    client.create(&order(1, json!({})), None).await.unwrap()
}

#[tokio::test]
async fn any_error_refuses_the_next_calls_of_an_operation_without_effect() {
    let (cloud, client) = cloud().await;
    for (code, status) in [
        ("Common.0024", 202),
        ("Common.1503", 503),
        ("Ecs.0603", 501),
        ("Ecs.0070", 403),
        ("Ecs.0021", 400),
    ] {
        put(
            &client,
            json!({"refuse": [{"operation": "create", "code": code, "times": 2}]}),
        )
        .await;
        for _ in 0..2 {
            assert_eq!(create(&client).await.refusal(), (status, code.into()));
        }
        assert_eq!(
            client.get("cloudservers/detail").await.status,
            200,
            "other operations go on"
        );
    }
    put(
        &client,
        json!({"refuse": [{"operation": "job", "code": "Ecs.9999", "status": 418}]}),
    )
    .await;
    assert_eq!(
        client.get("jobs/x").await.refusal(),
        (418, "Ecs.9999".into())
    );
    assert!(cloud.ledger().create_calls.is_empty());
    assert_eq!(create(&client).await.status, 200);
}

#[tokio::test]
async fn arrears_and_missing_rights_stand_until_they_are_cleared() {
    let (cloud, client) = cloud().await;
    put(
        &client,
        json!({"arrears": true, "forbidden": ["tags", "list"]}),
    )
    .await;
    for _ in 0..3 {
        assert_eq!(create(&client).await.refusal(), (403, "Ecs.0067".into()));
        let list = client.get("cloudservers/detail").await;
        assert_eq!(list.refusal(), (403, "Ecs.0110".into()));
    }
    assert!(cloud.ledger().create_calls.is_empty());
    put(&client, json!({})).await;
    assert_eq!(create(&client).await.status, 200);
    assert_eq!(client.get("cloudservers/detail").await.status, 200);
}

#[tokio::test]
async fn too_many_calls_are_refused_and_count_all_the_same() {
    let (cloud, client) = cloud().await;
    put(&client, json!({"writes_per_minute": 2})).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(create(&client).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(
        client.get("cloudservers/detail").await.status,
        200,
        "reading is counted apart"
    );
    cloud.advance(SignedDuration::from_secs(61));
    assert_eq!(create(&client).await.status, 200);
    put(&client, json!({"reads_per_second": 0})).await;
    let reply = client.get("cloudservers/detail").await;
    assert_eq!(
        (reply.status, &reply.json()["error_code"]),
        (429, &json!("APIGW.0308"))
    );
    assert_eq!(cloud.ledger().create_calls.len(), 3);
}

#[tokio::test]
async fn any_answer_can_be_spoilt_after_the_effect() {
    let (_cloud, client) = cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let tags = format!("/v1/{PROJECT}/cloudservers/{id}/tags/action");
    for (how, status) in [
        ("drop", None),
        ("server_error", Some(500)),
        ("busy", Some(202)),
        ("garbage", Some(200)),
        ("empty", Some(200)),
        ("html", Some(502)),
    ] {
        put(
            &client,
            json!({"spoil": [{"operation": "tags", "how": how, "times": 1}]}),
        )
        .await;
        let change = json!({"action": "create", "tags": [{"key": "how", "value": how}]});
        let reply = client.send("POST", &tags, &[], &change.to_string()).await;
        assert_eq!(reply.as_ref().map(|reply| reply.status), status, "{how}");
        let parsed = reply.and_then(|r| serde_json::from_str::<Value>(&r.text).ok());
        let code = parsed.map(|json| json["error"]["code"].clone());
        let expected = match how {
            "server_error" => Some(json!("Common.0001")),
            "busy" => Some(json!("Common.0024")),
            _ => None,
        };
        assert_eq!(code, expected, "{how}");
        let server = client.get(&format!("cloudservers/{id}")).await.json();
        let tag = json!(format!("how={how}"));
        assert!(
            server["server"]["tags"].as_array().unwrap().contains(&tag),
            "{how}"
        );
    }
    put(
        &client,
        json!({"spoil": [{"operation": "show", "how": "truncated"}]}),
    )
    .await;
    let half = client.get(&format!("cloudservers/{id}")).await;
    assert!(half.status == 200 && serde_json::from_str::<Value>(&half.text).is_err());
}

#[tokio::test]
async fn an_answer_of_any_operation_can_be_late() {
    let (_cloud, client) = cloud().await;
    put(&client, json!({"delay_seconds": {"limits": 0.5}})).await;
    let start = Instant::now();
    client.get("cloudservers/detail").await;
    assert!(start.elapsed() < Duration::from_millis(400));
    client.get("cloudservers/limits").await;
    assert!(start.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn somebody_else_stops_reboots_locks_and_freezes_servers() {
    let (cloud, client) = cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let lay = async |hand: &str| {
        let path = format!("/_sim/servers/b*/{hand}");
        client.control("POST", &path, &json!({})).await.status
    };
    let show = async || client.get(&format!("cloudservers/{id}")).await.json()["server"].clone();
    let power = async || {
        let call = json!({"os-stop": {"servers": [{"id": id}]}});
        client.post("cloudservers/action", &call).await.refusal()
    };
    assert_eq!(lay("stop").await, 200);
    assert_eq!(show().await["status"], "SHUTOFF");
    assert_eq!(lay("stop").await, 400, "it is off already");
    assert_eq!(lay("start").await, 200);
    assert_eq!(lay("reboot").await, 200);
    assert_eq!(show().await["status"], "REBOOT");
    let active = client.get("cloudservers/detail?status=ACTIVE").await.json();
    assert_eq!(active["count"], 1, "the filter is wider than its word");
    cloud.advance(SignedDuration::from_secs(20));
    assert_eq!(show().await["status"], "ACTIVE");
    assert_eq!(lay("lock").await, 200);
    assert_eq!(show().await["locked"], true);
    assert_eq!(power().await, (400, "Ecs.0605".into()));
    let delete = json!({"servers": [{"id": id}]});
    let refused = client.post("cloudservers/delete", &delete).await;
    assert_eq!(refused.refusal(), (400, "Ecs.0605".into()));
    assert_eq!((lay("unlock").await, lay("freeze").await), (200, 200));
    assert_eq!(show().await["metadata"]["EcmResStatus"], "freeze");
    assert_eq!(power().await, (400, "Ecs.0030".into()));
    assert_eq!(lay("thaw").await, 200);
    assert_eq!(client.delete(&id).await["status"], "SUCCESS");
    assert_eq!(lay("nonsense").await, 400);
    assert_eq!(lay("stop").await, 404);
}
