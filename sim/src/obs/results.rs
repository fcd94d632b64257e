//! `/build/PRJ/_result`, in its views `status` and `summary`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::model::{Package, State, Target, md5_like};
use super::routes::{Query, Refusal};
use super::world::World;
use super::xml::Doc;

/// The codes that a summary counts first (bs_srcserver, `getresult`); the rest follows by name.
const ORDER: [&str; 5] = ["succeeded", "failed", "unresolvable", "broken", "scheduled"];

/// What is asked for.
struct Wanted<'a> {
    repositories: Vec<&'a str>,
    arches: Vec<&'a str>,
    packages: BTreeSet<&'a str>,
    codes: BTreeSet<&'a str>,
    status: bool,
    summary: bool,
    multibuild: bool,
}

impl<'a> Wanted<'a> {
    fn of(query: &'a Query) -> Result<Self, Refusal> {
        let views: Vec<&str> = query.all("view").collect();
        let known = |view: &&&str| !matches!(**view, "status" | "summary");
        if let Some(view) = views.iter().find(known) {
            return Err(Refusal::new(501, format!("view {view} is not simulated")));
        }
        Ok(Self {
            repositories: query.all("repository").collect(),
            arches: query.all("arch").collect(),
            packages: query.all("package").collect(),
            codes: query.all("code").collect(),
            status: views.is_empty() || views.contains(&"status"),
            summary: views.contains(&"summary"),
            multibuild: query.flag("multibuild"),
        })
    }

    fn takes(&self, target: &Target) -> bool {
        let any = |all: &[&str], one: &str| all.is_empty() || all.contains(&one);
        any(&self.repositories, &target.repository) && any(&self.arches, &target.arch)
    }

    /// A flavor is asked for by its own name or, with `multibuild`, by its package's.
    fn shows(&self, package: &Package) -> bool {
        let named = self.packages.is_empty()
            || self.packages.contains(&*package.name)
            || (self.multibuild && self.packages.contains(package.source()));
        named && (self.codes.is_empty() || self.codes.contains(package.state.code()))
    }
}

pub(super) fn document(world: &World, project: &str, query: &Query) -> Result<String, Refusal> {
    let wanted = Wanted::of(query)?;
    let targets: Vec<&Target> = world.project(project)?;
    check_names(&wanted, &targets)?;
    let targets: Vec<&Target> = targets.into_iter().filter(|t| wanted.takes(t)).collect();
    let size: usize = targets.iter().map(|t| t.packages.len()).sum();
    let mut doc = Doc::with_capacity(size * 80 + 1024);
    let revision: u64 = targets.iter().map(|target| target.revision).sum();
    let state = md5_like(&format!("{project} {revision}"));
    if targets.is_empty() {
        let nothing = "0".repeat(32);
        doc.empty("resultlist", &[("state", nothing.into())]);
        return Ok(doc.finish());
    }
    doc.open("resultlist", &[("state", state.into())]);
    for target in targets {
        write_target(&mut doc, world, target, &wanted);
    }
    Ok(doc.finish())
}

fn check_names(wanted: &Wanted<'_>, targets: &[&Target]) -> Result<(), Refusal> {
    for name in &wanted.repositories {
        if !targets.iter().any(|t| &*t.repository == *name) {
            return Err(Refusal::not_found(format!("unknown repository '{name}'")));
        }
    }
    for name in &wanted.packages {
        if !targets.iter().any(|t| t.index.contains_key(*name)) {
            return Err(Refusal::not_found(format!("unknown package '{name}'")));
        }
    }
    Ok(())
}

fn write_target(doc: &mut Doc, world: &World, target: &Target, wanted: &Wanted<'_>) {
    let scheduler = format!("scheduler/{}", target.arch);
    let state = if target.is_building() {
        "building"
    } else {
        "published"
    };
    let mut attributes = vec![
        ("project", Cow::Borrowed(&*target.project)),
        ("repository", Cow::Borrowed(&*target.repository)),
        ("arch", Cow::Borrowed(&*target.arch)),
        ("code", state.into()),
        ("state", state.into()),
    ];
    // what a scheduler that does not run has yet to look at
    if !world.runs(&scheduler) {
        attributes.push(("dirty", "true".into()));
    }
    let packages: Vec<&Package> = sorted(target, wanted);
    let counts = wanted.summary.then(|| summary(&packages));
    let shown = if wanted.status { packages } else { Vec::new() };
    if shown.is_empty() && counts.is_none() {
        doc.empty("result", &attributes);
        return;
    }
    doc.open("result", &attributes);
    for package in shown {
        write_status(doc, target, package);
    }
    if let Some(counts) = counts {
        write_summary(doc, &counts);
    }
    doc.close();
}

/// OBS writes packages by name.
fn sorted<'a>(target: &'a Target, wanted: &Wanted<'_>) -> Vec<&'a Package> {
    let shown = target.packages.iter().filter(|p| wanted.shows(p));
    let mut shown: Vec<&Package> = shown.collect();
    shown.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    shown
}

fn summary(packages: &[&Package]) -> Vec<(&'static str, usize)> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for package in packages {
        *counts.entry(package.state.code()).or_default() += 1;
    }
    let first = ORDER
        .into_iter()
        .filter_map(|code| Some((code, *counts.get(code)?)));
    let rest = counts.iter().filter(|(code, _)| !ORDER.contains(code));
    first.chain(rest.map(|(code, n)| (*code, *n))).collect()
}

fn write_summary(doc: &mut Doc, counts: &[(&'static str, usize)]) {
    doc.open("summary", &[]);
    for (code, count) in counts {
        let count = count.to_string().into();
        doc.empty("statuscount", &[("code", (*code).into()), ("count", count)]);
    }
    doc.close();
}

/// `<status package= code=>`, with `<details>` where there is something to add; `_status` of a
/// package is the same element.
pub(super) fn write_status(doc: &mut Doc, target: &Target, package: &Package) {
    let attributes = [
        ("package", Cow::Borrowed(&*package.name)),
        ("code", package.state.code().into()),
    ];
    match details(target, package) {
        None => doc.empty("status", &attributes),
        Some(details) => {
            doc.open("status", &attributes);
            doc.text("details", &details);
            doc.close();
        }
    }
}

fn details(target: &Target, package: &Package) -> Option<String> {
    match &package.state {
        State::Building(build) => Some(format!("building on {}", build.worker)),
        State::Blocked => {
            let names = target.unfinished_deps(package).map(|dep| &*dep.name);
            Some(names.collect::<Vec<_>>().join(", "))
        }
        State::Unresolvable => Some("nothing provides there-is-no-such-thing".to_owned()),
        State::Broken => Some("no source uploaded".to_owned()),
        _ => None,
    }
}
