//! obs-scaler: see `obs-scaler --help`.

use clap::Parser;
use obs_scaler::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
