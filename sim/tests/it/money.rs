use jiff::SignedDuration;
use serde_json::{Value, json};

use super::client::{Client, cloud_with, order};

async fn cloud() -> (obs_sim::ecs::Running, Client) {
    cloud_with(|options| options.speed = 1.0).await
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

fn second(text: &Value) -> i64 {
    text.as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_second()
}

#[tokio::test]
async fn who_knows_the_created_and_the_end_time_knows_the_bill_to_the_cent() {
    let (cloud, client) = cloud().await;
    let disks = json!({"data_volumes": [{"volumetype": "SSD", "size": 100}]});
    client.create(&order(3, disks), None).await;
    cloud.advance(minutes(10));
    let list = client.get("cloudservers/detail").await.json()["servers"].clone();
    let mut numerator = 0;
    for (index, server) in list.as_array().unwrap().iter().enumerate() {
        cloud.advance(minutes(7));
        let call = json!({"servers": [{"id": server["id"]}], "delete_volume": index > 0});
        let job = client.post("cloudservers/delete", &call).await.json();
        cloud.advance(minutes(2));
        let job = client
            .get(&format!("jobs/{}", job["job_id"].as_str().unwrap()))
            .await
            .json();
        let sub = &job["entities"]["sub_jobs"][0];
        let seconds = second(&sub["end_time"]) - second(&server["created"]);
        // 4.2 for the server and 0.001 for each of 140 GB, an hour, in millionths.
        numerator += seconds * (4_200_000 + 140_000);
    }
    let ledger = cloud.ledger();
    let kept = ledger
        .servers
        .iter()
        .flat_map(|s| &s.volumes)
        .find(|v| v.deleted_at.is_none());
    let (kept, gone) = (kept.unwrap(), ledger.servers[2].deleted_at.unwrap());
    // The disk that was kept has billed since its server was gone.
    numerator += (kept.billed_seconds - (gone.as_second() - kept.created_at.as_second())) * 100_000;
    assert_eq!(ledger.totals.cost_micro, (numerator + 1800) / 3600);
    let cents = (numerator + 18_000_000) / 36_000_000;
    assert_eq!(
        format!("{:.2}", ledger.totals.cost),
        format!("{}.{:02}", cents / 100, cents % 100)
    );
    cloud.advance(minutes(60));
    let later = cloud.ledger().totals.cost_micro - ledger.totals.cost_micro;
    assert!(
        (100_000..100_200).contains(&later),
        "{later}: the kept disk only"
    );
}

#[tokio::test]
async fn a_stopped_server_costs_its_disks_and_one_with_local_disks_everything() {
    for (flavor, per_hour) in [("c7.8xlarge.4", 40_000), ("ki1.8xlarge.4", 4_240_000)] {
        let (cloud, client) = cloud().await;
        client
            .create(&order(1, json!({"flavorRef": flavor})), None)
            .await;
        cloud.advance(minutes(5));
        client
            .control("POST", "/_sim/servers/bw/stop", &json!({}))
            .await;
        let before = cloud.ledger().totals.cost_micro;
        cloud.advance(minutes(60));
        let paid = cloud.ledger().totals.cost_micro - before;
        assert!(
            (per_hour..per_hour + 7000).contains(&paid),
            "{flavor}: {paid}"
        );
    }
}

#[tokio::test]
async fn what_is_due_happens_at_its_own_moment_when_the_clock_is_set_ahead() {
    let (cloud, client) = cloud().await;
    let answer = client
        .create(&order(1, json!({})), None)
        .await
        .unwrap()
        .json();
    let set = json!({"advance_seconds": 86_400});
    let clock = client.control("POST", "/_sim/clock", &set).await.json();
    assert_eq!(clock["ahead_seconds"], 86_400.0);
    let job = client
        .get(&format!("jobs/{}", answer["job_id"].as_str().unwrap()))
        .await
        .json();
    let took = second(&job["end_time"]) - second(&job["begin_time"]);
    assert!((39..=61).contains(&took), "{took}");
    assert_eq!(cloud.ledger().servers[0].billed_seconds / 3600, 23);
    for wrong in [json!({"advance_seconds": -1}), json!({})] {
        assert_eq!(
            client.control("POST", "/_sim/clock", &wrong).await.status,
            400
        );
    }
}

#[tokio::test]
async fn the_end_of_a_server_can_be_moved_and_called_off() {
    let (cloud, client) = cloud().await;
    client.create(&order(2, json!({})), None).await;
    cloud.advance(minutes(5));
    let list = client.get("cloudservers/detail").await.json()["servers"].clone();
    let ask = async |index: usize, text: &str| {
        let id = list[index]["id"].as_str().unwrap();
        let path = format!("cloudservers/{id}/actions/update-auto-terminate-time");
        client
            .post(&path, &json!({"auto_terminate_time": text}))
            .await
            .status
    };
    let ahead = |n| {
        (cloud.ledger().servers[0].created_at + minutes(n))
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    };
    assert_eq!(ask(0, &ahead(10)).await, 400, "less than half an hour");
    assert_eq!(
        (ask(0, &ahead(60)).await, ask(1, &ahead(60)).await),
        (204, 204)
    );
    assert_eq!(ask(1, "").await, 204, "called off");
    cloud.advance(minutes(70));
    assert_eq!(cloud.ledger().totals.alive_now, 1);
}
