//! What this program sees: families made anew at each scrape from the latest snapshot, so that a worker
//! that is gone is gone from `/metrics`. Nothing is fetched during a scrape.
//!
//! A source older than its maximum age takes its families away, for the pools that it feeds and for
//! no other: an absent series means "not known", and never zero.

use super::catalogue::own as catalogue;
use super::own::seconds;
use crate::config::{Config, Pool};
use crate::model::{
    Action, Alarms, BackendName, HostName, InstanceCounts, JobState, Ledger, PoolName, ServerId,
    Snapshot, Stage, Vcpus,
};
use crate::policy::{CheckReport, Costs};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

mod cloud;
mod hosts;
mod pools;
mod sources;
mod workers;
mod write;

use write::{Writer, and, labels, of_pool};

/// Where the collector finds the present state. Asked once per scrape; it must answer from memory.
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// The latest state.
    fn state(&self) -> FleetState;
}

/// What the fleet's metrics, and readiness, are made of.
#[derive(Debug, Clone)]
pub struct FleetState {
    /// Now.
    pub now: Timestamp,
    /// The latest snapshot; it holds every configured backend, those never read too.
    pub snapshot: Arc<Snapshot>,
    /// What this program has in hand.
    pub ledger: Arc<Ledger>,
    /// The alarms held.
    pub alarms: Alarms,
    /// The last check of each server that was checked.
    pub checks: Arc<BTreeMap<ServerId, CheckReport>>,
    /// What the servers cost; `None` while the cloud's list is not known.
    pub costs: Option<Costs>,
    /// The pools of which everything is known. A pool whose sources are missing or stale is not in
    /// here; one that is held for any other reason is.
    pub pools: BTreeMap<PoolName, PoolFacts>,
}

/// What is known of one pool. What is not listed is zero.
#[derive(Debug, Default, Clone)]
pub struct PoolFacts {
    /// Jobs by backend, project and state. A ghost is none of these.
    pub jobs: BTreeMap<(BackendName, String, JobState), u64>,
    /// Jobs that OBS shows on an instance which does not build them.
    pub ghosts: u64,
    /// Scheduled jobs that no idle instance of the pool may take.
    pub no_idle_fit: u64,
    /// Scheduled jobs that no worker meets, nor would one that is bought: those of which it is known.
    /// `None` before what jobs ask was first looked for.
    pub no_compliant: Option<u64>,
    /// Since when the oldest scheduled job waits that some worker may take; `None` where none does.
    /// Its readiness by OBS (`_reason`), where that has been read, else when it was first seen waiting.
    pub oldest: Option<Timestamp>,
    /// Since when each job of a watched package waits, of its repositories the longest: by package
    /// (with its multibuild flavor), project and repository architecture.
    pub watched: BTreeMap<(String, String, String), Timestamp>,
    /// The summed expected build time of the scheduled jobs.
    pub expected_work: Duration,
    /// Instances, each counted once over the backends.
    pub instances: InstanceCounts,
    /// Workers by the words of [`Stage::label`], and `unmanaged`.
    pub workers: BTreeMap<&'static str, u64>,
    /// Workers serving, managed, above the reserve, with no running instance.
    pub releasable: u64,
    /// The host names of the pool's workers, unmanaged ones too.
    pub hosts: BTreeSet<HostName>,
}

/// The part of the configuration that metrics show.
#[derive(Debug, Clone)]
pub struct Configured {
    /// The pools.
    pub pools: BTreeMap<PoolName, Pool>,
    /// The projects of each backend.
    pub projects: BTreeMap<BackendName, Vec<String>>,
    /// The vCPU that may be bought.
    pub ceiling: Vcpus,
    /// A reading older than this is not shown.
    pub max_age: Duration,
    /// How old what a backend says of its workers may be when it is read, where that is not nothing.
    pub workers_cached_for: BTreeMap<BackendName, Duration>,
}

impl From<&Config> for Configured {
    fn from(config: &Config) -> Self {
        let projects = config.backends.iter();
        Self {
            pools: config.policy.pools.clone(),
            projects: projects
                .map(|(name, b)| (name.clone(), b.projects.clone()))
                .collect(),
            ceiling: config.policy.ceiling,
            max_age: config.policy.max_age,
            workers_cached_for: (config.backends.iter())
                .map(|(name, b)| (name.clone(), b.access.workers_cached_for()))
                .collect(),
        }
    }
}

/// Shows the farm as it is known at the moment of the scrape.
#[derive(Debug)]
pub struct FleetCollector {
    configured: Configured,
    source: Arc<dyn Source>,
}

impl FleetCollector {
    /// Shows what `source` says of what is configured.
    #[must_use]
    pub fn new(configured: Configured, source: Arc<dyn Source>) -> Self {
        Self { configured, source }
    }
}

impl Collector for FleetCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.source.state();
        let mut writer = Writer(encoder);
        sources::write(&mut writer, &self.configured, &state)?;
        pools::write(&mut writer, &self.configured, &state)?;
        hosts::write(&mut writer, &self.configured, &state)?;
        cloud::write(&mut writer, &self.configured, &state)?;
        workers::write(&mut writer, &self.configured, &state)?;
        vcpus(&mut writer, &self.configured, &state)?;
        costs(&mut writer, &self.configured, &state)?;
        alarms(&mut writer, &self.configured, &state)
    }
}

/// The vCPU accounts. What is bought is told only while the cloud's own list is known.
fn vcpus(writer: &mut Writer<'_>, configured: &Configured, state: &FleetState) -> fmt::Result {
    let mut kinds = vec![("ceiling", configured.ceiling)];
    if state
        .snapshot
        .fleet
        .fresh(state.now, configured.max_age)
        .is_ok()
    {
        let bought = vcpus_bought(&state.ledger, |_| true);
        let in_flight = vcpus_bought(&state.ledger, Stage::is_in_flight);
        kinds.extend([
            ("bought", bought),
            ("in_flight", in_flight),
            ("room", configured.ceiling.less(bought)),
        ]);
    }
    let kinds = kinds.into_iter().map(|(kind, v)| (kind, u64::from(v.0)));
    let market = state.snapshot.market.fresh(state.now, configured.max_age);
    let quota = market.ok().and_then(|m| m.value().quota.cores.left());
    let series = kinds
        .chain(quota.map(|left| ("quota", left)))
        .map(|(kind, vcpus)| (labels([("kind", kind)]), vcpus));
    writer.gauge(&catalogue::OBS_SCALER_VCPUS, series)
}

fn costs(writer: &mut Writer<'_>, configured: &Configured, state: &FleetState) -> fmt::Result {
    let series = state.costs.iter().flatten().map(|((pool, flavor), cost)| {
        let unknown = || labels([("pool", pool.as_str())]);
        let labels = configured.pools.get(pool).map_or_else(unknown, of_pool);
        (and(labels, [("flavor", flavor.as_str())]), cost.per_hour)
    });
    writer.gauge(&catalogue::OBS_SCALER_COST_PER_HOUR, series)
}

fn vcpus_bought(ledger: &Ledger, counts: impl Fn(&Stage) -> bool) -> Vcpus {
    let members = ledger
        .members
        .values()
        .filter(|m| m.order.is_some() && counts(&m.stage));
    let unnamed = ledger
        .orders
        .values()
        .map(|o| o.vcpus.times(ledger.unnamed(o)));
    members.map(|m| m.vcpus).chain(unnamed).sum()
}

fn alarms(writer: &mut Writer<'_>, configured: &Configured, state: &FleetState) -> fmt::Result {
    let held = |action, pool: &Pool| {
        let rings = state
            .alarms
            .iter()
            .filter(|a| a.action == action && a.pool == pool.name);
        rings.count() as u32
    };
    let series = [Action::Apply, Action::Release]
        .into_iter()
        .flat_map(|action| {
            configured.pools.values().map(move |pool| {
                let labels = [vec![("action", action.as_str().into())], of_pool(pool)].concat();
                (labels, held(action, pool))
            })
        });
    writer.gauge(&catalogue::OBS_SCALER_ALARMS, series)?;
    let heard = state.alarms.watchdog().map(|at| (labels([]), seconds(at)));
    writer.gauge(
        &catalogue::OBS_SCALER_LAST_WATCHDOG_TIMESTAMP_SECONDS,
        heard,
    )
}
