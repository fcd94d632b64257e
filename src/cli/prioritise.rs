//! `prioritise`: the softer way to have one project built first. Asks the backend itself: no daemon is needed.

use super::Failure;
use super::plan::{Output, print};
use crate::config::{Backend, Config};
use crate::obs::{ObsClient, Priorities, Priority};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  obs-scaler prioritise openEuler:Mainline --by 20\n  obs-scaler prioritise openEuler:Mainline --clear\n  \
    obs-scaler prioritise\n\n\
    10 is tenfold: the project is dispatched as if it had had a tenth of what it had. It holds until it is cleared. What others \
    have set for other projects, or for one repository, stays. Without a project it shows what is set."
)]
pub(super) struct Args {
    /// The project
    project: Option<String>,
    /// By how much it is preferred, in decibel; below 0 it comes later
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-10000..=10000), requires = "project")]
    by: i32,
    /// Take back what was set for the project as a whole
    #[arg(long, requires = "project")]
    clear: bool,
    /// The backend, where the configuration names the project at none
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(path: &Path, args: &Args) -> Result<(), Failure> {
    let config = Config::load_for_backends(path)?;
    let backends: Vec<&Backend> = match (&args.backend, &args.project) {
        (Some(name), _) => vec![named(&config, name)?],
        (None, Some(project)) => vec![of_project(&config, project)?],
        (None, None) => config.backends.values().collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    let mut rows = Vec::new();
    for backend in backends {
        let set = runtime.block_on(one(&config, backend, args))?;
        rows.extend(set.0.iter().map(|entry| row(backend, entry)));
    }
    Ok(print(&json!(rows), args.output, table)?)
}

/// Writes where that is asked for, and reads what is set then.
async fn one(config: &Config, backend: &Backend, args: &Args) -> anyhow::Result<Priorities> {
    let client = ObsClient::new(backend, config.poll.timeout)?;
    let before = client.priorities().await?;
    let wanted = match &args.project {
        None => return Ok(before),
        Some(project) if args.clear => before.without(project),
        Some(project) => before.with(project, args.by),
    };
    client.set_priorities(&wanted).await?;
    let found = client.priorities().await?;
    if found != wanted {
        bail!(
            "backend {} has other priorities than were written: somebody else may have written at the same \
             time; look with `obs-scaler prioritise` and try again",
            backend.name
        );
    }
    Ok(found)
}

fn named<'a>(config: &'a Config, name: &str) -> anyhow::Result<&'a Backend> {
    let mut backends = config.backends.values();
    let found = backends.find(|backend| backend.name.as_str() == name);
    found.with_context(|| format!("no backend {name:?} is configured"))
}

fn of_project<'a>(config: &'a Config, project: &str) -> anyhow::Result<&'a Backend> {
    let has = |backend: &&Backend| {
        let listed = backend.projects.iter().any(|name| name == project);
        listed || backend.discovery.takes(project)
    };
    let found = config.backends.values().find(has);
    found.with_context(|| {
        format!(
            "the configuration names project {project:?} at no backend: say which with --backend"
        )
    })
}

fn row(backend: &Backend, entry: &Priority) -> Value {
    json!({
        "backend": backend.name.as_str(),
        "project": entry.project,
        "repository": entry.repository,
        "arch": entry.arch,
        "adjust": entry.adjust.as_ref().and_then(|by| by.parse::<f64>().ok()),
    })
}

/// One line an entry; `*` for what it does not ask for.
fn table(rows: &Value) -> String {
    let mut text = format!(
        "{:<16} {:<40} {:<24} {:<10} {}\n",
        "BACKEND", "PROJECT", "REPOSITORY", "ARCH", "ADJUST"
    );
    for row in rows.as_array().into_iter().flatten() {
        let cell = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("*");
        let by = row.get("adjust").and_then(Value::as_f64);
        let by = by.map_or_else(|| "-".to_owned(), |by| by.to_string());
        let _infallible = writeln!(
            text,
            "{:<16} {:<40} {:<24} {:<10} {by}",
            cell("backend"),
            cell("project"),
            cell("repository"),
            cell("arch"),
        );
    }
    text
}
