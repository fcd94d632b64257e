//! Questions to the running daemon: it alone knows what is in flight, and for how long each worker
//! has been idle.

use crate::config::Config;
use anyhow::{Context, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use std::time::Duration;

/// `POST /api/v1/{route}` of a question whose answer takes its time, with a bearer token.
pub(super) fn post_and_wait(
    config: &Config,
    route: &str,
    token: &str,
    body: &Value,
    patience: Duration,
) -> anyhow::Result<Value> {
    ask_within(config, patience, |client| {
        json_request(client, &url(config, route), token, body)
    })
}

fn json_request(client: &Client, url: &str, token: &str, body: &Value) -> RequestBuilder {
    let request = client.post(url).bearer_auth(token);
    let request = request.header(CONTENT_TYPE, "application/json");
    request.body(body.to_string())
}

/// `GET /api/v1/{route}`.
pub(super) fn get(config: &Config, route: &str) -> anyhow::Result<Value> {
    ask(config, |client| client.get(url(config, route)))
}

/// `POST /api/v1/{route}` with a bearer token.
pub(super) fn post(config: &Config, route: &str, token: &str) -> anyhow::Result<Value> {
    ask(config, |client| {
        client.post(url(config, route)).bearer_auth(token)
    })
}

fn url(config: &Config, route: &str) -> String {
    format!("http://{}/api/v1/{route}", config.web.listen)
}

/// `POST /api/v1/{route}` of a question, with a bearer token; `None` where no daemon listens.
pub(super) fn post_json(
    config: &Config,
    route: &str,
    token: &str,
    body: &Value,
) -> anyhow::Result<Option<Value>> {
    let asked = ask(config, |client| {
        json_request(client, &url(config, route), token, body)
    });
    match asked {
        Err(error) if nobody_listens(&error) => Ok(None),
        asked => asked.map(Some),
    }
}

/// What is wrong, in the words of the API's errors; the whole body where it is no such.
fn complaint(body: &[u8]) -> String {
    let error = serde_json::from_slice::<Value>(body).ok();
    let words = error
        .as_ref()
        .and_then(|error| error.get("error")?.as_str());
    let whole = || String::from_utf8_lossy(body).into_owned();
    words.map_or_else(whole, str::to_owned)
}

fn nobody_listens(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<reqwest::Error>();
    cause.is_some_and(reqwest::Error::is_connect)
}

fn ask(config: &Config, request: impl FnOnce(&Client) -> RequestBuilder) -> anyhow::Result<Value> {
    ask_within(config, config.poll.timeout, request)
}

fn ask_within(
    config: &Config,
    patience: Duration,
    request: impl FnOnce(&Client) -> RequestBuilder,
) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = crate::obs::http_client(patience, true)?;
    runtime.block_on(async {
        let answer = request(&client).send().await;
        let answer = answer.with_context(|| {
            let listen = config.web.listen;
            format!("no obs-scaler answers at {listen}: is `obs-scaler serve` running?")
        })?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            bail!("the daemon answers {status}: {}", complaint(&body));
        }
        serde_json::from_slice(&body).context("the daemon's answer is not JSON")
    })
}
