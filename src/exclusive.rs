//! Exclusive mode as people ask for it, and how far it is. Pure.

use crate::config::Policy;
use crate::model::{BackendName, Exclusive, PoolName};
use crate::policy::View;
use crate::policy::exclusive::{Progress, Row, exclusion};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The most workers of a pool that may be on their way at once.
const MOST: u32 = 1024;

/// What a person asks for: `POST /api/v1/exclusive/on`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The backend that is to be served alone.
    pub backend: String,
    /// The pools whose workers are meant; every pool of the backend where none is named.
    #[serde(default)]
    pub pools: Vec<String>,
    /// How many workers of a pool may be on their way at once, from 1; 1 where it is not given.
    #[serde(default)]
    pub at_once: Option<u32>,
}

/// The mode that is asked for.
///
/// # Errors
/// Says what is wrong with the question.
pub fn decide(ask: &Ask, policy: &Policy, now: Timestamp) -> Result<Exclusive, String> {
    let backend = BackendName::new(&*ask.backend);
    let pools = policy.pools.values();
    let of_backend: BTreeSet<&PoolName> = pools
        .filter(|pool| pool.backends.contains(&backend))
        .map(|pool| &pool.name)
        .collect();
    if of_backend.is_empty() {
        return Err(format!("backend {backend}: no pool serves it"));
    }
    let named = ask.pools.iter().map(|name| {
        let pool = of_backend.iter().find(|pool| pool.as_str() == name);
        pool.copied()
            .cloned()
            .ok_or_else(|| format!("pool {name:?}: no pool of backend {backend} has this name"))
    });
    let named = named.collect::<Result<BTreeSet<PoolName>, String>>()?;
    let at_once = ask.at_once.unwrap_or(1);
    if !(1..=MOST).contains(&at_once) {
        return Err(format!(
            "at_once: found {at_once}, expected a number from 1 to {MOST}"
        ));
    }
    Ok(Exclusive {
        backend,
        pools: if named.is_empty() {
            of_backend.into_iter().cloned().collect()
        } else {
            named
        },
        at_once,
        since: now,
        ending: false,
    })
}

/// How far it is: `GET /api/v1/exclusive`. `mode` is `off`, `on` or `ending`.
#[must_use]
pub fn status(view: &View<'_>) -> Value {
    let Some(mode) = &view.ledger.exclusive else {
        return json!({ "mode": "off", "workers": [] });
    };
    let all = exclusion(view);
    let counts = Progress::ALL.map(|progress| {
        let so = all.rows.iter().filter(|row| row.progress == progress);
        (progress.label().to_owned(), json!(so.count()))
    });
    json!({
        "mode": if mode.ending { "ending" } else { "on" },
        "backend": mode.backend.as_str(),
        "pools": mode.pools.iter().map(PoolName::as_str).collect::<Vec<_>>(),
        "at_once": mode.at_once,
        "since": mode.since.to_string(),
        "held": all.held.map(|reason| reason.to_string()),
        "counts": counts.into_iter().collect::<serde_json::Map<_, _>>(),
        "workers": all.rows.iter().map(worker).collect::<Vec<_>>(),
    })
}

fn worker(row: &Row) -> Value {
    json!({
        "server": row.server.as_str(),
        "host": row.host.as_ref().map(|host| host.as_str()),
        "pool": row.pool.as_str(),
        "progress": row.progress.label(),
        "why": row.why,
    })
}
