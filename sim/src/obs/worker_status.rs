//! `/workerstatus` of the repository server, `/build/_workerstatus` of the source server, and what
//! a worker can do.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::model::{Host, JobRef, Millis, Slot, SlotRef, State, Target, md5_like};
use super::world::World;
use super::xml::Doc;

/// Who is asked: the two servers do not say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// Without `uri`, with the daemon `srcserver`.
    Source,
    /// With `uri`.
    Repository,
}

/// A line of the document: what it is sorted by comes first.
struct Line<'a> {
    worker: &'a str,
    uri: &'a str,
    hostarch: &'a str,
}

/// The lists in the order of OBS' schema (`BSXML`, `workerstatus`), `building` after `idle`.
const LISTS: [&str; 3] = ["down", "dead", "away"];

pub(super) fn document(world: &World, server: Server, nobody: bool) -> String {
    let mut doc = Doc::with_capacity(256 * world.hosts.len() + 4096);
    let lists = if nobody {
        BTreeMap::new()
    } else {
        lists(world)
    };
    let building = if nobody { Vec::new() } else { building(world) };
    let idle = lists.get("idle").map_or(0, Vec::len);
    let clients = (building.len() + idle).to_string();
    doc.open("workerstatus", &[("clients", clients.into())]);
    write_list(&mut doc, "idle", &lists, server == Server::Repository);
    for (line, rest) in &building {
        let uri = (server == Server::Repository).then_some(("uri", Cow::Borrowed(line.uri)));
        let mut attributes: Vec<_> = uri.into_iter().collect();
        attributes.push(("workerid", line.worker.into()));
        attributes.push(("hostarch", line.hostarch.into()));
        attributes.extend(rest.iter().cloned());
        doc.empty("building", &attributes);
    }
    for name in LISTS {
        write_list(&mut doc, name, &lists, false);
    }
    write_arches(&mut doc, world);
    write_daemons(&mut doc, world, server);
    doc.finish()
}

fn lists(world: &World) -> BTreeMap<&'static str, Vec<Line<'_>>> {
    let mut lists: BTreeMap<&'static str, Vec<Line<'_>>> = BTreeMap::new();
    for host in &world.hosts {
        for instance in &host.instances {
            if let Some(name) = instance.slot.list() {
                lists.entry(name).or_default().push(Line {
                    worker: &instance.worker,
                    uri: &instance.uri,
                    hostarch: &host.arch,
                });
            }
        }
    }
    for lines in lists.values_mut() {
        lines.sort_by_key(|line| (line.worker, line.uri));
    }
    lists
}

fn write_list(doc: &mut Doc, name: &str, lists: &BTreeMap<&str, Vec<Line<'_>>>, with_uri: bool) {
    for line in lists.get(name).map(Vec::as_slice).unwrap_or_default() {
        let uri = ("uri", Cow::Borrowed(line.uri));
        let rest = [
            ("workerid", Cow::Borrowed(line.worker)),
            ("hostarch", Cow::Borrowed(line.hostarch)),
        ];
        let attributes: Vec<_> = with_uri.then_some(uri).into_iter().chain(rest).collect();
        doc.empty(name, &attributes);
    }
}

type Rest<'a> = [(&'static str, Cow<'a, str>); 5];

/// From the job files, so that a build whose worker is gone is in it.
fn building(world: &World) -> Vec<(Line<'_>, Rest<'_>)> {
    let line = |job: &JobRef| {
        let target = world.targets.get(job.target)?;
        let package = target.packages.get(job.package)?;
        let build = package.state.build()?;
        let line = Line {
            worker: &build.worker,
            uri: &build.uri,
            hostarch: &build.hostarch,
        };
        let rest = [
            ("project", Cow::Borrowed(&*target.project)),
            ("repository", Cow::Borrowed(&*target.repository)),
            ("package", Cow::Borrowed(&*package.name)),
            ("arch", Cow::Borrowed(&*target.arch)),
            ("starttime", seconds(build.started)),
        ];
        Some((line, rest))
    };
    let mut lines: Vec<_> = world.building.iter().filter_map(line).collect();
    lines.sort_by_key(|(line, _)| (line.worker, line.uri));
    lines
}

/// A moment in OBS' words: seconds since the epoch.
pub(super) fn seconds(at: Millis) -> Cow<'static, str> {
    (at / 1000).to_string().into()
}

fn write_arches(doc: &mut Doc, world: &World) {
    let of = |arch: &str, counted: fn(&State) -> bool| {
        let targets = world.targets.iter().filter(|t| &*t.arch == arch);
        let packages = targets.flat_map(|target| &target.packages);
        packages.filter(|p| counted(&p.state)).count().to_string()
    };
    for arch in arches(world) {
        let waiting = of(arch, |state| matches!(state, State::Scheduled));
        let attributes = [("arch", arch.into()), ("jobs", waiting.into())];
        doc.empty("waiting", &attributes);
    }
    for arch in arches(world) {
        let blocked = of(arch, |state| matches!(state, State::Blocked));
        let attributes = [("arch", arch.into()), ("jobs", blocked.into())];
        doc.empty("blocked", &attributes);
    }
    for arch in arches(world) {
        let average = world.build_average.get(arch).copied().unwrap_or(1200.0);
        let average = average.to_string().into();
        doc.empty("buildavg", &[("arch", arch.into()), ("buildavg", average)]);
    }
}

/// The architectures that OBS schedules for, sorted.
pub(super) fn arches(world: &World) -> Vec<&str> {
    let mut arches: Vec<&str> = world.targets.iter().map(|t| &*t.arch).collect();
    arches.sort_unstable();
    arches.dedup();
    arches
}

fn write_daemons(doc: &mut Doc, world: &World, server: Server) {
    let started = seconds(world.began);
    let states = |name: &str| {
        let state = if world.runs(name) { "running" } else { "dead" };
        let started = world.runs(name).then(|| ("starttime", started.clone()));
        let state = ("state", Cow::Borrowed(state));
        std::iter::once(state).chain(started)
    };
    doc.open("partition", &[]);
    if server == Server::Source {
        daemon(doc, "srcserver", states("srcserver"));
    }
    for arch in arches(world) {
        let attributes: Vec<_> = [("type", "scheduler".into()), ("arch", arch.into())]
            .into_iter()
            .chain(states(&format!("scheduler/{arch}")))
            .collect();
        doc.open("daemon", &attributes);
        let queue = ["high", "med", "low", "next"].map(|name| (name, Cow::Borrowed("0")));
        doc.empty("queue", &queue);
        doc.close();
    }
    for name in ["repserver", "dispatcher", "publisher", "warden"] {
        daemon(doc, name, states(name));
    }
}

fn daemon<'a>(
    doc: &mut Doc,
    name: &'static str,
    states: impl Iterator<Item = (&'static str, Cow<'a, str>)>,
) {
    let attributes: Vec<_> = std::iter::once(("type", name.into()))
        .chain(states)
        .collect();
    doc.empty("daemon", &attributes);
}

/// The processor flags that a worker names; a real one has some sixty.
const FLAGS: [&str; 4] = ["fpu", "sse2", "avx2", "aes"];

/// `/worker/HOSTARCH:WORKERID`: what a worker told of itself, and what it does.
pub(super) fn capabilities(world: &World, id: &str) -> Option<String> {
    let (hostarch, worker) = id.split_once(':')?;
    let at = world.find_instance(worker)?;
    let host = world.hosts.get(at.host)?;
    if &*host.arch != hostarch {
        return None;
    }
    let attributes = [
        ("hostarch", Cow::Borrowed(hostarch)),
        ("registerserver", "http://127.0.0.1:5252".into()),
        ("workerid", worker.into()),
    ];
    let mut doc = Doc::default();
    doc.open("worker", &attributes);
    write_host(&mut doc, host);
    write_job(&mut doc, world, at)?;
    Some(doc.finish())
}

fn write_host(doc: &mut Doc, host: &Host) {
    doc.text("sandbox", "chroot");
    doc.open("linux", &[]);
    doc.text("version", "5.10.0");
    doc.text("flavor", "default");
    doc.close();
    doc.open("hardware", &[]);
    doc.open("cpu", &[]);
    FLAGS.iter().for_each(|flag| doc.text("flag", flag));
    doc.close();
    doc.text("processors", &host.processors.to_string());
    doc.text("jobs", &host.jobs.to_string());
    if let Some(memory) = host.memory_mb {
        doc.text("memory", &memory.to_string());
    }
    doc.close();
}

/// What is built there, where something is.
fn write_job(doc: &mut Doc, world: &World, at: SlotRef) -> Option<()> {
    let instance = world.instance(at)?;
    let Slot::Building(job, number) = instance.slot else {
        return Some(());
    };
    let target: &Target = world.targets.get(job.target)?;
    doc.text("job", &target.job_name(target.packages.get(job.package)?));
    doc.text("arch", &target.arch);
    doc.text("jobid", &job_id(number));
    Some(())
}

/// The id of a build's job: 32 hex digits.
pub(super) fn job_id(number: u64) -> String {
    md5_like(&format!("job {number}"))
}
