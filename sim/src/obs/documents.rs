//! Workers, daemons and single jobs as OBS 2.9.4 writes them: order of attributes and elements after
//! `BSXML.pm` (`workerstatus`, `worker`, `jobhistlist`, `buildhist`, `jobstatus`), layout as captured.

use super::jobs::{Code, Ended, Job, JobRef, Target, digest};
use super::world::{ARCHES, Doing, Host, Instance, World};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A document in the making. Writing to a string can not fail.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// A line of the document, as it is.
    pub(super) fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _infallible = self.0.write_fmt(line);
        self.0.push('\n');
    }

    pub(super) fn end(self) -> String {
        self.0
    }
}

/// Writes lines of a document.
macro_rules! xml {
    ($xml:expr, $($line:tt)*) => { $xml.line(format_args!($($line)*)) };
}
pub(super) use xml;

/// `/workerstatus` of the repository server, or, without `uris`, `/build/_workerstatus` of the source
/// server. `daemons` holds what stands in for `running`.
pub(super) fn worker_status(
    world: &World,
    uris: bool,
    daemons: &BTreeMap<String, String>,
) -> String {
    let mut xml = Xml::default();
    let live = |doing| matches!(doing, Doing::Idle | Doing::Building { .. });
    let clients = each(world, live);
    xml!(xml, "<workerstatus clients=\"{}\">", clients.count());
    for (name, host, instance) in each(world, |doing| doing == Doing::Idle) {
        let (uri, number) = (uri(host, instance, uris), instance.number);
        xml!(
            xml,
            "  <idle {uri}workerid=\"{name}:{number}\" hostarch=\"{}\" />",
            host.arch
        );
    }
    for (name, host) in &world.hosts {
        for instance in &host.instances {
            building(&mut xml, world, name, host, instance, uris);
        }
    }
    for (word, what) in [
        ("down", Doing::Down),
        ("dead", Doing::Dead),
        ("away", Doing::Away),
    ] {
        for (name, host, instance) in each(world, |doing| doing == what) {
            let number = instance.number;
            xml!(
                xml,
                "  <{word} workerid=\"{name}:{number}\" hostarch=\"{}\" />",
                host.arch
            );
        }
    }
    queue(&mut xml, world);
    partition(&mut xml, world, uris, daemons);
    xml!(xml, "</workerstatus>");
    xml.end()
}

fn each(
    world: &World,
    wanted: impl Fn(Doing) -> bool,
) -> impl Iterator<Item = (&String, &Host, &Instance)> {
    let all = world.hosts.iter();
    let all = all.flat_map(|(name, host)| host.instances.iter().map(move |i| (name, host, i)));
    all.filter(move |(name, _, instance)| wanted(world.doing(name, instance)))
}

fn uri(host: &Host, instance: &Instance, shown: bool) -> String {
    if shown {
        format!("uri=\"http://{}:{}\" ", host.ip, instance.port)
    } else {
        String::new()
    }
}

/// What an instance builds, or, for a ghost, what OBS believes it to.
fn building(
    xml: &mut Xml,
    world: &World,
    name: &str,
    host: &Host,
    instance: &Instance,
    uris: bool,
) {
    let at = match (instance.doing, instance.ghost) {
        (Doing::Building { job, start, .. }, _) | (_, Some((job, start))) => (job, start),
        _ => return,
    };
    let (JobRef { target, package }, start) = at;
    let Some((of, job)) = find(world, target, package) else {
        return;
    };
    let (uri, number) = (uri(host, instance, uris), instance.number);
    xml!(
        xml,
        "  <building {uri}workerid=\"{name}:{number}\" hostarch=\"{}\" project=\"{}\" repository=\"{}\" \
         package=\"{}\" arch=\"{}\" starttime=\"{start}\" />",
        host.arch,
        of.project,
        of.repository,
        job.package,
        of.arch
    );
}

fn find(world: &World, target: usize, package: usize) -> Option<(&Target, &Job)> {
    let target = world.targets.get(target)?;
    Some((target, target.jobs.get(package)?))
}

fn queue(xml: &mut Xml, world: &World) {
    let count = |arch: &str, code: Code| {
        let targets = world.targets.iter().filter(|t| t.arch == arch);
        targets.map(|target| target.count(code)).sum::<usize>()
    };
    let mut arches = ARCHES;
    arches.sort_unstable();
    for arch in arches {
        xml!(
            xml,
            "  <waiting arch=\"{arch}\" jobs=\"{}\" />",
            count(arch, Code::Scheduled)
        );
    }
    for arch in arches {
        xml!(
            xml,
            "  <blocked arch=\"{arch}\" jobs=\"{}\" />",
            count(arch, Code::Blocked)
        );
    }
    for arch in arches {
        xml!(xml, "  <buildavg arch=\"{arch}\" buildavg=\"1200\" />");
    }
}

fn partition(xml: &mut Xml, world: &World, uris: bool, daemons: &BTreeMap<String, String>) {
    let state = |name: &str| daemons.get(name).map_or("running", String::as_str);
    let began = world.began;
    xml!(xml, "  <partition>");
    if !uris {
        let state = state("srcserver");
        xml!(
            xml,
            "    <daemon type=\"srcserver\" state=\"{state}\" starttime=\"{began}\" />"
        );
    }
    let mut arches = ARCHES;
    arches.sort_unstable();
    for arch in arches {
        let state = state("scheduler");
        xml!(
            xml,
            "    <daemon type=\"scheduler\" arch=\"{arch}\" state=\"{state}\" starttime=\"{began}\">"
        );
        xml!(
            xml,
            "      <queue high=\"0\" med=\"0\" low=\"1\" next=\"0\" />"
        );
        xml!(xml, "    </daemon>");
    }
    for daemon in ["repserver", "dispatcher", "publisher", "warden"] {
        let state = state(daemon);
        xml!(
            xml,
            "    <daemon type=\"{daemon}\" state=\"{state}\" starttime=\"{began}\" />"
        );
    }
    xml!(xml, "  </partition>");
}

/// `/worker/HOSTARCH:WORKERID`: what an instance says of its host.
pub(super) fn capabilities(world: &World, workerid: &str) -> Option<String> {
    let (name, number) = workerid.rsplit_once(':')?;
    let host = world.hosts.get(name)?;
    let number: usize = number.parse().ok()?;
    let instance = host.instances.iter().find(|i| i.number == number)?;
    let mut xml = Xml::default();
    xml!(
        xml,
        "<worker hostarch=\"{}\" registerserver=\"http://{}:5252\" workerid=\"{name}:{}\">",
        host.arch,
        host.ip,
        instance.number
    );
    // a worker that builds in a chroot would tell neither memory nor disk; both are in MiB
    xml!(xml, "  <sandbox>kvm</sandbox>");
    xml!(
        xml,
        "  <linux>\n    <version>5.10.0-153</version>\n    <flavor>generic</flavor>\n  </linux>"
    );
    xml!(xml, "  <hardware>\n    <cpu>");
    for flag in ["fpu", "sse2", "aes"] {
        xml!(xml, "      <flag>{flag}</flag>");
    }
    xml!(xml, "    </cpu>");
    xml!(xml, "    <processors>{}</processors>", host.vcpus);
    xml!(xml, "    <jobs>{}</jobs>", host.vcpus);
    xml!(xml, "    <memory>{}</memory>", host.vcpus * 4096);
    xml!(xml, "    <disk>200000</disk>");
    xml!(xml, "  </hardware>\n</worker>");
    Some(xml.end())
}

/// `_jobhistory`: the last `limit` of those that are asked for, the oldest first.
pub(super) fn job_history(
    target: &Target,
    packages: &[String],
    codes: &[String],
    limit: usize,
) -> String {
    let mut shown = Vec::new();
    for ended in target.history.iter().rev() {
        let Some(job) = target.jobs.get(ended.package) else {
            continue;
        };
        let wanted = (packages.is_empty() || packages.contains(&job.package))
            && (codes.is_empty() || codes.iter().any(|code| code == ended.code.as_str()));
        if wanted {
            shown.push((job, ended));
        }
        if shown.len() >= limit {
            break;
        }
    }
    let mut xml = Xml::default();
    if shown.is_empty() {
        return "<jobhistlist />\n".to_owned();
    }
    xml!(xml, "<jobhistlist>");
    for (job, ended) in shown.into_iter().rev() {
        ended_job(&mut xml, job, ended);
    }
    xml!(xml, "</jobhistlist>");
    xml.end()
}

fn ended_job(xml: &mut Xml, job: &Job, ended: &Ended) {
    let srcmd5 = job.srcmd5();
    let Ended {
        ready,
        start,
        end,
        uri,
        workerid,
        hostarch,
        ..
    } = ended;
    xml!(
        xml,
        "  <jobhist package=\"{}\" rev=\"1\" srcmd5=\"{srcmd5}\" versrel=\"1.0-1\" bcnt=\"{}\" \
         readytime=\"{ready}\" starttime=\"{start}\" endtime=\"{end}\" code=\"{}\" uri=\"{uri}\" \
         workerid=\"{workerid}\" hostarch=\"{hostarch}\" reason=\"new build\" verifymd5=\"{srcmd5}\" />",
        job.package,
        job.builds,
        ended.code.as_str()
    );
}

/// `PACKAGE/_history`: its successes.
pub(super) fn history(target: &Target, package: usize, limit: usize) -> String {
    let of_package = target.history.iter().filter(|e| e.package == package);
    let mut shown: Vec<_> = of_package.filter(|e| e.code == Code::Succeeded).collect();
    shown.drain(..shown.len().saturating_sub(limit));
    let Some(job) = target.jobs.get(package).filter(|_| !shown.is_empty()) else {
        return "<buildhistory />\n".to_owned();
    };
    let mut xml = Xml::default();
    xml!(xml, "<buildhistory>");
    for ended in shown {
        xml!(
            xml,
            "  <entry rev=\"1\" srcmd5=\"{}\" versrel=\"1.0-1\" bcnt=\"1\" time=\"{}\" duration=\"{}\" />",
            job.srcmd5(),
            ended.end,
            ended.end - ended.start
        );
    }
    xml!(xml, "</buildhistory>");
    xml.end()
}

/// `PACKAGE/_jobstatus`: empty unless it is built.
pub(super) fn job_status(world: &World, target: &Target, job: &Job) -> String {
    if job.code != Code::Building {
        return "<jobstatus />\n".to_owned();
    }
    let host = job
        .workerid
        .rsplit_once(':')
        .and_then(|(name, _)| world.hosts.get(name));
    let ip = host.map_or("127.0.0.1", |host| host.ip.as_str());
    let mut xml = Xml::default();
    xml!(xml, "<jobstatus code=\"building\">");
    xml!(xml, "  <starttime>{}</starttime>", job.start);
    xml!(xml, "  <lastduration>{:.0}</lastduration>", job.seconds);
    xml!(xml, "  <workerid>{}</workerid>", job.workerid);
    xml!(xml, "  <hostarch>{}</hostarch>", target.arch);
    xml!(xml, "  <uri>http://{ip}:40001</uri>");
    let start = u64::try_from(job.start).unwrap_or_default();
    xml!(xml, "  <jobid>{}</jobid>", digest(&job.package, start));
    xml!(xml, "</jobstatus>");
    xml.end()
}

/// `PACKAGE/_reason`.
pub(super) fn reason(job: &Job) -> String {
    format!(
        "<reason>\n  <explain>new build</explain>\n  <time>{}</time>\n</reason>\n",
        job.ready
    )
}

/// `PACKAGE/_statistics` of a package that was built.
pub(super) fn statistics(job: &Job) -> String {
    format!(
        "<buildstatistics>\n  <times>\n    <total>\n      <time unit=\"s\">{:.0}</time>\n    </total>\n    \
         <download>\n      <time unit=\"s\">0</time>\n    </download>\n  </times>\n  <download>\n    \
         <size unit=\"k\">0</size>\n    <binaries>2</binaries>\n    <cachehits>0</cachehits>\n  \
         </download>\n</buildstatistics>\n",
        job.seconds
    )
}

/// `/jobs/ARCH`: the queue, one entry for each job that waits or is built.
pub(super) fn queue_of(world: &World, arch: &str) -> String {
    let mut xml = Xml::default();
    let mut any = false;
    xml!(xml, "<directory>");
    for target in world.targets.iter().filter(|t| t.arch == arch) {
        let queued = |job: &&Job| matches!(job.code, Code::Scheduled | Code::Building);
        for job in target.jobs.iter().filter(queued) {
            any = true;
            xml!(xml, "  <entry name=\"{}\" />", job_name(target, job));
        }
    }
    xml!(xml, "</directory>");
    if any {
        xml.end()
    } else {
        "<directory />\n".to_owned()
    }
}

/// The name of a job in the repository server's queue.
pub(super) fn job_name(target: &Target, job: &Job) -> String {
    format!(
        "{}::{}::{}-{}",
        target.project,
        target.repository,
        job.package,
        job.srcmd5()
    )
}

/// `/jobs/ARCH/JOB`, as much of it as has a meaning here.
pub(super) fn build_info(target: &Target, job: &Job) -> String {
    let name = job_name(target, job);
    let file = job.package.split(':').next().unwrap_or_default();
    let mut xml = Xml::default();
    xml!(
        xml,
        "<buildinfo project=\"{}\" repository=\"{}\" package=\"{}\">",
        target.project,
        target.repository,
        job.package
    );
    xml!(xml, "  <job>{name}</job>");
    xml!(
        xml,
        "  <arch>{}</arch>\n  <hostarch>{0}</hostarch>",
        target.arch
    );
    xml!(
        xml,
        "  <srcmd5>{}</srcmd5>\n  <verifymd5>{0}</verifymd5>",
        job.srcmd5()
    );
    xml!(
        xml,
        "  <rev>1</rev>\n  <file>{file}.spec</file>\n  <versrel>1.0-1</versrel>"
    );
    xml!(
        xml,
        "  <bcnt>{}</bcnt>\n  <reason>new build</reason>",
        job.builds + 1
    );
    xml!(xml, "  <readytime>{}</readytime>", job.ready);
    xml!(xml, "</buildinfo>");
    xml.end()
}

/// `/build`, and `/source`: the projects.
pub(super) fn projects(world: &World) -> String {
    let mut names: Vec<_> = world.targets.iter().map(|t| t.project.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut xml = Xml::default();
    xml!(xml, "<directory>");
    for name in names {
        xml!(xml, "  <entry name=\"{name}\" />");
    }
    xml!(xml, "</directory>");
    xml.end()
}

/// What OBS answers where there is nothing of that name.
pub(super) fn refusal(status: u16, summary: &str) -> String {
    let summary = summary.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<status code=\"{status}\">\n  <summary>{summary}</summary>\n  <details>{status} {summary}</details>\n</status>\n"
    )
}
