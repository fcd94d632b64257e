//! The command line: one file per noun. Exit codes: 0 fine, 1 failed, 2 usage, 78 configuration.

mod adopt;
mod config;
mod configure;
mod cost;
mod daemon;
mod doctor;
mod exclusive;
mod hands;
mod instance;
mod maintenance;
mod plan;
mod pool;
mod prioritise;
mod serve;
mod worker;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// sysexits.h's `EX_CONFIG`.
const EX_CONFIG: u8 = 78;

/// Buys build workers on a cloud when Open Build Service's queue needs them, and gives them back
/// when it does not.
#[derive(Debug, Parser)]
#[command(
    name = "obs-scaler",
    version,
    after_help = "Example:\n  obs-scaler --config ./config.yaml config check\n  obs-scaler serve\n  obs-scaler plan apply"
)]
pub struct Cli {
    /// The configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/obs-scaler/config.yaml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Run the daemon: read the farm, show metrics, take alerts, buy and release workers
    Serve(serve::Args),
    /// Check everything that the daemon needs, and say how to mend what is wrong (changes nothing)
    Doctor(doctor::Args),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Let a halted pool go on
    #[command(subcommand)]
    Pool(pool::Command),
    /// Leave a backend alone for a while: nothing is bought or released for its pools
    Maintenance(maintenance::Args),
    /// Make servers that the farm has already ours, so that they are released like any other
    Adopt(adopt::AdoptArgs),
    /// Let go of servers of ours, without touching the machines
    Disown(adopt::DisownArgs),
    /// Show what would be bought or released now, and why (changes nothing)
    #[command(subcommand)]
    Plan(plan::Command),
    /// Ask what the workers are and do, look at them from all sides, set them otherwise
    #[command(subcommand)]
    Worker(worker::Command),
    /// Have workers serve one backend alone for a while
    #[command(subcommand)]
    Exclusive(exclusive::Command),
    /// Count build instances
    #[command(subcommand)]
    Instance(instance::Command),
    /// Print the program for workers whose ssh account may do nothing else (`ssh.forced_command`)
    Hands(hands::Args),
    /// Have a backend dispatch one project's jobs sooner than others'
    Prioritise(prioritise::Args),
    /// Show what servers have cost, by pool and flavor
    Cost(cost::Args),
}

/// What ended a command, and so its exit code.
#[derive(Debug)]
enum Failure {
    /// The configuration is wrong: the text says where.
    Config(String),
    /// Anything else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// Runs one command.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.noun {
        Noun::Serve(args) => serve::run(&cli.config, &args),
        Noun::Doctor(args) => doctor::run(&cli.config, &args),
        Noun::Config(command) => config::run(&cli.config, &command),
        Noun::Pool(command) => pool::run(&cli.config, &command),
        Noun::Maintenance(args) => maintenance::run(&cli.config, &args),
        Noun::Adopt(args) => adopt::adopt(&cli.config, args),
        Noun::Disown(args) => adopt::disown(&cli.config, args),
        Noun::Plan(command) => plan::run(&cli.config, &command),
        Noun::Instance(command) => instance::run(&cli.config, &command),
        Noun::Hands(hands::Args {}) => hands::run(&cli.config),
        Noun::Worker(command) => worker::run(&cli.config, command),
        Noun::Exclusive(command) => exclusive::run(&cli.config, command),
        Noun::Prioritise(args) => prioritise::run(&cli.config, &args),
        Noun::Cost(args) => cost::run(&cli.config, &args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(faults)) => {
            say_error(&faults);
            ExitCode::from(EX_CONFIG)
        }
        Err(Failure::Other(error)) => {
            say_error(&format!("obs-scaler: {}", words(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes. Those of our own errors say their cause themselves: it is not said twice.
fn words(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let said = causes.reduce(|said, cause| {
        if said.ends_with(&cause) {
            said
        } else {
            format!("{said}: {cause}")
        }
    });
    said.unwrap_or_default()
}

/// A closed pipe or terminal is no reason to fail: there is nobody left to tell.
fn say(text: &str) {
    let _nobody_reads = writeln!(std::io::stdout(), "{text}");
}

fn say_error(text: &str) {
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::Ended;

    #[test]
    fn a_cause_is_said_once() {
        let why = || std::io::Error::other("disk full");
        let ours = anyhow::Error::from(Ended::Signals(why()));
        assert_eq!(words(&ours), "signals: disk full");
        let theirs = anyhow::Error::from(why()).context("web.listen");
        assert_eq!(words(&theirs), "web.listen: disk full");
    }
}
