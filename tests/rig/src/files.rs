//! The files of a run: keys, secrets, and the configurations of every part.

use crate::backend::Backend;
use crate::farm::Options;
use anyhow::{Context, Result, anyhow, bail};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use tokio::process::Command;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// Where obs-scaler listens.
pub(crate) const SCALER: SocketAddr = loopback(17790);
/// Where the simulated cloud listens.
pub(crate) const SIM: SocketAddr = loopback(17791);
pub(crate) const ALERTMANAGER: SocketAddr = loopback(19093);
pub(crate) const SECOND_ALERTMANAGER: SocketAddr = loopback(19094);
pub(crate) const PROMETHEUS_PORT: &str = "19090";
pub(crate) const ALERTMANAGER_PORT: &str = "19093";
/// What the simulated cloud wants; no secret, since it is nobody's account.
pub(crate) const PROJECT_ID: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ACCESS_KEY: &str = "RIGACCESSKEY";
pub(crate) const SECRET_KEY: &str = "rig-secret-key";
const TOKEN: &str = "rig-webhook-token";
const HOST_KEY_SECRET: &str = "rig-host-key-secret-of-at-least-32-bytes";
pub(crate) const KEY_NAME: &str = "rig";

/// Where the files are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) config: PathBuf,
    pub(crate) prometheus: PathBuf,
    pub(crate) alertmanager: PathBuf,
    pub(crate) logs: PathBuf,
}

/// Writes them all.
pub(crate) async fn write(options: &Options) -> Result<Places> {
    let dir = options.root.join("scaler");
    std::fs::create_dir_all(&dir)?;
    secrets(options, &dir).await?;
    let places = Places {
        config: dir.join("config.yaml"),
        prometheus: dir.join("prometheus.yml"),
        alertmanager: dir.join("alertmanager.yml"),
        logs: options.root.join("log"),
    };
    std::fs::write(&places.config, scaler_config(options, &dir))?;
    std::fs::write(&places.prometheus, prometheus_config(options)?)?;
    std::fs::write(&places.alertmanager, alertmanager_config(options, &dir)?)?;
    rules(options, &dir)?;
    Ok(places)
}

async fn secrets(options: &Options, dir: &Path) -> Result<()> {
    let keys = options.root.join("keys");
    let known = keys.join(KEY_NAME);
    ssh_keygen(&known).await?;
    let used = dir.join("ssh-key");
    if options.wrong_credential {
        ssh_keygen(&used).await?;
    } else {
        std::fs::copy(&known, &used)?;
    }
    for (name, secret) in [
        ("token", TOKEN),
        ("access-key", ACCESS_KEY),
        ("secret-key", SECRET_KEY),
        ("host-key-secret", HOST_KEY_SECRET),
    ] {
        private_file(&dir.join(name), secret)?;
    }
    Ok(())
}

fn private_file(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text)?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).with_context(|| path.display().to_string())
}

async fn ssh_keygen(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "rig", "-f"])
        .arg(path);
    let status = keygen.status().await.context("ssh-keygen")?;
    if status.success() {
        Ok(())
    } else {
        bail!("ssh-keygen: {status}")
    }
}

/// The configuration that a person would write for this farm, with times for the impatient. The
/// ceiling leaves room for four times what is needed, so that buying twice would show.
fn scaler_config(options: &Options, dir: &Path) -> String {
    let state = options.root.join("scaler/state");
    let (state, dir) = (state.display(), dir.display());
    let deadline = options.check_deadline;
    let (backends, pools) = (backends(options), pools(options));
    format!(
        "state_dir: {state}
owner: obs-scaler-rig
web:
  listen: {SCALER}
  token_file: {dir}/token
backends:
{backends}levels:
  l1: {{ below: 5m }}
  l2: {{ below: 10m }}
  never_built: l1
flavors:
  aarch64:
    l1: {{ name: ki1.8xlarge.4, vcpus: 32, instances: 2, jobs: 1, price: 1.5 }}
    l2: {{ name: ki1.16xlarge.4, vcpus: 64, instances: 2, jobs: 1, price: 3 }}
    l3: {{ name: ki1.16xlarge.4, vcpus: 64, instances: 1, jobs: 1 }}
  x86_64:
    l1: {{ name: c7.8xlarge.4, vcpus: 32, instances: 2, jobs: 1, price: 1.5 }}
    l2: {{ name: c7.16xlarge.4, vcpus: 64, instances: 2, jobs: 1, price: 3 }}
    l3: {{ name: c7.32xlarge.4, vcpus: 128, instances: 1, jobs: 1, price: 6 }}
pools:
{pools}scaling:
  availability_zones: [cn-north-4a]
  ceiling_vcpus: 512
  create_deadline: 3m
  check_deadline: {deadline}s
  max_age: 20s
  settling: 0s
  release: {{ checks: 3, interval: 2s, at_once: 10 }}
  tick: 1s
poll: {{ workers: 1s, results: 1s, history: 5s, ecs: 1s, market: 5s, hosts: 2s, timeout: 8s }}
checks: {{ local_disks: [] }}
hosts: {{ resource_use: ssh }}
watched: [pkg.*]
ecs:
  endpoint: http://{SIM}
  project_id: \"{PROJECT_ID}\"
  access_key_file: {dir}/access-key
  secret_key_file: {dir}/secret-key
  images:
    aarch64: 1189efbf-d48b-46ad-a823-94b942e2a000
    x86_64: 1189efbf-d48b-46ad-a823-94b942e2a001
  vpc_id: 0dae26c9-9a70-4392-93f3-87d53115d171
  subnet_id: 157ee789-03ea-45b1-a698-76c92660dd83
  security_groups: [507ca48f-814c-4293-8706-300564d54620]
  key_name: {KEY_NAME}
  root_volume_type: SSD
  root_volume_gib: 40
  name_prefix: rig
  job_poll: 1s
ssh:
  user: root
  port: 2222
  private_key_file: {dir}/ssh-key
  host_key_secret_file: {dir}/host-key-secret
"
    )
}

fn backends(options: &Options) -> String {
    let second = options.two_backends.then_some(Backend::Second);
    let backend = |backend: Backend| {
        format!(
            "  - {{ name: {}, source_server: {}, repository_server: {}, ramp: 0, projects: [\"{}\"] }}\n",
            backend.name(),
            backend.source_server(),
            backend.repository_server(),
            backend.project()
        )
    };
    [Backend::First]
        .into_iter()
        .chain(second)
        .map(backend)
        .collect()
}

/// A pool for each arch and level. Where there are two backends, the workers of x86_64 serve both, and
/// aarch64 has workers for each.
fn pools(options: &Options) -> String {
    let mut served = vec![("aarch64", "aarch64", "main"), ("x86-64", "x86_64", "main")];
    if options.two_backends {
        served = vec![
            ("aarch64", "aarch64", "main"),
            ("aarch64-lts", "aarch64", "lts"),
            ("x86-64", "x86_64", "main, lts"),
        ];
    }
    let pool = |(name, arch, backends): (&str, &str, &str), level: &str| {
        let mode = if level == "l1" { "full" } else { "observe" };
        let reserve = if name == "x86-64" { options.reserve } else { 0 };
        format!(
            "  - {{ name: {name}-{level}, arch: {arch}, level: {level}, backends: [{backends}], mode: {mode}, reserve: {reserve} }}\n"
        )
    };
    let levels = |of| {
        ["l1", "l2", "l3"]
            .into_iter()
            .map(move |level| pool(of, level))
    };
    served.into_iter().flat_map(levels).collect()
}

/// Reads one of the project's own files, and changes it; fails where there is nothing to change, so
/// that a change of the file is noticed here.
fn changed(options: &Options, file: &str, changes: &[(&str, &str)]) -> Result<String> {
    let path = options.repository.join(file);
    let mut text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for (from, to) in changes {
        if !text.contains(from) {
            bail!("{file} does not hold {from:?} any more");
        }
        text = text.replace(from, to);
    }
    Ok(text)
}

/// The example configuration as it is, but with intervals of a second and both Alertmanagers.
fn prometheus_config(options: &Options) -> Result<String> {
    let both = format!("\"{ALERTMANAGER}\", \"{SECOND_ALERTMANAGER}\"");
    let one = format!("\"{ALERTMANAGER}\"");
    let alertmanagers = if options.two_alertmanagers {
        &both
    } else {
        &one
    };
    changed(
        options,
        "packaging/prometheus.yml",
        &[
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
            ("../alerting-rules/", "rules/"),
            ("\"127.0.0.1:9093\"", alertmanagers),
        ],
    )
}

fn alertmanager_config(options: &Options, dir: &Path) -> Result<String> {
    let token = format!("{}/token", dir.display());
    changed(
        options,
        "packaging/alertmanager.yml",
        &[
            ("/etc/obs-scaler/webhook-token", &token),
            ("group_interval: 30s", "group_interval: 3s"),
            ("repeat_interval: 110s", "repeat_interval: 20s"),
        ],
    )
}

/// The rules as they are, but looked at every second, and those that ring for obs-scaler with waiting
/// times of seconds.
fn rules(options: &Options, dir: &Path) -> Result<()> {
    let rules = dir.join("rules");
    std::fs::create_dir_all(&rules)?;
    let every_second = ("interval: 15s", "interval: 1s");
    let sooner = [
        every_second,
        ("for: 30s", "for: 2s"),
        ("for: 10m", "for: 8s"),
    ];
    let shipped = options.repository.join("alerting-rules");
    for file in std::fs::read_dir(&shipped)? {
        let name = file?.file_name().into_string();
        let name = name.map_err(|odd| anyhow!("{} in {}", odd.display(), shipped.display()))?;
        let changes: &[_] = match name.as_str() {
            "scaling.yml" => &sooner,
            other if other.ends_with(".yml") => &[every_second],
            _ => continue,
        };
        let text = changed(options, &format!("alerting-rules/{name}"), changes)?;
        std::fs::write(rules.join(name), text)?;
    }
    Ok(())
}
