//! A backend on loopback, and what this process used.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use obs_scaler::config::{Access, Backend, Discovery};
use obs_scaler::model::BackendName;
use obs_scaler::obs::ObsClient;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Answers every path and query with a document, until the end.
pub(crate) async fn serve(answer: impl Fn(&str) -> Bytes + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let body = Full::new(answer(&request.uri().to_string()));
                async move { Ok::<_, Infallible>(Response::new(body)) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    at
}

/// A client for that backend.
pub(crate) fn client(at: SocketAddr, projects: &[&str]) -> ObsClient {
    let backend = Backend {
        name: BackendName::new("main"),
        access: Access::Servers {
            source: format!("http://{at}"),
            repository: format!("http://{at}"),
        },
        worker_source_server: at.to_string(),
        worker_repository_server: at.to_string(),
        projects: projects.iter().map(|&p| p.to_owned()).collect(),
        discovery: Discovery::default(),
        ramp: 0,
    };
    ObsClient::new(&backend, Duration::from_secs(60)).unwrap()
}

fn status(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<f64>().unwrap() / 1024.0
}

/// What is in memory now.
pub(crate) fn resident_mib() -> f64 {
    status("VmRSS")
}

/// The most that was.
pub(crate) fn peak_mib() -> f64 {
    status("VmHWM")
}

/// Time on a core, of every thread: user and system, in ticks of 10 ms (`proc_pid_stat(5)`).
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok());
    (ticks(11).unwrap() + ticks(12).unwrap()) / 100.0
}
