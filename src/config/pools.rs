//! Flavors and pools, and the rules that bind them to each other and to the backends.

use super::reader::{Node, Section};
use super::units::{identifier, number, word};
use super::yaml::Tree;
use super::{Backend, Mode, Pool};
use crate::model::{Arch, BackendName, FlavorName, Level, PoolName, Vcpus};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ARCHS: &str = "aarch64 or x86_64";
pub(super) const LEVELS: &str = "l1, l2 or l3";

/// No flavor comes near, and so many instances would not fit any either.
const MOST: u32 = 1024;

/// What is bought for an arch and a level. `jobs` is `None` for as many as there are vCPU.
struct Flavor {
    name: FlavorName,
    vcpus: Vcpus,
    instances: u32,
    jobs: Option<u32>,
}

/// A pool as it is written: what it does not say comes from the flavor of its arch and level.
pub(super) struct Written<'a> {
    pub(super) node: Node<'a>,
    pub(super) pool: Pool,
    /// The nodes of [`Pool::backends`], in the same order.
    backends: Vec<Node<'a>>,
}

pub(super) fn pool_name(tree: &Tree) -> Result<PoolName, String> {
    let expected = "1 to 32 of a-z, 0-9 and '-', with a letter or digit at either end";
    tree.text()
        .and_then(|text| PoolName::try_from(text).ok())
        .ok_or_else(|| expected.to_owned())
}

/// The flavors by arch and level.
pub(super) struct Flavors(BTreeMap<Arch, BTreeMap<Level, Flavor>>);

pub(super) fn read_flavors(table: &Node<'_>) -> Option<Flavors> {
    table
        .table(ARCHS, |levels| {
            levels.table(LEVELS, |node| node.section(flavor))
        })
        .map(Flavors)
}

fn flavor(s: &Section<'_>) -> Option<Flavor> {
    let name = s.required("name", identifier);
    let vcpus = s.required("vcpus", number(1..=MOST));
    let instances = s.required("instances", number(1..=MOST));
    let jobs = s.or("jobs", None, jobs);
    Some(Flavor {
        name: FlavorName::new(name?),
        vcpus: Vcpus(vcpus?),
        instances: instances?,
        jobs: jobs?,
    })
}

fn jobs(tree: &Tree) -> Result<Option<u32>, String> {
    if tree.text() == Some("all") {
        return Ok(None);
    }
    number(1..=MOST)(tree)
        .map(Some)
        .map_err(|expected| format!("{expected}, or all"))
}

/// Reads the pools, and holds them against the backends and the flavors where these could be read.
pub(super) fn read_pools<'a>(
    list: &Node<'a>,
    backends: Option<&BTreeMap<BackendName, Backend>>,
    flavors: Option<&Flavors>,
) -> Option<Vec<Written<'a>>> {
    let pools = list.list(|node| node.section(|s| pool(node, s, flavors)))?;
    refuse_repeated_names(&pools);
    if let Some(backends) = backends {
        each_job_has_one_pool(list, &pools, backends);
    }
    Some(pools)
}

fn pool<'a>(node: &Node<'a>, s: &Section<'a>, flavors: Option<&Flavors>) -> Option<Written<'a>> {
    let name = s.required("name", pool_name);
    let arch = s.required("arch", word(ARCHS));
    let level = s.required("level", word(LEVELS));
    let served = s.need("backends", "the backends that its workers serve");
    let served = served.and_then(|list| list.list(|n| Some((n.clone(), n.read(pool_name)?))));
    let mode = s.or("mode", Mode::Observe, mode);
    let reserve = s.or("reserve", 0, number(0..=10_000));
    let own = s.get("flavor").map(|node| node.section(own_flavor));
    let own_instances = s.get("instances").map(|node| node.read(number(1..=MOST)));
    let own_jobs = s.get("jobs").map(|node| node.read(jobs));
    let (arch, level) = (arch?, level?);
    let common = flavors?.0.get(&arch).and_then(|levels| levels.get(&level));
    let own = own.or_else(|| common.map(|f| Some((f.name.clone(), f.vcpus))));
    let instances = own_instances.or_else(|| common.map(|f| Some(f.instances)));
    let (Some(own), Some(instances)) = (own, instances) else {
        let expected = format!("flavors.{arch}.{level}, or flavor and instances of its own");
        node.wrong(format!("no flavor for {arch} {level}"), expected);
        return None;
    };
    let (flavor, vcpus) = own?;
    let jobs = own_jobs.unwrap_or_else(|| Some(common.and_then(|f| f.jobs)))?;
    let (nodes, names): (Vec<_>, Vec<_>) = served?.into_iter().unzip();
    Some(Written {
        node: node.clone(),
        backends: nodes,
        pool: Pool {
            name: name?,
            arch,
            level,
            backends: names.iter().map(|n| BackendName::new(n.as_str())).collect(),
            mode: mode?,
            reserve: reserve?,
            flavor,
            vcpus,
            instances: instances?,
            jobs: jobs.unwrap_or(vcpus.0),
        },
    })
}

fn own_flavor(s: &Section<'_>) -> Option<(FlavorName, Vcpus)> {
    let name = s.required("name", identifier);
    let vcpus = s.required("vcpus", number(1..=MOST));
    Some((FlavorName::new(name?), Vcpus(vcpus?)))
}

fn mode(tree: &Tree) -> Result<Mode, String> {
    Mode::ALL
        .into_iter()
        .find(|mode| Some(mode.as_str()) == tree.text())
        .ok_or_else(|| "observe, apply or full".to_owned())
}

fn refuse_repeated_names(pools: &[Written<'_>]) {
    let mut seen = BTreeSet::new();
    for Written { node, pool, .. } in pools {
        if !seen.insert(&pool.name) {
            let found = format!("\"{}\" again", pool.name);
            node.child("name")
                .wrong(found, "a name of its own for each pool");
        }
    }
}

/// A backend's jobs of one arch and level that no pool has would wait for ever, and those that two
/// have would be bought for twice.
fn each_job_has_one_pool(
    list: &Node<'_>,
    pools: &[Written<'_>],
    backends: &BTreeMap<BackendName, Backend>,
) {
    let mut owners: BTreeMap<(&BackendName, Arch, Level), &PoolName> = BTreeMap::new();
    for Written {
        pool,
        backends: nodes,
        ..
    } in pools
    {
        for (backend, node) in pool.backends.iter().zip(nodes) {
            let (arch, level) = (pool.arch, pool.level);
            if !backends.contains_key(backend) {
                let known: Vec<_> = backends.keys().map(BackendName::as_str).collect();
                node.wrong(
                    format!("\"{backend}\""),
                    format!("one of {}", known.join(", ")),
                );
            } else if let Some(owner) = owners.insert((backend, arch, level), &pool.name) {
                let found = format!("{backend} for {arch} {level}, which pool {owner} has as well");
                node.wrong(found, "each backend, arch and level in one pool");
            }
        }
    }
    let every = |backend| Arch::ALL.map(|arch| Level::ALL.map(|level| (backend, arch, level)));
    let missing: Vec<_> = (backends.keys().flat_map(every).flatten())
        .filter(|key| !owners.contains_key(key))
        .map(|(backend, arch, level)| format!("{backend} for {arch} {level}"))
        .collect();
    if !missing.is_empty() {
        let found = format!("no pool with {}", missing.join(", "));
        list.wrong(found, "each backend, arch and level in one pool");
    }
}
