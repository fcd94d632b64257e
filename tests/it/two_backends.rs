//! Two real OBS backends, end to end: workers that serve both are bought and counted once, and a
//! backend that breaks holds its own pools and no other.

use crate::the_loop::{MINUTE, on_a_farm, options};
use anyhow::{Result, ensure};
use obs_scaler::config::{self, Access, Discovery};
use obs_scaler::model::BackendName;
use obs_scaler::obs::{ObsClient, Priorities, Priority};
use rig::{Backend, Farm, Options};

/// Serves both backends.
const SHARED: &str = "pool=\"x86-64-l1\"";
/// Serves the second backend only.
const SECOND: &str = "pool=\"aarch64-lts-l1\"";
/// Serves the first backend only.
const FIRST: &str = "pool=\"aarch64-l1\"";

#[tokio::test]
async fn workers_of_two_backends_count_once_and_one_broken_backend_holds_its_own_pools_only() {
    let options = Options {
        two_backends: true,
        ..options()
    };
    on_a_farm(options, async |farm: &mut Farm| {
        what_is_said_of_a_project_stands_beside_what_others_said().await?;
        shared_workers_are_bought_and_counted_once(farm).await?;
        farm.daemon_at(Backend::Second, "stop", "srcserver").await?;
        the_first_backend_goes_on_alone(farm).await?;
        farm.daemon_at(Backend::Second, "start", "srcserver")
            .await?;
        everything_is_built_and_given_back(farm).await
    })
    .await;
}

/// The dispatcher's priorities are written, read back and taken back, and others' stay.
async fn what_is_said_of_a_project_stands_beside_what_others_said() -> Result<()> {
    let name = BackendName::new("main");
    let backend = config::Backend {
        name,
        access: Access::SourceServer {
            source: "http://127.0.0.1:5352".to_owned(),
        },
        worker_source_server: String::new(),
        worker_repository_server: String::new(),
        projects: Vec::new(),
        discovery: Discovery::default(),
        ramp: 0,
    };
    let client = ObsClient::new(&backend, MINUTE)?;
    ensure!(
        client.priorities().await? == Priorities::default(),
        "a new backend has some"
    );
    let others = Priorities(vec![Priority {
        arch: Some("x86_64".to_owned()),
        adjust: Some("-3".to_owned()),
        ..Priority::default()
    }]);
    client.set_priorities(&others).await?;
    let with = others.clone().with("openEuler:Mainline", 20);
    client.set_priorities(&with).await?;
    ensure!(
        client.priorities().await? == with,
        "it is not what was written"
    );
    client
        .set_priorities(&with.without("openEuler:Mainline"))
        .await?;
    ensure!(client.priorities().await? == others, "the others' is gone");
    client.set_priorities(&Priorities::default()).await?;
    Ok(())
}

/// The sum of a pool's instances in one state, as obs-scaler shows them.
async fn instances(farm: &Farm, pool: &str, state: &str) -> Result<Option<f64>> {
    let state = format!("state=\"{state}\"");
    let labels = [pool, state.as_str()];
    farm.metric(farm.scaler_address(), "obs_instances", &labels)
        .await
}

async fn succeeded(farm: &Farm, backend: Backend) -> Result<Option<usize>> {
    let packages = farm.obs_at(backend).packages().await?;
    Ok(packages.get("succeeded").copied())
}

/// Three jobs at each backend, two instances a worker: three workers, each listed at both.
pub(crate) async fn shared_workers_are_bought_and_counted_once(farm: &mut Farm) -> Result<()> {
    for (backend, prefix) in [(Backend::First, "main"), (Backend::Second, "lts")] {
        farm.queue_at(backend, 3, "x86_64", 45, prefix).await?;
    }
    // A worker refuses its first job while it takes new code: only all at once is the end of that.
    let all_build = "six instances build, three for each backend, each counted once";
    farm.wait(all_build, 4 * MINUTE, async |farm: &Farm| {
        for (backend, builds, away) in [(Backend::First, 3, 3), (Backend::Second, 3, 3)] {
            let obs = farm.obs_at(backend);
            let listed = [
                obs.instances("building").await?,
                obs.instances("away").await?,
            ];
            if listed.map(|instances| instances.len()) != [builds, away] {
                return Ok(false);
            }
        }
        let mut shown = Vec::new();
        for state in ["building", "idle", "away", "dead", "down"] {
            shown.push(instances(farm, SHARED, state).await?.unwrap_or_default());
        }
        Ok(shown == [6.0, 0.0, 0.0, 0.0, 0.0])
    })
    .await?;
    let servers = farm.ledger().await?.servers().len();
    ensure!(servers == 3, "{servers} servers for six jobs");
    Ok(())
}

/// While the second backend can not be read: its pools show nothing, and none of their workers is
/// given back, idle as they are by now; the first backend's own pool buys, builds and gives back.
async fn the_first_backend_goes_on_alone(farm: &mut Farm) -> Result<()> {
    farm.wait(
        "the broken backend's pools are not known",
        MINUTE,
        async |farm: &Farm| {
            let shared = instances(farm, SHARED, "idle").await?;
            let second = instances(farm, SECOND, "idle").await?;
            Ok(shared.is_none() && second.is_none())
        },
    )
    .await?;
    farm.queue(4, "aarch64", 3, "alone").await?;
    farm.wait(
        "the first backend's pool buys, builds and gives back",
        5 * MINUTE,
        async |farm: &Farm| {
            let first = instances(farm, FIRST, "idle").await?;
            ensure!(
                first.is_some(),
                "the pool of the healthy backend is hidden too"
            );
            let ledger = farm.ledger().await?;
            let built = succeeded(farm, Backend::First).await? == Some(7);
            Ok(built && ledger.servers().len() == 5 && ledger.alive() == 3)
        },
    )
    .await?;
    for (backend, expected) in [("main", 1.0), ("lts", 0.0)] {
        let labels = format!("backend=\"{backend}\"");
        let up = farm
            .metric(farm.scaler_address(), "obs_up", &[&labels])
            .await?;
        ensure!(up == Some(expected), "obs_up of {backend}: {up:?}");
    }
    Ok(())
}

async fn everything_is_built_and_given_back(farm: &mut Farm) -> Result<()> {
    farm.wait(
        "everything is built and given back",
        4 * MINUTE,
        async |farm: &Farm| {
            let second = succeeded(farm, Backend::Second).await?;
            Ok(second == Some(3) && farm.ledger().await?.alive() == 0)
        },
    )
    .await?;
    let bought = farm.ledger().await?.servers().len();
    ensure!(bought == 5, "{bought} servers for ten jobs");
    rig::judge(farm, 7).await
}
