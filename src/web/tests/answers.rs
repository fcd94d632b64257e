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
