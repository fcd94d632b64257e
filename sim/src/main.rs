//! `obs-sim`: the simulators as a command.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use obs_sim::ecs::{AddressRange, Options, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// Stand-ins for the outside world of obs-scaler
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a simulated Huawei Cloud ECS until SIGTERM or SIGINT
    Ecs(EcsArgs),
}

const EXAMPLE: &str = "Example: a cloud that builds a server in about a second
  obs-sim ecs --listen 127.0.0.1:18080 --project-id 0605767d5a00d5762fb7c00a3d5f1b9c \\
    --access-key AKDEMO --secret-key skdemo --speed 50 --ledger ledger.json
  curl -s http://127.0.0.1:18080/_sim/ledger";

#[derive(Args)]
#[command(after_help = EXAMPLE)]
struct EcsArgs {
    /// Where to listen; port 0 picks a free one, the first line of output says which
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The project whose servers these are (the {P} of the API's paths)
    #[arg(long, value_name = "ID")]
    project_id: String,
    /// The access key that requests are signed with
    #[arg(long, value_name = "AK", env = "OBS_SIM_ACCESS_KEY")]
    access_key: String,
    /// The secret of the access key
    #[arg(
        long,
        value_name = "SK",
        env = "OBS_SIM_SECRET_KEY",
        hide_env_values = true
    )]
    secret_key: String,
    /// Divide the cloud's durations by this (at 1 a create takes 40–60 s)
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// Seed of ids and durations
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Program that boots and destroys machines: `PROGRAM boot --id …`, `PROGRAM destroy --id …`
    #[arg(long, value_name = "PROGRAM")]
    machines: Option<PathBuf>,
    /// Addresses to give to servers
    #[arg(
        long,
        value_name = "FIRST-LAST",
        default_value = "127.0.2.1-127.0.2.250"
    )]
    addresses: AddressRange,
    /// The most servers [default: unlimited]
    #[arg(long, value_name = "N")]
    quota_instances: Option<u32>,
    /// The most vCPU [default: unlimited]
    #[arg(long, value_name = "N")]
    quota_cores: Option<u32>,
    /// Write the ledger here, each second and at the end
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Lock the access key for 5 minutes after more than 5 bad signatures in a row
    #[arg(long)]
    lock_key: bool,
}

impl From<EcsArgs> for Options {
    fn from(args: EcsArgs) -> Self {
        Self {
            listen: args.listen,
            project_id: args.project_id,
            access_key: args.access_key,
            secret_key: args.secret_key,
            speed: args.speed,
            seed: args.seed,
            machines: args.machines,
            addresses: args.addresses,
            quota_instances: args.quota_instances,
            quota_cores: args.quota_cores,
            ledger: args.ledger,
            lock_key: args.lock_key,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let Command::Ecs(args) = Cli::parse().command;
    match ecs(args.into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "obs-sim ecs");
            ExitCode::FAILURE
        }
    }
}

async fn ecs(options: Options) -> std::io::Result<()> {
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let cloud = Simulator::start(options).await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", cloud.addr)?;
    out.flush()?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    cloud.stop().await
}
