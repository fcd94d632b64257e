//! What the program relies on of any cloud ([`obs_scaler::cloud::Cloud`]): each promise is a function of a
//! cloud and of the ground that it stands on, and every implementation has to keep all of them.

mod ecs;

use jiff::Timestamp;
use obs_scaler::cloud::{Cloud, CreateRequest, Created, Gone, JobState, JobStatus, SubJob};
use obs_scaler::config::Pool;
use obs_scaler::model::{
    Availability, Class, FlavorName, HostName, Numbering, Order, OrderId, ServerId, ZoneName,
};
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

/// How long anything that a cloud has begun may take under test.
const PATIENCE: Duration = Duration::from_secs(20);

/// What can be done to a cloud from outside.
pub(super) trait Ground {
    /// The pool that servers are bought for.
    fn pool(&self) -> Pool;
    /// A zone of the cloud.
    fn zone(&self) -> ZoneName;
    /// Puts a server there that is not ours, with one tag `a=b`.
    fn foreign(&self, name: &str) -> ServerId;
    /// Nobody can buy this flavor in this zone any more.
    fn sell_out(&self, flavor: &FlavorName, zone: &ZoneName);
    /// The next creation of a server fails, and leaves a volume and a port behind.
    fn leak(&self);
    /// From now on every answer is cut off.
    fn cut(&self);
}

fn order(ground: &dyn Ground, number: u32, count: u32) -> Order {
    let pool = ground.pool();
    Order {
        id: OrderId::new(format!("46436810-d999-454c-bd85-{number:012x}")),
        names: Some(Numbering {
            stem: "conform-".to_owned(),
            first: number,
            digits: 3,
        }),
        pool: pool.name,
        flavor: pool.flavor,
        zone: Some(ground.zone()),
        vcpus: pool.vcpus,
        count,
        at: Timestamp::UNIX_EPOCH,
        job: None,
        body_sha256: String::new(),
        closed: None,
    }
}

fn request(cloud: &dyn Cloud, ground: &dyn Ground, number: u32, count: u32) -> CreateRequest {
    let order = order(ground, number, count);
    cloud
        .prepare(&order, &ground.pool(), "#cloud-config\n")
        .unwrap()
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ended(cloud: &dyn Cloud, job: &str) -> JobStatus {
    until("the end of a job", || async {
        let status = cloud.job(job).await.unwrap();
        let pending = status.sub_jobs.contains(&SubJob::Pending);
        (status.state != JobState::Running && !pending).then_some(status)
    })
    .await
}

async fn bought(cloud: &dyn Cloud, ground: &dyn Ground, number: u32, count: u32) -> Created {
    let created = cloud
        .create(&request(cloud, ground, number, count))
        .await
        .unwrap();
    ended(cloud, &created.job).await;
    created
}

async fn address(cloud: &dyn Cloud, server: &ServerId) -> IpAddr {
    until("an address", || async {
        let fleet = cloud.list().await.unwrap();
        fleet.servers.get(server).and_then(|server| server.ip)
    })
    .await
}

/// A creation repeated with the same request gives the same answer, and buys nothing more.
pub(super) async fn a_creation_is_idempotent(cloud: &dyn Cloud, ground: &dyn Ground) {
    let first = request(cloud, ground, 1, 2);
    assert_eq!(first.sha256(), request(cloud, ground, 1, 2).sha256());
    let created = cloud.create(&first).await.unwrap();
    assert_eq!(cloud.create(&first).await.unwrap(), created);
    assert_eq!(created.servers.len(), 2);
    let job = ended(cloud, &created.job).await;
    assert_eq!(job.state, JobState::Succeeded);
    for part in &job.sub_jobs {
        let SubJob::Succeeded {
            server: Some(server),
            ended: Some(_),
        } = part
        else {
            panic!("{part:?}");
        };
        assert!(created.servers.contains(server), "{server}");
    }
    assert_eq!(cloud.create(&first).await.unwrap(), created);
    let fleet = cloud.list().await.unwrap();
    let listed: Vec<&ServerId> = fleet.servers.keys().collect();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let names: Vec<&str> = fleet.servers.values().map(|s| s.name.as_str()).collect();
    assert!(
        names.contains(&"conform-001") && names.contains(&"conform-002"),
        "{names:?}"
    );
    for server in fleet.servers.values() {
        assert_eq!(server.tags.order.as_ref(), Some(first.order()));
        assert_eq!(server.vcpus, ground.pool().vcpus);
    }
}

/// The list holds every server of ours and no other; what is cut off is an error and no shorter list.
pub(super) async fn a_list_is_whole_or_an_error(cloud: &dyn Cloud, ground: &dyn Ground) {
    assert!(cloud.list().await.unwrap().servers.is_empty());
    ground.foreign("conform-900");
    bought(cloud, ground, 1, 3).await;
    assert_eq!(cloud.list().await.unwrap().servers.len(), 3);
    ground.cut();
    assert!(cloud.list().await.is_err());
    assert!(cloud.find(&["10.0.0.1".parse().unwrap()]).await.is_err());
    assert!(cloud.stock().await.is_err());
    assert!(cloud.quota().await.is_err());
    assert!(cloud.price(&[ground.pool().flavor]).await.is_err());
}

/// Only a server of ours that nobody has pinned is deleted; one that is gone is a success.
pub(super) async fn a_deletion_is_looked_at_and_done_once(cloud: &dyn Cloud, ground: &dyn Ground) {
    let foreign = ground.foreign("conform-001");
    let refused = cloud.delete(&foreign).await.unwrap_err();
    assert_eq!(
        (refused.class(), refused.outcome_known()),
        (Class::State, true)
    );
    let created = bought(cloud, ground, 2, 1).await;
    let server = &created.servers[0];
    cloud
        .tag(server, &[("obs-scaler-protected", "yes")])
        .await
        .unwrap();
    let refused = cloud.delete(server).await.unwrap_err();
    assert_eq!(refused.class(), Class::State);
    cloud
        .untag(server, &["obs-scaler-protected"])
        .await
        .unwrap();
    let jobs = cloud.delete(server).await.unwrap();
    for job in &jobs {
        ended(cloud, job).await;
    }
    until("its absence", || async {
        let fleet = cloud.list().await.unwrap();
        fleet.servers.is_empty().then_some(())
    })
    .await;
    assert_eq!(cloud.delete(server).await.unwrap(), [""; 0]);
}

/// A tag of the same key gets the new value, and one that is not there is taken off all the same; servers
/// of anybody are found by address, with all their tags.
pub(super) async fn tags_go_by_key(cloud: &dyn Cloud, ground: &dyn Ground) {
    let created = bought(cloud, ground, 1, 1).await;
    let server = &created.servers[0];
    let ip = address(cloud, server).await;
    cloud
        .tag(server, &[("lease", "one"), ("x", "y")])
        .await
        .unwrap();
    cloud.tag(server, &[("lease", "two")]).await.unwrap();
    cloud.untag(server, &["x", "never-there"]).await.unwrap();
    let found = cloud.find(&[ip]).await.unwrap();
    let [found] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((&found.id, found.vcpus), (server, ground.pool().vcpus));
    assert_eq!(found.tags.get("lease").map(String::as_str), Some("two"));
    assert!(!found.tags.contains_key("x"));
    assert!(found.charging.is_some());
    let nobody = cloud.find(&["192.0.2.1".parse().unwrap()]).await.unwrap();
    assert!(nobody.is_empty());
}

/// What may be bought, how much of it and for what is known, or an error; never zero for not known.
pub(super) async fn the_market_is_known(cloud: &dyn Cloud, ground: &dyn Ground) {
    let (flavor, zone) = (ground.pool().flavor, ground.zone());
    let stock = cloud.stock().await.unwrap();
    assert_eq!(stock.of(&flavor, Some(&zone)), Availability::OnSale);
    assert_eq!(stock.flavors[&flavor].vcpus, ground.pool().vcpus);
    assert_eq!(stock.flavors[&flavor].arch, ground.pool().arch);
    ground.sell_out(&flavor, &zone);
    let stock = cloud.stock().await.unwrap();
    assert_eq!(stock.of(&flavor, Some(&zone)), Availability::SoldOut);
    assert_eq!(
        stock.of(&flavor, None),
        Availability::OnSale,
        "in another zone"
    );
    let refused = cloud
        .create(&request(cloud, ground, 9, 1))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.class(), refused.outcome_known()),
        (Class::Capacity, true)
    );

    let unknown = FlavorName::new("no.such.flavor");
    let prices = cloud
        .price(&[unknown.clone(), flavor.clone()])
        .await
        .unwrap();
    assert!(prices.flavors[&flavor].per_hour() > 0.0);
    assert!(!prices.flavors.contains_key(&unknown) && !prices.currency.is_empty());
}

/// The quota counts what is bought.
pub(super) async fn the_quota_counts_what_is_bought(cloud: &dyn Cloud, ground: &dyn Ground) {
    let before = cloud.quota().await.unwrap();
    bought(cloud, ground, 1, 1).await;
    let after = cloud.quota().await.unwrap();
    assert_eq!(after.instances.used, before.instances.used + 1);
    let vcpus = u64::from(ground.pool().vcpus.0);
    assert_eq!(after.cores.used, before.cores.used + vcpus);
    assert_eq!(after.instances.max, before.instances.max);
}

/// A job that does not exist is gone, and a part of one that failed says why.
pub(super) async fn a_job_says_what_failed(cloud: &dyn Cloud, ground: &dyn Ground) {
    let unknown = cloud
        .job("ff8080829d7e5d2a019d7e5d2a010000")
        .await
        .unwrap_err();
    assert_eq!(unknown.class(), Class::Gone);
    ground.leak();
    let created = bought(cloud, ground, 1, 1).await;
    let job = ended(cloud, &created.job).await;
    let [
        SubJob::Failed {
            failure,
            ended: Some(_),
            ..
        },
    ] = job.sub_jobs.as_slice()
    else {
        panic!("{job:?}");
    };
    assert!(!failure.code.is_empty());
}

/// What a server that never came left behind is found by its name and its id, and cleared; nothing of a
/// server that is there is.
pub(super) async fn leftovers_are_found_and_cleared(cloud: &dyn Cloud, ground: &dyn Ground) {
    let gone = |server: &ServerId, name: &str| Gone {
        server: server.clone(),
        name: Some(HostName::new(name)),
    };
    let there = bought(cloud, ground, 1, 1).await;
    let alive = gone(&there.servers[0], "conform-001");
    assert!(cloud.leftovers(&alive).await.unwrap().is_empty());
    ground.leak();
    let failed = bought(cloud, ground, 2, 1).await;
    let dead = gone(&failed.servers[0], "conform-002");
    let left = cloud.leftovers(&dead).await.unwrap();
    assert_eq!((left.volumes.len(), left.ports.len()), (1, 1), "{left:?}");
    cloud.clear(&left).await.unwrap();
    until("the end of what was left", || async {
        cloud
            .leftovers(&dead)
            .await
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
    cloud.clear(&left).await.unwrap();
}
