//! `pool accept`.

use super::{Failure, say};
use anyhow::Context;
use clap::Subcommand;
use secrecy::ExposeSecret;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say that a halted pool is as it should be: what vanished is not coming back
    #[command(after_help = "Example:\n  obs-scaler pool accept aarch64-l1")]
    Accept {
        /// The pool
        pool: String,
    },
}

pub(super) fn run(path: &Path, command: &Command) -> Result<(), Failure> {
    let config = super::config::load(path)?;
    let Command::Accept { pool } = command;
    let route = format!("pools/{pool}/accept");
    let token = config.web.token.expose_secret();
    super::daemon::post(&config, &route, token).with_context(|| format!("pool {pool}"))?;
    say(&format!("pool {pool}: accepted as it is now"));
    Ok(())
}
