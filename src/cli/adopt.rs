//! `adopt` and `disown`: by the running daemon, or, where none runs, under the journal's lock.

use super::plan::{Output, print};
use super::{Failure, say_error};
use crate::adoption::{self, Adopt, AdoptionError, Disown, Row, Sight};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::config::Config;
use crate::ecs::EcsClient;
use crate::journal::{Entry, Journal, JournalError};
use crate::model::{BackendView, Ledger, Observed, Snapshot};
use crate::obs::ObsClient;
use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  obs-scaler adopt --dry-run 10.0.0.11 10.0.0.12\n  \
    obs-scaler adopt --pool aarch64-l2 10.0.0.11\n\n\
    An adopted worker is released like any other, never below its pool's reserve. Prepaid servers, those of \
    a flavor that no pool has, and workers of home projects are protected: they are never released."
)]
pub(super) struct AdoptArgs {
    /// The servers' addresses
    #[arg(required = true)]
    ips: Vec<IpAddr>,
    /// The pool that they join [default: the one that has their flavor]
    #[arg(long)]
    pool: Option<String>,
    /// Only say what would be done, and why
    #[arg(long)]
    dry_run: bool,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  obs-scaler disown 10.0.0.11\n\nThe machine is not touched, and goes on building."
)]
pub(super) struct DisownArgs {
    /// The servers' addresses
    #[arg(required = true)]
    ips: Vec<IpAddr>,
    /// Also those that an order bought: nobody deletes them after that
    #[arg(long)]
    bought: bool,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn adopt(path: &Path, args: AdoptArgs) -> Result<(), Failure> {
    let output = args.output;
    let ask = Adopt {
        ips: args.ips,
        pool: args.pool,
        dry_run: args.dry_run,
    };
    let config = super::config::load(path)?;
    let rows = match asked(&config, "adopt", &json!(ask))? {
        Some(rows) => rows,
        None => alone(&config, async |alone: &Alone| {
            let sight = alone.sight(&config);
            Ok(adoption::adopt(&*alone.cloud, sight, &ask).await?)
        })?,
    };
    Ok(tell(&rows, output)?)
}

pub(super) fn disown(path: &Path, args: DisownArgs) -> Result<(), Failure> {
    let output = args.output;
    let ask = Disown {
        ips: args.ips,
        bought: args.bought,
    };
    let config = super::config::load(path)?;
    let rows = match asked(&config, "disown", &json!(ask))? {
        Some(rows) => rows,
        None => alone(&config, async |alone: &Alone| {
            alone.disown(&config, &ask).await
        })?,
    };
    Ok(tell(&rows, output)?)
}

/// What the running daemon answers; `None` where none runs.
fn asked(config: &Config, route: &str, ask: &Value) -> anyhow::Result<Option<Vec<Row>>> {
    let token = config.web.token.expose_secret();
    let Some(answer) = super::daemon::post_json(config, route, token, ask)? else {
        return Ok(None);
    };
    let rows = answer.get("servers").cloned().unwrap_or_default();
    let rows = serde_json::from_value(rows).context("the daemon's answer")?;
    Ok(Some(rows))
}

/// One line a server; fails where one was refused.
fn tell(rows: &[Row], output: Output) -> anyhow::Result<()> {
    print(&json!(rows), output, |_| table(rows))?;
    let left = rows.iter().filter(|row| !row.outcome.is_success()).count();
    if left > 0 {
        bail!("{left} of {} servers were left as they are", rows.len());
    }
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<16} {:<14} {:<24} {:<16} {:<16} {}\n",
        "IP", "OUTCOME", "HOST", "POOL", "PROTECTED", "WHY"
    );
    for row in rows {
        let cell = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
        let _infallible = writeln!(
            text,
            "{:<16} {:<14} {:<24} {:<16} {:<16} {}",
            row.ip,
            row.outcome.as_str(),
            cell(&row.host),
            cell(&row.pool),
            cell(&row.protected),
            cell(&row.why),
        );
    }
    text
}

/// What a command looks at that acts without a daemon. Holding the journal is the lock.
struct Alone {
    journal: Journal,
    ledger: Ledger,
    cloud: Box<dyn Cloud>,
    snapshot: Snapshot,
}

fn alone(
    config: &Config,
    act: impl AsyncFnOnce(&Alone) -> anyhow::Result<Vec<Row>>,
) -> anyhow::Result<Vec<Row>> {
    let journal = Journal::open(&config.state_dir).map_err(|error| {
        let in_use = matches!(error, JournalError::InUse(_));
        let listen = config.web.listen;
        match in_use {
            true => anyhow::Error::from(error).context(format!(
                "no obs-scaler answers at {listen}, and yet one runs"
            )),
            false => error.into(),
        }
    })?;
    say_error("no obs-scaler runs: acting under the journal's lock");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { act(&Alone::look(config, journal).await?).await })
}

impl Alone {
    /// Looks at the cloud and at every backend, once.
    async fn look(config: &Config, journal: Journal) -> anyhow::Result<Self> {
        let owner = config.policy.owner.clone();
        let cloud = EcsClient::new(&config.ecs, owner, Clock::default())?;
        let cloud: Box<dyn Cloud> = Box::new(cloud);
        let mut snapshot = Snapshot::default();
        let at = Clock::default().now();
        snapshot.fleet = Arc::new(observed(at, cloud.list().await));
        for backend in config.backends.values() {
            let client = ObsClient::new(backend, config.poll.timeout)?;
            let view = BackendView {
                workers: observed(at, client.workers().await),
                ..BackendView::default()
            };
            snapshot
                .backends
                .insert(backend.name.clone(), Arc::new(view));
        }
        let mut ledger = journal.load()?;
        // no lease is kept here: any other that is alive goes first
        ledger.lease.me = journal.scaler(|| None)?;
        Ok(Self {
            journal,
            ledger,
            cloud,
            snapshot,
        })
    }

    fn sight<'a>(&'a self, config: &'a Config) -> Sight<'a> {
        Sight {
            config,
            snapshot: &self.snapshot,
            ledger: &self.ledger,
            now: Clock::default().now(),
        }
    }

    /// The journal forgets the server first, as the daemon does.
    async fn disown(&self, config: &Config, ask: &Disown) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (server, row) in adoption::disowned(self.sight(config), ask)? {
            if let Some(server) = server {
                self.journal.write(&[Entry::MemberGone(&server)])?;
                let keys = self.snapshot.fleet.last();
                let keys = keys.and_then(|list| list.value.servers.get(&server));
                let keys = keys.map(adoption::keys_on).unwrap_or_default();
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                let untagged = self.cloud.untag(&server, &keys).await;
                untagged.map_err(AdoptionError::from)?;
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

fn observed<T, E: std::fmt::Display>(at: jiff::Timestamp, read: Result<T, E>) -> Observed<T> {
    match read {
        Ok(value) => Observed::known(at, value),
        Err(error) => Observed::default().failed(at, error.to_string()),
    }
}
