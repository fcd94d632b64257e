//! The webhook's calls where no Alertmanager is there to make them.

use crate::watch;
use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between two looks at the queue, and two calls.
const PERIOD: Duration = Duration::from_secs(2);

/// Rings while jobs wait (apply), and while nothing waits or builds (release).
pub(super) struct Doorbell(JoinHandle<()>);

impl Doorbell {
    pub(super) fn start(
        client: &reqwest::Client,
        scaler: SocketAddr,
        obs: SocketAddr,
        token: String,
    ) -> Self {
        let (client, since) = (client.clone(), now());
        Self(tokio::spawn(async move {
            loop {
                // obs-scaler or OBS may be gone at the end: who waits for them says so
                let _rung = ring(&client, scaler, obs, token.trim(), &since).await;
                tokio::time::sleep(PERIOD).await;
            }
        }))
    }

    pub(super) fn stop(self) {
        self.0.abort();
    }
}

async fn ring(
    client: &reqwest::Client,
    scaler: SocketAddr,
    obs: SocketAddr,
    token: &str,
    since: &str,
) -> Result<()> {
    let text = watch::get(client, &format!("http://{obs}/_sim/state")).await?;
    let state: Value = serde_json::from_str(&text)?;
    let count = |code: &str| {
        state
            .pointer(&format!("/packages/{code}"))
            .and_then(Value::as_u64)
    };
    let (waiting, building) = (count("scheduled"), count("building"));
    let action = match (waiting.unwrap_or(0), building.unwrap_or(0)) {
        (0, 0) => Some(("ObsIdle", "release")),
        (0, _) => None,
        _ => Some(("ObsBusy", "apply")),
    };
    let mut alerts = vec![alert("Watchdog", json!({}), since)];
    for (pool, arch) in [("x86-64-l1", "x86_64"), ("aarch64-l1", "aarch64")] {
        if let Some((name, action)) = action {
            let labels = json!({"action": action, "pool": pool, "arch": arch, "level": "l1"});
            alerts.push(alert(name, labels, since));
        }
    }
    let body = json!({
        "receiver": "obs-scaler", "status": "firing", "alerts": alerts, "groupLabels": {},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://demo", "version": "4",
        "groupKey": "{}:{}", "truncatedAlerts": 0,
    });
    let call = client.post(format!("http://{scaler}/api/v1/alerts"));
    let call = call.bearer_auth(token).body(body.to_string());
    call.send().await?.error_for_status()?;
    Ok(())
}

fn alert(name: &str, mut labels: Value, since: &str) -> Value {
    let of = |key: &str| {
        labels
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("none")
            .to_owned()
    };
    let fingerprint = format!("demo-{name}-{}", of("pool"));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("alertname".to_owned(), json!(name));
    }
    json!({
        "status": "firing", "labels": labels, "annotations": {}, "fingerprint": fingerprint,
        "startsAt": since, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://demo",
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "the demo is not obs-scaler, and has no clock of its"
)]
fn now() -> String {
    Timestamp::now().to_string()
}
