//! What each call asks, and how its answer is understood.

use super::*;
use crate::cloud::{Charging, Gone};
use crate::model::{FlavorName, HostName};
use std::net::IpAddr;

async fn asked(script: &[(u16, &str)]) -> Cloud {
    let script = script.iter().map(|(status, body)| answer(*status, body));
    Cloud::start(script.collect()).await
}

fn targets(cloud: &Cloud) -> Vec<String> {
    let line = |seen: Seen| format!("{} {}", seen.method, seen.target);
    cloud.seen().into_iter().map(line).collect()
}

#[tokio::test]
async fn a_cloud_that_does_not_know_the_marker_is_read_by_page_numbers() {
    let page = |ids: std::ops::Range<u32>| {
        let servers: Vec<String> = ids.map(|n| server(&format!("id-{n}"))).collect();
        format!(r#"{{"count":150,"servers":[{}]}}"#, servers.join(","))
    };
    let (first, second) = (page(0..100), page(100..150));
    let cloud = asked(&[(200, &first), (200, &first), (200, &second)]).await;
    assert_eq!(cloud.client().list().await.unwrap().servers.len(), 150);
    let asked = targets(&cloud);
    assert!(asked[1].contains("marker=id-99&"), "{asked:?}");
    assert!(asked[2].contains("&offset=2&"), "{asked:?}");
}

#[tokio::test]
async fn any_server_of_the_project_is_found_by_its_very_address() {
    let record = |id: &str, addr: &str| {
        format!(
            r#"{{"id":"{id}","name":"n","status":"ACTIVE","created":"2026-01-22T10:15:32Z",
            "OS-EXT-AZ:availability_zone":"z","metadata":{{"charging_mode":"1"}},
            "addresses":{{"v":[{{"addr":"{addr}","OS-EXT-IPS:type":"fixed"}}]}},
            "flavor":{{"id":"f","vcpus":"64"}},"tags":["a=b","c"]}}"#
        )
    };
    let odd = r#"{"id":"odd","name":1,"addresses":{}}"#;
    let all = [
        record("x", "10.0.0.1"),
        record("y", "10.0.0.10"),
        odd.to_owned(),
    ];
    let body = format!(r#"{{"count":3,"servers":[{}]}}"#, all.join(","));
    let cloud = asked(&[(200, &body)]).await;
    let ip: IpAddr = "10.0.0.1".parse().unwrap();
    let found = cloud.client().find(&[ip]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.as_str(), found[0].vcpus), ("x", Vcpus(64)));
    assert_eq!(found[0].charging, Some(Charging::Prepaid));
    assert_eq!(
        found[0].tags,
        BTreeMap::from([("a".into(), "b".into()), ("c".into(), String::new())])
    );
}

#[tokio::test]
async fn tags_are_put_on_and_taken_off_by_one_path() {
    let cloud = asked(&[(204, "")]).await;
    let (client, id) = (cloud.client(), ServerId::new(ID));
    client
        .tag(&id, &[("obs-scaler-owner", "me")])
        .await
        .unwrap();
    client.untag(&id, &["obs-scaler-owner"]).await.unwrap();
    let seen = cloud.seen();
    let path = format!("/v1/{PROJECT}/cloudservers/{ID}/tags/action");
    assert_eq!([&seen[0].target, &seen[1].target], [&path, &path]);
    assert_eq!(
        seen[0].body,
        r#"{"action":"create","tags":[{"key":"obs-scaler-owner","value":"me"}]}"#
    );
    assert_eq!(
        seen[1].body,
        r#"{"action":"delete","tags":[{"key":"obs-scaler-owner"}]}"#
    );
    for tag in [("", "x"), ("a=b", "x"), ("a", "b,c")] {
        let refused = client.tag(&id, &[tag]).await.unwrap_err();
        assert!(matches!(refused, EcsError::Invalid(_)), "{refused}");
    }
    assert_eq!(cloud.seen().len(), 2);
}

#[tokio::test]
async fn one_product_without_a_price_does_not_take_it_from_the_others() {
    let unknown = r#"{"error_code":"CBC.99006006","error_msg":"Can not find product"}"#;
    let known = |amount: u32| {
        format!(r#"{{"currency":"CNY","product_rating_results":[{{"id":"0","amount":{amount}}}]}}"#)
    };
    let script = [
        (400, unknown.to_owned()),
        (400, unknown.to_owned()),
        (200, known(5)),
    ];
    let script: Vec<(u16, &str)> = script.iter().map(|(s, b)| (*s, b.as_str())).collect();
    let cloud = asked(&script).await;
    let flavors = ["good", "bad"].map(FlavorName::new);
    let list = cloud.client().price(&flavors).await.unwrap();
    assert_eq!(list.flavors.len(), 1);
    assert_eq!(list.flavors[&flavors[0]].per_hour(), 5.0);
    assert_eq!(cloud.seen().len(), 3);
}

#[tokio::test]
async fn nothing_of_a_server_that_is_still_there_was_left_behind() {
    let there = format!(r#"{{"server":{}}}"#, server(ID));
    let cloud = asked(&[(200, &there)]).await;
    let gone = Gone {
        server: ServerId::new(ID),
        name: Some(HostName::new("w")),
    };
    assert!(cloud.client().leftovers(&gone).await.unwrap().is_empty());
    assert_eq!(cloud.seen().len(), 1);
}

#[tokio::test]
async fn what_a_server_left_behind_is_found_and_deleted_and_what_is_gone_is_no_error() {
    let no = r#"{"error":{"code":"Ecs.0114","message":"gone"}}"#;
    let volumes = r#"{"count":1,"volumes":[{"id":"vol","name":"w-volume-0000","status":"available",
        "size":40,"attachments":[],"created_at":"2026-01-22T10:15:32.392053"}]}"#;
    let ports = format!(
        r#"{{"ports":[{{"id":"port","device_id":"{ID}"}},{{"id":"foreign","device_id":"other"}}]}}"#
    );
    let missing = r#"{"code":"EVS.5404","message":"volume vol could not be found"}"#;
    let cloud = asked(&[
        (404, no),
        (200, volumes),
        (200, &ports),
        (404, missing),
        (204, ""),
    ])
    .await;
    let client = cloud.client();
    let gone = Gone {
        server: ServerId::new(ID),
        name: Some(HostName::new("w")),
    };
    let left = client.leftovers(&gone).await.unwrap();
    assert_eq!(
        (left.volumes.len(), left.ports.as_slice()),
        (1, ["port".to_owned()].as_slice())
    );
    client.clear(&left).await.unwrap();
    let asked = targets(&cloud);
    assert_eq!(asked[3], format!("DELETE /v2/{PROJECT}/cloudvolumes/vol"));
    assert_eq!(asked[4], format!("DELETE /v1/{PROJECT}/ports/port"));
}

#[tokio::test]
async fn a_dry_run_is_the_creation_with_one_field_more() {
    let cloud = asked(&[(202, "")]).await;
    let config = config(&cloud.endpoint);
    let request = request::write(&order(1), &pool(), &config, "me", "x").unwrap();
    cloud.client().dry_run(&request).await.unwrap();
    let seen = cloud.seen().remove(0);
    assert!(
        seen.body.starts_with(r#"{"dry_run":true,"server":"#),
        "{}",
        seen.body
    );
    assert!(!seen.headers.contains_key("x-client-token"));
    for (status, body, taken) in [
        (202, "accepted", true),
        (202, "null", true),
        (
            202,
            r#"{"error":{"code":"Ecs.0219","message":"sold out"}}"#,
            false,
        ),
        (200, r#"{"job_id":"ff80"}"#, false),
    ] {
        let said = asked(&[(status, body)])
            .await
            .client()
            .dry_run(&request)
            .await;
        assert_eq!(said.is_ok(), taken, "{status} {body}: {said:?}");
    }
}

#[tokio::test]
async fn what_the_doctor_asks_for_is_there_or_not_or_an_error() {
    let vpc = r#"{"vpc":{"id":"v","name":"farm","status":"OK"}}"#;
    let subnet = r#"{"subnet":{"id":"s","name":"n","cidr":"10.0.0.0/24","vpc_id":"v"}}"#;
    let missing = r#"{"code":"VPC.0602","message":"not found"}"#;
    let left = r#"{"network_ip_availability":{"total_ips":253,"used_ips":13}}"#;
    let gateway = r#"{"error_code":"APIGW.0101","error_msg":"The API does not exist"}"#;
    let cloud = asked(&[
        (200, vpc),
        (200, subnet),
        (404, missing),
        (200, left),
        (404, gateway),
        (200, "{}"),
    ])
    .await;
    let client = cloud.client();
    assert!(client.has_vpc("v").await.unwrap());
    let vpc = client.vpc_of_subnet("s").await.unwrap();
    assert_eq!(vpc.as_deref(), Some("v"));
    assert!(!client.has_security_group("g").await.unwrap());
    let addresses = client.addresses("s").await.unwrap().unwrap();
    assert_eq!((addresses.total, addresses.used), (253, 13));
    assert!(client.key_pair("k").await.is_err());
    assert!(client.addresses("s").await.is_err());
}

#[tokio::test]
async fn the_cloud_s_own_end_of_a_server_is_set_in_whole_minutes_and_taken_off() {
    let cloud = asked(&[(204, "")]).await;
    let (client, id) = (cloud.client(), ServerId::new(ID));
    let at = "2026-01-22T18:15:32Z".parse().unwrap();
    client.terminate_at(&id, Some(at)).await.unwrap();
    client.terminate_at(&id, None).await.unwrap();
    let bodies: Vec<String> = cloud.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(
        bodies[0],
        r#"{"auto_terminate_time":"2026-01-22T18:15:00Z"}"#
    );
    assert_eq!(bodies[1], r#"{"auto_terminate_time":""}"#);
}
