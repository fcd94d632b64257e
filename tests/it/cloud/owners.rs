//! Whose a server is: two scalers of one owner, servers that people give and take, and those of others.

use super::farm::{Farm, OWNER, Setup};
use super::scaler::{Bell, Said, Scaler};
use obs_scaler::adoption::{Adopt, Outcome, Row, Sight, adopt};
use obs_scaler::cloud::Cloud;
use obs_scaler::config::Config;
use obs_scaler::ecs::EcsClient;
use obs_scaler::model::{
    Action, BackendView, Observed, OrderId, ServerId, Snapshot, Stage, TAG_ORDER,
};
use obs_scaler::obs::ObsClient;
use obs_scaler::ssh::HostKeys;
use obs_sim::ecs::{Foreign, ServerEntry};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const POOL: &str = "arm-l1";

/// A farm on addresses of its own.
async fn farm(network: [u8; 3]) -> Farm {
    let setup = Setup {
        seed: 7,
        ceiling: 384,
        times: 60,
        patience: "1s",
        deadlines: "",
        network,
    };
    Farm::start(setup).await
}

/// Gives every scaler that is started from now on this configuration.
fn reconfigure(farm: &mut Farm, change: impl FnOnce(&mut Config)) {
    let mut config = Config::clone(&farm.config);
    change(&mut config);
    farm.config = Arc::new(config);
}

/// Rings until this is so, and looks at something each time.
pub(super) async fn until(
    farm: &Farm,
    scalers: &[&Scaler],
    bell: &Bell,
    what: &str,
    mut so: impl FnMut() -> bool,
) {
    let end = Instant::now() + Duration::from_secs(90);
    while !so() {
        if Instant::now() >= end {
            let said: Vec<String> = scalers.iter().map(|scaler| scaler.said.text()).collect();
            panic!("never: {what}\n{}", said.join("\n---\n"));
        }
        for scaler in scalers {
            assert!(!scaler.has_ended(), "it ended before: {what}");
            scaler.notify(farm, bell);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The servers that are there and that an order bought.
fn bought(farm: &Farm) -> Vec<ServerEntry> {
    let servers = farm.cloud.ledger().servers.into_iter();
    let there = servers.filter(|s| s.deleted_at.is_none() && !s.foreign);
    there.collect()
}

fn serving(scaler: &Scaler) -> usize {
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    let serving = ledger
        .members
        .values()
        .filter(|m| m.stage == Stage::Serving);
    serving.count()
}

/// Servers of others whose names and tags are nearly ours.
fn similar(farm: &Farm) -> Vec<ServerEntry> {
    for (name, tag) in [
        ("obs-arm-l1-001", format!("obs-scaler-owner={OWNER}2")),
        ("obs-arm-l1-002", format!("obs-scaler-owner2={OWNER}")),
        ("obs-arm-l1-003", format!("xobs-scaler-owner={OWNER}")),
        ("obs-arm-l1-004", OWNER.to_owned()),
        ("obs-arm-l1-005", "obs-scaler-owner".to_owned()),
    ] {
        let foreign = Foreign {
            name: name.to_owned(),
            flavor: "ki1.8xlarge.4".to_owned(),
            tags: vec![tag, format!("obs-scaler-pool={POOL}")],
        };
        farm.cloud.add_foreign(foreign).unwrap();
    }
    foreign(farm)
}

fn foreign(farm: &Farm) -> Vec<ServerEntry> {
    let servers = farm.cloud.ledger().servers.into_iter();
    servers.filter(|server| server.foreign).collect()
}

fn assert_untouched(farm: &Farm, before: &[ServerEntry]) {
    let key = |s: &ServerEntry| (s.id.clone(), s.tags.clone(), s.status.clone());
    let (before, after) = (before.iter().map(key), foreign(farm));
    assert!(before.eq(after.iter().map(key)), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_scalers_the_younger_only_looks_on_until_the_elder_is_gone() {
    let mut farm = farm([127, 0, 212]).await;
    let others = similar(&farm);
    let (said, mut bell) = ([Said::default(), Said::default()], Bell::default());
    let elder = Scaler::start(&farm, &said[0]);
    farm.queue("aarch64", "first", 2, 20).await;
    bell.ring(&farm, Action::Apply, POOL);
    until(&farm, &[&elder], &bell, "a worker serves", || {
        serving(&elder) > 0
    })
    .await;
    until(&farm, &[&elder], &bell, "its lease is read", || {
        said[0]
            .text()
            .contains("no other obs-scaler of this owner is at work")
    })
    .await;

    reconfigure(&mut farm, |config| {
        config.state_dir = config.state_dir.with_extension("second");
    });
    let younger = Scaler::start(&farm, &said[1]);
    farm.queue("aarch64", "second", 8, 60).await;
    let before = bought(&farm).len();
    until(&farm, &[&elder, &younger], &bell, "more is bought", || {
        let ledger = Arc::clone(&younger.in_hand.borrow().ledger);
        assert!(ledger.orders.is_empty(), "the younger ordered");
        assert!(ledger.members.is_empty(), "the younger took servers up");
        serving(&elder) > before
    })
    .await;
    // each says so when it has read the other's lease, which is written a minute apart
    until(&farm, &[&elder, &younger], &bell, "each knows", || {
        let [elder, younger] = [0, 1].map(|of: usize| said[of].text());
        elder.contains("this one is the eldest and goes on")
            && younger.contains("has the same owner and goes first")
    })
    .await;

    bell.hush(Action::Apply, POOL);
    elder.terminate().await;
    let ours: BTreeSet<ServerId> = bought(&farm)
        .into_iter()
        .map(|s| ServerId::new(s.id))
        .collect();
    until(&farm, &[&younger], &bell, "the younger takes over", || {
        let ledger = Arc::clone(&younger.in_hand.borrow().ledger);
        ledger.members.keys().eq(ours.iter())
    })
    .await;
    bell.ring(&farm, Action::Release, POOL);
    until(
        &farm,
        &[&younger],
        &bell,
        "everything is given back",
        || bought(&farm).is_empty(),
    )
    .await;
    assert_untouched(&farm, &others);
    younger.terminate().await;
    farm.stop().await;
}

/// Adopts the servers of these addresses, by what can be seen now.
async fn adopt_now(farm: &Farm, scaler: &Scaler, ips: &[IpAddr], dry_run: bool) -> Vec<Row> {
    let config = &farm.config;
    let owner = config.policy.owner.clone();
    let cloud = EcsClient::new(&config.ecs, owner, farm.clock).unwrap();
    let cloud: &dyn Cloud = &cloud;
    let mut snapshot = Snapshot {
        fleet: Arc::new(Observed::known(farm.now(), cloud.list().await.unwrap())),
        ..Snapshot::default()
    };
    for backend in config.backends.values() {
        let client = ObsClient::new(backend, config.poll.timeout).unwrap();
        let view = BackendView {
            workers: Observed::known(farm.now(), client.workers().await.unwrap()),
            ..BackendView::default()
        };
        snapshot
            .backends
            .insert(backend.name.clone(), Arc::new(view));
    }
    let ledger = Arc::clone(&scaler.in_hand.borrow().ledger);
    let sight = Sight {
        config,
        snapshot: &snapshot,
        ledger: &ledger,
        now: farm.now(),
    };
    let ask = Adopt {
        ips: ips.to_vec(),
        pool: None,
        dry_run,
    };
    adopt(cloud, sight, &ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_people_gave_us_is_released_like_any_other_once_its_host_key_is_known() {
    let mut farm = farm([127, 0, 213]).await;
    let known_hosts: PathBuf = farm.state_dir().with_extension("known_hosts");
    reconfigure(&mut farm, |config| {
        config.ssh.known_hosts_file = Some(known_hosts.clone());
    });
    let (said, mut bell) = (Said::default(), Bell::default());
    let scaler = Scaler::start(&farm, &said);
    farm.queue("aarch64", "job", 2, 20).await;
    bell.ring(&farm, Action::Apply, POOL);
    until(&farm, &[&scaler], &bell, "a worker serves", || {
        serving(&scaler) > 0
    })
    .await;
    bell.hush(Action::Apply, POOL);

    // a worker that the farm has: it was ours, and a person took it from us
    let [server] = bought(&farm).try_into().unwrap();
    let order = server
        .tags
        .iter()
        .find_map(|tag| tag.strip_prefix(TAG_ORDER)?.strip_prefix('='));
    let order = OrderId::new(order.unwrap());
    let id = ServerId::new(server.id.clone());
    let why = scaler.disown(&id, false).await.unwrap_err();
    assert!(why.contains("bought it"), "{why}");
    scaler.disown(&id, true).await.unwrap();
    let [taken] = bought(&farm).try_into().unwrap();
    assert_eq!(
        (&*taken.status, taken.tags.len()),
        ("ACTIVE", 0),
        "{taken:?}"
    );
    until(&farm, &[&scaler], &bell, "it is let go", || {
        serving(&scaler) == 0
    })
    .await;

    let ips = [
        taken.ip.unwrap().parse().unwrap(),
        "127.0.213.250".parse().unwrap(),
    ];
    let dry = adopt_now(&farm, &scaler, &ips, true).await;
    let outcomes = |rows: &[Row]| rows.iter().map(|row| row.outcome).collect::<Vec<_>>();
    assert_eq!(outcomes(&dry), [Outcome::WouldAdopt, Outcome::Refused]);
    assert_eq!(bought(&farm)[0].tags.len(), 0, "a dry run changes nothing");
    let rows = adopt_now(&farm, &scaler, &ips, false).await;
    assert_eq!(outcomes(&rows), [Outcome::Adopted, Outcome::Refused]);
    let why = rows[0].why.as_deref().unwrap();
    assert!(why.contains("it is never released"), "{why}");

    bell.ring(&farm, Action::Release, POOL);
    until(&farm, &[&scaler], &bell, "it is idle, and stays", || {
        said.text().contains("reason=\"no_host_key\"")
    })
    .await;
    assert_eq!(serving(&scaler), 1);
    let keys = HostKeys::new(&farm.config.ssh.host_key_secret);
    let key = keys.derive(&order).unwrap();
    let line = format!(
        "[{}]:{} {}\n",
        ips[0],
        farm.config.ssh.port,
        key.public_line()
    );
    std::fs::write(&known_hosts, line).unwrap();
    until(&farm, &[&scaler], &bell, "it is given back", || {
        bought(&farm).is_empty()
    })
    .await;
    scaler.terminate().await;
    farm.stop().await;
}
