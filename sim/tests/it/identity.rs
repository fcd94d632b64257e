use jiff::SignedDuration;
use obs_sim::ecs::Faults;
use serde_json::{Value, json};

use super::client::{Client, PROJECT, Reply, cloud, cloud_with};

fn limits() -> String {
    format!("/v1/{PROJECT}/cloudservers/limits")
}

async fn sign_in(client: &Client, password: &str) -> Reply {
    let body = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user":
            {"name": "ci", "password": password, "domain": {"name": "acme"}}}},
        "scope": {"project": {"id": PROJECT}},
    }});
    client
        .raw("POST", "/v3/auth/tokens", &[], &body.to_string())
        .await
        .unwrap()
}

fn token_of(reply: &Reply) -> String {
    let line = reply
        .head
        .lines()
        .find(|l| l.starts_with("x-subject-token: "))
        .unwrap();
    // The client lowers the head; tokens of the simulator are lower case but for their first letters.
    line.replace("x-subject-token: mii", "MII")
}

async fn with_token(client: &Client, token: &str) -> (u16, String) {
    let headers = [("x-auth-token", token)];
    let reply = client.raw("GET", &limits(), &headers, "").await.unwrap();
    let code = reply.json()["error_code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (reply.status, code)
}

#[tokio::test]
async fn a_token_opens_every_call_until_it_ends_and_several_are_good_at_once() {
    let (cloud, client) = cloud_with(|o| {
        o.iam_user = Some("ci".into());
        o.iam_password = Some("secret".into());
    })
    .await;
    assert_eq!(sign_in(&client, "wrong").await.status, 401);
    let first = sign_in(&client, "secret").await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert!(first.json()["token"]["expires_at"].is_string());
    cloud.set_faults(Faults {
        token_life_seconds: Some(600.0),
        ..Faults::default()
    });
    let (first, second) = (
        token_of(&first),
        token_of(&sign_in(&client, "secret").await),
    );
    assert_ne!(first, second);
    for token in [&first, &second] {
        assert_eq!(with_token(&client, token).await.0, 200);
    }
    cloud.advance(SignedDuration::from_secs(600));
    assert_eq!(with_token(&client, &first).await.0, 200, "24 h");
    assert_eq!(
        with_token(&client, &second).await,
        (401, "APIGW.0307".into())
    );
    assert_eq!(
        with_token(&client, "forged").await,
        (401, "APIGW.0301".into())
    );
    client
        .control("DELETE", "/_sim/credentials", &json!({}))
        .await;
    assert_eq!(with_token(&client, &first).await.0, 401);
}

async fn agency(client: &Client, headers: &[(&str, &str)]) -> Reply {
    let path = "/openstack/latest/securitykey";
    client.raw("GET", path, headers, "").await.unwrap()
}

/// The test client's keys live as long as the program.
fn leak(value: &Value) -> &'static str {
    Box::leak(value.as_str().unwrap().to_owned().into_boxed_str())
}

#[tokio::test]
async fn a_temporary_key_wants_its_security_token_and_ends() {
    let (cloud, client) = cloud().await;
    cloud.set_faults(Faults {
        agency_life_seconds: Some(3600.0),
        ..Faults::default()
    });
    let credential = agency(&client, &[]).await.json()["credential"].clone();
    let temporary = Client {
        ak: leak(&credential["access"]),
        sk: leak(&credential["secret"]),
        ..client
    };
    let token = leak(&credential["securitytoken"]);
    let try_with = async |headers: &[(&str, &str)]| {
        temporary
            .send("GET", &limits(), headers, "")
            .await
            .unwrap()
            .status
    };
    assert_eq!(try_with(&[("x-security-token", token)]).await, 200);
    assert_eq!(try_with(&[]).await, 401);
    assert_eq!(try_with(&[("x-security-token", "other")]).await, 401);
    cloud.advance(SignedDuration::from_secs(3600));
    assert_eq!(try_with(&[("x-security-token", token)]).await, 401);
}

#[tokio::test]
async fn the_metadata_service_may_have_tokens_or_want_them() {
    let (cloud, client) = cloud().await;
    let ask = async || {
        let ttl = [("x-metadata-token-ttl-seconds", "60")];
        let path = "/meta-data/latest/api/token";
        client.raw("PUT", path, &ttl, "").await.unwrap()
    };
    cloud.set_faults(Faults {
        metadata_without_tokens: true,
        ..Faults::default()
    });
    assert_eq!(ask().await.status, 404);
    assert_eq!(agency(&client, &[]).await.status, 200);
    cloud.set_faults(Faults {
        metadata_wants_token: true,
        ..Faults::default()
    });
    assert_eq!(agency(&client, &[]).await.status, 401);
    let token = ask().await.text;
    let headers = [("x-metadata-token", token.as_str())];
    assert_eq!(agency(&client, &headers).await.status, 200);
    cloud.advance(SignedDuration::from_secs(60));
    assert_eq!(agency(&client, &headers).await.status, 401);
}

#[tokio::test]
async fn keys_overlap_while_they_are_rotated() {
    let (cloud, old) = cloud().await;
    let new = Client {
        ak: "AK2",
        sk: "SK2",
        ..old
    };
    assert_eq!(new.get("cloudservers/limits").await.status, 401);
    old.control("PUT", "/_sim/keys/AK2", &json!({"secret": "SK2"}))
        .await;
    for key in [old, new] {
        assert_eq!(key.get("cloudservers/limits").await.status, 200);
    }
    cloud.set_faults(Faults {
        disabled_keys: vec!["AK".into()],
        ..Faults::default()
    });
    let refused = old.get("cloudservers/limits").await;
    assert!(refused.status == 401 && refused.text.contains("disabled"));
    old.control("DELETE", "/_sim/keys/AK2", &json!({})).await;
    assert_eq!(new.get("cloudservers/limits").await.status, 401);
}

#[tokio::test]
async fn a_locked_key_is_free_again_after_five_minutes() {
    let (cloud, good) = cloud_with(|_| {}).await;
    cloud.set_faults(Faults {
        lock_key: true,
        ..Faults::default()
    });
    let bad = Client { sk: "no", ..good };
    for _ in 0..6 {
        bad.get("cloudservers/limits").await;
    }
    assert_eq!(good.get("cloudservers/limits").await.status, 401);
    cloud.advance(SignedDuration::from_secs(300));
    assert_eq!(good.get("cloudservers/limits").await.status, 200);
}
