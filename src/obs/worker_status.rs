//! `/workerstatus` of the repository server, and what the source server and the frontend make of it
//! (`/build/_workerstatus`): instances and daemons.

use super::error::Malformed;
use super::xml::{Element, walk};
use crate::model::{
    Build, Daemon, DaemonState, Instance, InstanceId, InstanceState, PackageKey, Workers,
};
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::net::{IpAddr, SocketAddr};

/// One line of the document. OBS lists an instance twice where a job file outlived its build.
struct Listed {
    instance: Instance,
    started: Option<Timestamp>,
}

impl Listed {
    /// The build that the line tells of.
    fn build(&self, element: &Element<'_>) -> Result<Option<Build>, Malformed> {
        let uri = element.find("uri")?;
        Ok(self.instance.job.clone().map(|job| Build {
            job,
            instance: self.instance.id.clone(),
            started: self.started,
            uri,
        }))
    }

    /// Of two lines for one instance the lower counts; of two builds, the one dispatched last.
    const fn rank(&self) -> (InstanceState, Reverse<Option<Timestamp>>) {
        (self.instance.state, Reverse(self.started))
    }
}

pub(super) fn parse(document: impl BufRead) -> Result<Workers, Malformed> {
    let mut listed = BTreeMap::new();
    let mut daemons = Vec::new();
    let mut builds = Vec::new();
    let mut not_building = BTreeSet::new();
    let mut addresses = BTreeMap::new();
    walk(document, "workerstatus", |element| {
        match element.path() {
            "workerstatus/partition/daemon" => daemons.push(listing(daemon(element)?)?),
            "workerstatus/partition/daemon/queue" => read_queue(element, daemons.last_mut())?,
            path => {
                if let Some(state) = path.strip_prefix("workerstatus/").and_then(state_of) {
                    let line = instance(element, state)?;
                    if let Some(ip) = element.find("uri")?.as_deref().and_then(address) {
                        addresses.insert(line.instance.id.host.clone(), ip);
                    }
                    match line.build(element)? {
                        Some(build) => builds.push(build),
                        None if state != InstanceState::Away => {
                            not_building.insert(line.instance.id.clone());
                        }
                        None => {}
                    }
                    list(&mut listed, line);
                }
            }
        }
        Ok(())
    })?;
    let doubted = |build: &&Build| {
        let listed = listed.get(&build.instance);
        let another = listed.is_some_and(|l| l.instance.job.as_ref() != Some(&build.job));
        another || not_building.contains(&build.instance)
    };
    let doubted = builds.iter().filter(doubted).cloned().collect();
    let instances = listed.into_iter().map(|(id, l)| (id, l.instance));
    Ok(Workers {
        instances: instances.collect(),
        daemons,
        builds,
        doubted,
        start: None,
        addresses,
    })
}

/// The address in `http://IP:PORT`, as the repository server sees the worker.
fn address(uri: &str) -> Option<IpAddr> {
    let addr: SocketAddr = uri.strip_prefix("http://")?.parse().ok()?;
    Some(addr.ip())
}

fn state_of(word: &str) -> Option<InstanceState> {
    let named = |state: &InstanceState| state.as_str() == word;
    InstanceState::ALL.into_iter().find(named)
}

fn list(all: &mut BTreeMap<InstanceId, Listed>, new: Listed) {
    let counts = |old: &Listed| old.rank() <= new.rank();
    if !all.get(&new.instance.id).is_some_and(counts) {
        all.insert(new.instance.id.clone(), new);
    }
}

fn instance(element: &Element<'_>, state: InstanceState) -> Result<Listed, Malformed> {
    let workerid = element.need("workerid")?;
    let id = InstanceId::parse(&workerid).ok_or_else(|| element.odd("workerid", &workerid))?;
    let building = state == InstanceState::Building;
    let instance = Instance {
        id,
        arch: element.need("hostarch")?.parse().ok(),
        state,
        job: match building {
            true => package(element)?,
            false => None,
        },
    };
    Ok(Listed {
        instance,
        started: started(element)?,
    })
}

fn started(element: &Element<'_>) -> Result<Option<Timestamp>, Malformed> {
    let Some(second) = element.find_number::<i64>("starttime")? else {
        return Ok(None);
    };
    let at = Timestamp::from_second(second);
    at.map(Some)
        .map_err(|_| element.odd("starttime", &second.to_string()))
}

/// What stands in place of the names of what a frontend's user may not see (OBS' `WorkerStatus.hidden`).
const HIDDEN: &str = "---";

/// `None` for what may not be seen.
fn package(element: &Element<'_>) -> Result<Option<PackageKey>, Malformed> {
    let key = PackageKey {
        project: element.need("project")?,
        repository: element.need("repository")?,
        arch: element.need("arch")?,
        package: element.need("package")?,
    };
    Ok((key.project != HIDDEN).then_some(key))
}

/// Where the source server does not reach a repository server, it answers all the same, with a daemon
/// that is dead in place of all the instances (bs_srcserver `getworkerstatus`): that is not a farm
/// without workers.
fn listing(daemon: Daemon) -> Result<Daemon, Malformed> {
    if daemon.kind == "repserver" && daemon.state == DaemonState::Dead {
        let why = "<workerstatus> without the workers: a repository server is dead";
        return Err(Malformed(why.to_owned()));
    }
    Ok(daemon)
}

fn daemon(element: &Element<'_>) -> Result<Daemon, Malformed> {
    let word = element.need("state")?;
    let state = match word.as_str() {
        "running" => DaemonState::Running,
        "dead" => DaemonState::Dead,
        "booting" => DaemonState::Booting,
        _ => return Err(element.odd("state", &word)),
    };
    Ok(Daemon {
        kind: element.need("type")?,
        arch: element.find("arch")?,
        state,
        started: started(element)?,
        queue: BTreeMap::new(),
    })
}

fn read_queue(element: &Element<'_>, of: Option<&mut Daemon>) -> Result<(), Malformed> {
    let Some(daemon) = of else { return Ok(()) };
    for priority in ["high", "med", "low", "next"] {
        if let Some(count) = element.find_number(priority)? {
            daemon.queue.insert(priority.to_owned(), count);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &str) -> Result<Workers, Malformed> {
        super::parse(document.as_bytes())
    }
    use crate::model::{Arch, InstanceCounts};

    const GHOSTS: &str = include_str!("../../tests/data/obs/workerstatus-ghosts.xml");
    const BLOCKED: &str = include_str!("../../tests/data/obs/workerstatus-blocked.xml");

    /// Building, idle, dead, down, away.
    fn counts(document: &str) -> [u32; 5] {
        let mut counts = InstanceCounts::default();
        for instance in parse(document).unwrap().instances.values() {
            counts.add(instance.state);
        }
        InstanceState::ALL.map(|state| counts.get(state))
    }

    fn one<'a>(workers: &'a Workers, workerid: &str) -> &'a Instance {
        &workers.instances[&InstanceId::parse(workerid).unwrap()]
    }

    #[test]
    fn every_capture_reads_as_counted_by_hand() {
        let clean = include_str!("../../tests/data/obs/workerstatus-clean-run.xml");
        let empty = include_str!("../../tests/data/obs/workerstatus-no-workers.xml");
        let busy = include_str!("../../tests/data/obs/workerstatus-building.xml");
        assert_eq!(counts(empty), [0; 5]);
        assert_eq!(counts(busy), [5, 0, 0, 0, 0]);
        assert_eq!(counts(BLOCKED), [1, 4, 0, 0, 0]);
        assert_eq!(counts(GHOSTS), [2, 5, 0, 4, 0]);
        assert_eq!(counts(clean), [2, 6, 0, 0, 0]);
    }

    #[test]
    fn an_instance_that_is_listed_twice_counts_once_as_what_comes_first() {
        let ghosts = parse(GHOSTS).unwrap();
        let ghost = one(&ghosts, "build-x86-01:4");
        assert_eq!(ghost.state, InstanceState::Building);
        assert_eq!(ghost.job.as_ref().unwrap().package, "biosdevname");

        let in_any_order = |states: [&str; 2]| {
            let line = |s| format!("<{s} workerid='w:1' hostarch='riscv64'/>");
            let document = format!("<workerstatus>{}</workerstatus>", states.map(line).join(""));
            one(&parse(&document).unwrap(), "w:1").clone()
        };
        for (first, second) in [("idle", "dead"), ("dead", "down"), ("down", "away")] {
            let seen = in_any_order([first, second]);
            assert_eq!(seen, in_any_order([second, first]));
            assert_eq!((seen.state.as_str(), seen.arch), (first, None));
        }
    }

    #[test]
    fn a_build_that_its_own_document_contradicts_is_doubted_once() {
        let doubted = |document| {
            let workers = parse(document).unwrap();
            let name = |b: &Build| (b.job.package.clone(), b.instance.to_string());
            workers.doubted.iter().map(name).collect::<Vec<_>>()
        };
        let expect = |package: &str, id: &str| (package.to_owned(), id.to_owned());
        assert_eq!(doubted(GHOSTS), [expect("biosdevname", "build-x86-01:4")]);
        let kernel = expect("kernel", "worker-x86-64:1");
        assert_eq!(doubted(BLOCKED), [kernel], "gcc was handed out later");

        let ghosts = parse(GHOSTS).unwrap();
        assert_eq!(ghosts.builds.len(), 2);
        let build = ghosts.doubted.first().unwrap();
        assert_eq!(build.started.unwrap().as_second(), 1_795_378_465);
        assert_eq!(build.uri.as_deref(), Some("http://127.0.1.11:38707"));
        let away = "<workerstatus><building workerid='w:1' hostarch='x86_64' project='p' repository='r' package='k' arch='a'/><away workerid='w:1' hostarch='x86_64'/></workerstatus>";
        assert_eq!(doubted(away), []);
    }

    #[test]
    fn of_two_jobs_of_one_instance_the_later_is_the_one_it_builds() {
        let workers = parse(BLOCKED).unwrap();
        let instance = one(&workers, "worker-x86-64:1");
        assert_eq!(instance.job.as_ref().unwrap().package, "gcc");
        assert_eq!(instance.arch, Some(Arch::X86_64));
    }

    #[test]
    fn daemons_come_with_their_state_and_queues() {
        let daemons = parse(BLOCKED).unwrap().daemons;
        assert_eq!(daemons.len(), 6);
        assert!(daemons.iter().all(|d| d.state == DaemonState::Running));
        assert_eq!(daemons[0].arch.as_deref(), Some("aarch64"));
        assert_eq!((daemons[0].queue["low"], daemons[0].queue["high"]), (2, 0));
        assert_eq!(daemons[3].kind, "dispatcher");
        let started = daemons[3].started.map(|at| at.as_second());
        assert_eq!(started, Some(1_795_377_821));
    }

    #[test]
    fn a_document_cut_anywhere_is_an_error_and_not_a_smaller_farm() {
        for end in 0..GHOSTS.trim_end().len() {
            assert!(parse(&GHOSTS[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn an_instance_whose_project_may_not_be_seen_builds_and_has_no_job_key() {
        let names = "project='---' repository='---' package='---' arch='x86_64' starttime='5'";
        let line = format!("<building workerid='w:1' hostarch='x86_64' {names}/>");
        let workers = parse(&format!("<workerstatus>{line}</workerstatus>")).unwrap();
        let instance = one(&workers, "w:1");
        assert_eq!(instance.state, InstanceState::Building);
        assert_eq!((&instance.job, workers.building().count()), (&None, 0));
    }

    #[test]
    fn a_source_server_that_does_not_reach_the_workers_list_does_not_show_an_empty_farm() {
        let daemon = |kind: &str| format!("<daemon type='{kind}' state='dead'/>");
        let document = |kind: &str| {
            let partition = format!("<partition>{}</partition>", daemon(kind));
            format!("<workerstatus clients='0'>{partition}</workerstatus>")
        };
        assert!(parse(&document("repserver")).is_err());
        assert_eq!(parse(&document("warden")).unwrap().daemons.len(), 1);
    }

    #[test]
    fn a_line_that_lacks_what_is_needed_is_an_error() {
        for line in [
            "<idle hostarch='x86_64'/>",
            "<idle workerid='w:1'/>",
            "<idle workerid='w' hostarch='x86_64'/>",
            "<building workerid='w:1' hostarch='x86_64' project='p' repository='r' arch='a'/>",
            "<partition><daemon type='warden' state='odd'/></partition>",
        ] {
            let document = format!("<workerstatus>{line}</workerstatus>");
            assert!(parse(&document).is_err(), "{line}");
        }
        let more = "<workerstatus new='1'><other workerid='w'/><idle uri='' workerid='w:1' hostarch='x86_64' more='1'><x/></idle></workerstatus>";
        assert_eq!(counts(more), [0, 1, 0, 0, 0]);
    }
}
