//! `config check`.

use super::{Failure, say, say_error};
use crate::config::{self, Config, ConfigError, Notices};
use clap::Subcommand;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say everything that is wrong with the configuration, at once, and what to think about
    #[command(
        after_help = "Example:\n  obs-scaler --config ./config.yaml config check\n\n\
        Secrets that cannot be had here are named and are no fault: `serve` refuses them."
    )]
    Check,
}

pub(super) fn run(path: &Path, command: &Command) -> Result<(), Failure> {
    let Command::Check = command;
    let Notices { unread, warnings } = config::check(path)?;
    if !warnings.all.is_empty() {
        say_error(&format!(
            "{warnings}\n(these are warnings: the document is valid)"
        ));
    }
    if !unread.all.is_empty() {
        say_error(&format!(
            "{unread}\n(these are no fault of the document, but `serve` needs them)"
        ));
    }
    say(&format!("{}: valid", path.display()));
    Ok(())
}

/// Loads the configuration; what is wrong with it ends the command with its own exit code.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    Ok(Config::load(path)?)
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}
