use std::collections::BTreeSet;
use std::net::SocketAddr;

use obs_sim::obs::{NewHost, Options, Running, Shows, Simulator};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::obs::{TARGET, get, jobs};

type Shape = BTreeSet<(String, Vec<String>)>;

/// The path of every element, with the names of its attributes in their order.
fn shape(document: &str) -> Shape {
    let mut reader = Reader::from_str(document);
    let (mut path, mut found) = (Vec::new(), Shape::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                note(&mut path, &mut found, &element);
            }
            Event::Empty(element) => {
                note(&mut path, &mut found, &element);
                path.pop();
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn note(path: &mut Vec<String>, found: &mut Shape, element: &BytesStart<'_>) {
    path.push(element.name().as_ref().to_owned());
    let names = element
        .attributes()
        .map(|a| a.unwrap().key.as_ref().to_owned());
    found.insert((path.join("/"), names.collect()));
}

/// Lines without their values: how a document is laid out. Repeated lines count once.
fn layout(document: &str) -> BTreeSet<String> {
    let bare = |line: &str| {
        let quoted = line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
        match (quoted.find('>'), quoted.rfind("</")) {
            (Some(open), Some(close)) if open < close => {
                format!("{}…{}", &quoted[..=open], &quoted[close..])
            }
            _ => quoted,
        }
    };
    document.lines().map(bare).collect()
}

/// A farm in which everything is to be seen: instances that build, are idle and are down, ghosts,
/// jobs that wait and are blocked, packages that never build.
async fn full_farm() -> Running {
    let options = Options {
        workers: 8,
        instances: 2,
        packages: 300,
        jobs: 60,
        seed: 3,
        ..Options::default()
    };
    let farm = Simulator::start(options).await.unwrap();
    assert!(farm.kill_a_builder(Shows::Down));
    farm.set_daemon("dispatcher", false);
    farm.attach(&NewHost::new("fresh", "x86_64", 2));
    farm.set_daemon("dispatcher", true);
    farm
}

/// The first value of this attribute in the line that holds `mark`.
fn value<'a>(document: &'a str, mark: &str, attribute: &str) -> &'a str {
    let line = document.lines().find(|line| line.contains(mark)).unwrap();
    let (_, rest) = line.split_once(&format!(" {attribute}=\"")).unwrap();
    rest.split('"').next().unwrap()
}

async fn is_like(addr: SocketAddr, path: &str, real: &str) {
    let simulated = get(addr, path).await.body;
    assert_eq!(shape(&simulated), shape(real), "{path}\n{simulated}");
    assert_eq!(layout(&simulated), layout(real), "{path}\n{simulated}");
}

macro_rules! real {
    ($name:literal) => {
        include_str!(concat!("../data/obs/", $name, ".xml"))
    };
}

#[tokio::test]
async fn the_lists_of_workers_have_the_shape_of_the_real_ones() {
    let farm = full_farm().await;
    farm.attach(&NewHost::new("spare", "aarch64", 80));
    is_like(farm.addr, "/workerstatus", real!("workerstatus")).await;
    is_like(
        farm.addr,
        "/build/_workerstatus",
        real!("build-workerstatus"),
    )
    .await;
    let text = get(farm.addr, "/workerstatus").await.body;
    let worker = value(&text, "<building", "workerid");
    let path = format!("/worker/{}:{worker}", value(&text, "<building", "hostarch"));
    is_like(farm.addr, &path, real!("workercap-building")).await;
}

#[tokio::test]
async fn the_results_of_a_project_have_the_shape_of_the_real_ones() {
    let farm = full_farm().await;
    let result = "/build/openEuler:Mainline/_result";
    is_like(farm.addr, result, real!("result-status")).await;
    let summary = format!("{result}?view=summary");
    is_like(farm.addr, &summary, real!("result-summary")).await;
    let jobs = "/jobs/x86_64";
    is_like(farm.addr, jobs, real!("rep-jobs-x86-64")).await;
    let graph = format!("{TARGET}/_builddepinfo");
    is_like(farm.addr, &graph, real!("builddepinfo")).await;
}

#[tokio::test]
async fn what_is_told_of_a_package_has_the_shape_of_the_real_thing() {
    let farm = full_farm().await;
    let text = get(farm.addr, &format!("{TARGET}/_jobhistory?limit=9999"))
        .await
        .body;
    let built = value(&text, "code=\"succeeded\"", "package");
    let result = get(
        farm.addr,
        "/build/openEuler:Mainline/_result?arch=x86_64&code=building",
    )
    .await;
    let building = result.body.lines().filter(|line| line.contains("<status "));
    let known = building.map(|line| value(line, "<status", "package"));
    let package = known
        .into_iter()
        .find(|p| {
            text.contains(&format!("package=\"{p}\""))
                && text
                    .lines()
                    .any(|l| l.contains(&format!("\"{p}\"")) && l.contains("succeeded"))
        })
        .unwrap();
    is_like(
        farm.addr,
        &format!("{TARGET}/_jobhistory"),
        real!("jobhistory-all"),
    )
    .await;
    for (package, part, real) in [
        (built, "_history", real!("history-gcc")),
        (built, "_statistics", real!("statistics-zlib")),
        (package, "_jobstatus", real!("jobstatus-gcc")),
        (package, "_status", real!("status-gcc")),
        (package, "_reason", real!("reason-gcc")),
    ] {
        is_like(farm.addr, &format!("{TARGET}/{package}/{part}"), real).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_the_real_words() {
    let farm = full_farm().await;
    let unknown = get(farm.addr, "/build/No:Such/_result").await;
    assert_eq!(
        (unknown.status, unknown.body.as_str()),
        (404, real!("unknown-project"))
    );
    let unknown = get(farm.addr, "/worker/_status").await;
    assert_eq!(
        (unknown.status, unknown.body.as_str()),
        (404, real!("unknown-route"))
    );
    farm.add_jobs(&jobs(1, 1000.0));
    for (path, status, words) in [
        (
            format!("{TARGET}/job-1/_statistics"),
            404,
            "_statistics: No such file or directory",
        ),
        (format!("{TARGET}/job-1/_history"), 200, "<buildhistory />"),
        (
            "/build/openEuler:Mainline/_result?package=none".to_owned(),
            404,
            "unknown package 'none'",
        ),
        (
            "/build/openEuler:Mainline/none/x86_64/_jobhistory".to_owned(),
            404,
            "has no repository 'none'",
        ),
        ("/none".to_owned(), 400, "unknown request: /none"),
    ] {
        let answer = get(farm.addr, &path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(words), "{path}: {}", answer.body);
    }
}
