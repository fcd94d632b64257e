//! Every query of every dashboard, asked over a whole run.

use super::{Query, queries};
use anyhow::{Context, Result, ensure};
use rig::Prometheus;
use serde_json::Value;
use std::collections::BTreeSet;

/// What has nothing to show in a run where all goes well: place, and the reason. Whatever is named here
/// must indeed stay silent, so that the list can not outlive its reasons.
const SILENT: &[(&str, &str)] = &[(
    "obs-scaler / Scaling and lifecycle / Calls that failed / A",
    "the simulated cloud answers every call as it should",
)];

/// Asks every query over the last `seconds`, and fails where one has no answer at any moment of them.
///
/// # Errors
/// Names every query that had none, and every one that was not expected to have any.
pub(crate) async fn every_query_answers(seconds: u64) -> Result<()> {
    let prometheus = Prometheus::new()?;
    let range = format!("{seconds}s");
    let mut silent = BTreeSet::new();
    let mut expected = BTreeSet::new();
    for query in queries() {
        if SILENT.iter().any(|(place, _)| *place == query.place) {
            expected.insert(query.place.clone());
        }
        let answer = prometheus.range(&query.asked("15s", &range), seconds).await;
        let answer = answer.with_context(|| query.place.clone())?;
        if !has_a_number(&answer) {
            silent.insert(query.place);
        }
    }
    ensure!(
        silent == expected,
        "no answer: {:#?}\nanswered against expectation: {:#?}",
        silent.difference(&expected).collect::<Vec<_>>(),
        expected.difference(&silent).collect::<Vec<_>>()
    );
    Ok(())
}

/// Whether some sample of some series is a number: quantiles of nothing are not.
fn has_a_number(answer: &[Value]) -> bool {
    let samples = answer
        .iter()
        .flat_map(|series| super::list(series, "/values"));
    let mut numbers = samples.filter_map(|sample| super::text(sample, "/1").parse::<f64>().ok());
    numbers.any(f64::is_finite)
}

#[test]
fn every_silent_query_is_there_and_has_its_reason() {
    let places: BTreeSet<String> = queries()
        .into_iter()
        .map(|query: Query| query.place)
        .collect();
    for (place, reason) in SILENT {
        assert!(places.contains(*place), "{place} is no query");
        assert!(!reason.is_empty(), "{place} has no reason");
    }
}
