use std::time::{Duration, Instant};

use obs_sim::ecs::Faults;
use serde_json::{Value, json};

use super::client::{Client, TOKEN, cloud, order};

async fn put(client: &Client, faults: Value) {
    let reply = client.control("PUT", "/_sim/faults", &faults).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn an_answer_that_is_lost_or_500_has_bought_all_the_same() {
    for fault in ["drop_create_answer", "create_5xx_after_effect"] {
        let (cloud, client) = cloud().await;
        put(&client, json!({fault: true})).await;
        let lost = client.create(&order(1, json!({})), Some(TOKEN)).await;
        assert!(lost.is_none_or(|reply| reply.status == 500), "{fault}");
        put(&client, json!({})).await;
        let found = client
            .create(&order(1, json!({})), Some(TOKEN))
            .await
            .unwrap()
            .json();
        assert_eq!(cloud.ledger().create_calls.len(), 1, "{fault}");
        assert_eq!(found["job_id"], cloud.ledger().create_calls[0].job_id);
    }
}

#[tokio::test]
async fn a_late_answer_takes_effect_at_once() {
    let (cloud, client) = cloud().await;
    put(&client, json!({"create_answer_delay_seconds": 1.5})).await;
    let start = Instant::now();
    let call = tokio::spawn(async move { client.create(&order(1, json!({})), None).await });
    while cloud.ledger().create_calls.is_empty() {
        assert!(start.elapsed() < Duration::from_millis(1300));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(call.await.unwrap().unwrap().status, 200);
    assert!(start.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn sold_out_is_refused_and_a_hidden_shortage_fails_the_sub_job() {
    let (cloud, client) = cloud().await;
    let zone = json!({"availability_zone": "cn-north-4a"});
    put(&client, json!({"sold_out": ["ki1.8xlarge.4"]})).await;
    let reply = client.create(&order(1, json!({})), None).await.unwrap();
    assert_eq!(reply.refusal(), (400, "Ecs.0018".into()));
    put(&client, json!({"sold_out": ["ki1.8xlarge.4@cn-north-4a"]})).await;
    let reply = client.create(&order(1, zone), None).await.unwrap();
    assert_eq!(reply.refusal(), (400, "Ecs.0319".into()));
    put(&client, json!({"hidden_shortage": ["ki1.8xlarge.4"]})).await;
    let answer = client
        .create(&order(2, json!({})), None)
        .await
        .unwrap()
        .json();
    let job = client.job_end(answer["job_id"].as_str().unwrap()).await;
    assert_eq!(
        (&job["status"], &job["error_code"]),
        (&json!("FAIL"), &json!("Common.0021"))
    );
    assert_eq!(job["entities"]["sub_jobs"][1]["error_code"], "Ecs.0219");
    assert_eq!(cloud.ledger().totals.servers_created, 0);
    assert_eq!(cloud.ledger().never_built.len(), 2);
}

#[tokio::test]
async fn a_failed_build_stays_behind_in_error() {
    let (cloud, client) = cloud().await;
    put(&client, json!({"fail_next_creates": 1})).await;
    let answer = client
        .create(&order(2, json!({})), None)
        .await
        .unwrap()
        .json();
    let job = client.job_end(answer["job_id"].as_str().unwrap()).await;
    assert_eq!(job["status"], "FAIL");
    let list = client.get("cloudservers/detail?status=ERROR").await.json();
    assert_eq!(list["count"], 1);
    assert!(list["servers"][0]["fault"]["message"].is_string());
    assert_eq!(cloud.ledger().totals.alive_now, 2, "one in ERROR bills too");
    let left = client
        .control("GET", "/_sim/faults", &json!({}))
        .await
        .json();
    assert_eq!(left["fail_next_creates"], 0);
}

#[tokio::test]
async fn a_cut_list_is_no_json() {
    let (_cloud, client) = cloud().await;
    client.buy(&order(1, json!({}))).await;
    put(&client, json!({"list_truncate_bytes": 100})).await;
    let reply = client.get("cloudservers/detail").await;
    assert_eq!((reply.status, reply.text.len()), (200, 100));
    assert!(serde_json::from_str::<Value>(&reply.text).is_err());
}

#[tokio::test]
async fn a_call_that_hangs_has_no_effect_and_never_an_answer() {
    let (cloud, client) = cloud().await;
    put(&client, json!({"hang": ["create", "list"]})).await;
    let call = tokio::spawn(async move { client.create(&order(1, json!({})), None).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!call.is_finished());
    assert_eq!(client.get("cloudservers/limits").await.status, 200);
    put(&client, json!({})).await;
    assert!(call.await.unwrap().is_none());
    assert!(cloud.ledger().create_calls.is_empty());
}

#[tokio::test]
async fn throttled_and_refused_calls_have_no_effect() {
    let (cloud, client) = cloud().await;
    put(
        &client,
        json!({"throttle_next": 1, "refuse_next_creates": 1}),
    )
    .await;
    let reply = client
        .create(&order(1, json!({})), Some(TOKEN))
        .await
        .unwrap();
    assert_eq!(
        (reply.status, &reply.json()["error_code"]),
        (429, &json!("APIGW.0308"))
    );
    assert_eq!(
        client
            .create(&order(1, json!({})), Some(TOKEN))
            .await
            .unwrap()
            .status,
        500
    );
    assert!(cloud.ledger().create_calls.is_empty());
    assert_eq!(
        client
            .create(&order(1, json!({})), Some(TOKEN))
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn addresses_can_be_later_than_active() {
    let (_cloud, client) = cloud().await;
    put(&client, json!({"address_delay_seconds": 30})).await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let server = client.get(&format!("cloudservers/{id}")).await.json()["server"].clone();
    assert_eq!(
        (&server["status"], &server["addresses"]),
        (&json!("ACTIVE"), &json!({}))
    );
}

#[tokio::test]
async fn an_unknown_fault_is_refused() {
    let (_cloud, client) = cloud().await;
    let reply = client
        .control("PUT", "/_sim/faults", &json!({"hidden": 1}))
        .await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn a_foreign_server_is_listed_and_not_counted_as_bought() {
    let (cloud, client) = cloud().await;
    let foreign = json!({"name": "web-1", "flavor": "c7.8xlarge.4", "tags": ["team=web"]});
    let reply = client.control("POST", "/_sim/foreign", &foreign).await;
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let server = client.get(&format!("cloudservers/{id}")).await.json()["server"].clone();
    assert_eq!(
        (&server["status"], &server["tags"]),
        (&json!("ACTIVE"), &json!(["team=web"]))
    );
    let ledger = cloud.ledger();
    assert!(ledger.servers[0].foreign);
    assert_eq!(
        (ledger.totals.servers_created, ledger.totals.vcpu_alive_max),
        (0, 0)
    );
}

#[tokio::test]
async fn the_key_is_locked_after_too_many_bad_signatures() {
    let (cloud, good) = super::client::cloud_with(|_| {}).await;
    cloud.set_faults(Faults {
        lock_key: true,
        ..Faults::default()
    });
    let bad = Client {
        sk: "other",
        ..good
    };
    for _ in 0..5 {
        bad.get("cloudservers/limits").await;
    }
    assert_eq!(
        good.get("cloudservers/limits").await.status,
        200,
        "five are forgiven"
    );
    for _ in 0..6 {
        bad.get("cloudservers/limits").await;
    }
    let reply = good.get("cloudservers/limits").await;
    assert_eq!(reply.status, 401);
    assert!(reply.text.contains("AK access failed to reach the limit"));
}
