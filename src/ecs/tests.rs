//! What the client does with a cloud that misbehaves on the wire.

mod calls;
mod deleting;
mod garbage;
mod limits;
mod wire;

use super::*;
use crate::clock::Clock;
use crate::cloud::JobState;
use crate::config;
use crate::model::{Arch, Class, Level, Order, OrderId, PoolName, Retry, ServerId, Vcpus};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
pub(super) use wire::{Cloud, Seen, answer};

pub(super) const PROJECT: &str = "0605767d5a00d5762fb7c00a3d5f1b9c";
const ID: &str = "4f4b3dfa-eb70-47cf-a60a-998a53bd598a";
const IMAGE: &str = "1189efbf-d48b-46ad-a823-94b942e2a000";
const ACCESS_KEY: &str = "AKEXAMPLE0123456789A";
const SECRET_KEY: &str = "SkExampleSecretKey0123456789abcdefghijkl";

pub(super) fn config(endpoint: &str) -> config::Ecs {
    config::Ecs {
        endpoint: endpoint.to_owned(),
        project_id: PROJECT.to_owned(),
        credentials: config::Credentials::Key {
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.into(),
            security_token: None,
        },
        rates: config::Rates {
            reads_per_second: 1000,
            writes_per_minute: 1000,
        },
        create_api: config::CreateApi::V1,
        images: BTreeMap::from([(Arch::Aarch64, IMAGE.to_owned())]),
        vpc_id: "0dae26c9-9a70-4392-93f3-87d53115d171".to_owned(),
        subnet_id: "157ee789-03ea-45b1-a698-76c92660dd83".to_owned(),
        security_groups: vec!["507ca48f-814c-4293-8706-300564d54620".to_owned()],
        key_name: "build-key".to_owned(),
        root_volume_type: "SSD".to_owned(),
        root_volume_gib: 40,
        root_volume_price: None,
        naming: config::Naming {
            prefix: "bw".to_owned(),
            range: 199,
        },
        timeout: Duration::from_secs(5),
        job_poll: Duration::from_secs(1),
        region: Some("cn-north-4".to_owned()),
    }
}

pub(super) fn pool() -> config::Pool {
    config::Pool {
        name: PoolName::try_from("arm-l1").unwrap(),
        arch: Arch::Aarch64,
        level: Level::L1,
        backends: vec![],
        mode: config::Mode::Full,
        projects: config::Projects::default(),
        reserve: 0,
        flavor: crate::model::FlavorName::new("ki1.8xlarge.4"),
        alternatives: Vec::new(),
        vcpus: Vcpus(32),
        instances: 7,
        jobs: 32,
        cache_mib: None,
        workers: config::Workers::default(),
    }
}

pub(super) fn order(count: u32) -> Order {
    Order {
        id: OrderId::new("46436810-d999-454c-bd85-e515fd258600"),
        pool: pool().name,
        flavor: pool().flavor,
        vcpus: Vcpus(32),
        count,
        at: "2026-01-22T10:15:30Z".parse().unwrap(),
        job: None,
        body_sha256: String::new(),
        closed: None,
        names: None,
        zone: Some(crate::model::ZoneName::new("cn-north-4a")),
    }
}

pub(super) fn client(config: &config::Ecs) -> EcsClient {
    EcsClient::new(config, "me".to_owned(), Clock::default()).unwrap()
}

fn server(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","name":"w","status":"ACTIVE","created":"2026-01-22T10:15:32Z",
        "flavor":{{"id":"f","vcpus":"32"}},"tags":["obs-scaler-owner=me"]}}"#
    )
}

#[tokio::test]
async fn every_page_is_asked_for_by_the_last_server_before_it() {
    let first = format!(r#"{{"count":2,"servers":[{}]}}"#, server("a"));
    let second = format!(r#"{{"count":2,"servers":[{}]}}"#, server("b"));
    let cloud = Cloud::start(vec![answer(200, &first), answer(200, &second)]).await;
    let fleet = cloud.client().list().await.unwrap();
    assert_eq!(fleet.servers.len(), 2);
    let targets: Vec<String> = cloud.seen().into_iter().map(|seen| seen.target).collect();
    let path = format!("/v1/{PROJECT}/cloudservers/detail");
    assert_eq!(
        targets,
        [
            format!("{path}?limit=100&tags=obs-scaler-owner%3Dme"),
            format!("{path}?limit=100&marker=a&tags=obs-scaler-owner%3Dme"),
        ]
    );
}

#[tokio::test]
async fn a_cut_off_list_is_an_error_and_no_small_fleet() {
    let whole = answer(
        200,
        &format!(r#"{{"count":1,"servers":[{}]}}"#, server("a")),
    );
    let cut = whole.get(..whole.len() - 20).unwrap().to_owned();
    let cloud = Cloud::start(vec![cut]).await;
    let error = cloud.client().list().await.unwrap_err();
    assert!(matches!(error, EcsError::Lost { .. }), "{error}");
    let closed = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"count\":0,\"servers\":[]";
    let cloud = Cloud::start(vec![closed.to_owned()]).await;
    let error = cloud.client().list().await.unwrap_err();
    assert!(matches!(error, EcsError::Garbled { .. }), "{error}");
}

#[tokio::test]
async fn a_read_whose_connection_broke_is_made_once_more_and_a_creation_is_not() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Le".to_owned();
    let empty = answer(200, r#"{"count":0,"servers":[]}"#);
    let cloud = Cloud::start(vec![broken.clone(), empty]).await;
    assert!(cloud.client().list().await.is_ok());
    let cloud = Cloud::start(vec![broken]).await;
    let request = request::write(&order(1), &pool(), &config(""), "me", "").unwrap();
    let error = cloud.client().create(&request).await.unwrap_err();
    assert!(!error.outcome_known(), "{error}");
    assert_eq!(cloud.seen().len(), 1);
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let pages = (0..300).map(|n| {
        let page = format!(r#"{{"servers":[{}]}}"#, server(&format!("id-{n}")));
        answer(200, &page)
    });
    let cloud = Cloud::start(pages.collect()).await;
    let error = cloud.client().list().await.unwrap_err();
    assert!(error.to_string().contains("no end after"), "{error}");
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_read() {
    let cloud = Cloud::start(vec![answer(200, &format!("[{}]", " ".repeat(2000)))]).await;
    let mut client = cloud.client();
    client.transport.max_answer = 1000;
    let error = client.list().await.unwrap_err();
    assert!(
        error.to_string().contains("more than 1000 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_in_a_200_is_an_error_with_its_request_id() {
    let body = r#"{"error":{"code":"Ecs.0005","message":"request body is illegal."}}"#;
    let cloud = Cloud::start(vec![answer(200, body)]).await;
    let error = cloud.client().list().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "list: refused with Ecs.0005 (HTTP 200): request body is illegal. (request req-1)"
    );
}

#[tokio::test]
async fn a_creation_without_an_answer_may_have_bought() {
    let cloud = Cloud::start(vec![String::new()]).await;
    let mut config = config(&cloud.endpoint);
    config.timeout = Duration::from_millis(200);
    let request = request::write(&order(1), &pool(), &config, "me", "").unwrap();
    let error = client(&config).create(&request).await.unwrap_err();
    assert!(matches!(error, EcsError::Lost { .. }), "{error}");
    assert!(!error.outcome_known());
    assert_eq!(error.retry(), Retry::SameToken);
}

#[tokio::test]
async fn a_creation_that_found_no_cloud_bought_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(&format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let request = request::write(&order(1), &pool(), &config, "me", "").unwrap();
    let error = client(&config).create(&request).await.unwrap_err();
    assert!(matches!(error, EcsError::NoConnection { .. }), "{error}");
    assert!(error.outcome_known());
}

#[tokio::test]
async fn a_creation_is_sent_signed_with_the_order_as_its_token() {
    let body = format!(r#"{{"job_id":"ff80","serverIds":["{ID}"]}}"#);
    let cloud = Cloud::start(vec![answer(200, &body)]).await;
    let config = config(&cloud.endpoint);
    let request = request::write(&order(1), &pool(), &config, "me", "x").unwrap();
    let created = client(&config).create(&request).await.unwrap();
    assert_eq!(
        (created.job.as_str(), created.servers),
        ("ff80", vec![ServerId::new(ID)])
    );
    let seen = cloud.seen().remove(0);
    assert_eq!(seen.body, request.body());
    assert_eq!(seen.headers["x-client-token"], order(1).id.as_str());
    assert_eq!(
        authorization_of(&seen, &SECRET_KEY.into()),
        seen.headers["authorization"]
    );
}

/// What a verifier computes from the request as it came.
fn authorization_of(seen: &Seen, secret: &SecretString) -> String {
    let (_, rest) = seen.headers["authorization"]
        .split_once("SignedHeaders=")
        .unwrap();
    let (names, _) = rest.split_once(", ").unwrap();
    assert_eq!(
        names,
        "content-type;host;x-client-token;x-project-id;x-sdk-date"
    );
    let headers: Vec<(&str, &str)> = names
        .split(';')
        .map(|name| (name, seen.headers[name].as_str()))
        .collect();
    let canonical = sign::canonical_request(&sign::Signable {
        method: &seen.method,
        path: &seen.target,
        query: &[],
        headers: &headers,
        body: seen.body.as_bytes(),
    });
    let signature = sign::signature(secret, &seen.headers["x-sdk-date"], &canonical);
    format!("SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders={names}, Signature={signature}")
}

#[tokio::test]
async fn a_server_that_is_gone_is_none_and_a_wrong_address_is_an_error() {
    let gone = [
        r#"{"error":{"code":"Ecs.0114","message":"no such server"}}"#,
        r#"{"itemNotFound":{"code":404,"message":"no such server"}}"#,
    ];
    for body in gone {
        let cloud = Cloud::start(vec![answer(404, body)]).await;
        assert_eq!(cloud.client().show(&ServerId::new(ID)).await.unwrap(), None);
    }
    for body in [r#"{"error_code":"APIGW.0101","error_msg":"x"}"#, "<html>"] {
        let cloud = Cloud::start(vec![answer(404, body)]).await;
        assert!(cloud.client().show(&ServerId::new(ID)).await.is_err());
    }
}

#[tokio::test]
async fn a_shown_server_is_the_one_asked_for_and_ours() {
    let cloud = Cloud::start(vec![
        answer(200, &format!(r#"{{"server":{}}}"#, server(ID))),
        answer(200, &format!(r#"{{"server":{}}}"#, server("other"))),
        answer(
            200,
            &format!(r#"{{"server":{}}}"#, server(ID).replace("=me", "=you")),
        ),
    ])
    .await;
    let (client, id) = (cloud.client(), ServerId::new(ID));
    assert_eq!(
        client.show(&id).await.unwrap().map(|s| s.id),
        Some(id.clone())
    );
    assert!(matches!(
        client.show(&id).await,
        Err(EcsError::Garbled { .. })
    ));
    assert!(matches!(client.show(&id).await, Err(EcsError::NotOurs(_))));
}

#[tokio::test]
async fn an_id_that_would_ask_for_something_else_is_not_sent() {
    let cloud = Cloud::start(vec![answer(200, "{}")]).await;
    for id in ["", "..", "a/b", "a?b"] {
        let shown = cloud.client().show(&ServerId::new(id)).await;
        assert!(matches!(shown, Err(EcsError::Invalid(_))), "{id}");
    }
    assert_eq!(cloud.client().delete(&[]).await.unwrap(), [""; 0]);
    assert_eq!(cloud.seen().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_gone_does_not_keep_the_others() {
    let gone = answer(404, r#"{"error":{"code":"Ecs.0114","message":"gone"}}"#);
    let job = answer(200, r#"{"job_id":"ff81"}"#);
    let cloud = Cloud::start(vec![gone.clone(), gone.clone(), job]).await;
    let both = [ServerId::new("a"), ServerId::new("b")];
    assert_eq!(cloud.client().delete(&both).await.unwrap(), ["ff81"]);
    assert_eq!(
        cloud.seen()[2].body,
        r#"{"delete_publicip":true,"delete_volume":true,"servers":[{"id":"b"}]}"#
    );
    let cloud = Cloud::start(vec![gone]).await;
    let one = [ServerId::new("a")];
    assert_eq!(cloud.client().delete(&one).await.unwrap(), [""; 0]);
    assert_eq!(cloud.seen().len(), 1);
}

#[tokio::test]
async fn a_job_that_failed_is_an_answer_and_one_unknown_is_gone() {
    let failed =
        r#"{"status":"FAIL","job_id":"ff80","error_code":"Common.0021","fail_reason":"x"}"#;
    let unknown = r#"{"error":{"code":"Common.0011","message":"no such job"}}"#;
    let cloud = Cloud::start(vec![answer(200, failed), answer(400, unknown)]).await;
    let client = cloud.client();
    let job = client.job("ff80").await.unwrap();
    assert!(matches!(job.state, JobState::Failed(_)));
    assert_eq!(client.job("ff80").await.unwrap_err().class(), Class::Gone);
}

#[tokio::test]
async fn no_error_names_the_access_key() {
    let body = format!(
        r#"{{"error_code":"APIGW.0301","error_msg":"Get secretKey failed,ak:{ACCESS_KEY},err:x"}}"#
    );
    let cloud = Cloud::start(vec![answer(401, &body)]).await;
    let error = cloud.client().list().await.unwrap_err();
    assert_eq!(error.class(), Class::Permission);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(ACCESS_KEY), "{shown}");
}

#[tokio::test]
async fn every_call_is_told_to_the_observer() {
    let throttled = r#"{"error_code":"APIGW.0308","error_msg":"slow down"}"#;
    let empty = answer(200, r#"{"count":0,"servers":[]}"#);
    let cloud = Cloud::start(vec![answer(429, throttled), empty]).await;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    let observer = Arc::new(move |call: Call| {
        log.lock().unwrap().push((call.operation, call.code));
    });
    let client = cloud.client().with_observer(observer);
    assert!(client.list().await.is_err());
    assert!(client.list().await.is_ok());
    let told = calls.lock().unwrap().clone();
    assert_eq!(
        told,
        [
            ("list", "APIGW.0308".to_owned()),
            ("list", "200".to_owned())
        ]
    );
}
