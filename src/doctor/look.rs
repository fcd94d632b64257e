//! Asks everybody.

use super::clocks::{Whose, clock};
use super::finding::Finding;
use super::refused::{ends_all, refused};
use super::{cloud, here};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::config::{self, Access, Backend, Config, Pool};
use crate::ecs::{EcsClient, EcsError, Right};
use crate::execute::Hands;
use crate::model::{FlavorName, Fleet, Offer, Order, Server, ServerStatus};
use crate::obs::{ObsClient, http_client};
use crate::ssh::{self, HostKeys, Pinned, RemoteShell, SshKey};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many workers are asked at once.
const AT_ONCE: usize = 64;

/// Every check, in the order in which they are shown. Buys nothing, deletes nothing, and writes nothing but
/// one empty file in the state directory, which it takes away.
pub async fn examine(config: &Arc<Config>, now: Clock) -> Vec<Finding> {
    let key = match &config.ssh.login {
        config::Login::Key(key) => Some(SshKey::parse(key)),
        config::Login::Password(_) => None,
    };
    let mut all = vec![
        here::state_dir(&config.state_dir),
        here::login(key.as_ref()),
        here::host_key_secret(config.ssh.host_key_secret.expose_secret().len()),
    ];
    let backends = backends(config, now);
    let (cloud, backends) = tokio::join!(
        the_cloud(config, now, key.as_ref().and_then(|key| key.as_ref().ok())),
        backends
    );
    all.extend(cloud);
    all.extend(backends);
    all
}

async fn the_cloud(config: &Arc<Config>, now: Clock, key: Option<&SshKey>) -> Vec<Finding> {
    let timeout = config.ecs.timeout;
    let mut all = vec![clock(
        "the cloud",
        Whose::Cloud,
        ahead(&config.ecs.endpoint, timeout, now).await,
    )];
    let client = match EcsClient::new(&config.ecs, config.policy.owner.clone(), now) {
        Ok(client) => Arc::new(client),
        Err(error) => {
            all.push(refused("credentials", &error));
            return all;
        }
    };
    let listed = client.list().await;
    match &listed {
        Ok(fleet) => {
            let found = format!(
                "{} servers of owner {}",
                fleet.servers.len(),
                config.policy.owner
            );
            all.push(Finding::ok("list of servers", found));
        }
        Err(error) => {
            all.push(refused("list of servers", error));
            if ends_all(error) {
                return all;
            }
        }
    }
    let rights = rights(&client, listed.as_ref().ok()).await;
    let fleet = listed.unwrap_or_default();
    all.extend(made_of(config, &client, key).await);
    all.extend(room(config, &client, &fleet).await);
    all.extend(dry_runs(config, &client, now).await);
    all.extend(rights);
    all.extend(workers(config, &fleet).await);
    all
}

/// Whether the calls may be made that no other check makes. Without a list of servers nothing is said of what it takes
/// a server to tell.
async fn rights(client: &EcsClient, fleet: Option<&Fleet>) -> Vec<Finding> {
    let mut servers = fleet.into_iter().flat_map(|fleet| fleet.servers.values());
    let running = servers.find(|server| server.status == ServerStatus::Active);
    let said = client.rights(running.map(|server| &server.id)).await;
    let told = said
        .iter()
        .filter(|(_, said)| fleet.is_some() || !matches!(said, Ok(Right::Untold)));
    told.map(|(what, said)| cloud::right(what, said)).collect()
}

/// What servers are made of.
async fn made_of(config: &Config, client: &EcsClient, key: Option<&SshKey>) -> Vec<Finding> {
    let ecs = &config.ecs;
    let mut all = Vec::new();
    for (arch, id) in &ecs.images {
        all.push(cloud::image(
            *arch,
            id,
            ecs.root_volume_gib,
            &client.image(id).await,
        ));
    }
    all.push(cloud::exists(
        "VPC",
        &ecs.vpc_id,
        "ecs.vpc_id",
        &client.has_vpc(&ecs.vpc_id).await,
    ));
    let vpc = client.vpc_of_subnet(&ecs.subnet_id).await;
    all.push(cloud::subnet(&ecs.subnet_id, &ecs.vpc_id, &vpc));
    for group in &ecs.security_groups {
        let found = client.has_security_group(group).await;
        all.push(cloud::exists(
            "security group",
            group,
            "ecs.security_groups",
            &found,
        ));
    }
    all.push(here::key_pair(
        &ecs.key_name,
        &client.key_pair(&ecs.key_name).await,
        key,
    ));
    all
}

/// Whether there is enough of everything.
async fn room(config: &Config, client: &EcsClient, fleet: &Fleet) -> Vec<Finding> {
    let policy = &config.policy;
    let room = cloud::room(policy, fleet);
    let mut all = cloud::quota(&client.quota().await, room);
    all.push(cloud::addresses(
        &client.addresses(&config.ecs.subnet_id).await,
        room,
    ));
    all.extend(cloud::flavors(policy, &client.stock().await));
    let named = cloud::bought(policy);
    all.extend(cloud::prices(
        &named,
        &config.prices,
        &client.price(&named).await,
    ));
    all
}

/// One for each flavor, in the zone that is tried first. They are not made of every zone: each is a call
/// of the kind that buys, and the cloud counts those.
async fn dry_runs(config: &Arc<Config>, client: &Arc<EcsClient>, now: Clock) -> Vec<Finding> {
    let cloud: Arc<dyn Cloud> = Arc::clone(client) as _;
    let hands = match Hands::new(Arc::clone(config), cloud, now) {
        Ok(hands) => hands,
        // The private key's own check says so already.
        Err(_) => return Vec::new(),
    };
    let mut all = Vec::new();
    for (flavor, (pool, offer)) in first_offers(config) {
        let asked = match order(&hands, pool, offer, now.now()).map(|order| hands.request(&order)) {
            None => Err(EcsError::Invalid(
                "the system gives no randomness".to_owned(),
            )),
            Some(Err(why)) => Err(EcsError::Invalid(why.to_string())),
            Some(Ok(request)) => client.dry_run(&request).await,
        };
        all.push(cloud::dry_run(pool, &flavor, &asked));
    }
    all
}

fn first_offers(config: &Config) -> BTreeMap<FlavorName, (&Pool, Offer)> {
    let mut first = BTreeMap::new();
    for pool in config.policy.pools.values() {
        for offer in config.policy.offers(pool) {
            first.entry(offer.flavor.clone()).or_insert((pool, offer));
        }
    }
    first
}

fn order(hands: &Hands, pool: &Pool, offer: Offer, at: Timestamp) -> Option<Order> {
    Some(Order {
        id: hands.new_order_id()?,
        pool: pool.name.clone(),
        flavor: offer.flavor,
        zone: offer.zone,
        vcpus: pool.vcpus,
        count: 1,
        names: None,
        at,
        job: None,
        body_sha256: String::new(),
        closed: None,
    })
}

async fn workers(config: &Config, fleet: &Fleet) -> Vec<Finding> {
    let Ok(access) = ssh::Access::new(&config.ssh) else {
        return Vec::new();
    };
    let keys = HostKeys::new(&config.ssh.host_key_secret);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let active = fleet.servers.values();
    let mut asking = JoinSet::new();
    for server in active.filter(|server| server.status == ServerStatus::Active) {
        let host = host(&keys, server, &config.ssh);
        let (access, server, places) = (access.clone(), server.clone(), Arc::clone(&places));
        asking.spawn(async move {
            let _place = places.acquire().await;
            let asked = match host {
                Ok(host) => service(&access, &host).await,
                Err(why) => Err(why),
            };
            (server, asked)
        });
    }
    let mut all = asking.join_all().await;
    all.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    all.iter()
        .map(|(server, asked)| here::worker(server, asked))
        .collect()
}

/// By the key that was derived for its order, or by the one that a person listed.
fn host(keys: &HostKeys, server: &Server, ssh: &config::Ssh) -> Result<Pinned<SocketAddr>, String> {
    let ip = server.ip.ok_or("the cloud lists no address of it")?;
    let pin = match &server.tags.order {
        Some(order) => {
            let key = keys.derive(order).map_err(|why| why.to_string())?;
            key.pin().clone()
        }
        None => {
            let names = [&*ip.to_string(), server.name.as_str()];
            let pin = ssh::known_pin(ssh.known_hosts_file.as_deref(), &names, ssh.port);
            pin.map_err(|why| why.to_string())?
        }
    };
    Ok(Pinned::new(SocketAddr::new(ip, ssh.port), pin))
}

async fn service(access: &ssh::Access, host: &Pinned<SocketAddr>) -> Result<ssh::Service, String> {
    let shell = RemoteShell::connect(access, host)
        .await
        .map_err(|why| why.to_string())?;
    shell.service().await.map_err(|why| why.to_string())
}

async fn backends(config: &Config, now: Clock) -> Vec<Finding> {
    let timeout = config.poll.timeout;
    let mut all = Vec::new();
    for (name, backend) in &config.backends {
        let of = format!("backend {name}");
        for server in servers(backend) {
            all.push(clock(
                &format!("{of} at {server}"),
                Whose::Backend,
                ahead(server, timeout, now).await,
            ));
        }
        let client = match ObsClient::new(backend, timeout) {
            Ok(client) => client,
            Err(why) => {
                all.push(here::workers(name.as_str(), &Err(why.to_string())));
                continue;
            }
        };
        let (workers, results) = tokio::join!(client.workers(), client.results());
        all.push(here::workers(
            name.as_str(),
            &workers.map_err(|why| why.to_string()),
        ));
        all.push(here::results(
            name.as_str(),
            &results.map_err(|why| why.to_string()),
        ));
    }
    all
}

fn servers(backend: &Backend) -> Vec<&str> {
    match &backend.access {
        Access::Servers { source, repository } => vec![source, repository],
        Access::SourceServer { source } => vec![source],
        Access::Frontend { url, .. } => vec![url],
    }
}

/// How far a server's clock is ahead of ours, by the `Date` of whatever it answers; `None` where that has none.
async fn ahead(url: &str, timeout: Duration, now: Clock) -> Result<Option<SignedDuration>, String> {
    let http = http_client(timeout, url.starts_with("http://")).map_err(|why| why.to_string())?;
    let answer = http.get(url).send().await;
    let answer = answer.map_err(|why| {
        if why.is_timeout() {
            format!("no answer within {timeout:?}")
        } else {
            root(&why.without_url())
        }
    })?;
    let date = answer
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
        return Ok(None);
    };
    Ok(Some(date.timestamp().duration_since(now.now())))
}

fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
