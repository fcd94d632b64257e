//! What this program did: counters, durations, and the times of its decisions.

use super::catalogue::{Declared, own as catalogue};
use super::words::{
    AlertKind, Direction, GhostEnd, Leftover, OrderEnd, Poller, ReleaseEnd, Span, WebhookOutcome,
};
use crate::cloud::Leftovers;
use crate::config::Pool;
use crate::model::{BackendName, FlavorName, PoolName};
use crate::policy::Lease;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Amounts = Family<Labels, Counter<f64, AtomicU64>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The metrics of what this program did. Cheap to clone: clones count together.
#[derive(Debug, Clone)]
pub struct Own {
    webhooks: Counters,
    alerts: Counters,
    decisions: Counters,
    last_decision: Family<Labels, Gauge<f64, AtomicU64>>,
    orders: Counters,
    releases: Counters,
    spans: Histograms,
    reaction: Histogram,
    ecs_requests: Counters,
    ecs_duration: Histograms,
    collects: Histograms,
    costs: Amounts,
    idle_costs: Amounts,
    ghosts: Counters,
    leftovers: Counters,
    lease: Family<Labels, Gauge>,
    pools: BTreeMap<PoolName, Labels>,
}

impl Own {
    /// Registers every metric, and lets each series that is known beforehand begin at 0: those of the
    /// pools, and of the reasons that the planner may give for a decision.
    #[must_use]
    pub fn register(
        registry: &mut Registry,
        pools: &BTreeMap<PoolName, Pool>,
        reasons: &[(Direction, &'static str)],
    ) -> Self {
        let own = Self {
            webhooks: Family::default(),
            alerts: Family::default(),
            decisions: Family::default(),
            last_decision: Family::default(),
            orders: Family::default(),
            releases: Family::default(),
            spans: Family::new_with_constructor(minutes),
            reaction: minutes(),
            ecs_requests: Family::default(),
            ecs_duration: Family::new_with_constructor(calls),
            collects: Family::new_with_constructor(calls),
            costs: Family::default(),
            idle_costs: Family::default(),
            ghosts: Family::default(),
            leftovers: Family::default(),
            lease: Family::default(),
            pools: pools
                .values()
                .map(|p| (p.name.clone(), labels_of(p)))
                .collect(),
        };
        own.describe(registry);
        own.begin_at_zero(reasons);
        for kind in Leftover::ALL {
            begin(&own.leftovers, &one("kind", kind.as_str()));
        }
        for backend in pools.values().flat_map(|pool| &pool.backends) {
            for end in GhostEnd::ALL {
                begin(&own.ghosts, &ghost(backend, *end));
            }
        }
        own
    }

    fn describe(&self, registry: &mut Registry) {
        let build = vec![
            ("version", env!("CARGO_PKG_VERSION")),
            (
                "revision",
                option_env!("OBS_SCALER_REVISION").unwrap_or("unknown"),
            ),
        ];
        let mut add = Described(registry);
        add.metric(&catalogue::OBS_SCALER_BUILD_INFO, Info::new(build));
        add.metric(&catalogue::OBS_SCALER_WEBHOOKS, self.webhooks.clone());
        add.metric(&catalogue::OBS_SCALER_WEBHOOK_ALERTS, self.alerts.clone());
        add.metric(&catalogue::OBS_SCALER_DECISIONS, self.decisions.clone());
        add.metric(
            &catalogue::OBS_SCALER_LAST_DECISION_TIMESTAMP_SECONDS,
            self.last_decision.clone(),
        );
        add.metric(&catalogue::OBS_SCALER_ORDERS, self.orders.clone());
        add.metric(&catalogue::OBS_SCALER_RELEASES, self.releases.clone());
        add.metric(
            &catalogue::OBS_SCALER_STAGE_DURATION_SECONDS,
            self.spans.clone(),
        );
        add.metric(
            &catalogue::OBS_SCALER_REACTION_SECONDS,
            self.reaction.clone(),
        );
        add.metric(
            &catalogue::OBS_SCALER_ECS_REQUESTS,
            self.ecs_requests.clone(),
        );
        add.metric(
            &catalogue::OBS_SCALER_ECS_REQUEST_DURATION_SECONDS,
            self.ecs_duration.clone(),
        );
        add.metric(&catalogue::OBS_SCALER_COST, self.costs.clone());
        add.metric(&catalogue::OBS_SCALER_IDLE_COST, self.idle_costs.clone());
        add.metric(
            &catalogue::OBS_SCALER_COLLECT_DURATION_SECONDS,
            self.collects.clone(),
        );
        add.metric(&catalogue::OBS_SCALER_LEASE, self.lease.clone());
        add.metric(
            &catalogue::OBS_SCALER_LEFTOVERS_DELETED_TOTAL,
            self.leftovers.clone(),
        );
        add.metric(
            &catalogue::OBS_SCALER_GHOSTS_FREED_TOTAL,
            self.ghosts.clone(),
        );
    }

    fn begin_at_zero(&self, reasons: &[(Direction, &'static str)]) {
        for outcome in WebhookOutcome::ALL {
            begin(&self.webhooks, &one("outcome", outcome.as_str()));
        }
        for kind in AlertKind::ALL {
            begin(&self.alerts, &one("outcome", kind.as_str()));
        }
        self.lease(Lease::Starting.label());
        for span in Span::ALL {
            begin(&self.spans, &one("stage", span.as_str()));
        }
        for poller in Poller::ALL {
            begin(&self.collects, &one("collector", poller.as_str()));
        }
        for pool in self.pools.keys() {
            self.begin_pool(pool, reasons);
        }
    }

    fn begin_pool(&self, pool: &PoolName, reasons: &[(Direction, &'static str)]) {
        for direction in Direction::ALL {
            begin(&self.last_decision, &decision(*direction, pool));
        }
        for (direction, reason) in reasons {
            let labels = and(decision(*direction, pool), "reason", reason);
            begin(&self.decisions, &labels);
        }
        for end in OrderEnd::ALL {
            begin(&self.orders, &self.ended(pool, end.as_str()));
        }
        for end in ReleaseEnd::ALL {
            begin(&self.releases, &self.ended(pool, end.as_str()));
        }
    }

    /// A notification came.
    pub fn webhook(&self, outcome: WebhookOutcome) {
        self.webhooks
            .get_or_create(&one("outcome", outcome.as_str()))
            .inc();
    }

    /// `count` alerts of a notification were dealt with so.
    pub fn alerts(&self, kind: AlertKind, count: u64) {
        self.alerts
            .get_or_create(&one("outcome", kind.as_str()))
            .inc_by(count);
    }

    /// The planner decided this for a pool.
    pub fn decided(&self, direction: Direction, pool: &PoolName, reason: &str, at: Timestamp) {
        let labels = decision(direction, pool);
        self.last_decision.get_or_create(&labels).set(seconds(at));
        self.decisions
            .get_or_create(&and(labels, "reason", reason))
            .inc();
    }

    /// So many ordered servers ended so.
    pub fn ordered(&self, pool: &PoolName, end: OrderEnd, servers: u32) {
        let labels = self.ended(pool, end.as_str());
        self.orders.get_or_create(&labels).inc_by(servers.into());
    }

    /// A release ended so.
    pub fn released(&self, pool: &PoolName, end: ReleaseEnd) {
        self.releases
            .get_or_create(&self.ended(pool, end.as_str()))
            .inc();
    }

    /// A span of a worker's life took so long.
    pub fn spent(&self, span: Span, took: Duration) {
        self.spans
            .get_or_create(&one("stage", span.as_str()))
            .observe(took.as_secs_f64());
    }

    /// From the notification to the create call it took so long.
    pub fn reacted(&self, took: Duration) {
        self.reaction.observe(took.as_secs_f64());
    }

    /// A call to the cloud was answered with this code, or failed in this way.
    pub fn ecs_call(&self, operation: &str, code: &str, took: Duration) {
        let labels = and(one("operation", operation), "code", code);
        self.ecs_requests.get_or_create(&labels).inc();
        self.ecs_duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// A poll took so long, whether it succeeded or not.
    pub fn collected(&self, poller: Poller, took: Duration) {
        self.collects
            .get_or_create(&one("collector", poller.as_str()))
            .observe(took.as_secs_f64());
    }

    /// A pool's servers of a flavor have cost this much, and of it so much while they were idle, in the
    /// unit of the configured prices. The first call, for nothing, lets the series begin.
    pub fn cost(&self, pool: &PoolName, flavor: &FlavorName, cost: f64, idle: f64) {
        let labels = and(self.of(pool), "flavor", flavor.as_str());
        self.costs.get_or_create(&labels).inc_by(cost);
        self.idle_costs.get_or_create(&labels).inc_by(idle);
    }

    /// This scaler stands so to the others of its owner.
    pub fn lease(&self, standing: &str) {
        for state in Lease::LABELS {
            let gauge = self.lease.get_or_create(&one("state", state));
            gauge.set(i64::from(state == standing));
        }
    }

    /// OBS was asked to free a ghost.
    pub fn ghost(&self, backend: &BackendName, end: GhostEnd) {
        self.ghosts.get_or_create(&ghost(backend, end)).inc();
    }

    /// Leftovers of servers that are gone were deleted.
    pub fn cleared(&self, leftovers: &Leftovers) {
        for (kind, count) in [
            (Leftover::Volume, leftovers.volumes.len()),
            (Leftover::Port, leftovers.ports.len()),
        ] {
            let counter = self.leftovers.get_or_create(&one("kind", kind.as_str()));
            counter.inc_by(count as u64);
        }
    }

    /// A server may outlive its pool's place in the configuration: then its arch and level are unknown.
    fn of(&self, pool: &PoolName) -> Labels {
        let unknown = || one("pool", pool.as_str());
        self.pools.get(pool).cloned().unwrap_or_else(unknown)
    }

    fn ended(&self, pool: &PoolName, end: &str) -> Labels {
        and(self.of(pool), "outcome", end)
    }
}

/// Seconds since 1970, as Prometheus writes times.
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

struct Described<'a>(&'a mut Registry);

impl Described<'_> {
    fn metric(&mut self, family: &Declared, metric: impl Metric) {
        self.0.register(family.stem(), family.help, metric);
    }
}

/// Lets a series exist before anything is counted in it.
fn begin<M: Clone, C: MetricConstructor<M>>(family: &Family<Labels, M, C>, labels: &Labels) {
    drop(family.get_or_create(labels));
}

fn one(key: &'static str, value: &str) -> Labels {
    vec![(key, value.to_owned())]
}

fn and(mut labels: Labels, key: &'static str, value: &str) -> Labels {
    labels.push((key, value.to_owned()));
    labels
}

fn decision(direction: Direction, pool: &PoolName) -> Labels {
    and(one("direction", direction.as_str()), "pool", pool.as_str())
}

fn ghost(backend: &BackendName, end: GhostEnd) -> Labels {
    and(one("backend", backend.as_str()), "outcome", end.as_str())
}

fn labels_of(pool: &Pool) -> Labels {
    let arch = and(one("pool", pool.name.as_str()), "arch", pool.arch.as_str());
    and(arch, "level", pool.level.as_str())
}

/// For what takes seconds to many minutes: creating, booting, draining.
fn minutes() -> Histogram {
    Histogram::new([
        1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 7200.0,
    ])
}

/// For what takes milliseconds to a minute: one call, one poll.
fn calls() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ])
}
