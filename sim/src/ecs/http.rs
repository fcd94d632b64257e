//! Lets requests in: the socket and the gateway's checks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::control;
use super::error::ApiError;
use super::faults::take_one;
use super::rate;
use super::reply::Reply;
use super::route::Route;
use super::routes;
use super::shared::Shared;
use super::sign::{self, Wire};
use super::spoil;

/// The signing guide's limit of a body: 12 MB.
const BODY_LIMIT: usize = 12 * 1024 * 1024;

/// A request with its body read.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The connection is to be closed without an answer: hyper does so on a service's error.
#[derive(Debug)]
pub(super) struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for NoAnswer {}

/// Serves until told to stop; then every connection is cut.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, Arc::clone(&shared)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    // Out of file descriptors, most likely: they come back with time.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = stop.changed() => return,
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let service = service_fn(|request| handle(Arc::clone(&shared), peer, request));
    let http = hyper::server::conn::http1::Builder::new();
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn handle(
    shared: Arc<Shared>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let id = shared.request_id();
    let answer = match read(request).await {
        Err(error) => Err(error),
        Ok(call) if call.path.starts_with("/_sim/") => control::answer(&shared, peer, &call),
        Ok(call) => return cloud(&shared, &call, &id).await,
    };
    Ok(Reply::render(answer, &id))
}

async fn read(request: Request<Incoming>) -> Result<Call, ApiError> {
    let (parts, body) = request.into_parts();
    let too_large = |_| ApiError::gateway(413, "APIGW.0201", "Request entity too large");
    let body = Limited::new(body, BODY_LIMIT)
        .collect()
        .await
        .map_err(too_large)?;
    Ok(Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.to_bytes(),
    })
}

/// A call of the cloud's own API.
async fn cloud(
    shared: &Shared,
    call: &Call,
    request_id: &str,
) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let route = match admit(shared, call) {
        Ok(route) => route,
        Err(error) => return Ok(Reply::render(Err(error), request_id)),
    };
    spoil::hang_while(shared, route.operation()).await?;
    let refused = shared.with_world(|world, _| world.faults.take_refusal(route.operation()));
    if let Some(error) = refused {
        return Ok(Reply::render(Err(error), request_id));
    }
    let answer = routes::answer(shared, &route, call, request_id);
    tracing::info!(method = %call.method, path = call.path, query = call.query,
        refused = ?answer.as_ref().err(), "call");
    spoil::answer(shared, &route, answer, request_id).await
}

/// The gateway's checks, in its order: route, signature, throttle, project.
fn admit(shared: &Shared, call: &Call) -> Result<Route, ApiError> {
    let unknown = || {
        ApiError::gateway(
            404,
            "APIGW.0101",
            "The API does not exist or has not been published in the environment",
        )
    };
    let (project, route) = Route::of(&call.method, &call.path).ok_or_else(unknown)?;
    if route.is_open() {
        return Ok(route);
    }
    check_identity(shared, call)?;
    shared.with_world(|world, now| {
        if take_one(&mut world.faults.throttle_next) {
            return Err(rate::throttled(10, "1 minute"));
        }
        let writes = route.operation().writes();
        world.gauge.take(writes, &world.faults, now)
    })?;
    let named = sign::header(&call.headers, "x-project-id");
    if [project, named]
        .into_iter()
        .flatten()
        .any(|id| id != shared.project)
    {
        return Err(ApiError::service(
            400,
            "Ecs.0023",
            "the project does not match that of the request",
        ));
    }
    Ok(route)
}

fn check_identity(shared: &Shared, call: &Call) -> Result<(), ApiError> {
    let wire = Wire {
        method: call.method.as_str(),
        path: &call.path,
        query: &call.query,
        headers: &call.headers,
        body: &call.body,
    };
    let wall = shared.clock.now();
    shared.with_access(|access, faults, now| access.admit(&wire, faults, wall, now))
}
