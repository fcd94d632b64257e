use jiff::SignedDuration;
use obs_sim::ecs::Faults;
use serde_json::{Value, json};

use super::client::{Client, PROJECT, Reply, VPC, cloud, cloud_with, order};

const SUBNET: &str = "157ee789-03ea-45b1-a698-76c92660dd83";
const IMAGE: &str = "1189efbf-d48b-46ad-a823-94b942e2a000";

async fn send(client: &Client, method: &str, target: &str) -> Reply {
    client.send(method, target, &[], "").await.unwrap()
}

async fn get(client: &Client, target: &str) -> Value {
    let reply = send(client, "GET", target).await;
    assert_eq!(reply.status, 200, "{target}: {}", reply.text);
    reply.json()
}

#[tokio::test]
async fn what_an_order_names_can_be_looked_up_before() {
    let (_cloud, client) = cloud_with(|o| o.arm_images = vec![IMAGE.into()]).await;
    let vpc = get(&client, &format!("/v1/{PROJECT}/vpcs/{VPC}")).await;
    assert_eq!(vpc["vpc"]["status"], "OK");
    let subnet = get(&client, &format!("/v1/{PROJECT}/subnets/{SUBNET}")).await;
    assert_eq!(subnet["subnet"]["vpc_id"], VPC);
    let group = get(&client, &format!("/v1/{PROJECT}/security-groups/{VPC}")).await;
    assert_eq!(group["security_group"]["id"], VPC);
    let zones = get(&client, &format!("/v2.1/{PROJECT}/os-availability-zone")).await;
    assert_eq!(zones["availabilityZoneInfo"][1]["zoneName"], "cn-north-4b");
    let key = get(&client, &format!("/v2.1/{PROJECT}/os-keypairs/build-key")).await;
    assert_eq!(key["keypair"]["name"], "build-key");
    let images = get(&client, &format!("/v2/cloudimages?id={IMAGE}")).await;
    assert_eq!(images["images"][0]["__support_arm"], "true");
    let images = get(&client, &format!("/v2/cloudimages?id={VPC}")).await;
    assert!(images["images"][0].get("__support_arm").is_none());
}

#[tokio::test]
async fn what_is_missing_is_not_found_and_refuses_the_order() {
    let (cloud, client) = cloud().await;
    for (id, path, status, code) in [
        (VPC, format!("/v1/{PROJECT}/vpcs/{VPC}"), 404, "Ecs.0014"),
        (
            SUBNET,
            format!("/v1/{PROJECT}/subnets/{SUBNET}"),
            404,
            "Ecs.0038",
        ),
        (
            IMAGE,
            format!("/v2/cloudimages?id={IMAGE}"),
            200,
            "Ecs.0031",
        ),
        (
            "build-key",
            format!("/v2.1/{PROJECT}/os-keypairs/build-key"),
            404,
            "Ecs.0314",
        ),
    ] {
        cloud.set_faults(Faults {
            missing: vec![id.into()],
            ..Faults::default()
        });
        let reply = send(&client, "GET", &path).await;
        assert_eq!(reply.status, status, "{path}");
        assert!(status == 404 || reply.json() == json!({"images": []}));
        let refused = client.create(&order(1, json!({})), None).await.unwrap();
        assert_eq!(refused.refusal(), (400, code.into()));
    }
}

#[tokio::test]
async fn addresses_left_in_the_subnet_are_counted() {
    let range = |o: &mut obs_sim::ecs::Options| o.addresses = "10.0.0.1-10.0.0.9".parse().unwrap();
    let (_cloud, client) = cloud_with(range).await;
    client.buy(&order(2, json!({}))).await;
    let path = format!("/v2.0/network-ip-availabilities/{SUBNET}");
    let found = get(&client, &path).await["network_ip_availability"].clone();
    assert_eq!(
        (&found["total_ips"], &found["used_ips"]),
        (&json!(9), &json!(2))
    );
}

#[tokio::test]
async fn a_port_belongs_to_its_server_and_goes_with_it() {
    let (_cloud, client) = cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let path = format!("/v1/{PROJECT}/ports?device_id={id}");
    let ports = get(&client, &path).await["ports"].clone();
    assert_eq!(ports[0]["fixed_ips"][0]["ip_address"], "127.0.2.1");
    let port = format!("/v1/{PROJECT}/ports/{}", ports[0]["id"].as_str().unwrap());
    assert_eq!(send(&client, "DELETE", &port).await.status, 409, "in use");
    client.delete(&id).await;
    client.gone(&id).await;
    assert_eq!(get(&client, &path).await["ports"], json!([]));
    assert_eq!(send(&client, "DELETE", &port).await.status, 404);
}

#[tokio::test]
async fn a_kept_volume_is_found_by_its_name_and_deleted() {
    let (cloud, client) = cloud().await;
    let disks = json!({"data_volumes": [{"volumetype": "SSD", "size": 100}]});
    let id = client.buy(&order(1, disks)).await.remove(0);
    let path = |query: &str| format!("/v2/{PROJECT}/cloudvolumes/detail?{query}");
    let all = get(&client, &path("limit=10&offset=0")).await;
    assert_eq!(all["count"], 2);
    let root = get(&client, &path("name=bw-volume-0000")).await["volumes"][0].clone();
    assert_eq!(
        (&root["status"], &root["bootable"]),
        (&json!("in-use"), &json!("true"))
    );
    assert_eq!(root["attachments"][0]["server_id"], json!(id));
    let one = |id: &Value| format!("/v2/{PROJECT}/cloudvolumes/{}", id.as_str().unwrap());
    let refused = send(&client, "DELETE", &one(&root["id"])).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    client.delete(&id).await;
    assert_eq!(cloud.ledger().totals.orphan_volumes, 1);
    let kept = get(&client, &path("name=bw-volume-0001")).await["volumes"][0].clone();
    assert_eq!(
        (&kept["status"], &kept["size"]),
        (&json!("available"), &json!(100))
    );
    let job = send(&client, "DELETE", &one(&kept["id"])).await.json();
    let job = client.job_end(job["job_id"].as_str().unwrap()).await;
    assert_eq!(job["entities"]["volume_id"], kept["id"]);
    assert_eq!(send(&client, "GET", &one(&kept["id"])).await.status, 404);
    assert_eq!(cloud.ledger().totals.orphan_volumes, 0);
}

#[tokio::test]
async fn the_price_route_and_the_bill_have_one_table() {
    let (cloud, client) = cloud_with(|o| o.speed = 1.0).await;
    let mut prices = client
        .control("GET", "/_sim/prices", &json!({}))
        .await
        .json();
    prices["flavors"]["c7.8xlarge.4"] = json!(36.0);
    prices["volumes"]["SSD"] = json!(0.0);
    let set = client.control("PUT", "/_sim/prices", &prices).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let ask = json!({"project_id": PROJECT, "product_infos": [{"id": "1",
        "cloud_service_type": "hws.service.type.ec2", "resource_type": "hws.resource.type.vm",
        "resource_spec": "c7.8xlarge.4.linux", "region": "cn-north-4", "usage_factor": "Duration",
        "usage_value": 1, "usage_measure_id": 4, "subscription_num": 1}]});
    let path = "/v2/bills/ratings/on-demand-resources";
    let rated = client
        .send("POST", path, &[], &ask.to_string())
        .await
        .unwrap();
    assert_eq!(
        rated.json()["product_rating_results"][0]["official_website_amount"],
        36.0
    );
    client
        .create(&order(1, json!({"flavorRef": "c7.8xlarge.4"})), None)
        .await;
    cloud.advance(SignedDuration::from_secs(600));
    let ledger = cloud.ledger();
    let seconds = ledger.servers[0].billed_seconds;
    assert_eq!(
        ledger.totals.cost_micro,
        seconds * 10_000,
        "a cent a second"
    );
    prices["flavors"]["c7.8xlarge.4"] = json!(-1);
    assert_eq!(
        client.control("PUT", "/_sim/prices", &prices).await.status,
        400
    );
}
