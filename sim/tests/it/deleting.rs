use serde_json::json;

use super::client::{cloud, order};

#[tokio::test]
async fn a_deleted_server_is_gone_and_cannot_be_deleted_again() {
    let (cloud, client) = cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let job = client.delete(&id).await;
    assert_eq!(job["status"], "SUCCESS");
    assert_eq!(
        job["entities"]["sub_jobs"][0]["entities"]["server_id"],
        json!(id)
    );
    let again = client
        .post("cloudservers/delete", &json!({"servers": [{"id": id}]}))
        .await;
    assert_eq!(again.refusal(), (404, "Ecs.0114".into()));
    client.gone(&id).await;
    let totals = cloud.ledger().totals;
    assert_eq!((totals.alive_now, totals.servers_created), (0, 1));
    assert_eq!(client.get("cloudservers/detail").await.json()["count"], 0);
}

#[tokio::test]
async fn an_empty_or_unreadable_delete_is_refused() {
    let (_cloud, client) = cloud().await;
    for body in [json!({"servers": []}), json!({"server": 1}), json!([])] {
        let reply = client.post("cloudservers/delete", &body).await;
        assert_eq!(reply.refusal(), (400, "Ecs.0005".into()));
        assert_eq!(reply.json()["error"]["message"], "request body is illegal.");
    }
    let reply = client
        .post(
            "cloudservers/delete",
            &json!({"servers": [{"id": "nobody"}]}),
        )
        .await;
    assert_eq!(reply.refusal(), (404, "Ecs.0114".into()));
}

#[tokio::test]
async fn an_address_is_free_again_once_its_server_is_gone() {
    let range = |o: &mut obs_sim::ecs::Options| o.addresses = "10.0.0.1-10.0.0.1".parse().unwrap();
    let (_cloud, client) = super::client::cloud_with(range).await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let answer = client
        .create(&order(1, json!({})), None)
        .await
        .unwrap()
        .json();
    let job = client.job_end(answer["job_id"].as_str().unwrap()).await;
    assert_eq!(job["entities"]["sub_jobs"][0]["error_code"], "Ecs.0012");
    client.delete(&id).await;
    client.gone(&id).await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    assert_eq!(client.get(&format!("cloudservers/{id}")).await.status, 200);
}

#[tokio::test]
async fn power_actions_change_the_state() {
    let (_cloud, client) = cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    for (action, status) in [
        ("os-stop", "SHUTOFF"),
        ("os-start", "ACTIVE"),
        ("reboot", "ACTIVE"),
    ] {
        let mut call = json!({});
        call[action] = json!({"servers": [{"id": id}]});
        if action == "reboot" {
            call[action]["type"] = json!("SOFT");
        }
        let job = client.post("cloudservers/action", &call).await.json();
        client.job_end(job["job_id"].as_str().unwrap()).await;
        let server = client.get(&format!("cloudservers/{id}")).await.json();
        assert_eq!(server["server"]["status"], status, "{action}");
    }
    let running = json!({"os-start": {"servers": [{"id": id}]}});
    let reply = client.post("cloudservers/action", &running).await;
    assert_eq!(reply.refusal(), (400, "Ecs.0100".into()));
}
