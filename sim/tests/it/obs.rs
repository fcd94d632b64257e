//! The simulated OBS over HTTP, through a client of its own.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use obs_sim::obs::{NewHost, NewJobs, Options, Outcome, Running, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What came back, as far as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) length: Option<usize>,
    pub(crate) body: String,
}

pub(crate) async fn send(addr: SocketAddr, method: &str, path: &str, body: &str) -> Option<Reply> {
    request(addr, method, path, body, None).await
}

pub(crate) async fn get(addr: SocketAddr, path: &str) -> Reply {
    send(addr, "GET", path, "").await.expect("an answer")
}

pub(crate) async fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
    credentials: Option<&str>,
) -> Option<Reply> {
    let basic = |c| format!("Authorization: Basic {}\r\n", STANDARD.encode(c));
    let authorization = credentials.map(basic).unwrap_or_default();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: obs\r\nConnection: close\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    Some(Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        length,
        body: body.to_owned(),
    })
}

/// A farm of one host with two instances, without jobs, that builds a second's job in 10 ms.
pub(crate) async fn small_farm() -> Running {
    let options = Options {
        speed: 100.0,
        ..Options::default()
    };
    let farm = Simulator::start(options).await.unwrap();
    farm.attach(&NewHost::new("build-01", "x86_64", 2));
    farm
}

pub(crate) fn jobs(count: u32, seconds: f64) -> NewJobs {
    NewJobs {
        arch: "x86_64".to_owned(),
        count,
        seconds,
        prefix: "job".to_owned(),
        outcome: Outcome::Succeeded,
        processors: None,
        project: None,
    }
}

pub(crate) const TARGET: &str = "/build/openEuler:Mainline/standard_x86_64/x86_64";

/// The farm's counts: `GET /_sim/world`.
pub(crate) async fn world(addr: SocketAddr) -> serde_json::Value {
    serde_json::from_str(&get(addr, "/_sim/world").await.body).unwrap()
}
