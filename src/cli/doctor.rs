//! `doctor`: what is wrong, and how to mend it.

use super::{Failure, say};
use crate::clock::Clock;
use crate::doctor::{self, Finding, Verdict};
use anyhow::{Context, anyhow};
use clap::ValueEnum;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    /// One line a check
    Table,
    /// For programs
    Json,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo -u obs-scaler obs-scaler doctor\n  \
    obs-scaler --config ./config.yaml doctor -o json | jq '.findings[] | select(.verdict != \"ok\")'\n\n\
    Needs the secrets of the configuration, and no daemon. Asks the cloud, the backends and the workers,\n\
    and changes nothing. Ends with 1 where a check failed; warnings are none.")]
pub(super) struct Args {
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(path: &Path, args: &Args) -> Result<(), Failure> {
    let config = Arc::new(super::config::load(path)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let findings = runtime.block_on(doctor::examine(&config, Clock::default()));
    print(&findings, args.output);
    match doctor::count(&findings, Verdict::Fail) {
        0 => Ok(()),
        failed => Err(anyhow!("{failed} of {} checks failed", findings.len()).into()),
    }
}

fn print(findings: &[Finding], output: Output) {
    match output {
        Output::Table => findings.iter().for_each(|found| say(&found.to_string())),
        Output::Json => {
            let failed = doctor::count(findings, Verdict::Fail);
            say(&json!({ "ok": failed == 0, "findings": findings }).to_string());
        }
    }
}
