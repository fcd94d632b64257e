//! The control routes `/_sim/…`: for loopback only, without credentials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::faults::Faults;
use super::hosts::{NewHost, Shows};
use super::model::{JobRef, Millis, Outcome, Package, SlotRef, State, Target};
use super::routes::Refusal;
use super::shared::Shared;
use super::world::World;

/// Jobs to come, as `POST /_sim/jobs` describes them: packages `PREFIX-1`, `PREFIX-2`, …
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJobs {
    /// The scheduler's architecture.
    pub arch: String,
    /// How many.
    pub count: u32,
    /// How long each builds, in seconds (divided by the speed).
    pub seconds: f64,
    /// What their names begin with. A name that is there already is built again.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// How they end.
    #[serde(default)]
    pub outcome: Outcome,
    /// The processors that they need (`_constraints`).
    #[serde(default)]
    pub processors: Option<u32>,
    /// Their project; it comes to be where there is none. The first one by default.
    #[serde(default)]
    pub project: Option<String>,
}

fn prefix() -> String {
    "job".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    #[serde(default = "first")]
    instance: usize,
    #[serde(default)]
    shows: Shows,
}

const fn first() -> usize {
    1
}

pub(super) fn answer(
    shared: &Shared,
    method: &str,
    path: &[&str],
    query: &str,
    body: &[u8],
) -> Result<Value, Refusal> {
    match (method, path) {
        ("GET", ["faults"]) => Ok(json!(shared.faults())),
        ("PUT", ["faults"]) => {
            let faults: Faults = read(body)?;
            shared.set_faults(faults.clone());
            Ok(json!(faults))
        }
        ("GET", ["world"]) => Ok(shared.with_world(|world, _| counts(world))),
        ("POST", ["hosts"]) => {
            let host: NewHost = read(body)?;
            shared.with_world(|world, now| world.attach(&host, now));
            Ok(json!({}))
        }
        ("POST", ["hosts", name, "cordon"]) => {
            let lines = shared.with_world(|world, _| world.cordon(name));
            Ok(json!({"instances": lines.ok_or_else(|| no_host(name))?}))
        }
        ("POST", ["hosts", name, "kill"]) => kill(shared, name, &read(body)?),
        ("DELETE", ["hosts", name]) => {
            let drain = query == "drain=true";
            let known = shared.with_world(|world, now| match drain {
                true => world.drain(name),
                false => world.cut_off(name, now),
            });
            known.then(|| json!({})).ok_or_else(|| no_host(name))
        }
        ("POST", ["jobs"]) => {
            let jobs: NewJobs = read(body)?;
            shared.with_world(|world, now| world.add_jobs(&jobs, now));
            Ok(json!({}))
        }
        ("PUT", ["daemons"]) => {
            let states: BTreeMap<String, String> = read(body)?;
            shared.with_world(|world, now| world.set_daemons(&states, now));
            Ok(json!({}))
        }
        _ => Err(Refusal::not_found("no such control route".to_owned())),
    }
}

fn read<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|why| Refusal::new(400, why.to_string()))
}

fn no_host(name: &str) -> Refusal {
    Refusal::not_found(format!("no host {name}"))
}

fn kill(shared: &Shared, name: &str, kill: &Kill) -> Result<Value, Refusal> {
    shared.with_world(|world, now| {
        let worker = format!("{name}:{}", kill.instance);
        let at = world.find_instance(&worker).ok_or_else(|| no_host(name))?;
        world.instance(at).ok_or_else(|| no_host(&worker))?;
        world.kill(at, kill.shows, now);
        Ok(json!({}))
    })
}

/// Packages by code, instances by list, ghosts, and builds that have ended.
fn counts(world: &World) -> Value {
    let mut packages: BTreeMap<&str, usize> = BTreeMap::new();
    for package in world.targets.iter().flat_map(|target| &target.packages) {
        *packages.entry(package.state.code()).or_default() += 1;
    }
    let mut instances: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in world.hosts.iter().flat_map(|host| &host.instances) {
        let list = match instance.slot {
            super::model::Slot::Building(..) => "building",
            slot => slot.list().unwrap_or("reporting"),
        };
        *instances.entry(list).or_default() += 1;
    }
    let ended: usize = world.targets.iter().map(|t| t.history.len()).sum();
    json!({"packages": packages, "instances": instances, "ghosts": world.ghosts(), "ended": ended})
}

impl World {
    /// Jobs whose build nobody does any more.
    pub(super) fn ghosts(&self) -> usize {
        let is_ghost = |job: &&JobRef| {
            let build = self.package(**job).and_then(|p| p.state.build());
            build.is_some_and(|b| self.builder_of(**job, b.number).is_none())
        };
        self.building.iter().filter(is_ghost).count()
    }

    pub(super) fn add_jobs(&mut self, new: &NewJobs, now: Millis) {
        let target = self.target_for(new);
        for number in 1..=new.count {
            let name = format!("{}-{number}", new.prefix);
            let Some(of) = self.targets.get_mut(target) else {
                return;
            };
            let known = of.index.get(name.as_str()).copied();
            let fresh = || Package::new(&name, State::Succeeded, new.seconds);
            let package = known.unwrap_or_else(|| of.add(fresh()));
            let job = JobRef { target, package };
            let Some(package) = self.package_mut(job) else {
                return;
            };
            package.outcome = new.outcome;
            package.seconds = new.seconds;
            package.processors = new.processors;
            if package.state.is_settled() {
                self.schedule(job, now);
            }
        }
    }

    /// The target of these jobs; a new one where there is none.
    fn target_for(&mut self, new: &NewJobs) -> usize {
        let first = self.targets.first().map(|t| t.project.to_string());
        let project = new.project.clone().or(first).unwrap_or_default();
        let there = |target: &Target| *target.project == project && *target.arch == *new.arch;
        self.targets.iter().position(there).unwrap_or_else(|| {
            let repository = format!("standard_{}", new.arch);
            self.targets
                .push(Target::new(&project, &repository, &new.arch));
            self.targets.len() - 1
        })
    }

    /// `{"dispatcher": "dead", "scheduler/x86_64": "running"}`.
    pub(super) fn set_daemons(&mut self, states: &BTreeMap<String, String>, now: Millis) {
        for (name, state) in states {
            if state == "running" {
                self.dead_daemons.remove(name);
            } else {
                self.dead_daemons.insert(name.clone());
            }
        }
        self.look_again(now);
    }

    /// An instance that builds, whichever comes first by name.
    pub(super) fn any_builder(&self) -> Option<SlotRef> {
        let number = |job: &JobRef| self.package(*job)?.state.build().map(|b| b.number);
        let builder = |job: &JobRef| self.builder_of(*job, number(job)?);
        self.building.iter().find_map(builder)
    }
}
