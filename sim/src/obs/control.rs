//! `/_sim/…`: what tests and demos tell the simulated farm.

use super::faults::Faults;
use super::routes::unescape;
use super::server::Shared;
use super::world::{ARCHES, Doing};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHost {
    name: String,
    ip: String,
    arch: String,
    instances: usize,
    #[serde(default = "some_vcpus")]
    vcpus: u32,
}

const fn some_vcpus() -> u32 {
    32
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewJobs {
    arch: String,
    count: usize,
    seconds: f64,
    prefix: String,
}

type Told = Result<Value, (StatusCode, String)>;

fn bad(why: impl ToString) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, why.to_string())
}

/// Answers `/_sim/` and what follows it.
pub(super) fn answer(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Told {
    let now = shared.now();
    let mut farm = shared.farm();
    farm.world.advance(now);
    let parts: Vec<String> = path.split('/').skip(2).map(unescape).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let unknown = |name: &str| (StatusCode::NOT_FOUND, format!("no host {name}"));
    match (method.as_str(), parts.as_slice()) {
        ("POST", ["hosts"]) => {
            let new: NewHost = serde_json::from_slice(body).map_err(bad)?;
            if !ARCHES.contains(&new.arch.as_str()) {
                return Err(bad(format!("arch {:?}: one of {ARCHES:?}", new.arch)));
            }
            farm.world
                .attach(&new.name, &new.ip, &new.arch, new.instances, new.vcpus);
        }
        ("POST", ["hosts", name, verb]) => {
            let done = match *verb {
                "drain" => farm.world.drain(name),
                "take-back" => farm.world.take_back(name),
                "kill" => farm.world.kill(name),
                "spoil" => farm.world.spoil(name),
                "away" => farm.world.set(name, Doing::Away),
                "dead" => farm.world.set(name, Doing::Dead),
                "idle" => farm.world.set(name, Doing::Idle),
                _ => {
                    return Err(bad(format!(
                        "{verb}: drain, take-back, kill, spoil, away, dead or idle"
                    )));
                }
            };
            done.then_some(()).ok_or_else(|| unknown(name))?;
        }
        ("DELETE", ["hosts", name]) => {
            farm.world
                .kill(name)
                .then_some(())
                .ok_or_else(|| unknown(name))?;
        }
        ("GET", ["hosts", name]) => {
            let host = farm.world.hosts.get(*name).ok_or_else(|| unknown(name))?;
            let instances = host.instances.iter();
            let shown = instances.map(|i| {
                let doing = farm.world.doing(name, i);
                json!({ "number": i.number, "state": word(doing) })
            });
            return Ok(json!({ "instances": shown.collect::<Vec<_>>() }));
        }
        ("POST", ["jobs"]) => {
            let new: NewJobs = serde_json::from_slice(body).map_err(bad)?;
            let target = farm.world.targets.iter().position(|t| t.arch == new.arch);
            let target = target.ok_or_else(|| bad(format!("arch {:?}", new.arch)))?;
            farm.world
                .queue(target, new.count, new.seconds, &new.prefix, now);
        }
        ("POST", ["restart"]) => farm.world.began = now as i64,
        ("PUT", ["faults"]) => {
            let faults: Faults = serde_json::from_slice(body).map_err(bad)?;
            farm.set_faults(faults);
        }
        ("GET", ["state"]) => {}
        _ => return Err((StatusCode::NOT_FOUND, HELP.to_owned())),
    }
    Ok(farm.state())
}

/// The word for what an instance does.
pub(super) const fn word(doing: Doing) -> &'static str {
    match doing {
        Doing::Idle => "idle",
        Doing::Building { .. } => "building",
        Doing::Down => "down",
        Doing::Dead => "dead",
        Doing::Away => "away",
    }
}

const HELP: &str = "GET /_sim/state · POST /_sim/jobs {arch, count, seconds, prefix} · POST /_sim/hosts \
    {name, ip, arch, instances, vcpus} · GET, DELETE /_sim/hosts/NAME · POST /_sim/hosts/NAME/\
    drain|take-back|kill|spoil|away|dead|idle · POST /_sim/restart · PUT /_sim/faults {routes: {workerstatus|result|jobhistory|worker|source|\
    other|all: hang|cut|error|garbage|empty|frozen|slow}, daemons: {dispatcher: dead}}";
