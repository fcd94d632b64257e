//! What the servers have cost: their cost in an hour, times the time between two passes.

use super::{Look, Reconciler};
use crate::metrics::Own;
use crate::model::elapsed;
use crate::policy;
use jiff::Timestamp;
use std::time::Duration;

/// Measures the time for which the costs were known.
#[derive(Debug, Default)]
pub(super) struct Meter {
    last: Option<Timestamp>,
}

impl Meter {
    /// The time since the last call, in hours: 0 where the costs are not known now, or were not the last
    /// time, or where longer than `most` went by, of which nobody knows what was there.
    fn hours(&mut self, now: Timestamp, known: bool, most: Duration) -> f64 {
        let last = std::mem::replace(&mut self.last, known.then_some(now));
        let since = last.filter(|_| known).map(|last| elapsed(last, now));
        let since = since.filter(|since| *since <= most).unwrap_or_default();
        since.as_secs_f64() / 3600.0
    }
}

impl Reconciler {
    /// Adds what the servers have cost since the last pass.
    pub(super) fn add_costs(&mut self, look: &Look<'_>) {
        let costs = policy::costs(&look.view(self.books.ledger()), &self.parts.config.prices);
        let most = look.policy.max_age;
        let hours = self.meter.hours(look.now, costs.is_some(), most);
        add(&self.parts.own, &costs.unwrap_or_default(), hours);
    }
}

fn add(own: &Own, costs: &policy::Costs, hours: f64) {
    for ((pool, flavor), cost) in costs {
        own.cost(
            pool,
            flavor,
            cost.per_hour * hours,
            cost.idle_per_hour * hours,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_between_two_known_looks_costs() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut meter = Meter::default();
        let mut seconds =
            |second, known| 3600.0 * meter.hours(at(second), known, Duration::from_secs(120));
        assert_eq!(seconds(0, true), 0.0, "the first look");
        assert_eq!(seconds(60, true), 60.0);
        assert_eq!(seconds(180, true), 120.0);
        assert_eq!(seconds(301, true), 0.0, "longer than a list may be old");
        assert_eq!(seconds(310, false), 0.0, "not known now");
        assert_eq!(seconds(320, true), 0.0, "not known the last time");
        assert_eq!(seconds(330, true), 10.0);
        assert_eq!(seconds(300, true), 0.0, "the clock went back");
    }
}
