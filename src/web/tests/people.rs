//! What a person may say.

use super::*;

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
