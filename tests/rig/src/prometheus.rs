//! The farm's Prometheus, asked as Grafana asks it.

use crate::{farm, files, watch};
use anyhow::{Context, Result};
use serde_json::Value;

/// The Prometheus of the farm that runs.
#[derive(Debug, Clone)]
pub struct Prometheus {
    client: reqwest::Client,
}

impl Prometheus {
    /// The one of the farm that runs; there is one at a time.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new() -> Result<Self> {
        Ok(Self {
            client: farm::http()?,
        })
    }

    /// What it answers to `query` for each of the last `seconds`, as a subquery: the series, as its API
    /// writes them.
    ///
    /// # Errors
    /// Where it does not answer, or does not understand the query.
    pub async fn range(&self, query: &str, seconds: u64) -> Result<Vec<Value>> {
        let port = files::PROMETHEUS_PORT;
        let url = reqwest::Url::parse_with_params(
            &format!("http://127.0.0.1:{port}/api/v1/query"),
            [("query", format!("({query})[{seconds}s:1s]"))],
        )?;
        let answer = watch::get(&self.client, url.as_str()).await?;
        let mut answer: Value = serde_json::from_str(&answer)?;
        let series = answer.pointer_mut("/data/result").map(Value::take);
        Ok(serde_json::from_value(series.context("no result")?)?)
    }
}
