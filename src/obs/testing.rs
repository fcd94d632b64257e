//! A backend to test against: an HTTP server on loopback that answers as it is told.

use crate::config::{Access, Backend, Discovery};
use crate::model::BackendName;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What is answered.
pub(crate) struct Answer {
    status: u16,
    body: Bytes,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Bytes>) -> Self {
        Self::with(200, body)
    }

    pub(crate) fn with(status: u16, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { status, body }
    }
}

/// Never answers.
pub(crate) async fn hangs(_route: String) -> Answer {
    std::future::pending().await
}

/// What a request asks for, and with which credentials.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Path and query.
    pub(crate) route: String,
    pub(crate) authorization: Option<String>,
}

/// Serves until the test ends; `answer` gets path and query.
pub(crate) async fn serve<A, F>(answer: A) -> SocketAddr
where
    A: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    serve_asked(move |asked| answer(asked.route)).await
}

/// Serves until the test ends.
pub(crate) async fn serve_asked<A, F>(answer: A) -> SocketAddr
where
    A: Fn(Asked) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request: Request<Incoming>| {
                let authorization = request.headers().get("authorization");
                let answered = answer(Asked {
                    route: request.uri().to_string(),
                    authorization: authorization.map(|v| v.to_str().unwrap().to_owned()),
                });
                async move {
                    let Answer { status, body } = answered.await;
                    let response = Response::builder().status(status);
                    Ok::<_, Infallible>(response.body(Full::new(body)).unwrap())
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    at
}

/// The configuration of a backend whose two servers are one.
pub(crate) fn backend(name: &str, at: SocketAddr) -> Backend {
    Backend {
        name: BackendName::new(name),
        access: Access::Servers {
            source: format!("http://{at}"),
            repository: format!("http://{at}"),
        },
        worker_source_server: at.to_string(),
        worker_repository_server: at.to_string(),
        projects: vec!["openEuler:Mainline".to_owned()],
        discovery: Discovery::default(),
        ramp: 0,
    }
}
