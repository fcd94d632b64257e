//! The JSON answers.

use super::*;
use crate::model::Unknown;

/// Answers with what it was asked.
pub(super) struct Echo {
    /// The cloud's list is not known.
    pub(super) stale: bool,
}

impl Answers for Echo {
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

    fn be_exclusive(&self, ask: Option<crate::exclusive::Ask>) -> Result<bool, String> {
        match ask {
            Some(ask) if ask.backend != "main" => Err(format!("no backend {}", ask.backend)),
            _ => Ok(true),
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
