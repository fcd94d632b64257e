//! `obs-sim`: the simulators as a command.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use obs_sim::ecs::{AddressRange, Options, Simulator};
use obs_sim::{machine, obs};
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
    /// Serve a simulated Open Build Service until SIGTERM or SIGINT
    Obs(ObsArgs),
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
    /// Without such a program: machines that are records, answer over ssh, and build for the
    /// `obs-sim obs` that listens here
    #[arg(
        long,
        value_name = "ADDR",
        conflicts_with = "machines",
        requires = "authorized_key"
    )]
    stand_ins: Option<SocketAddr>,
    /// The port of their ssh servers
    #[arg(long, value_name = "PORT", default_value_t = 2222)]
    ssh_port: u16,
    /// The public key that opens them
    #[arg(long, value_name = "FILE")]
    authorized_key: Option<PathBuf>,
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

impl EcsArgs {
    fn stand_ins(&self) -> std::io::Result<Option<machine::Options>> {
        let (Some(obs), Some(key)) = (self.stand_ins, &self.authorized_key) else {
            return Ok(None);
        };
        Ok(Some(machine::Options {
            obs,
            ssh_port: self.ssh_port,
            authorized_key: std::fs::read_to_string(key)?,
        }))
    }

    fn options(self) -> std::io::Result<Options> {
        Ok(Options {
            stand_ins: self.stand_ins()?,
            listen: self.listen,
            project_id: self.project_id,
            access_key: self.access_key,
            secret_key: self.secret_key,
            speed: self.speed,
            seed: self.seed,
            machines: self.machines,
            addresses: self.addresses,
            quota_instances: self.quota_instances,
            quota_cores: self.quota_cores,
            ledger: self.ledger,
            lock_key: self.lock_key,
        })
    }
}

const OBS_EXAMPLE: &str = "Examples:
  obs-sim obs --listen 127.0.0.1:15352 --workers 1430 --packages 100000 --jobs 20000 --speed 10
  curl -s http://127.0.0.1:15352/workerstatus
  curl -s http://127.0.0.1:15352/build/openEuler:Mainline/_result?view=summary

Control routes (JSON; loopback only, no credentials):
  GET    /_sim/world                 packages by code, instances by list, ghosts, builds ended
  POST   /_sim/jobs                  {\"arch\", \"count\", \"seconds\", \"prefix\"?, \"outcome\"?: succeeded|failed|unchanged,
                                      \"processors\"?, \"project\"?}
  POST   /_sim/hosts                 {\"name\", \"arch\", \"instances\", \"ip\"?, \"processors\"?, \"jobs\"?, \"memory_mb\"?}
  DELETE /_sim/hosts/NAME            it ends at once: what it builds is a ghost; ?drain=true: when it builds nothing
  POST   /_sim/hosts/NAME/cordon     its instances finish their jobs and take no other
  POST   /_sim/hosts/NAME/kill       {\"instance\"?: 1, \"shows\"?: down|dead|idle}: kill -9; a ghost, if it built
  PUT    /_sim/daemons               {\"dispatcher\": \"dead\", \"scheduler/x86_64\": \"running\"}; also srcserver,
                                      repserver, publisher, warden
  GET    /_sim/faults                the faults in force
  PUT    /_sim/faults                {ROUTE: FAULT, ...} replaces them; {} ends them all
Routes of faults: workerstatus worker result jobhistory package builddepinfo jobs source projects command
Faults: hang (read, never answered)    cutoff (half, then the connection ends)   truncated (half, as if whole)
        status500                      garbage (200, no XML)                     empty (whole, lists nothing)
        frozen (the first answer since, for ever)                                slow (50 pieces, one each 200 ms)";

#[derive(Args)]
#[command(after_help = OBS_EXAMPLE)]
struct ObsArgs {
    /// Where to listen; port 0 picks a free one, the first line of output says which
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Build hosts in the beginning, in turn of each architecture
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: u32,
    /// Instances of each
    #[arg(long, value_name = "N", default_value_t = 7)]
    instances: u32,
    /// Jobs that wait in the beginning, as far as there are packages
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: u32,
    /// Packages, counted once for each architecture [default: 2 x --jobs]
    #[arg(long, value_name = "N")]
    packages: Option<u32>,
    /// Architectures to schedule for
    #[arg(long, value_name = "ARCH,...", value_delimiter = ',', default_values = ["x86_64", "aarch64"])]
    arches: Vec<String>,
    /// The project's name
    #[arg(long, value_name = "NAME", default_value = "openEuler:Mainline")]
    project: String,
    /// Seed of everything that is random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Divide durations by this (at 1 most builds take minutes, some an hour)
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// Let a job come for each that ends; without, the queue runs empty
    #[arg(long)]
    replenish: bool,
    /// The share of instances that are away for some minutes after a job
    #[arg(long, value_name = "0-1", default_value_t = 0.0)]
    away: f64,
    /// The share of instances that are down for some minutes after a job
    #[arg(long, value_name = "0-1", default_value_t = 0.0)]
    down: f64,
    /// Serve as the frontend does: Basic authentication, worker status up to 3 minutes old
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        env = "OBS_SIM_FRONTEND",
        hide_env_values = true
    )]
    frontend: Option<String>,
}

impl From<ObsArgs> for obs::Options {
    fn from(args: ObsArgs) -> Self {
        Self {
            listen: args.listen,
            workers: args.workers,
            instances: args.instances,
            jobs: args.jobs,
            packages: args.packages.unwrap_or(args.jobs.saturating_mul(2)),
            arches: args.arches,
            project: args.project,
            seed: args.seed,
            speed: args.speed,
            replenish: args.replenish,
            away: args.away,
            down: args.down,
            frontend: args.frontend,
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
    let done = match Cli::parse().command {
        Command::Ecs(args) => ecs(args).await,
        Command::Obs(args) => obs(args.into()).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "obs-sim");
            ExitCode::FAILURE
        }
    }
}

async fn ecs(args: EcsArgs) -> std::io::Result<()> {
    let end = end()?;
    let cloud = Simulator::start(args.options()?).await?;
    announce(cloud.addr)?;
    end.await;
    cloud.stop().await
}

async fn obs(options: obs::Options) -> std::io::Result<()> {
    let end = end()?;
    let farm = obs::Simulator::start(options).await?;
    announce(farm.addr)?;
    end.await;
    farm.stop().await;
    Ok(())
}

/// SIGTERM or SIGINT; asked for before anything is begun.
fn end() -> std::io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

fn announce(addr: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "listening on {addr}")?;
    out.flush()
}
