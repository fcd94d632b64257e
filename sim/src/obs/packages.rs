//! What OBS tells of one target or one of its packages: histories, status, reason, dependencies.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::model::{Ended, Outcome, Package, Target};
use super::results::write_status;
use super::routes::{Query, Refusal};
use super::worker_status::{job_id, seconds};
use super::xml::Doc;

/// Job histories are this long unless `limit` says otherwise (bs_repserver, `getjobhistory`).
const LIMIT: usize = 100;

/// `_jobhistory`: the last `limit` ended jobs, oldest first.
pub(super) fn job_history(target: &Target, query: &Query) -> Result<String, Refusal> {
    let packages: BTreeSet<&str> = query.all("package").collect();
    let codes: BTreeSet<&str> = query.all("code").collect();
    let limit = query.number("limit")?.unwrap_or(LIMIT);
    let matches = |ended: &&Ended| {
        let name = target.packages.get(ended.package).map(|p| &*p.name);
        (packages.is_empty() || name.is_some_and(|name| packages.contains(name)))
            && (codes.is_empty() || codes.contains(ended.code.as_str()))
    };
    let last: Vec<&Ended> = target
        .history
        .iter()
        .rev()
        .filter(matches)
        .take(limit)
        .collect();
    let mut doc = Doc::with_capacity(last.len() * 400);
    if last.is_empty() {
        doc.empty("jobhistlist", &[]);
        return Ok(doc.finish());
    }
    doc.open("jobhistlist", &[]);
    for ended in last.into_iter().rev() {
        write_ended(&mut doc, target, ended);
    }
    Ok(doc.finish())
}

fn write_ended(doc: &mut Doc, target: &Target, ended: &Ended) {
    let Some(package) = target.packages.get(ended.package) else {
        return;
    };
    let md5 = package.srcmd5();
    let attributes = [
        ("package", Cow::Borrowed(&*package.name)),
        ("rev", "1".into()),
        ("srcmd5", Cow::Borrowed(md5.as_str())),
        ("versrel", "1.0-1".into()),
        ("bcnt", ended.bcnt.to_string().into()),
        ("readytime", seconds(ended.ready)),
        ("starttime", seconds(ended.started)),
        ("endtime", seconds(ended.ended)),
        ("code", ended.code.as_str().into()),
        ("uri", Cow::Borrowed(&*ended.uri)),
        ("workerid", Cow::Borrowed(&*ended.worker)),
        ("hostarch", Cow::Borrowed(&*ended.hostarch)),
        ("reason", reason(package).into()),
        ("verifymd5", Cow::Borrowed(md5.as_str())),
    ];
    doc.empty("jobhist", &attributes);
}

fn reason(package: &Package) -> &'static str {
    if package.builds > 1 {
        "source change"
    } else {
        "new build"
    }
}

/// `PKG/_history`: the builds that succeeded, oldest first.
pub(super) fn history(target: &Target, at: usize, query: &Query) -> Result<String, Refusal> {
    let limit = query.number("limit")?.unwrap_or(usize::MAX);
    let good = |e: &&Ended| e.package == at && e.code == Outcome::Succeeded;
    let last: Vec<&Ended> = target
        .history
        .iter()
        .rev()
        .filter(good)
        .take(limit)
        .collect();
    let mut doc = Doc::default();
    if last.is_empty() {
        doc.empty("buildhistory", &[]);
        return Ok(doc.finish());
    }
    doc.open("buildhistory", &[]);
    let md5 = target
        .packages
        .get(at)
        .map(Package::srcmd5)
        .unwrap_or_default();
    for ended in last.into_iter().rev() {
        let duration = (ended.ended - ended.started) / 1000;
        let attributes = [
            ("rev", Cow::Borrowed("1")),
            ("srcmd5", md5.as_str().into()),
            ("versrel", "1.0-1".into()),
            ("bcnt", ended.bcnt.to_string().into()),
            ("time", seconds(ended.ended)),
            ("duration", duration.to_string().into()),
        ];
        doc.empty("entry", &attributes);
    }
    Ok(doc.finish())
}

/// `PKG/_status`.
pub(super) fn status(target: &Target, package: &Package) -> String {
    let mut doc = Doc::default();
    write_status(&mut doc, target, package);
    doc.finish()
}

/// `PKG/_jobstatus`; empty where nothing is built.
pub(super) fn job_status(package: &Package) -> String {
    let mut doc = Doc::default();
    let Some(build) = package.state.build() else {
        doc.empty("jobstatus", &[]);
        return doc.finish();
    };
    doc.open("jobstatus", &[("code", "building".into())]);
    doc.text("starttime", &seconds(build.started));
    if let Some(last) = package.last_duration {
        doc.text("lastduration", &last.to_string());
    }
    doc.text("workerid", &build.worker);
    doc.text("hostarch", &build.hostarch);
    doc.text("uri", &build.uri);
    doc.text("jobid", &job_id(build.number));
    doc.finish()
}

/// `PKG/_reason`: why it was built last; empty where it never was.
pub(super) fn build_reason(package: &Package) -> String {
    let mut doc = Doc::default();
    if package.ready == 0 {
        doc.empty("reason", &[]);
        return doc.finish();
    }
    doc.open("reason", &[]);
    doc.text("explain", reason(package));
    doc.text("time", &seconds(package.ready));
    doc.finish()
}

/// `PKG/_statistics` of the last build that succeeded.
pub(super) fn statistics(package: &Package) -> Result<String, Refusal> {
    let Some(total) = package.last_duration else {
        let text = "_statistics: No such file or directory";
        return Err(Refusal::not_found(text.to_owned()));
    };
    let mut doc = Doc::default();
    let time = |doc: &mut Doc, name, value: &str| {
        doc.open(name, &[]);
        doc.text_with("time", &[("unit", "s".into())], value);
        doc.close();
    };
    doc.open("buildstatistics", &[]);
    doc.open("times", &[]);
    time(&mut doc, "total", &total.to_string());
    time(&mut doc, "download", "0");
    doc.close();
    doc.open("download", &[]);
    doc.text_with("size", &[("unit", "k".into())], "0");
    doc.text("binaries", "2");
    doc.text("cachehits", "0");
    Ok(doc.finish())
}

/// `_builddepinfo`: of every package that has a recipe, or of those named.
pub(super) fn dependencies(target: &Target, query: &Query) -> String {
    let named: BTreeSet<&str> = query.all("package").collect();
    let mut shown: Vec<&Package> = target.packages.iter().collect();
    shown.retain(|p| named.is_empty() || named.contains(&*p.name));
    shown.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut doc = Doc::with_capacity(shown.len() * 160);
    if shown.is_empty() {
        doc.empty("builddepinfo", &[]);
        return doc.finish();
    }
    doc.open("builddepinfo", &[]);
    for package in shown {
        doc.open("package", &[("name", Cow::Borrowed(&*package.name))]);
        doc.text("source", package.source());
        let deps = package
            .deps
            .iter()
            .filter_map(|dep| target.packages.get(*dep));
        deps.for_each(|dep| doc.text("pkgdep", &dep.name));
        doc.text("subpkg", package.source());
        doc.close();
    }
    doc.finish()
}

/// `/jobs/ARCH/JOB?view=status`: the job's `:status`, or that there is none.
pub(super) fn queued_status(target: &Target, package: &Package) -> String {
    let mut doc = Doc::default();
    let code = package.state.code();
    doc.open("jobstatus", &[("code", code.into())]);
    if let Some(build) = package.state.build() {
        doc.text("starttime", &seconds(build.started));
        doc.text("workerid", &build.worker);
        doc.text("hostarch", &build.hostarch);
        doc.text("uri", &build.uri);
        doc.text("arch", &target.arch);
    }
    doc.text("job", &target.job_name(package));
    if let Some(build) = package.state.build() {
        doc.text("jobid", &job_id(build.number));
    }
    doc.finish()
}

/// `/jobs/ARCH/JOB`: what a worker would be given, without the list of packages to install.
pub(super) fn queued(target: &Target, package: &Package) -> String {
    let mut doc = Doc::default();
    let md5 = package.srcmd5();
    let attributes = [
        ("project", Cow::Borrowed(&*target.project)),
        ("repository", Cow::Borrowed(&*target.repository)),
        ("package", Cow::Borrowed(&*package.name)),
        ("srcserver", "http://127.0.0.1:5352".into()),
        ("reposerver", "http://127.0.0.1:5252".into()),
    ];
    doc.open("buildinfo", &attributes);
    doc.text("job", &target.job_name(package));
    doc.text("arch", &target.arch);
    doc.text("srcmd5", &md5);
    doc.text("verifymd5", &md5);
    doc.text("rev", "1");
    doc.text("reason", reason(package));
    doc.text("needed", &package.dependents.len().to_string());
    doc.text("readytime", &seconds(package.ready));
    doc.text("file", &format!("{}.spec", package.source()));
    doc.text("versrel", "1.0-1");
    doc.text("bcnt", &(package.builds + 1).to_string());
    if package.processors.is_some() {
        doc.text("constraintsmd5", &md5);
    }
    doc.finish()
}

/// `/source/PRJ/PKG/_constraints`.
pub(super) fn constraints(package: &Package) -> Option<String> {
    let processors = package.processors?;
    let mut doc = Doc::default();
    doc.open("constraints", &[]);
    doc.open("hardware", &[]);
    doc.text("processors", &processors.to_string());
    Some(doc.finish())
}
