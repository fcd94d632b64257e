//! What servers have cost, as the API tells it.

use crate::model::PoolName;
use crate::policy::bills::{Line, summary};
use crate::reconcile::Bills;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A line for each pool and flavor, and their sum. Amounts are in the unit of the configured prices.
pub(super) fn as_json(bills: &Bills, since: Option<Timestamp>, now: Timestamp) -> Value {
    let oldest = bills.values().map(|bill| bill.created).min();
    let from = since.or(oldest).unwrap_or(now);
    let lines = summary(bills.values().map(AsRef::as_ref), from, now);
    let rows = lines.iter().map(|((pool, flavor), line)| {
        let mut row = row(line);
        if let Some(fields) = row.as_object_mut() {
            let pool = pool.as_ref().map(PoolName::as_str);
            fields.insert("pool".to_owned(), json!(pool));
            fields.insert("flavor".to_owned(), json!(flavor.as_str()));
        }
        row
    });
    json!({
        "since": from.to_string(),
        "until": now.to_string(),
        "lines": rows.collect::<Vec<_>>(),
        "total": row(&sum(lines.values())),
    })
}

fn row(line: &Line) -> Value {
    json!({
        "servers": line.servers,
        "running": line.running,
        "seconds": line.seconds,
        "cost": line.total.rounded(),
        "volumes": line.volumes.rounded(),
        "uncertain_seconds": line.uncertain_seconds,
        "without_price": line.unpriced,
        "without_volume_price": line.unpriced_volumes,
    })
}

fn sum<'a>(lines: impl Iterator<Item = &'a Line>) -> Line {
    lines.fold(Line::default(), |sum, line| Line {
        servers: sum.servers + line.servers,
        running: sum.running + line.running,
        seconds: sum.seconds + line.seconds,
        total: sum.total + line.total,
        volumes: sum.volumes + line.volumes,
        uncertain_seconds: sum.uncertain_seconds + line.uncertain_seconds,
        unpriced: sum.unpriced + line.unpriced,
        unpriced_volumes: sum.unpriced_volumes + line.unpriced_volumes,
    })
}
