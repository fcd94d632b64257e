//! The last look before a deletion.

use super::*;

fn shown(tags: &str) -> String {
    let shown = format!(
        r#"{{"server":{{"id":"a","name":"w","status":"ACTIVE","created":"2026-01-22T10:15:32Z",
        "flavor":{{"id":"f","vcpus":"32"}},"tags":[{tags}]}}}}"#
    );
    answer(200, &shown)
}

#[tokio::test]
async fn a_server_pinned_or_taken_from_us_since_the_list_is_not_deleted() {
    let ours = r#""obs-scaler-owner=me""#;
    let pinned = r#""obs-scaler-owner=me","obs-scaler-protected""#;
    let job = answer(200, r#"{"job_id":"j"}"#);
    for (tags, calls) in [(ours, 2), (pinned, 1), (r#""owner=another""#, 1)] {
        let cloud = Cloud::start(vec![shown(tags), job.clone()]).await;
        let deleted = cloud
            .client()
            .delete_after_a_look(&ServerId::new("a"))
            .await;
        assert_eq!(deleted.is_ok(), calls == 2, "{tags}: {deleted:?}");
        assert_eq!(cloud.seen().len(), calls, "{tags}");
    }
}
