//! A backend to test against: an HTTP server on loopback that answers as it is told.

use crate::config::Backend;
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

/// Serves until the test ends; `answer` gets path and query.
pub(crate) async fn serve<A, F>(answer: A) -> SocketAddr
where
    A: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request: Request<Incoming>| {
                let answered = answer(request.uri().to_string());
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
        source_server: format!("http://{at}"),
        repository_server: format!("http://{at}"),
        worker_source_server: at.to_string(),
        worker_repository_server: at.to_string(),
        projects: vec!["openEuler:Mainline".to_owned()],
    }
}
