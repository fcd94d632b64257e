//! The JSON answers.

use super::*;
use crate::model::Unknown;
use crate::roster::{NotAnswered, Question};

/// Answers with what it was asked.
pub(super) struct Echo {
    /// The cloud's list is not known.
    pub(super) stale: bool,
}

impl Answers for Echo {
    fn maintenance(&self) -> Value {
        json!("maintenance")
    }

    fn discover(&self) -> Result<Value, Unknown> {
        let never = Unknown::Never { why: None };
        if self.stale {
            Err(never)
        } else {
            Ok(json!(["targets"]))
        }
    }

    fn cost(&self, since: Option<jiff::Timestamp>) -> Value {
        json!({ "since": since.map(|at| at.to_string()) })
    }

    fn exclusive(&self) -> Value {
        serde_json::json!({ "mode": "off", "workers": [] })
    }

    fn of_workers(&self, question: &Question) -> Result<Value, NotAnswered> {
        match question {
            Question::Usage(_) => Err(NotAnswered::NotRead),
            question => Ok(json!(format!("{question:?}"))),
        }
    }

    fn configured(&self) -> Vec<crate::configure::Row> {
        Vec::new()
    }

    fn plan_apply(&self) -> Value {
        json!("apply")
    }

    fn accept(&self, pool: &PoolName) -> bool {
        *pool == name()
    }

    fn plan_release(&self, checks: Option<u32>, interval: Option<Duration>) -> Value {
        json!({ "checks": checks, "interval": interval.map(|d| d.as_secs()) })
    }
}

#[tokio::test]
async fn prometheus_is_told_to_keep_its_targets_while_the_workers_are_not_known() {
    let mut app = app(Snapshot::default());
    let (status, said) = get(&app, "/api/v1/sd").await;
    assert_eq!((status, &*said), (StatusCode::OK, r#"["targets"]"#));
    app.answers = Arc::new(Echo { stale: true });
    let (status, said) = get(&app, "/api/v1/sd").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(said.contains("never read"), "{said}");
}

#[tokio::test]
async fn costs_are_asked_for_since_a_day_or_a_moment_or_for_ever() {
    let app = app(Snapshot::default());
    for (query, since) in [
        ("", "null"),
        ("?since=2026-01-31", r#""2026-01-31T00:00:00Z""#),
        ("?since=2026-01-31T10:00:00Z", r#""2026-01-31T10:00:00Z""#),
    ] {
        let (status, said) = get(&app, &format!("/api/v1/cost{query}")).await;
        assert_eq!(
            (status, said),
            (StatusCode::OK, format!(r#"{{"since":{since}}}"#))
        );
    }
    for wrong in ["?since=yesterday", "?since=", "?until=2026-01-31"] {
        let (status, _) = get(&app, &format!("/api/v1/cost{wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn a_backends_maintenance_is_said_with_the_token_for_a_known_backend_and_a_moment_to_come() {
    let mut known = Snapshot::default();
    for name in ["main", "ending"] {
        let name = crate::model::BackendName::new(name);
        known.backends.insert(name, Arc::default());
    }
    let app = app(known);
    let (status, said) = get(&app, "/api/v1/maintenance").await;
    assert_eq!((status, &*said), (StatusCode::OK, r#""maintenance""#));
    let say = async |token: &str, body: &str| {
        let request = Request::post("/api/v1/maintenance").header("authorization", token);
        let body = Full::new(Bytes::from(body.to_owned()));
        app.answer(request.body(body).unwrap()).await.status()
    };
    let bearer = format!("Bearer {TOKEN}");
    let until = r#"{"backend":"main","until":"2999-01-01T00:00:00Z"}"#;
    assert_eq!(say("Bearer no", until).await, StatusCode::UNAUTHORIZED);
    assert_eq!(say(&bearer, until).await, StatusCode::OK);
    let off = r#"{"backend":"main","off":true}"#;
    assert_eq!(say(&bearer, off).await, StatusCode::OK);
    let not_written = r#"{"backend":"ending","off":true}"#;
    let not_now = StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(say(&bearer, not_written).await, not_now);
    let unknown = r#"{"backend":"other","off":true}"#;
    assert_eq!(say(&bearer, unknown).await, StatusCode::NOT_FOUND);
    for wrong in [
        r#"{"backend":"main"}"#,
        r#"{"backend":"main","until":"2001-01-01T00:00:00Z"}"#,
        r#"{"backend":"main","until":"2999-01-01T00:00:00Z","off":true}"#,
        r#"{"backend":"main","of":true}"#,
        "main",
    ] {
        assert_eq!(
            say(&bearer, wrong).await,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn what_the_workers_are_is_asked_by_get_and_an_unknown_address_or_parameter_is_told() {
    let app = app(Snapshot::default());
    for (path, status) in [
        ("/api/v1/workers?idle=true&ip=10.0.0.1", 200),
        ("/api/v1/instances", 200),
        ("/api/v1/instances/idle", 200),
        ("/api/v1/workers/usage?window=5m", 409),
        ("/api/v1/workers?ip=here", 400),
        ("/api/v1/workers/usage?window=1d", 400),
        ("/api/v1/workers/none", 404),
        ("/api/v1/workersandmore", 404),
    ] {
        let (found, said) = get(&app, path).await;
        assert_eq!(found, status, "{path}: {said}");
    }
    let posted = send(&app, "POST", "/api/v1/workers", &[], "").await;
    assert_eq!(posted.0, StatusCode::METHOD_NOT_ALLOWED);
}
