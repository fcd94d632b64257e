//! Credentials that end.

use super::*;
use crate::ecs::tests::{Cloud, answer, client, config};
use crate::model::Class;
use std::sync::MutexGuard;

const EMPTY: &str = r#"{"count":0,"servers":[]}"#;

fn in_hours(hours: i64) -> Timestamp {
    Clock::default()
        .now()
        .checked_add(SignedDuration::from_hours(hours))
        .unwrap()
}

/// An agency's keys that end in so many hours.
fn keys(name: &str, hours: i64) -> String {
    let ends = in_hours(hours);
    answer(
        200,
        &format!(
            r#"{{"credential":{{"access":"{name}","secret":"sk","securitytoken":"st-{name}",
            "expires_at":"{ends}"}}}}"#
        ),
    )
}

fn token(name: &str) -> String {
    let ends = in_hours(24);
    let body = format!(r#"{{"token":{{"expires_at":"{ends}"}}}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 201 Created\r\nX-Subject-Token: {name}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

fn of_agency(endpoint: &str) -> config::Ecs {
    config::Ecs {
        credentials: config::Credentials::Agency {
            metadata_endpoint: endpoint.to_owned(),
        },
        ..config(endpoint)
    }
}

fn of_password(endpoint: &str) -> config::Ecs {
    config::Ecs {
        credentials: config::Credentials::Password {
            domain: "acme".to_owned(),
            user: "scaler".to_owned(),
            password: "swordfish".into(),
        },
        ..config(endpoint)
    }
}

fn authority(config: &config::Ecs) -> Authority {
    let services = Services::of(&config.endpoint).unwrap();
    Authority::new(config, &services, Clock::default()).unwrap()
}

fn state(authority: &Authority) -> MutexGuard<'_, State> {
    authority.0.state()
}

fn key_of(held: &Held) -> String {
    use secrecy::ExposeSecret;
    match &held.pass {
        Pass::Key(key) => key.access_key.expose_secret().to_owned(),
        Pass::Token(token) => token.expose_secret().to_owned(),
    }
}

#[tokio::test]
async fn the_agency_s_keys_are_fetched_once_and_shown_with_their_token() {
    let script = vec![answer(200, "mt"), keys("one", 6), answer(200, EMPTY)];
    let cloud = Cloud::start(script).await;
    let client = client(&of_agency(&cloud.endpoint));
    client.list().await.unwrap();
    client.list().await.unwrap();
    let seen = cloud.seen();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].method, "PUT");
    assert_eq!(seen[1].headers["x-metadata-token"], "mt");
    assert_eq!(seen[3].headers["x-security-token"], "st-one");
    assert!(seen[3].headers["authorization"].contains("Access=one,"));
}

#[tokio::test]
async fn an_instance_without_metadata_tokens_gives_its_keys_all_the_same() {
    for status in [404, 405, 503] {
        let cloud = Cloud::start(vec![answer(status, ""), keys("one", 6)]).await;
        let held = authority(&of_agency(&cloud.endpoint)).pass().await.unwrap();
        assert_eq!(key_of(&held), "one");
        assert!(!cloud.seen()[1].headers.contains_key("x-metadata-token"));
    }
}

#[tokio::test]
async fn who_comes_while_keys_are_fetched_waits_for_the_same_ones() {
    let cloud = Cloud::start(vec![answer(404, ""), keys("one", 6), answer(500, "")]).await;
    let authority = authority(&of_agency(&cloud.endpoint));
    let (a, b, c) = tokio::join!(authority.pass(), authority.pass(), authority.pass());
    for held in [a, b, c] {
        assert_eq!(key_of(&held.unwrap()), "one");
    }
    assert_eq!(cloud.seen().len(), 2);
}

#[tokio::test]
async fn the_old_keys_serve_while_the_new_ones_are_fetched_once() {
    let script = vec![
        answer(404, ""),
        keys("old", 6),
        answer(404, ""),
        keys("new", 7),
    ];
    let cloud = Cloud::start(script).await;
    let authority = authority(&of_agency(&cloud.endpoint));
    assert_eq!(key_of(&authority.pass().await.unwrap()), "old");
    state(&authority).renew_at = Some(Timestamp::MIN);
    for _ in 0..3 {
        assert_eq!(key_of(&authority.pass().await.unwrap()), "old");
    }
    // Whoever holds the lock after the fetcher finds its work done.
    let fetched = async {
        while cloud.seen().len() < 4 {
            tokio::task::yield_now().await;
        }
    };
    let bound = std::time::Duration::from_secs(10);
    tokio::time::timeout(bound, fetched).await.unwrap();
    drop(authority.0.fetching.lock().await);
    assert_eq!(key_of(&authority.pass().await.unwrap()), "new");
    assert_eq!(cloud.seen().len(), 4);
}

#[tokio::test]
async fn keys_are_replaced_well_before_they_end_and_not_with_every_call() {
    let cloud = Cloud::start(vec![answer(404, ""), keys("one", 6)]).await;
    let authority = authority(&of_agency(&cloud.endpoint));
    authority.pass().await.unwrap();
    let lead = in_hours(6).duration_since(state(&authority).renew_at.unwrap());
    assert!((39..=41).contains(&lead.as_mins()), "{lead:?}");
    let cloud = Cloud::start(vec![answer(404, ""), keys("short", 0)]).await;
    let late = self::authority(&of_agency(&cloud.endpoint)).pass().await;
    let error = late.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("have ended"), "{error}");
    assert!(error.outcome_known());
}

#[tokio::test]
async fn a_user_s_token_is_shown_instead_of_a_signature() {
    let cloud = Cloud::start(vec![token("t1"), answer(200, EMPTY)]).await;
    let client = client(&of_password(&cloud.endpoint));
    client.list().await.unwrap();
    let seen = cloud.seen();
    assert!(seen[0].target.starts_with("/v3/auth/tokens"));
    assert!(seen[0].body.contains(r#""scope":{"project""#));
    assert_eq!(seen[1].headers["x-auth-token"], "t1");
    assert!(!seen[1].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_token_that_has_ended_is_renewed_once_and_a_read_repeated_once() {
    let over = answer(
        401,
        r#"{"error_code":"APIGW.0307","error_msg":"token expired"}"#,
    );
    let good = answer(200, EMPTY);
    let script = vec![token("t1"), good.clone(), over.clone(), token("t2"), good];
    let cloud = Cloud::start(script).await;
    let client = client(&of_password(&cloud.endpoint));
    client.list().await.unwrap();
    client.list().await.unwrap();
    assert_eq!(cloud.seen()[4].headers["x-auth-token"], "t2");
    let cloud = Cloud::start(vec![token("t1"), over.clone(), token("t2"), over]).await;
    let client = self::client(&of_password(&cloud.endpoint));
    for _ in 0..2 {
        let refused = client.list().await.unwrap_err();
        assert_eq!(refused.class(), Class::Permission);
    }
    assert_eq!(cloud.seen().len(), 4);
}

#[tokio::test]
async fn a_deletion_that_met_a_token_revoked_early_is_asked_for_once_more() {
    let over = r#"{"error_code":"APIGW.0307","error_msg":"token expired"}"#;
    let script = vec![
        token("t1"),
        answer(200, EMPTY),
        answer(401, over),
        token("t2"),
        answer(200, r#"{"job_id":"ff80"}"#),
    ];
    let cloud = Cloud::start(script).await;
    let client = client(&of_password(&cloud.endpoint));
    client.list().await.unwrap();
    let server = crate::model::ServerId::new("616fb98f-46ca-475e-917e-2563e5a8cd19");
    client.delete(&[server]).await.unwrap();
    assert_eq!(cloud.seen()[4].headers["x-auth-token"], "t2");
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_until_the_user_is_locked_and_never_shown() {
    let no = r#"{"error":{"code":401,"message":"The username or password is wrong.","title":"Unauthorized"}}"#;
    let cloud = Cloud::start(vec![answer(401, no)]).await;
    let client = client(&of_password(&cloud.endpoint));
    for _ in 0..4 {
        let refused = client.list().await.unwrap_err();
        assert_eq!(refused.class(), Class::Permission);
        assert!(refused.outcome_known());
        let shown = format!("{refused} {refused:?}");
        assert!(!shown.contains("swordfish"), "{shown}");
    }
    assert_eq!(cloud.seen().len(), 1);
}

#[tokio::test]
async fn half_of_a_key_stands_in_no_error() {
    let half = r#"{"credential":{"access":"AKHALF","secret":"half of"#;
    let cloud = Cloud::start(vec![answer(404, ""), answer(200, half)]).await;
    let refused = authority(&of_agency(&cloud.endpoint)).pass().await;
    let error = refused.map(|_| ()).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("AKHALF"), "{shown}");
}
