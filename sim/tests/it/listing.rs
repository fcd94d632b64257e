use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::{Client, VPC, cloud, order};

async fn names(client: &Client, query: &str) -> Vec<String> {
    let list = client
        .get(&format!("cloudservers/detail{query}"))
        .await
        .json();
    let servers = list["servers"].as_array().unwrap().iter();
    servers
        .map(|server| server["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn offset_is_a_page_number() {
    let (_cloud, client) = cloud().await;
    client.buy(&order(5, json!({}))).await;
    let first = client
        .get("cloudservers/detail?limit=2&offset=1")
        .await
        .json();
    assert_eq!(first["count"], 5, "all that match, not the page's length");
    assert_eq!(
        names(&client, "?limit=2&offset=0").await,
        names(&client, "?limit=2&offset=1").await
    );
    let mut all = BTreeSet::new();
    for (page, length) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
        let page = names(&client, &format!("?limit=2&offset={page}")).await;
        assert_eq!(page.len(), length);
        all.extend(page);
    }
    assert_eq!(all.len(), 5);
}

#[tokio::test]
async fn a_marker_goes_on_after_the_last_server_of_the_page() {
    let (_cloud, client) = cloud().await;
    client.buy(&order(3, json!({}))).await;
    let page = client.get("cloudservers/detail?limit=2").await.json();
    let last = page["servers"][1]["id"].as_str().unwrap();
    let rest = names(&client, &format!("?limit=2&marker={last}")).await;
    assert_eq!(rest, ["bw-0001"], "newest first");
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let (cloud, client) = cloud().await;
    let id = client
        .buy(&order(1, json!({"name": "ours"})))
        .await
        .remove(0);
    let foreign = json!({"name": "theirs", "flavor": "c7.8xlarge.4", "tags": ["team=web"]});
    assert_eq!(
        client
            .control("POST", "/_sim/foreign", &foreign)
            .await
            .status,
        200
    );
    let ip = cloud.ledger().servers[0].ip.clone().unwrap();
    for (query, expected) in [
        ("", vec!["theirs", "ours"]),
        ("?tags=pool%3Dbuild", vec!["ours"]),
        ("?tags=pool%3Dother", vec![]),
        ("?tags=pool", vec!["ours"]),
        ("?tags=reserve", vec!["ours"]),
        ("?not-tags=pool", vec!["theirs"]),
        ("?name=ou.s", vec!["ours"]),
        ("?flavor=c7.8xlarge.4", vec!["theirs"]),
        ("?status=ACTIVE", vec!["theirs", "ours"]),
        ("?status=BUILD", vec![]),
        (&format!("?ip_eq={ip}"), vec!["ours"]),
        (&format!("?name=theirs&server_id={id}"), vec!["ours"]),
    ] {
        assert_eq!(names(&client, query).await, expected, "{query}");
    }
    let unknown = client
        .get("cloudservers/detail?server_id=nobody")
        .await
        .json();
    assert_eq!(unknown["servers"][0]["id"], "nobody");
    assert!(unknown["servers"][0].get("status").is_none());
    assert_eq!(
        client.get("cloudservers/detail?limit=1001").await.status,
        400
    );
}

#[tokio::test]
async fn a_server_has_texts_and_numbers_where_the_cloud_has_them() {
    let (_cloud, client) = cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let server = client.get(&format!("cloudservers/{id}")).await.json()["server"].clone();
    assert_eq!(server["flavor"]["vcpus"], "32");
    assert_eq!(server["flavor"]["ram"], "131072");
    assert_eq!(server["tags"], json!(["pool=build", "reserve"]));
    assert_eq!(server["OS-EXT-STS:power_state"], 1);
    assert_eq!(server["OS-EXT-STS:vm_state"], "active");
    assert_eq!(server["OS-EXT-STS:task_state"], Value::Null);
    assert_eq!(server["metadata"]["charging_mode"], "0");
    let disk = &server["os-extended-volumes:volumes_attached"][0];
    assert_eq!(
        (&disk["delete_on_termination"], &disk["bootIndex"]),
        (&json!("true"), &json!("0"))
    );
    let address = &server["addresses"][VPC][0];
    assert_eq!(
        (&address["version"], &address["addr"]),
        (&json!("4"), &json!("127.0.2.1"))
    );
    assert_eq!(server["key_name"], "build-key");
    assert_eq!(server["fault"], Value::Null);
}

#[tokio::test]
async fn a_flavor_tells_its_architecture_and_its_stock() {
    let (cloud, client) = cloud().await;
    cloud.set_faults(obs_sim::ecs::Faults {
        sold_out: vec!["ki1.8xlarge.4@cn-north-4a".into()],
        ..Default::default()
    });
    let list = client.get("cloudservers/flavors").await.json()["flavors"].clone();
    let of = |id: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|f| f["id"] == id)
            .unwrap()
            .clone()
    };
    let (arm, x86) = (of("ki1.8xlarge.4"), of("c7.32xlarge.4"));
    assert_eq!((&arm["vcpus"], &arm["ram"]), (&json!("32"), &json!(131072)));
    assert_eq!(arm["os_extra_specs"]["ecs:instance_architecture"], "arm64");
    assert_eq!(x86["os_extra_specs"].get("ecs:instance_architecture"), None);
    let stock = &arm["os_extra_specs"]["cond:operation:az"];
    assert_eq!(stock, "cn-north-4a(sellout), cn-north-4b(normal)");
    let here = client
        .get("cloudservers/flavors?availability_zone=cn-north-4a")
        .await
        .json();
    assert_eq!(here["flavors"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn tags_are_added_replaced_and_removed() {
    let (_cloud, client) = cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let path = format!("cloudservers/{id}/tags");
    let change = |action: &str, value: &str| json!({"action": action, "tags": [{"key": "pool", "value": value}]});
    let reply = client
        .post(&format!("{path}/action"), &change("create", "other"))
        .await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    let tags = client.get(&path).await.json()["tags"].clone();
    assert_eq!(
        tags,
        json!([{"key": "reserve", "value": ""}, {"key": "pool", "value": "other"}])
    );
    client
        .post(&format!("{path}/action"), &change("delete", "other"))
        .await;
    let tags = client.get(&path).await.json()["tags"].clone();
    assert_eq!(tags, json!([{"key": "reserve", "value": ""}]));
    let many: Vec<Value> = (0..10)
        .map(|i| json!({"key": format!("k{i}"), "value": ""}))
        .collect();
    let reply = client
        .post(
            &format!("{path}/action"),
            &json!({"action": "create", "tags": many}),
        )
        .await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn the_flat_list_has_numbers_and_gives_the_rest_on_demand() {
    let (_cloud, client) = cloud().await;
    client.buy(&order(3, json!({}))).await;
    let get = async |query: &str| {
        let path = format!(
            "/v1.1/{}/cloudservers/detail{query}",
            super::client::PROJECT
        );
        client.send("GET", &path, &[], "").await.unwrap()
    };
    let page = get("?limit=2").await.json();
    assert!(page["request_id"].is_string() && page.get("count").is_none());
    let server = &page["servers"][0];
    assert_eq!(server["flavor"]["vcpus"], 32);
    assert_eq!(
        (&server["vm_state"], &server["task_state"]),
        (&json!("active"), &Value::Null)
    );
    assert!(server.get("tags").is_none() && server.get("addresses").is_none());
    let marker = page["servers"][1]["id"].as_str().unwrap();
    let rest = get(&format!(
        "?expect-fields=tags&expect-fields=volumes_attached&limit=2&marker={marker}"
    ))
    .await;
    let rest = rest.json()["servers"].clone();
    assert_eq!(
        rest.as_array().unwrap().len(),
        1,
        "shorter than the limit: the last page"
    );
    assert_eq!(rest[0]["tags"], json!(["pool=build", "reserve"]));
    assert_eq!(
        rest[0]["volumes_attached"][0]["delete_on_termination"],
        true
    );
    let zone = get("?availability_zone=cn-north-4b").await.json();
    assert_eq!(zone["servers"], json!([]));
    assert_eq!(get("?limit=101").await.status, 400);
}

#[tokio::test]
async fn servers_are_found_by_their_tags() {
    let (_cloud, client) = cloud().await;
    client.buy(&order(2, json!({}))).await;
    let ask = async |body: Value| {
        let path = "cloudservers/resource_instances/action";
        client.post(path, &body).await.json()
    };
    let wanted = json!([{"key": "pool", "values": ["build", "other"]}, {"key": "reserve"}]);
    let found = ask(json!({"action": "filter", "limit": "1", "offset": "0", "tags": wanted})).await;
    assert_eq!(
        (
            &found["total_count"],
            found["resources"].as_array().unwrap().len()
        ),
        (&json!(2), 1)
    );
    assert_eq!(found["resources"][0]["resource_name"], "bw-0002");
    let none = json!([{"key": "pool", "values": ["other"]}]);
    let counted = ask(json!({"action": "count", "tags": none})).await;
    assert_eq!(counted, json!({"total_count": 0}));
    let all = client.get("cloudservers/tags").await.json();
    assert_eq!(all["tags"][0], json!({"key": "pool", "values": ["build"]}));
}
