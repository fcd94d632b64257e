//! One GET or POST, to the last byte or not at all.

use super::HostError;
use reqwest::RequestBuilder;
use std::error::Error;
use std::time::Duration;

/// The largest answer taken from a worker, in bytes: a page of node_exporter on 128 CPUs has about
/// 300 KiB. Builds run there as root, and many workers are asked at once.
pub(super) const OF_WORKER: usize = 4 << 20;

/// The largest answer taken from Prometheus, in bytes: of 1000 workers it says about 20 MiB.
pub(super) const OF_PROMETHEUS: usize = 64 << 20;

/// A client that waits `timeout` from connect to the last byte.
pub(super) fn client(timeout: Duration, plain: bool) -> Result<reqwest::Client, HostError> {
    let client = crate::obs::http_client(timeout, plain);
    client.map_err(|error| HostError::Setup(error.to_string()))
}

/// The text of an answer of at most `most` bytes.
pub(super) async fn fetch(
    request: RequestBuilder,
    most: usize,
    timeout: Duration,
) -> Result<String, HostError> {
    let failed = |error: reqwest::Error| fault(error, timeout);
    let mut response = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > most {
            return Err(HostError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    if response.status().is_success() {
        return Ok(text);
    }
    Err(HostError::Refused {
        status: response.status().as_u16(),
        said: text.trim().chars().take(200).collect(),
    })
}

fn fault(error: reqwest::Error, timeout: Duration) -> HostError {
    if error.is_timeout() {
        return HostError::TimedOut(timeout);
    }
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    HostError::Unreachable(cause.to_string())
}
