//! The answers as JSON, in the shapes of the original design (5.1): numbers are numbers, and `null` is what is not
//! known.

use super::{NotAnswered, Question, Resource, UsageAsked, Worker, flavor, fresh, roster};
use crate::config::{Policy, ResourceUse};
use crate::model::{Arch, InOut, InstanceState, Level, UseOver};
use crate::policy::View;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The key under which hosts of an architecture without a name here stand.
const OTHER: &str = "other";

/// What is asked, of the workers as they are seen now.
///
/// # Errors
/// Names what there is no answer to.
pub fn answer(
    view: &View<'_>,
    question: &Question,
    way: ResourceUse,
) -> Result<Value, NotAnswered> {
    let meant = question.asked().of(roster(view))?;
    Ok(match question {
        Question::Workers(asked) if asked.idle => idle_workers(&meant),
        Question::Workers(_) => workers(&meant),
        Question::Instances(_) => instances(&meant),
        Question::Idle(_) => idle(view, &meant),
        Question::Usage(asked) => return usage(&meant, asked, way, view.now),
    })
}

fn ip(worker: &Worker) -> Option<String> {
    worker.ip.as_ref().map(IpAddr::to_string)
}

/// 5.1.2, `get_all_worker_ip`: the addresses by architecture, and beside them what is known of each worker.
fn workers(workers: &[Worker]) -> Value {
    by_arch(workers, |of| {
        let addresses: Vec<String> = of.iter().filter_map(|worker| ip(worker)).collect();
        (addresses, Map::new(), of.iter().map(|w| told(w)).collect())
    })
}

/// 5.1.8, `query_idle_worker_ip`: those that could take a job and have none. Of the `unknown` that is not known.
fn idle_workers(workers: &[Worker]) -> Value {
    by_arch(workers, |of| {
        let idle: Vec<&Worker> = of.iter().copied().filter(|w| w.is_idle()).collect();
        let unknown = of.iter().filter(|w| w.in_service && w.instances.is_none());
        let unknown: Vec<Option<String>> = unknown.map(|worker| ip(worker)).collect();
        let more = [("unknown".to_owned(), json!(unknown))];
        let addresses = idle.iter().filter_map(|worker| ip(worker)).collect();
        let told = idle.iter().map(|worker| told(worker)).collect();
        (addresses, more.into_iter().collect(), told)
    })
}

/// The addresses, what else there is, and each worker.
type OfArch = (Vec<String>, Map<String, Value>, Vec<Value>);

fn by_arch(workers: &[Worker], answer: impl Fn(&[&Worker]) -> OfArch) -> Value {
    let archs = Arch::ALL.into_iter().map(Some).chain([None]);
    let mut answers = Vec::new();
    for arch in archs {
        let of: Vec<&Worker> = workers.iter().filter(|w| w.arch == arch).collect();
        if arch.is_none() && of.is_empty() {
            continue;
        }
        let (addresses, mut object, told) = answer(&of);
        let name = arch.map_or(OTHER, Arch::as_str);
        object.insert(name.to_owned(), json!(addresses));
        object.insert("workers".to_owned(), Value::Array(told));
        answers.push(Value::Object(object));
    }
    Value::Array(answers)
}

fn told(worker: &Worker) -> Value {
    json!({
        "ip": ip(worker),
        "host": worker.host.as_str(),
        "arch": worker.arch.map(Arch::as_str),
        "managed": worker.managed,
        "pool": worker.pool.as_ref().map(ToString::to_string),
        "level": worker.level.map(Level::as_str),
        "flavor": flavor(worker).map(ToString::to_string),
        "state": worker.state(),
        "waits_for": worker.waits_for,
        "idle": worker.instances.map(|_| worker.is_idle()),
    })
}

/// 5.1.3, `get_worker_instance`.
fn instances(workers: &[Worker]) -> Value {
    let of = |worker: &Worker| {
        let counts = worker.instances;
        let number = |state| counts.map(|counts| counts.get(state));
        let mut row = told(worker);
        if let Some(row) = row.as_object_mut() {
            for (key, count) in [
                ("instance_all", counts.map(|counts| counts.listed())),
                ("instance_run", number(InstanceState::Building)),
                ("instance_idle", number(InstanceState::Idle)),
                ("instance_away", number(InstanceState::Away)),
                ("instance_down", number(InstanceState::Down)),
                ("instance_dead", number(InstanceState::Dead)),
            ] {
                row.insert(key.to_owned(), json!(count));
            }
        }
        row
    };
    Value::Array(workers.iter().map(of).collect())
}

/// 5.1.7, `query_idle_instance`: by architecture and level, of workers that may take a job. Not known where a backend
/// of such a pool is not, or a worker.
fn idle(view: &View<'_>, workers: &[Worker]) -> Value {
    let of_level = |arch, level| {
        if !is_known(view, view.policy, arch, level) {
            return Value::Null;
        }
        let at = |w: &&Worker| w.arch == Some(arch) && w.level == Some(level) && w.in_service;
        let counts = workers.iter().filter(at).map(|w| w.instances);
        let sum = counts.map(|counts| Some(u64::from(counts?.get(InstanceState::Idle))));
        json!(sum.sum::<Option<u64>>())
    };
    let of_arch = |arch: Arch| {
        let levels = Level::ALL.map(|level| (level.to_string(), of_level(arch, level)));
        let levels: Map<String, Value> = levels.into_iter().collect();
        json!({ arch.as_str(): levels })
    };
    Value::Array(Arch::ALL.into_iter().map(of_arch).collect())
}

fn is_known(view: &View<'_>, policy: &Policy, arch: Arch, level: Level) -> bool {
    let pools = policy.pools.values();
    let mut of_level = pools.filter(|pool| pool.arch == arch && pool.level == level);
    of_level.all(|pool| pool.backends.iter().all(|name| fresh(view, name).is_some()))
}

/// 5.1.1, `get_monitor_value`: `CPU` and `mem` in percent, `IOPS` in operations a second, `net` in bytes a second.
fn usage(
    workers: &[Worker],
    asked: &UsageAsked,
    way: ResourceUse,
    now: Timestamp,
) -> Result<Value, NotAnswered> {
    if way == ResourceUse::None {
        return Err(NotAnswered::NotRead);
    }
    let rows = workers.iter().map(|worker| used(worker, asked, now));
    Ok(Value::Array(rows.collect()))
}

fn used(worker: &Worker, asked: &UsageAsked, now: Timestamp) -> Value {
    let over = worker.using.as_ref().map(|it| it.over(asked.window, now));
    let over = over.unwrap_or_default();
    let why = match (over.readings, worker.managed) {
        (1.., _) => None,
        (0, Some(false)) => Some("it is not ours: nobody reads it"),
        (0, _) => Some("not read within the window"),
    };
    let mut row = Map::from_iter([
        ("ip".to_owned(), json!(ip(worker))),
        ("host".to_owned(), json!(worker.host.as_str())),
        ("times".to_owned(), json!(asked.times)),
        (
            "seconds".to_owned(),
            json!(why.is_none().then_some(over.seconds)),
        ),
        ("why".to_owned(), json!(why)),
    ]);
    for resource in &asked.resources {
        let (key, value) = value(*resource, &over);
        row.insert(key.to_owned(), value);
    }
    Value::Object(row)
}

fn value(resource: Resource, over: &UseOver) -> (&'static str, Value) {
    let percent = |share: Option<f64>| json!(share.map(|share| rounded(share * 100.0)));
    match resource {
        Resource::Cpu => ("CPU", percent(over.cpu)),
        Resource::Memory => ("mem", percent(over.memory)),
        Resource::Iops => {
            let sum = over.operations.map(|it| rounded(it.inward + it.outward));
            ("IOPS", json!(sum))
        }
        Resource::Network => ("net", json!(over.network.map(both))),
    }
}

fn both(pair: InOut) -> Value {
    json!({ "received": rounded(pair.inward), "transmitted": rounded(pair.outward) })
}

/// To a tenth.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
