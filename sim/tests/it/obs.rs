//! The simulated Open Build Service over HTTP.

use obs_sim::obs::{Options, Simulator, Size};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn options() -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        size: Size {
            workers: 6,
            instances: 2,
            packages: 600,
            jobs: 200,
            jobs_per_hour: 0.0,
            projects: vec!["openEuler:Mainline".to_owned()],
            seed: 1,
            speed: 1.0,
        },
        frontend: None,
        clock: obs_sim::Clock::default(),
    }
}

/// The whole answer, up to where the server ends it.
async fn ask(at: SocketAddr, method: &str, path: &str, more: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: obs\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _cut = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(at: SocketAddr, path: &str) -> String {
    let answer = ask(at, "GET", path, "", "").await;
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Every element by its path, with the names of its attributes in their order.
fn shape(document: &str) -> BTreeSet<String> {
    let mut reader = Reader::from_str(document);
    let (mut path, mut shape) = (Vec::new(), BTreeSet::new());
    let describe = |path: &[String], element: &BytesStart<'_>| {
        let names = element
            .attributes()
            .map(|a| format!("{:?}", a.unwrap().key));
        format!("{} {}", path.join("/"), names.collect::<Vec<_>>().join(" "))
    };
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                path.push(format!("{:?}", element.name()));
                shape.insert(describe(&path, &element));
            }
            Event::Empty(element) => {
                path.push(format!("{:?}", element.name()));
                shape.insert(describe(&path, &element));
                path.pop();
            }
            Event::End(_) => drop(path.pop()),
            Event::Eof => return shape,
            _ => {}
        }
    }
}

/// `more` is what a busy farm shows and the capture does not happen to.
fn same_shape(simulated: &str, captured: &str, more: &[&str]) {
    let (mut simulated, captured) = (shape(simulated), shape(captured));
    simulated.retain(|line| !more.iter().any(|word| line.contains(word)));
    let lacking: Vec<_> = captured.difference(&simulated).collect();
    let odd: Vec<_> = simulated.difference(&captured).collect();
    assert!(
        lacking.is_empty() && odd.is_empty(),
        "lacks {lacking:?}; has besides {odd:?}"
    );
}

/// The first package whose status in `_result` has this code, on x86_64.
async fn package(at: SocketAddr, code: &str) -> String {
    let path = format!("/build/openEuler:Mainline/_result?arch=x86_64&multibuild=1&code={code}");
    let document = get(at, &path).await;
    let (_, rest) = document.split_once("<status package=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// What is asked for, and what a real server answered.
fn cases(built: &str, busy: &str) -> Vec<(String, &'static str)> {
    let target = "/build/openEuler:Mainline/standard_x86_64/x86_64";
    vec![
        (
            "/workerstatus".to_owned(),
            include_str!("../captures/workerstatus.xml"),
        ),
        (
            "/build/_workerstatus".to_owned(),
            include_str!("../captures/build_workerstatus.xml"),
        ),
        (
            "/build/openEuler:Mainline/_result?view=status&multibuild=1".to_owned(),
            include_str!("../captures/result.xml"),
        ),
        (
            "/build/openEuler:Mainline/_result?view=summary".to_owned(),
            include_str!("../captures/summary.xml"),
        ),
        (
            format!("{target}/_jobhistory?limit=3"),
            include_str!("../captures/jobhistory.xml"),
        ),
        (
            format!("{target}/_builddepinfo"),
            include_str!("../captures/builddepinfo.xml"),
        ),
        (
            format!("{target}/{built}/_history"),
            include_str!("../captures/history.xml"),
        ),
        (
            format!("{target}/{built}/_statistics"),
            include_str!("../captures/statistics.xml"),
        ),
        (
            format!("{target}/{busy}/_status"),
            include_str!("../captures/status.xml"),
        ),
        (
            format!("{target}/{busy}/_jobstatus"),
            include_str!("../captures/jobstatus.xml"),
        ),
        (
            format!("{target}/{busy}/_reason"),
            include_str!("../captures/reason.xml"),
        ),
        (
            "/jobs/x86_64".to_owned(),
            include_str!("../captures/jobs.xml"),
        ),
        (
            "/build/No:Such/_result".to_owned(),
            include_str!("../captures/refusal.xml"),
        ),
    ]
}

#[tokio::test]
async fn every_document_has_the_shape_of_a_real_one_attribute_for_attribute() {
    let farm = Simulator::start(options()).await.unwrap();
    let at = farm.address();
    for (host, verb) in [("worker-00005", "kill"), ("worker-00001", "drain")] {
        ask(at, "POST", &format!("/_sim/hosts/{host}/{verb}"), "", "").await;
    }
    let idle = r#"{"name":"new","ip":"127.0.0.9","arch":"x86_64","instances":300}"#;
    ask(at, "POST", "/_sim/hosts", "", idle).await;
    let built = package(at, "succeeded").await;
    let busy = package(at, "building").await;
    for (path, captured) in cases(&built, &busy) {
        let simulated = get(at, &path).await;
        // the capture of the source server has neither idle nor gone instances
        let more: &[&str] = if path.ends_with("_workerstatus") {
            &["idle", "down"]
        } else {
            &[]
        };
        same_shape(&simulated, captured, more);
    }
    farm.stop().await;
}

#[tokio::test]
async fn a_worker_says_what_it_is() {
    let farm = Simulator::start(options()).await.unwrap();
    let worker = get(farm.address(), "/worker/x86_64:worker-00000:1").await;
    // `BSXML.pm` has memory and disk, which the captured worker (a chroot) does not tell; the job that
    // the captured one builds is not told here.
    let mut captured = shape(include_str!("../captures/worker.xml"));
    let told_while_building = ["job", "arch", "jobid"].map(|name| format!("/QName({name}) "));
    captured.retain(|line| !told_while_building.iter().any(|end| line.ends_with(end)));
    let mut simulated = shape(&worker);
    simulated.retain(|line| !line.contains("memory") && !line.contains("disk"));
    assert_eq!(simulated, captured);
    let refusal = get(farm.address(), "/worker/x86_64:nobody:1").await;
    assert!(refusal.contains("<status code=\"404\">"), "{refusal}");
    farm.stop().await;
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let farm = Simulator::start(options()).await.unwrap();
    let at = farm.address();
    let fault = async |fault: &str| {
        let faults = format!(r#"{{"routes":{{"workerstatus":"{fault}"}}}}"#);
        let set = ask(at, "PUT", "/_sim/faults", "", &faults).await;
        assert!(set.starts_with("HTTP/1.1 200"), "{set}");
        let asked = tokio::time::timeout(
            Duration::from_millis(500),
            ask(at, "GET", "/workerstatus", "", ""),
        );
        asked.await.ok()
    };
    let whole = get(at, "/workerstatus").await;
    assert!(whole.ends_with("</workerstatus>\n"));
    assert_eq!(fault("hang").await, None);
    assert_eq!(fault("slow").await, None);
    assert!(fault("error").await.unwrap().starts_with("HTTP/1.1 500"));
    assert!(fault("garbage").await.unwrap().contains("Bad Gateway"));
    assert!(
        fault("empty")
            .await
            .unwrap()
            .ends_with("<workerstatus clients=\"0\" />\n")
    );
    let cut = fault("cut").await.unwrap();
    assert!(
        cut.contains("<workerstatus") && !cut.contains("</workerstatus>"),
        "{cut}"
    );
    assert!(
        get(at, "/jobs/x86_64").await.contains("<directory>"),
        "other routes are well"
    );
    let frozen = fault("frozen").await.unwrap();
    let jobs = r#"{"arch":"x86_64","count":9,"seconds":5,"prefix":"new"}"#;
    ask(at, "POST", "/_sim/jobs", "", jobs).await;
    let waiting = |text: &str| {
        text.split("<waiting")
            .nth(2)
            .unwrap()
            .get(..40)
            .unwrap()
            .to_owned()
    };
    assert_eq!(waiting(&get(at, "/workerstatus").await), waiting(&frozen));
    ask(
        at,
        "PUT",
        "/_sim/faults",
        "",
        r#"{"daemons":{"dispatcher":"dead"}}"#,
    )
    .await;
    let now = get(at, "/workerstatus").await;
    assert_ne!(waiting(&now), waiting(&frozen));
    assert!(now.contains("<daemon type=\"dispatcher\" state=\"dead\""));
    let refused = ask(
        at,
        "PUT",
        "/_sim/faults",
        "",
        r#"{"routes":{"workerstatus":"odd"}}"#,
    )
    .await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    farm.stop().await;
}

#[tokio::test]
async fn a_ghost_is_shown_twice_and_freed_by_restartbuild() {
    let farm = Simulator::start(options()).await.unwrap();
    let at = farm.address();
    ask(at, "POST", "/_sim/hosts/worker-00000/kill", "", "").await;
    let status = get(at, "/workerstatus").await;
    let ghosts = |status: &str| {
        let of_host = status
            .lines()
            .filter(|l| l.contains("workerid=\"worker-00000:"));
        of_host
            .filter(|l| l.trim_start().starts_with("<building"))
            .count()
    };
    assert_eq!(ghosts(&status), 2);
    assert_eq!(status.matches("<down workerid=\"worker-00000:").count(), 2);
    for line in status
        .lines()
        .filter(|l| l.contains("<building") && l.contains("worker-00000:"))
    {
        let package = line
            .split("package=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let path = format!(
            "/build/openEuler%3AMainline?cmd=restartbuild&repository=standard_x86_64&arch=x86_64&package={package}"
        );
        ask(at, "POST", &path, "", "").await;
    }
    assert_eq!(ghosts(&get(at, "/workerstatus").await), 0);
    farm.stop().await;
}

#[tokio::test]
async fn the_frontend_wants_a_password_and_serves_a_cache() {
    let options = Options {
        frontend: Some("me:secret".to_owned()),
        ..options()
    };
    let farm = Simulator::start(options).await.unwrap();
    let at = farm.address();
    let refused = ask(at, "GET", "/worker/_status", "", "").await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let basic = "authorization: Basic bWU6c2VjcmV0\r\n";
    let first = ask(at, "GET", "/worker/_status", basic, "").await;
    assert!(
        first.starts_with("HTTP/1.1 200") && !first.contains("uri="),
        "{first}"
    );
    ask(at, "POST", "/_sim/hosts/worker-00000/kill", "", "").await;
    let clients = |answer: &str| {
        answer
            .split("clients=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    let second = ask(at, "GET", "/worker/_status", basic, "").await;
    assert_eq!(
        clients(&second),
        clients(&first),
        "a cache of three minutes"
    );
    farm.stop().await;
}
