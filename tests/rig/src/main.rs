//! `make demo`: the whole loop on one machine, watched from outside.

use anyhow::{Result, bail};
use clap::Parser;
use rig::{Farm, Load, Options, Story};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Shows the whole loop with every real part: a queue builds up in OBS, workers are bought, checked,
/// put in service, build, fall idle, and are given back.
#[derive(Debug, Parser)]
struct Arguments {
    /// The checkout
    #[arg(long, default_value = ".")]
    repository: PathBuf,
    /// Where obs-scaler and obs-sim were built
    #[arg(long, default_value = "target/debug")]
    binaries: PathBuf,
    /// Jobs for each architecture
    #[arg(long, default_value_t = 8)]
    jobs: u32,
    /// How long each job builds, in seconds
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Run against simulators: needs neither root nor Debian
    #[arg(long)]
    simulated: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => {
            say("the demo went right");
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("the demo went WRONG: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _nobody_reads = writeln!(std::io::stdout(), "{text}");
}

async fn run(arguments: Arguments) -> Result<()> {
    let repository = arguments.repository.canonicalize()?;
    let binaries = arguments.binaries.canonicalize()?;
    let load = Load {
        jobs: arguments.jobs,
        seconds: arguments.seconds,
    };
    if arguments.simulated {
        return rig::simulated::demo(&repository, &binaries, load).await;
    }
    say("starting OBS, Prometheus, Alertmanager, a simulated cloud and obs-scaler ...");
    let options = Options::new(repository, binaries);
    let mut farm = tokio::select! {
        farm = Farm::start(options.clone()) => farm?,
        _ = tokio::signal::ctrl_c() => {
            rig::clean_up(&options).await?;
            bail!("interrupted");
        }
    };
    say(&format!(
        "obs-scaler shows http://{0}/metrics, Prometheus http://127.0.0.1:19090; its log: {1}",
        farm.scaler_address(),
        farm.scaler_log().display()
    ));
    let mut story = Story::begin(true);
    let told = tokio::select! {
        told = rig::run(&mut farm, load, &mut story) => told,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let usage = farm.scaler_usage();
    farm.keep_logs()?;
    say("stopping ...");
    let stopped = farm.stop().await;
    say("\nWhat happened, and when:");
    say(&story.summary());
    if let Ok((peak, time)) = usage {
        let (peak, time) = (peak / 1024, time.as_secs_f64());
        say(&format!(
            "obs-scaler used {peak} MiB at most, and {time:.1} s of processor time"
        ));
    }
    told.and(stopped)
}
