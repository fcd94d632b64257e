//! `obs-sim`: the simulators as a command.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use obs_sim::ecs::{AddressRange, Options, Prices, Scenario, Simulator};
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
    Ecs(Box<EcsArgs>),
    /// Serve a simulated Open Build Service until SIGTERM or SIGINT
    Obs(ObsArgs),
}

/// A wrong file is a wrong argument: clap says what is wrong and ends with 2.
fn scenario(path: &str) -> Result<Scenario, String> {
    Scenario::read(path.as_ref())
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
    /// Who may fetch IAM tokens [default: the access key]
    #[arg(long, value_name = "NAME")]
    iam_user: Option<String>,
    /// The user's password [default: the secret key]
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "OBS_SIM_IAM_PASSWORD",
        hide_env_values = true
    )]
    iam_password: Option<String>,
    /// What goes wrong when: a YAML file of steps, such as sim/scenarios/bad-day.yaml
    #[arg(long, value_name = "FILE", value_parser = scenario)]
    scenario: Option<Scenario>,
    /// An image that is for arm64; every other is for x86 (may be given again)
    #[arg(long, value_name = "ID")]
    arm_image: Vec<String>,
}

const OBS_EXAMPLE: &str =
    "Example: a farm of 60 workers with 1000 jobs, whose builds take a tenth of the time
  obs-sim obs --listen 127.0.0.1:18081 --workers 60 --jobs 1000 --packages 5000 --speed 10
  curl -s http://127.0.0.1:18081/workerstatus
  curl -s http://127.0.0.1:18081/_sim/help    # workers, jobs and faults by hand";

#[derive(Args)]
#[command(after_help = OBS_EXAMPLE)]
struct ObsArgs {
    /// Where to listen; port 0 picks a free one, the first line of output says which. It answers for the
    /// source server, the repository server and the frontend
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Workers at first, one in two of them aarch64
    #[arg(long, value_name = "N", default_value_t = 60)]
    workers: usize,
    /// Build instances of each worker
    #[arg(long, value_name = "N", default_value_t = 7)]
    instances: usize,
    /// Jobs at first: waiting, building and blocked
    #[arg(long, value_name = "N", default_value_t = 1000)]
    jobs: usize,
    /// Packages, over both architectures [default: five times the jobs, at least 1000]
    #[arg(long, value_name = "N")]
    packages: Option<usize>,
    /// New jobs an hour
    #[arg(long, value_name = "N", default_value_t = 600.0)]
    rate: f64,
    /// Projects that the packages are spread over
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "openEuler:Mainline"
    )]
    projects: Vec<String>,
    /// Seed of everything that chance decides
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Divide build times by this
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    speed: f64,
    /// Want this user and password (Basic authentication), and cache the worker status for 3 minutes, as
    /// the frontend does
    #[arg(long, value_name = "USER:PASSWORD")]
    frontend: Option<String>,
}

impl From<ObsArgs> for obs::Options {
    fn from(args: ObsArgs) -> Self {
        let packages = args.packages.unwrap_or((args.jobs * 5).max(1000));
        Self {
            listen: args.listen,
            size: obs::Size {
                workers: args.workers,
                instances: args.instances,
                packages,
                jobs: args.jobs,
                jobs_per_hour: args.rate,
                projects: args.projects,
                seed: args.seed,
                speed: args.speed,
            },
            frontend: args.frontend,
            clock: obs_sim::Clock::default(),
        }
    }
}

impl EcsArgs {
    fn stand_ins(&self) -> std::io::Result<Option<machine::Options>> {
        let (Some(obs), Some(key)) = (self.stand_ins, &self.authorized_key) else {
            return Ok(None);
        };
        Ok(Some(machine::Options {
            obs: vec![obs],
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
            clock: obs_sim::Clock::default(),
            seed: self.seed,
            machines: self.machines,
            addresses: self.addresses,
            quota_instances: self.quota_instances,
            quota_cores: self.quota_cores,
            ledger: self.ledger,
            iam_user: self.iam_user,
            iam_password: self.iam_password,
            prices: Prices::default(),
            arm_images: self.arm_image,
            scenario: self.scenario.unwrap_or_default(),
        })
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
    let ended = match Cli::parse().command {
        Command::Ecs(args) => ecs(*args).await,
        Command::Obs(args) => farm(args.into()).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "obs-sim");
            ExitCode::FAILURE
        }
    }
}

async fn ecs(args: EcsArgs) -> std::io::Result<()> {
    let stopped = told_to_stop()?;
    let cloud = Simulator::start(args.options()?).await?;
    listening(cloud.addr)?;
    stopped.await;
    cloud.stop().await
}

async fn farm(options: obs::Options) -> std::io::Result<()> {
    let stopped = told_to_stop()?;
    let farm = obs::Simulator::start(options).await?;
    listening(farm.address())?;
    stopped.await;
    farm.stop().await;
    Ok(())
}

fn listening(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "listening on {address}")?;
    out.flush()
}

/// Ends with SIGTERM or SIGINT, which are heard from now on.
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
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
