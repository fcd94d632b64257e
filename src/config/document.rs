//! The document, section by section. The defaults stand here (and in `pools.rs`) and nowhere else;
//! `config.yaml` repeats them for people, and a test compares the two.

use super::archs::read_archs;
use super::backend_hosts::belong_to_backends;
use super::backends::{read_backends, readings_outlive_their_cache};
use super::black_holes::read_black_holes;
use super::checks::read_checks;
use super::cloud::{CreateApi, read_credentials, read_rates};
use super::gates::read_gates;
use super::hosts::read_hosts;
use super::jobs::{read_ghosts, read_watched};
use super::pools::{ARCHS, LEVELS, Written, named_flavors, read_flavors, read_pools};
use super::prices::{price, prices};
use super::reader::{Node, Section};
use super::secret::{SecretSource, WORD};
use super::ssh::read_ssh;
use super::units::{
    base_url, duration, identifier, local_path, margin, number, ratio, retention, text, whole_name,
    word,
};
use super::workers::read_workers;
use super::yaml::Tree;
use super::{
    Backend, Checked, Config, Ecs, Faults, History, Levels, Mode, Naming, Policy, Poll, Web,
};
use crate::model::{Arch, BackendName, Level, Vcpus, ZoneName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

pub(super) fn read_config(
    root: &Node<'_>,
    secrets: &dyn SecretSource,
    of_backends: &dyn SecretSource,
) -> Option<Config> {
    root.section(|doc| {
        let state_dir = PathBuf::from("/var/lib/obs-scaler");
        let state_dir = doc.or("state_dir", state_dir, local_path);
        let web = doc.need("web", "the HTTP server");
        let web = web.and_then(|node| node.section(|web| read_web(web, secrets)));
        let backends = doc.need("backends", "the OBS backends");
        let backends = backends.and_then(|node| read_backends(&node, of_backends));
        let flavors = doc.need("flavors", "the flavors by arch and level");
        let flavors = flavors.and_then(|node| read_flavors(&node));
        let workers = doc.part("workers").section(read_workers);
        let pools = doc.need("pools", "the pools");
        let (served, sold) = (backends.as_ref(), flavors.as_ref());
        let pools = pools.and_then(|node| read_pools(&node, served, sold, workers.as_ref()));
        let history = doc.part("history").section(read_history);
        let named = flavors.as_ref().zip(pools.as_deref());
        let prices = named.map(|(flavors, pools)| prices(&named_flavors(flavors, pools)));
        let poll = doc.part("poll").section(read_poll);
        let ecs = doc.need("ecs", "the cloud");
        let ecs = ecs.and_then(|node| node.section(|ecs| read_ecs(ecs, pools.as_deref(), secrets)));
        let ssh = doc.need("ssh", "how workers are reached");
        let ssh = ssh.and_then(|node| node.section(|ssh| read_ssh(ssh, secrets)));
        let checks = doc.part("checks").section(read_checks);
        if let (Some(ssh), Some(backends)) = (&ssh, &backends) {
            belong_to_backends(&ssh.backend_hosts, backends, &doc.part("ssh"));
        }
        let hosts = doc.part("hosts").section(read_hosts);
        let naming = ecs.as_ref().map(|ecs| ecs.naming.clone());
        let policy = read_policy(doc, pools, backends.as_ref(), poll.as_ref(), naming);
        if let (Some(policy), Some(poll), Some(backends)) = (&policy, &poll, &backends) {
            let scaling = doc.part("scaling");
            readings_outlive_their_cache(&scaling, policy.max_age, poll, backends);
        }
        Some(Config {
            state_dir: state_dir?,
            web: web?,
            backends: backends?,
            policy: policy?,
            history: history?,
            prices: prices?,
            poll: poll?,
            ecs: ecs?,
            ssh: ssh?,
            checks: checks?,
            hosts: hosts?,
            warnings: Faults::default(),
            _checked: Checked,
        })
    })
}

fn read_web(web: &Section<'_>, secrets: &dyn SecretSource) -> Option<Web> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 17790));
    let listen = web.or(
        "listen",
        listen,
        word("ADDRESS:PORT, such as 127.0.0.1:17790"),
    );
    let token = web.secret(["token_env", "token_file"], WORD, secrets);
    let max_body = web.or("max_body", 1 << 20, number(1 << 10..=1 << 26));
    Some(Web {
        listen: listen?,
        token: token?,
        max_body_bytes: max_body?,
    })
}

fn read_levels(levels: &Section<'_>) -> Option<Levels> {
    let below = |level, default| {
        levels
            .part(level)
            .section(|l| l.or("below", default, duration))
    };
    let l1_below = below("l1", minutes(5));
    let l2_below = below("l2", minutes(10));
    if let (Some(l1), Some(l2)) = (l1_below, l2_below)
        && l1 >= l2
    {
        let found = format!("{l2:?}, where l1 has {l1:?}");
        levels
            .node
            .child("l2")
            .child("below")
            .wrong(found, "more than l1.below");
    }
    let hysteresis = levels.or("hysteresis", 0.1, margin);
    // the journal keeps no more of a package
    let last_successes = levels.or("last_successes", 4, number(1..=32_u8));
    let never_built = levels.or("never_built", Level::L3, word(LEVELS));
    let packages = match levels.get("packages") {
        Some(node) => node.any_list(|node| node.section(read_package)),
        None => Some(Vec::new()),
    };
    Some(Levels {
        l1_below: l1_below?,
        l2_below: l2_below?,
        hysteresis: hysteresis?,
        last_successes: last_successes?.into(),
        never_built: never_built?,
        packages: packages?,
    })
}

fn read_package(package: &Section<'_>) -> Option<(regex::Regex, Level)> {
    let pattern = package.required("pattern", whole_name);
    let level = package.required("level", word(LEVELS));
    Some((pattern?, level?))
}

fn read_history(history: &Section<'_>) -> Option<History> {
    let retention = history.or("retention", Duration::from_hours(180 * 24), retention);
    Some(History {
        retention: retention?,
    })
}

fn read_poll(poll: &Section<'_>) -> Option<Poll> {
    let workers = poll.or("workers", seconds(10), duration);
    let results = poll.or("results", seconds(30), duration);
    let history = poll.or("history", seconds(60), duration);
    let ecs = poll.or("ecs", seconds(30), duration);
    let market = poll.or("market", seconds(30), duration);
    let hosts = poll.or("hosts", seconds(30), duration);
    let timeout = poll.or("timeout", seconds(30), duration);
    Some(Poll {
        workers: workers?,
        results: results?,
        history: history?,
        ecs: ecs?,
        market: market?,
        hosts: hosts?,
        timeout: timeout?,
    })
}

fn read_policy(
    doc: &Section<'_>,
    pools: Option<Vec<Written<'_>>>,
    backends: Option<&BTreeMap<BackendName, Backend>>,
    poll: Option<&Poll>,
    naming: Option<Naming>,
) -> Option<Policy> {
    let owner = doc.required("owner", owner);
    let archs = read_archs(doc);
    let levels = doc.part("levels").section(read_levels);
    let watched = read_watched(doc);
    let ghosts = doc.part("ghosts").section(read_ghosts);
    let black_holes = doc.part("black_holes").section(read_black_holes);
    doc.part("scaling").section(|scaling| {
        let ceiling = scaling
            .or("ceiling_vcpus", 1792, number(0..=1_000_000))
            .map(Vcpus);
        let max_order = scaling.or("max_order", 10, number(1..=100));
        let create_deadline = scaling.or("create_deadline", minutes(10), duration);
        let check_deadline = scaling.or("check_deadline", minutes(5), duration);
        let alarm_expiry = scaling.or("alarm_expiry", minutes(5), duration);
        let watchdog_expiry = scaling.or("watchdog_expiry", minutes(5), duration);
        let max_age = scaling.or("max_age", minutes(2), duration);
        let release = scaling.part("release").section(read_release);
        let known_instances_ratio = scaling.or("known_instances_ratio", 0.7, ratio);
        let zones = scaling
            .get("availability_zones")
            .map(|list| read_zones(&list));
        let gates = read_gates(scaling, backends);
        let tick = scaling.or("tick", seconds(5), duration);
        if let (Some(max_age), Some(poll)) = (max_age, poll) {
            readings_outlive_two_polls(&scaling.node, max_age, poll);
        }
        if let (Some(ceiling), Some(pools)) = (ceiling, &pools) {
            ceiling_lets_a_server_in(&scaling.node, ceiling, pools);
        }
        let (release_checks, release_interval, max_releases) = release?;
        Some(Policy {
            naming: naming?,
            owner: owner?,
            pools: (pools?.into_iter())
                .map(|written| (written.pool.name.clone(), written.pool))
                .collect(),
            zones: zones.unwrap_or_else(|| Some(Vec::new()))?,
            archs: archs?,
            levels: levels?,
            watched: watched?,
            ghosts: ghosts?,
            black_holes: black_holes?,
            ceiling: ceiling?,
            max_order: max_order?,
            create_deadline: create_deadline?,
            check_deadline: check_deadline?,
            alarm_expiry: alarm_expiry?,
            watchdog_expiry: watchdog_expiry?,
            max_age: max_age?,
            release_checks,
            release_interval,
            max_releases,
            known_instances_ratio: known_instances_ratio?,
            gates: gates?,
            tick: tick?,
        })
    })
}

/// Each once: the second of a zone would never be tried.
fn read_zones(list: &Node<'_>) -> Option<Vec<ZoneName>> {
    let zones = list.list(|zone| zone.read(identifier).map(ZoneName::new))?;
    let named: BTreeSet<_> = zones.iter().collect();
    if named.len() < zones.len() {
        list.wrong("a zone twice", "each availability zone once");
        return None;
    }
    Some(zones)
}

fn read_release(release: &Section<'_>) -> Option<(u32, Duration, u32)> {
    let checks = release.or("checks", 3, number(1..=1000));
    let interval = release.or("interval", seconds(60), duration);
    let at_once = release.or("at_once", 2, number(1..=1000));
    Some((checks?, interval?, at_once?))
}

/// The owner tag's value: the cloud takes 43 characters (ECS API, `server_tags`), and the tag is
/// looked for as `key=value`.
fn owner(tree: &Tree) -> Result<String, String> {
    let lawful = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text("1 to 43 letters, digits, '-', '_' and '.'", 43, lawful)(tree)
}

/// One failed or slow poll must not hold every pool.
fn readings_outlive_two_polls(scaling: &Node<'_>, max_age: Duration, poll: &Poll) {
    let sources = [
        ("workers", poll.workers),
        ("results", poll.results),
        ("history", poll.history),
        ("ecs", poll.ecs),
        ("market", poll.market),
        ("hosts", poll.hosts),
    ];
    for (source, interval) in sources {
        if max_age < 2 * interval {
            let found = format!("{max_age:?}, with {interval:?} as poll.{source}");
            let expected = format!("at least {:?}, two polls", 2 * interval);
            scaling.child("max_age").wrong(found, expected);
        }
    }
}

fn ceiling_lets_a_server_in(scaling: &Node<'_>, ceiling: Vcpus, pools: &[Written<'_>]) {
    let buying = pools
        .iter()
        .filter(|written| written.pool.mode != Mode::Observe);
    let Some(smallest) = buying.map(|written| written.pool.vcpus).min() else {
        return;
    };
    if ceiling < smallest {
        let expected = format!("at least {smallest}, the smallest server of a pool that buys");
        scaling
            .child("ceiling_vcpus")
            .wrong(ceiling.to_string(), expected);
    }
}

fn read_ecs(
    ecs: &Section<'_>,
    pools: Option<&[Written<'_>]>,
    secrets: &dyn SecretSource,
) -> Option<Ecs> {
    let endpoint = ecs.required("endpoint", base_url);
    let region = ecs.or("region", None, |tree| identifier(tree).map(Some));
    let project_id = ecs.required("project_id", identifier);
    let credentials = read_credentials(ecs, secrets);
    let rates = read_rates(ecs);
    let create_api = ecs.or("create_api", CreateApi::V1, word("v1 or v1.1"));
    let images = ecs.need("images", "an image for each arch that a pool has");
    let images = images.and_then(|node| node.table(ARCHS, |image| image.read(identifier)));
    let vpc_id = ecs.required("vpc_id", identifier);
    let subnet_id = ecs.required("subnet_id", identifier);
    let security_groups = ecs.need("security_groups", "at least one security group");
    let security_groups = security_groups.and_then(|node| node.list(|id| id.read(identifier)));
    let key_name = ecs.required("key_name", identifier);
    let root_volume_type = ecs.or("root_volume_type", "SSD".to_owned(), identifier);
    let root_volume_gib = ecs.or("root_volume_gib", 200, number(1..=1024));
    let root_volume_price = ecs.or("root_volume_price", None, price);
    let naming = read_naming(ecs);
    let timeout = ecs.or("timeout", seconds(30), duration);
    let job_poll = ecs.or("job_poll", seconds(4), duration);
    if let (Some(pools), Some(images)) = (pools, &images) {
        each_pool_has_an_image(&ecs.node.child("images"), images, pools);
    }
    if let (Some(pools), Some(naming)) = (pools, &naming) {
        pools.iter().for_each(|written| names_fit(written, naming));
    }
    Some(Ecs {
        endpoint: endpoint?.url,
        region: region?,
        project_id: project_id?,
        credentials: credentials?,
        rates: rates?,
        create_api: create_api?,
        images: images?,
        vpc_id: vpc_id?,
        subnet_id: subnet_id?,
        security_groups: security_groups?,
        key_name: key_name?,
        root_volume_type: root_volume_type?,
        root_volume_gib: root_volume_gib?,
        root_volume_price: root_volume_price?,
        naming: naming?,
        timeout: timeout?,
        job_poll: job_poll?,
    })
}

fn each_pool_has_an_image(node: &Node<'_>, images: &BTreeMap<Arch, String>, pools: &[Written<'_>]) {
    for arch in Arch::ALL.iter().filter(|arch| !images.contains_key(arch)) {
        if let Some(written) = pools.iter().find(|written| written.pool.arch == *arch) {
            let found = format!("no image for {arch}, which pool {} has", written.pool.name);
            node.wrong(found, "an image for each arch that a pool has");
        }
    }
}

fn read_naming(ecs: &Section<'_>) -> Option<Naming> {
    let prefix = ecs.or("name_prefix", "obs".to_owned(), name_prefix);
    let range = ecs.or("name_range", 199, number(1..=9999));
    Some(Naming {
        prefix: prefix?,
        range: range?,
    })
}

/// Several servers are asked for as `PREFIX-POOL-[FIRST,DIGITS]`, of which the cloud takes 59 characters
/// (ECS API, `name` with `count` above 1).
fn names_fit(written: &Written<'_>, naming: &Naming) {
    let name = written.pool.name.as_str();
    let length = naming.of(&written.pool.name, naming.range).asked(2).len();
    if length > 59 {
        let found = format!("{name:?}, with server names of {length} characters");
        let expected = "at most 59, of which ecs.name_prefix and [FIRST,DIGITS] are part";
        written.node.child("name").wrong(found, expected);
    }
}

/// The beginning of host names.
fn name_prefix(tree: &Tree) -> Result<String, String> {
    let expected = "1 to 20 of a-z, 0-9 and '-', a letter first and no '-' last";
    let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let prefix = text(expected, 20, lawful)(tree)?;
    let ends = prefix.starts_with(|c: char| c.is_ascii_lowercase()) && !prefix.ends_with('-');
    ends.then_some(prefix).ok_or_else(|| expected.to_owned())
}
