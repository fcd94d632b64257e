use jiff::SignedDuration;
use obs_sim::ecs::Running;
use serde_json::{Value, json};

use super::client::{Client, PROJECT, cloud, cloud_with, order};

async fn put(client: &Client, faults: Value) {
    let reply = client.control("PUT", "/_sim/faults", &faults).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// Orders, and says how the sub jobs ended.
async fn codes(client: &Client, count: u32, changes: Value) -> Vec<Value> {
    let answer = client.create(&order(count, changes), None).await.unwrap();
    let job = answer.json()["job_id"].as_str().unwrap().to_owned();
    let job = client.job_end(&job).await;
    let subs = job["entities"]["sub_jobs"].as_array().unwrap().iter();
    subs.map(|sub| sub["error_code"].clone()).collect()
}

async fn listed(client: &Client) -> Value {
    client.get("cloudservers/detail").await.json()["count"].clone()
}

#[tokio::test]
async fn a_part_of_an_order_fails_with_the_given_code_and_the_rest_works() {
    let (cloud, client) = cloud().await;
    for code in [
        "Ecs.0219", "Ecs.0001", "Ecs.0013", "Ecs.0021", "Ecs.0044", "Ecs.0202",
    ] {
        put(
            &client,
            json!({"fail_subs": [{"sub": 2, "code": code, "times": 1}]}),
        )
        .await;
        let found = codes(&client, 3, json!({})).await;
        assert_eq!(found, [json!(null), json!(code), json!(null)]);
    }
    let ledger = cloud.ledger();
    assert_eq!((ledger.totals.alive_now, ledger.never_built.len()), (12, 6));
    assert_eq!(ledger.totals.orphan_volumes, 0);
}

#[tokio::test]
async fn a_failed_rollback_leaves_what_its_code_names_and_it_bills_on() {
    let (cloud, client) = cloud_with(|o| o.speed = 1000.0).await;
    let disks = json!({"data_volumes": [{"volumetype": "SSD", "size": 100}]});
    for (code, volumes, ports, errors) in [
        ("Ecs.0401", 0, 1, 0),
        ("Ecs.0402", 1, 1, 0),
        ("Ecs.0403", 1, 2, 1),
        ("Ecs.0405", 2, 2, 1),
    ] {
        put(&client, json!({"fail_subs": [{"code": code, "times": 1}]})).await;
        assert_eq!(codes(&client, 1, disks.clone()).await, [json!(code)]);
        let ledger = cloud.ledger();
        assert_eq!(ledger.leaked_volumes.len(), volumes, "{code}");
        let found = client.get("ports").await.json()["ports"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(found, ports, "{code}");
        let list = client.get("cloudservers/detail?status=ERROR").await.json();
        assert_eq!(list["count"], errors, "{code}");
    }
    let before = cloud.ledger().totals;
    assert_eq!(before.orphan_volumes, 2);
    cloud.advance(SignedDuration::from_secs(3600));
    let paid = cloud.ledger().totals.cost_micro - before.cost_micro;
    // A server in ERROR with its 40 and 100 GB, and a leaked system disk and data disk of the same sizes.
    assert!((4_480_000..4_490_000).contains(&paid), "{paid}");
    let orphan = cloud.ledger().never_built.remove(0);
    let found = client
        .get(&format!("ports?device_id={orphan}"))
        .await
        .json();
    let port = found["ports"][0]["id"].as_str().unwrap();
    let path = format!("/v1/{PROJECT}/ports/{port}");
    let freed = client.send("DELETE", &path, &[], "").await.unwrap();
    assert_eq!(freed.status, 204);
}

#[tokio::test]
async fn two_quick_orders_are_both_accepted_and_what_is_too_much_fails_in_the_job() {
    let (_cloud, client) = cloud().await;
    put(&client, json!({"quota_instances": 3})).await;
    let body = order(2, json!({}));
    let (first, second) = tokio::join!(client.create(&body, None), client.create(&body, None));
    let mut found = Vec::new();
    for answer in [first.unwrap(), second.unwrap()] {
        assert_eq!(answer.status, 200);
        let job = client
            .job_end(answer.json()["job_id"].as_str().unwrap())
            .await;
        found.extend(job["entities"]["sub_jobs"].as_array().unwrap().clone());
    }
    let failed: Vec<&Value> = found.iter().filter(|sub| sub["status"] == "FAIL").collect();
    assert_eq!(
        (failed.len(), &failed[0]["error_code"]),
        (1, &json!("Ecs.0001"))
    );
}

#[tokio::test]
async fn a_stock_is_counted_down_and_then_shown_as_sold_out() {
    let (_cloud, client) = cloud().await;
    put(
        &client,
        json!({"stock": {"ki1.8xlarge.4@cn-north-4a": 1},
        "zone_status": {"ki1.8xlarge.4@cn-north-4b": "abandon"}}),
    )
    .await;
    let zone = json!({"availability_zone": "cn-north-4a"});
    assert_eq!(
        codes(&client, 2, zone.clone()).await,
        [json!(null), json!("Ecs.0219")]
    );
    let flavors = client
        .get("cloudservers/flavors?flavor_id=ki1.8xlarge.4")
        .await
        .json();
    let word = &flavors["flavors"][0]["os_extra_specs"]["cond:operation:az"];
    assert_eq!(word, "cn-north-4a(sellout), cn-north-4b(abandon)");
    let refused = client.create(&order(1, zone), None).await.unwrap();
    assert_eq!(refused.refusal(), (400, "Ecs.0018".into()), "in no zone");
}

async fn one_server() -> (Running, Client, String) {
    let (cloud, client) = cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    (cloud, client, id)
}

#[tokio::test]
async fn a_deletion_can_fail_or_never_be_done_and_a_second_one_works() {
    let (cloud, client, id) = one_server().await;
    put(&client, json!({"fail_next_deletes": 1})).await;
    let job = client.delete(&id).await;
    assert_eq!(job["entities"]["sub_jobs"][0]["error_code"], "Ecs.0501");
    put(&client, json!({"stall_next_deletes": 1})).await;
    let call = json!({"servers": [{"id": id}]});
    let job = client.post("cloudservers/delete", &call).await.json();
    cloud.advance(SignedDuration::from_secs(86_400));
    let job = client
        .get(&format!("jobs/{}", job["job_id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(
        (&job["status"], &job["end_time"]),
        (&json!("RUNNING"), &json!(""))
    );
    assert_eq!(cloud.ledger().totals.alive_now, 1);
    assert_eq!(client.delete(&id).await["status"], "SUCCESS");
}

#[tokio::test]
async fn a_deleted_server_haunts_the_list_and_bills_no_more() {
    let (cloud, client, id) = one_server().await;
    put(&client, json!({"ghost_seconds": 600})).await;
    let job = client.delete(&id).await;
    assert_eq!(listed(&client).await, 1);
    let ledger = cloud.ledger();
    let gone = ledger.servers[0].deleted_at.unwrap();
    let end = &job["entities"]["sub_jobs"][0]["end_time"];
    assert_eq!(
        &json!(gone.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()),
        end
    );
    cloud.advance(SignedDuration::from_secs(599));
    assert_eq!(listed(&client).await, 1);
    assert_eq!(cloud.ledger().totals.cost_micro, ledger.totals.cost_micro);
    cloud.advance(SignedDuration::from_secs(1));
    assert_eq!(listed(&client).await, 0);
}

#[tokio::test]
async fn a_list_lacks_a_server_once() {
    let (_cloud, client, id) = one_server().await;
    put(&client, json!({"list_omits": [{"server": id, "times": 1}]})).await;
    assert_eq!(listed(&client).await, 0);
    assert_eq!(client.get(&format!("cloudservers/{id}")).await.status, 200);
    assert_eq!(listed(&client).await, 1);
}

#[tokio::test]
async fn jobs_and_answers_are_as_odd_as_the_real_ones() {
    let (cloud, client) = cloud().await;
    put(
        &client,
        json!({"create_without_ids": true, "job_shows_late_seconds": 600}),
    )
    .await;
    let answer = client
        .create(&order(1, json!({})), None)
        .await
        .unwrap()
        .json();
    assert!(answer.get("serverIds").is_none());
    let path = format!("jobs/{}", answer["job_id"].as_str().unwrap());
    let job = client.get(&path).await.json();
    assert_eq!(
        (&job["status"], &job["entities"]),
        (&json!("RUNNING"), &json!({}))
    );
    cloud.advance(SignedDuration::from_secs(600));
    put(&client, json!({"job_entities_array": true})).await;
    let job = client.get(&path).await.json();
    assert_eq!(job["status"], "SUCCESS");
    assert!(job["entities"]["sub_jobs"][0]["entities"][0]["server_id"].is_string());
    put(
        &client,
        json!({"refuse": [{"operation": "job", "code": "Common.0011"}]}),
    )
    .await;
    assert_eq!(
        client.get(&path).await.refusal(),
        (400, "Common.0011".into())
    );
}

#[tokio::test]
async fn a_spot_server_is_taken_back_after_five_minutes_and_refuses_deletes_until_then() {
    let (cloud, client) = cloud_with(|o| o.speed = 1.0).await;
    let spot = json!({"extendparam": {"chargingMode": 0, "marketType": "spot"}});
    client.create(&order(1, spot), None).await;
    cloud.advance(SignedDuration::from_secs(60));
    let server = client.get("cloudservers/detail").await.json()["servers"][0].clone();
    assert_eq!(server["metadata"]["charging_mode"], "2");
    client
        .control("POST", "/_sim/servers/bw/reclaim", &json!({}))
        .await;
    let delete = json!({"servers": [{"id": server["id"]}]});
    let refused = client.post("cloudservers/delete", &delete).await;
    assert_eq!(refused.refusal(), (400, "Ecs.0100".into()));
    cloud.advance(SignedDuration::from_secs(290));
    assert_eq!(cloud.ledger().totals.alive_now, 1);
    assert!(cloud.ledger().servers[0].cost_micro > 0);
    cloud.advance(SignedDuration::from_secs(60));
    assert_eq!(cloud.ledger().totals.alive_now, 0);
    assert_eq!(cloud.ledger().servers[0].cost_micro, 0, "in its first hour");
}
