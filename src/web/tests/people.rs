//! What a person may say.

use super::*;
use crate::adoption::{Adopt, AdoptionError, Disown, Outcome, Row};
use crate::configure::{self, Configure};
use crate::exclusive::Ask;
use crate::inspect::CheckAsked;
use crate::roster::NotAnswered;
use crate::web::{Noted, Refitted};
use std::pin::Pin;

#[tokio::test]
async fn a_halted_pool_goes_on_only_for_a_person_with_the_token() {
    let app = app(Snapshot::default());
    let path = format!("/api/v1/pools/{}/accept", name());
    let ours = [("authorization", &*format!("Bearer {TOKEN}"))];
    let other = "/api/v1/pools/other/accept";
    let cases = [
        (&*path, &ours[..], 200),
        (&*path, &[], 401),
        (other, &ours, 404),
    ];
    for (path, headers, status) in cases {
        assert_eq!(
            send(&app, "POST", path, headers, "").await.0,
            status,
            "{path}"
        );
    }
}

/// Says which addresses it was asked for; none of another pool than the configured one.
pub(super) struct Desk;

fn rows(ips: &[std::net::IpAddr], outcome: Outcome) -> Vec<Row> {
    let row = |ip: &std::net::IpAddr| Row::bare(*ip, outcome, None);
    ips.iter().map(row).collect()
}

impl People for Desk {
    fn adopt(&self, ask: Adopt) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        let known = ask
            .pool
            .as_deref()
            .is_none_or(|pool| pool == name().as_str());
        let answered = match ask.pool {
            Some(pool) if !known => Err(AdoptionError::NoPool(pool)),
            _ => Ok(rows(&ask.ips, Outcome::Adopted)),
        };
        Box::pin(std::future::ready(answered))
    }

    fn configure(&self, ask: Configure) -> Pin<Box<dyn Future<Output = Refitted> + Send>> {
        let rows = ask.ips.into_iter().map(configure::Row::bare).collect();
        Box::pin(std::future::ready(Some(rows)))
    }

    fn maintain(
        &self,
        backend: crate::model::BackendName,
        _: Option<jiff::Timestamp>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(std::future::ready(backend.as_str() != "ending"))
    }

    fn be_exclusive(&self, ask: Option<Ask>) -> Pin<Box<dyn Future<Output = Noted> + Send>> {
        let noted = match ask.map(|ask| ask.backend).as_deref() {
            Some("main") | None => Some(Ok(())),
            Some("ending") => None,
            Some(other) => Some(Err(format!("backend {other}: no pool serves it"))),
        };
        Box::pin(std::future::ready(noted))
    }

    fn disown(&self, ask: Disown) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        let answered = Ok(rows(&ask.ips, Outcome::Disowned));
        Box::pin(std::future::ready(answered))
    }

    fn check(&self, ask: CheckAsked) -> Pin<Box<dyn Future<Output = Checked> + Send>> {
        let unknown = |ip: &std::net::IpAddr| NotAnswered::UnknownAddress(ip.to_string());
        let unknown = ask.ips.iter().find(|ip| ip.is_loopback()).map(unknown);
        let answered = unknown.map_or_else(|| Ok(json!(ask)), Err);
        Box::pin(std::future::ready(answered))
    }
}

#[tokio::test]
async fn servers_are_adopted_and_disowned_only_for_a_person_with_the_token() {
    let app = app(Snapshot::default());
    let ours = [("authorization", &*format!("Bearer {TOKEN}"))];
    for path in ["/api/v1/adopt", "/api/v1/disown"] {
        let ask = r#"{"ips": ["10.0.0.1"]}"#;
        for (method, headers, body, status) in [
            ("POST", &ours[..], ask, 200),
            ("POST", &[], ask, 401),
            ("GET", &ours, ask, 405),
            ("POST", &ours, "{}", 400),
            ("POST", &ours, r#"{"ips": ["10.0.0.256"]}"#, 400),
            ("POST", &ours, r#"{"ips": [], "ip": 1}"#, 400),
        ] {
            let answer = send(&app, method, path, headers, body).await;
            assert_eq!(answer.0, status, "{method} {path} {body}: {}", answer.1);
        }
    }
    let other = r#"{"ips": ["10.0.0.1"], "pool": "other"}"#;
    let refused = send(&app, "POST", "/api/v1/adopt", &ours, other).await;
    assert_eq!(refused.0, StatusCode::NOT_FOUND);
    let ask = r#"{"ips": ["10.0.0.1"], "pool": "aarch64-l1"}"#;
    let (_, said) = send(&app, "POST", "/api/v1/adopt", &ours, ask).await;
    assert!(said.contains(r#""outcome":"adopted""#), "{said}");
}

#[tokio::test]
async fn workers_are_looked_at_only_for_a_person_with_the_token() {
    let app = app(Snapshot::default());
    let ours = [("authorization", &*format!("Bearer {TOKEN}"))];
    let path = "/api/v1/workers/check";
    let ask = r#"{"ips": ["10.0.0.1"], "expect": {"vcpus": 32}}"#;
    for (method, headers, body, status) in [
        ("POST", &ours[..], ask, 200),
        ("POST", &[], ask, 401),
        ("GET", &ours, ask, 405),
        ("POST", &ours, r#"{"ips": ["127.0.0.1"]}"#, 404),
        ("POST", &ours, r#"{"ips": [], "expect": {"disks": 1}}"#, 400),
    ] {
        let answer = send(&app, method, path, headers, body).await;
        assert_eq!(answer.0, status, "{method} {body}: {}", answer.1);
    }
}

#[tokio::test]
async fn workers_are_configured_only_for_a_person_with_the_token_and_anybody_sees_how_far_it_is() {
    let app = app(Snapshot::default());
    let ours = [("authorization", &*format!("Bearer {TOKEN}"))];
    let path = "/api/v1/workers/configure";
    let ask = r#"{"ips": ["10.0.0.1"], "instances": 4}"#;
    for (method, headers, body, status) in [
        ("POST", &ours[..], ask, 200),
        ("POST", &[], ask, 401),
        ("GET", &[], "", 200),
        ("PUT", &ours, ask, 405),
        ("POST", &ours, "{}", 400),
        ("POST", &ours, r#"{"ips": [], "instance": 4}"#, 400),
    ] {
        let answer = send(&app, method, path, headers, body).await;
        assert_eq!(answer.0, status, "{method} {body}: {}", answer.1);
    }
}

#[tokio::test]
async fn workers_are_bound_only_for_a_person_with_the_token_and_a_word_that_is_not_kept_is_not_confirmed()
 {
    let app = app(Snapshot::default());
    let ours = [("authorization", &*format!("Bearer {TOKEN}"))];
    for (path, method, headers, body, status) in [
        ("on", "POST", &ours[..], r#"{"backend": "main"}"#, 200),
        ("on", "POST", &[], r#"{"backend": "main"}"#, 401),
        ("on", "GET", &ours, "", 405),
        ("on", "POST", &ours, r#"{"backend": "other"}"#, 400),
        ("on", "POST", &ours, r#"{"backend": "ending"}"#, 503),
        ("on", "POST", &ours, r#"{"backends": "main"}"#, 400),
        ("off", "POST", &ours, "{}", 200),
        ("off", "POST", &[], "{}", 401),
        ("off", "POST", &ours, r#"{"backend": "main"}"#, 400),
    ] {
        let path = format!("/api/v1/exclusive/{path}");
        let answer = send(&app, method, &path, headers, body).await;
        assert_eq!(answer.0, status, "{method} {path} {body}: {}", answer.1);
    }
}
