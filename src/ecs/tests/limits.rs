//! Calls that are not made.

use super::*;
use tokio::time::Instant;

#[tokio::test]
async fn a_key_that_is_refused_is_not_tried_until_it_is_locked() {
    let no = r#"{"error_msg":"verify aksk signature fail","error_code":"APIGW.0301"}"#;
    let cloud = Cloud::start(vec![answer(401, no)]).await;
    let client = cloud.client();
    for _ in 0..3 {
        let refused = client.list().await.unwrap_err();
        assert_eq!(refused.class(), Class::Permission);
        let request = request::write(&order(1), &pool(), &config(""), "me", "").unwrap();
        let refused = client.create(&request).await.unwrap_err();
        assert_eq!(refused.class(), Class::Permission);
        let refused = client.delete(&[ServerId::new(ID)]).await.unwrap_err();
        assert_eq!(refused.class(), Class::Permission);
    }
    assert_eq!(cloud.seen().len(), 1);
}

#[tokio::test]
async fn a_right_that_one_call_wants_for_holds_no_other() {
    let no = r#"{"error":{"code":"Pdp.0001","message":"Policy doesn't allow"}}"#;
    let empty = r#"{"count":0,"servers":[]}"#;
    let cloud = Cloud::start(vec![answer(403, no), answer(200, empty)]).await;
    let client = cloud.client();
    let refused = client.quota().await.unwrap_err();
    assert_eq!(refused.class(), Class::Permission);
    assert!(client.list().await.is_ok());
}

#[tokio::test]
async fn a_throttled_call_of_either_form_stops_the_whole_client() {
    let gateway = answer(
        429,
        r#"{"error_code":"APIGW.0308","error_msg":"slow down"}"#,
    );
    let inside = answer(
        202,
        r#"{"error":{"code":"Common.0024","message":"flow over limit"}}"#,
    );
    for throttled in [gateway, inside] {
        let empty = answer(200, r#"{"count":0,"servers":[]}"#);
        let cloud = Cloud::start(vec![throttled, empty]).await;
        let client = cloud.client();
        let error = client.delete(&[ServerId::new(ID)]).await.unwrap_err();
        assert_eq!(error.class(), Class::Throttled);
        let begun = Instant::now();
        assert!(client.list().await.is_ok());
        assert!(begun.elapsed() > Duration::from_millis(900));
    }
}

#[tokio::test]
async fn a_creation_that_waited_in_vain_has_bought_nothing() {
    let throttled = answer(
        429,
        r#"{"error_code":"APIGW.0308","error_msg":"slow down"}"#,
    );
    let cloud = Cloud::start(vec![throttled]).await;
    let mut config = config(&cloud.endpoint);
    config.timeout = Duration::from_millis(200);
    let client = client(&config);
    assert!(client.list().await.is_err());
    let request = request::write(&order(1), &pool(), &config, "me", "").unwrap();
    let error = client.create(&request).await.unwrap_err();
    assert!(matches!(error, EcsError::NotAdmitted { .. }), "{error}");
    assert!(error.outcome_known());
    assert_eq!(
        (error.class(), error.retry()),
        (Class::Throttled, Retry::SameToken)
    );
    assert_eq!(cloud.seen().len(), 1);
}

#[tokio::test]
async fn writes_beyond_the_budget_wait_and_reads_do_not() {
    let job = answer(200, r#"{"job_id":"j","count":0,"servers":[]}"#);
    let cloud = Cloud::start(vec![job]).await;
    let mut config = config(&cloud.endpoint);
    config.rates.writes_per_minute = 120;
    let client = client(&config);
    let begun = Instant::now();
    for _ in 0..11 {
        client.delete(&[ServerId::new(ID)]).await.unwrap();
    }
    assert!(
        begun.elapsed() > Duration::from_millis(300),
        "{:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    client.list().await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(300),
        "{:?}",
        begun.elapsed()
    );
}
