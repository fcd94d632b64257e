use serde_json::{Value, json};

use super::client::{Client, PROJECT, TOKEN, cloud, order, slow_cloud};

#[tokio::test]
async fn same_client_token_buys_once() {
    let (cloud, client) = cloud().await;
    let body = order(2, json!({}));
    let first = client.create(&body, Some(TOKEN)).await.unwrap();
    let again = client.create(&body, Some(TOKEN)).await.unwrap();
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.json(), again.json());
    client
        .job_end(first.json()["job_id"].as_str().unwrap())
        .await;
    let ledger = cloud.ledger();
    assert_eq!(ledger.totals.servers_created, 2);
    assert_eq!(ledger.create_calls.len(), 1);
    assert_eq!(ledger.create_calls[0].client_token.as_deref(), Some(TOKEN));
}

#[tokio::test]
async fn a_client_token_is_bound_to_its_parameters() {
    let (cloud, client) = cloud().await;
    client.create(&order(1, json!({})), Some(TOKEN)).await;
    let changed = client
        .create(&order(2, json!({})), Some(TOKEN))
        .await
        .unwrap();
    assert_eq!(changed.refusal(), (400, "Ecs.0122".into()));
    let odd = client
        .create(&order(1, json!({})), Some("mine"))
        .await
        .unwrap();
    assert_eq!(odd.refusal(), (400, "Ecs.0123".into()));
    assert_eq!(cloud.ledger().create_calls.len(), 1);
}

#[tokio::test]
async fn ids_are_known_before_the_servers_are() {
    let (_cloud, client) = slow_cloud().await;
    let answer = client
        .create(&order(1, json!({})), None)
        .await
        .unwrap()
        .json();
    let path = format!("cloudservers/{}", answer["serverIds"][0].as_str().unwrap());
    assert_eq!(client.get(&path).await.refusal(), (404, "Ecs.0114".into()));
    client.job_end(answer["job_id"].as_str().unwrap()).await;
    assert_eq!(client.get(&path).await.json()["server"]["status"], "ACTIVE");
}

#[tokio::test]
async fn a_dry_run_buys_nothing() {
    let (cloud, client) = cloud().await;
    let mut body = order(1, json!({}));
    body["dry_run"] = json!(true);
    assert_eq!(client.create(&body, None).await.unwrap().status, 202);
    body["server"]["flavorRef"] = json!("s6.small.1");
    let refused = client.create(&body, None).await.unwrap();
    assert_eq!(refused.refusal(), (400, "Ecs.0029".into()));
    assert!(cloud.ledger().create_calls.is_empty());
}

#[tokio::test]
async fn a_job_has_one_sub_job_per_server() {
    let (_cloud, client) = slow_cloud().await;
    let answer = client
        .create(&order(3, json!({})), None)
        .await
        .unwrap()
        .json();
    let id = answer["job_id"].as_str().unwrap();
    assert!(id.len() == 32 && id.starts_with("ff8080"));
    let first = client.get(&format!("jobs/{id}")).await.json();
    assert_eq!(
        (&first["status"], &first["end_time"]),
        (&json!("INIT"), &json!(""))
    );
    assert!(first["entities"].get("sub_jobs").is_none());
    let job = client.job_end(id).await;
    assert_eq!(
        (&job["status"], &job["job_type"]),
        (&json!("SUCCESS"), &json!("createServer"))
    );
    assert_eq!(job["entities"]["sub_jobs_total"], 3);
    for (sub, id) in job["entities"]["sub_jobs"]
        .as_array()
        .unwrap()
        .iter()
        .zip(ids(&answer))
    {
        assert_eq!(sub["job_type"], "createSingleServer");
        assert_eq!(sub["entities"]["server_id"], id);
        assert_eq!(sub["error_code"], Value::Null);
    }
    let unknown = client.get("jobs/ff808082000000000000000000000000").await;
    assert_eq!(unknown.refusal(), (400, "Common.0011".into()));
}

fn ids(answer: &Value) -> Vec<Value> {
    answer["serverIds"].as_array().unwrap().clone()
}

#[tokio::test]
async fn names_are_numbered_from_the_highest_there_is() {
    let (cloud, client) = cloud().await;
    client.buy(&order(2, json!({}))).await;
    client.buy(&order(2, json!({}))).await;
    let mut names: Vec<String> = cloud.ledger().servers.into_iter().map(|s| s.name).collect();
    names.sort();
    assert_eq!(names, ["bw-0001", "bw-0002", "bw-0003", "bw-0004"]);
}

#[tokio::test]
async fn who_does_not_sign_right_is_not_let_in() {
    let (_cloud, good) = cloud().await;
    let code = |reply: super::client::Reply| {
        let json = reply.json();
        assert!(json["request_id"].is_string() && json["error_msg"].is_string());
        (
            reply.status,
            json["error_code"].as_str().unwrap().to_owned(),
        )
    };
    for bad in [
        Client {
            ak: "other",
            ..good
        },
        Client {
            sk: "other",
            ..good
        },
    ] {
        let reply = bad.get("cloudservers/limits").await;
        assert_eq!(code(reply), (401, "APIGW.0301".into()));
    }
    let late = Client {
        skew_seconds: -1000,
        ..good
    };
    assert_eq!(
        code(late.get("cloudservers/limits").await),
        (401, "APIGW.0303".into())
    );
    let path = format!("/v1/{PROJECT}/cloudservers/limits");
    let unsigned = good.raw("GET", &path, &[], "").await.unwrap();
    assert_eq!(code(unsigned), (401, "APIGW.0301".into()));
    let nowhere = good.get("nothing/here").await;
    assert_eq!(code(nowhere), (404, "APIGW.0101".into()));
    let reply = good.get("cloudservers/limits").await;
    assert_eq!(reply.status, 200);
    assert!(reply.head.contains("x-request-id: "));
}

#[tokio::test]
async fn another_project_is_refused() {
    let (_cloud, client) = cloud().await;
    let path = "/v1/ffffffffffffffffffffffffffffffff/cloudservers/limits";
    let reply = client.send("GET", path, &[], "").await.unwrap();
    assert_eq!(reply.refusal(), (400, "Ecs.0023".into()));
    let path = format!("/v1/{PROJECT}/cloudservers/limits");
    let reply = client
        .send("GET", &path, &[("x-project-id", "other")], "")
        .await
        .unwrap();
    assert_eq!(reply.refusal(), (400, "Ecs.0023".into()));
}

#[tokio::test]
async fn limits_count_what_is_there() {
    let (_cloud, client) = super::client::cloud_with(|o| o.quota_cores = Some(100)).await;
    client.buy(&order(2, json!({}))).await;
    let limits = client.get("cloudservers/limits").await.json()["absolute"].clone();
    assert_eq!(limits["maxTotalInstances"], -1);
    assert_eq!(limits["maxTotalCores"], 100);
    assert_eq!(limits["totalInstancesUsed"], 2);
    assert_eq!(limits["totalCoresUsed"], 64);
    let more = client.create(&order(2, json!({})), None).await.unwrap();
    assert_eq!(more.refusal(), (400, "Ecs.0001".into()));
}

#[tokio::test]
async fn a_name_may_carry_its_own_numbering() {
    let (cloud, client) = cloud().await;
    client.buy(&order(2, json!({"name": "obs-p-[7,3]"}))).await;
    let mut names: Vec<String> = cloud.ledger().servers.into_iter().map(|s| s.name).collect();
    names.sort();
    assert_eq!(names, ["obs-p-007", "obs-p-008"]);
    let odd = client
        .create(&order(2, json!({"name": "obs-p-[7;3]"})), None)
        .await
        .unwrap();
    assert_eq!(odd.refusal(), (400, "Ecs.0914".into()));
}
