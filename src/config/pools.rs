//! Flavors and pools, and the rules that bind them to each other and to the backends.

use super::prices::{Named, price};
use super::projects::read_projects;
use super::reader::{Node, Section};
use super::units::{identifier, number, word};
use super::workers::{Workers, cache_mib};
use super::yaml::Tree;
use super::{Backend, Mode, Pool, Projects};
use crate::model::{Arch, BackendName, FlavorName, Level, PoolName, Price, Vcpus};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ARCHS: &str = "aarch64 or x86_64";
pub(super) const LEVELS: &str = "l1, l2 or l3";

/// No flavor comes near, and so many instances would not fit any either.
const MOST: u32 = 1024;

/// What is bought for an arch and a level. `jobs` is `None` for as many as there are vCPU.
struct Flavor<'a> {
    node: Node<'a>,
    name: FlavorName,
    vcpus: Vcpus,
    instances: u32,
    jobs: Option<u32>,
    price: Option<Price>,
    alternatives: Vec<Named<'a>>,
}

/// A pool as it is written: what it does not say comes from the flavor of its arch and level.
pub(super) struct Written<'a> {
    pub(super) node: Node<'a>,
    pub(super) pool: Pool,
    /// The nodes of [`Pool::backends`], in the same order.
    backends: Vec<Node<'a>>,
    /// Flavors of its own, with the prices there.
    own_flavors: Vec<Named<'a>>,
}

impl<'a> Flavor<'a> {
    /// Every flavor that it names, the one that is preferred first.
    fn named(&self) -> Vec<Named<'a>> {
        let first = (self.node.clone(), self.name.clone(), self.price);
        std::iter::once(first)
            .chain(self.alternatives.iter().cloned())
            .collect()
    }
}

pub(super) fn pool_name(tree: &Tree) -> Result<PoolName, String> {
    let expected = "1 to 32 of a-z, 0-9 and '-', with a letter or digit at either end";
    tree.text()
        .and_then(|text| PoolName::try_from(text).ok())
        .ok_or_else(|| expected.to_owned())
}

/// The flavors by arch and level.
pub(super) struct Flavors<'a>(BTreeMap<Arch, BTreeMap<Level, Flavor<'a>>>);

pub(super) fn read_flavors<'a>(table: &Node<'a>) -> Option<Flavors<'a>> {
    table
        .table(ARCHS, |levels| {
            levels.table(LEVELS, |node| node.section(flavor))
        })
        .map(Flavors)
}

/// Every flavor that is named, with its price there.
pub(super) fn named_flavors<'a>(flavors: &Flavors<'a>, pools: &[Written<'a>]) -> Vec<Named<'a>> {
    let common = flavors.0.values().flat_map(BTreeMap::values);
    let common = common.flat_map(Flavor::named);
    let own = pools.iter().flat_map(|written| written.own_flavors.clone());
    common.chain(own).collect()
}

fn flavor<'a>(s: &Section<'a>) -> Option<Flavor<'a>> {
    let name = s.required("name", identifier);
    let vcpus = s.required("vcpus", number(1..=MOST));
    let instances = s.required("instances", number(1..=MOST));
    let jobs = s.or("jobs", None, jobs);
    let price = s.or("price", None, price);
    let name = FlavorName::new(name?);
    let alternatives = read_alternatives(s, &name);
    Some(Flavor {
        node: s.node.clone(),
        name,
        alternatives: alternatives?,
        vcpus: Vcpus(vcpus?),
        instances: instances?,
        jobs: jobs?,
        price: price?,
    })
}

/// Flavors of the same size, of which each is named once.
fn read_alternatives<'a>(s: &Section<'a>, first: &FlavorName) -> Option<Vec<Named<'a>>> {
    let Some(list) = s.get("alternatives") else {
        return Some(Vec::new());
    };
    let alternatives = list.list(|node| {
        node.section(|other| {
            let name = other.required("name", identifier);
            let price = other.or("price", None, price);
            Some((node.clone(), FlavorName::new(name?), price?))
        })
    })?;
    let mut named = BTreeSet::from([first]);
    for (node, name, _) in &alternatives {
        if !named.insert(name) {
            let found = format!("flavor {name} again");
            node.child("name")
                .wrong(found, "another flavor of the same size");
        }
    }
    Some(alternatives)
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
    flavors: Option<&Flavors<'_>>,
    workers: Option<&Workers>,
) -> Option<Vec<Written<'a>>> {
    let pools = list.list(|node| node.section(|s| pool(node, s, flavors, workers)))?;
    refuse_repeated_names(&pools);
    if let Some(backends) = backends {
        each_job_has_one_pool(list, &pools, backends);
    }
    Some(pools)
}

fn pool<'a>(
    node: &Node<'a>,
    s: &Section<'a>,
    flavors: Option<&Flavors<'_>>,
    workers: Option<&Workers>,
) -> Option<Written<'a>> {
    let name = s.required("name", pool_name);
    let arch = s.required("arch", word(ARCHS));
    let level = s.required("level", word(LEVELS));
    let served = s.need("backends", "the backends that its workers serve");
    let served = served.and_then(|list| list.list(|n| Some((n.clone(), n.read(pool_name)?))));
    let projects = s.get("projects").map(|list| read_projects(&list));
    let mode = s.or("mode", Mode::Observe, mode);
    let reserve = s.or("reserve", 0, number(0..=10_000));
    let own = s.get("flavor").map(|node| node.section(own_flavor));
    let own_instances = s.get("instances").map(|node| node.read(number(1..=MOST)));
    let own_jobs = s.get("jobs").map(|node| node.read(jobs));
    let own_cache = s.or("cache_mib", None, cache_mib);
    let (arch, level) = (arch?, level?);
    let common = flavors?.0.get(&arch).and_then(|levels| levels.get(&level));
    let own_flavors = own.iter().flatten().flat_map(|own| own.named.clone());
    let own_flavors = own_flavors.collect();
    let own = own.map(|own| own.map(|own| (own.named, own.vcpus)));
    let own = own.or_else(|| common.map(|f| Some((f.named(), f.vcpus))));
    let instances = own_instances.or_else(|| common.map(|f| Some(f.instances)));
    let (Some(own), Some(instances)) = (own, instances) else {
        let expected = format!("flavors.{arch}.{level}, or flavor and instances of its own");
        node.wrong(format!("no flavor for {arch} {level}"), expected);
        return None;
    };
    let (named, vcpus) = own?;
    let mut named = named.into_iter().map(|(_, name, _)| name);
    let jobs = own_jobs.unwrap_or_else(|| Some(common.and_then(|f| f.jobs)))?;
    let (nodes, names): (Vec<_>, Vec<_>) = served?.into_iter().unzip();
    Some(Written {
        node: node.clone(),
        backends: nodes,
        own_flavors,
        pool: Pool {
            name: name?,
            arch,
            level,
            backends: names.iter().map(|n| BackendName::new(n.as_str())).collect(),
            projects: projects.unwrap_or_else(|| Some(Projects::default()))?,
            mode: mode?,
            reserve: reserve?,
            flavor: named.next()?,
            alternatives: named.collect(),
            vcpus,
            instances: instances?,
            jobs: jobs.unwrap_or(vcpus.0),
            cache_mib: own_cache?.or(workers?.cache_mib),
            workers: workers?.clone(),
        },
    })
}

/// The flavors of one pool: the one that is preferred first.
#[derive(Clone)]
struct OwnFlavors<'a> {
    named: Vec<Named<'a>>,
    vcpus: Vcpus,
}

fn own_flavor<'a>(s: &Section<'a>) -> Option<OwnFlavors<'a>> {
    let name = s.required("name", identifier);
    let vcpus = s.required("vcpus", number(1..=MOST));
    let price = s.or("price", None, price);
    let name = FlavorName::new(name?);
    let alternatives = read_alternatives(s, &name);
    let first = (s.node.clone(), name, price?);
    Some(OwnFlavors {
        named: std::iter::once(first).chain(alternatives?).collect(),
        vcpus: Vcpus(vcpus?),
    })
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

/// The pools of a backend, arch and level.
type Places<'a> = BTreeMap<(&'a BackendName, Arch, Level), Vec<&'a Written<'a>>>;

/// A job that no pool has would wait for ever, and one that two have would be bought for twice.
fn each_job_has_one_pool(
    list: &Node<'_>,
    pools: &[Written<'_>],
    backends: &BTreeMap<BackendName, Backend>,
) {
    let every = |backend| Arch::ALL.map(|arch| Level::ALL.map(|level| (backend, arch, level)));
    let every = backends.keys().flat_map(every).flatten();
    let mut places: Places<'_> = every.map(|place| (place, Vec::new())).collect();
    for written in pools {
        let pool = &written.pool;
        for (backend, node) in pool.backends.iter().zip(&written.backends) {
            match places.get_mut(&(backend, pool.arch, pool.level)) {
                None => refuse_unknown(backend, node, backends),
                Some(place) => {
                    refuse_shared(written, node, place, backends.get(backend));
                    place.push(written);
                }
            }
        }
    }
    let none_for_the_rest = |of: &Vec<&Written<'_>>| !of.iter().any(|w| w.pool.projects.is_rest());
    let missing: Vec<_> = (places.iter())
        .filter(|(_, of)| none_for_the_rest(of))
        .map(|((backend, arch, level), _)| format!("{backend} for {arch} {level}"))
        .collect();
    if !missing.is_empty() {
        let found = format!("no pool with {}", missing.join(", "));
        list.wrong(found, ONE_POOL);
    }
}

const ONE_POOL: &str = "each backend, arch and level in one pool without projects of its own";

fn refuse_unknown(
    backend: &BackendName,
    node: &Node<'_>,
    backends: &BTreeMap<BackendName, Backend>,
) {
    let known: Vec<_> = backends.keys().map(BackendName::as_str).collect();
    let expected = format!("one of {}", known.join(", "));
    node.wrong(format!("\"{backend}\""), expected);
}

/// Refuses a pool that is for the same jobs of a backend as one of those before it.
fn refuse_shared(
    written: &Written<'_>,
    node: &Node<'_>,
    others: &[&Written<'_>],
    backend: Option<&Backend>,
) {
    let (pool, Some(backend)) = (&written.pool, backend) else {
        return;
    };
    let place = format!("{} for {} {}", backend.name, pool.arch, pool.level);
    for other in others.iter().map(|other| &other.pool) {
        match (pool.projects.is_rest(), other.projects.is_rest()) {
            (true, true) => {
                let found = format!("{place}, which pool {} has as well", other.name);
                node.wrong(found, ONE_POOL);
            }
            (false, false) => {
                let both = |p: &&String| pool.projects.name(p) && other.projects.name(p);
                if let Some(project) = backend.projects.iter().find(both) {
                    let (name, at) = (&other.name, written.node.child("projects"));
                    let found = format!("{project} of {place}, which pool {name} has as well");
                    at.wrong(found, "patterns of which one pool's name a project");
                }
            }
            (true, false) | (false, true) => {}
        }
    }
}
