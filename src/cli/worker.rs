//! `worker …`.

use super::{Failure, configure};
use clap::Subcommand;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell workers something else than their pool's settings: each is drained first
    Configure(configure::Args),
}

pub(super) fn run(config: &Path, command: Command) -> Result<(), Failure> {
    match command {
        Command::Configure(args) => configure::run(config, args),
    }
}
