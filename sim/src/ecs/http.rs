//! Lets requests in: the socket, the gateway's checks, and the faults that concern answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::control;
use super::error::ApiError;
use super::faults::{Faults, Hang, take_one};
use super::routes::{self, Route};
use super::shared::Shared;
use super::sign::{self, Wire};

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

/// An answer in the making: a status, and JSON unless there is nothing to say.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body: Some(body),
        }
    }

    fn into_response(self, request_id: &str) -> Response<Full<Bytes>> {
        let text = self.body.map(|body| body.to_string()).unwrap_or_default();
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", id);
        }
        response
    }
}

/// The connection is to be closed without an answer: hyper does so on a service's error.
#[derive(Debug)]
struct NoAnswer;

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
    Ok(render(answer, &id))
}

fn render(answer: Result<Reply, ApiError>, request_id: &str) -> Response<Full<Bytes>> {
    let reply = answer.unwrap_or_else(|error| Reply {
        status: error.status,
        body: Some(error.body(request_id)),
    });
    reply.into_response(request_id)
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
        Err(error) => return Ok(render(Err(error), request_id)),
    };
    if let Some(kind) = hang_of(&route) {
        hang_while(shared, kind).await?;
    }
    let faults = shared.faults();
    let answer = routes::answer(shared, &route, call);
    tracing::info!(method = %call.method, path = call.path, query = call.query,
        refused = ?answer.as_ref().err(), "call");
    if matches!(route, Route::Create { .. }) {
        return spoil_create(answer, &faults, request_id).await;
    }
    let response = render(answer, request_id);
    let cut_at = faults.list_truncate_bytes.filter(|_| route == Route::List);
    Ok(cut(response, cut_at).await)
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
    check_signature(shared, call)?;
    let throttled = shared.with_world(|world, _| take_one(&mut world.faults.throttle_next));
    if throttled {
        let text = "The throttling threshold has been reached: policy user over ratelimit,limit:10,time:1 minute";
        return Err(ApiError::gateway(429, "APIGW.0308", text));
    }
    let named = sign::header(&call.headers, "x-project-id").unwrap_or_else(|| project.clone());
    if project != shared.project || named != shared.project {
        return Err(ApiError::service(
            400,
            "Ecs.0023",
            "the project does not match that of the request",
        ));
    }
    Ok(route)
}

fn check_signature(shared: &Shared, call: &Call) -> Result<(), ApiError> {
    let now = shared.clock.now();
    if shared.is_locked(now) {
        let text = "Incorrect IAM authentication information: AK access failed to reach the limit,forbidden";
        return Err(ApiError::gateway(401, "APIGW.0301", text));
    }
    let wire = Wire {
        method: call.method.as_str(),
        path: &call.path,
        query: &call.query,
        headers: &call.headers,
        body: &call.body,
    };
    let verdict = sign::verify(&wire, &shared.key, now);
    shared.note_signature(&verdict, now);
    verdict.map_err(|refusal| refusal.answer())
}

fn hang_of(route: &Route) -> Option<Hang> {
    match route {
        Route::Create { .. } => Some(Hang::Create),
        Route::List => Some(Hang::List),
        Route::Delete => Some(Hang::Delete),
        Route::Job(_) => Some(Hang::Job),
        Route::Power | Route::Show(_) | Route::Tags(_) => None,
        Route::ChangeTags(_) | Route::Flavors | Route::Limits => None,
    }
}

/// Holds a call as long as its kind is to hang, then drops it: it never gets an answer.
async fn hang_while(shared: &Shared, kind: Hang) -> Result<(), NoAnswer> {
    let mut changed = shared.faults_changed.subscribe();
    let mut hung = false;
    while shared.faults().hang.contains(&kind) {
        hung = true;
        changed.changed().await.map_err(|_| NoAnswer)?;
    }
    if hung { Err(NoAnswer) } else { Ok(()) }
}

/// The effect has happened; what is left is that the caller may not hear of it.
async fn spoil_create(
    answer: Result<Reply, ApiError>,
    faults: &Faults,
    request_id: &str,
) -> Result<Response<Full<Bytes>>, NoAnswer> {
    if answer.is_err() {
        return Ok(render(answer, request_id));
    }
    let delay = Duration::try_from_secs_f64(faults.create_answer_delay_seconds).unwrap_or_default();
    tokio::time::sleep(delay).await;
    if faults.drop_create_answer {
        return Err(NoAnswer);
    }
    if faults.create_5xx_after_effect {
        let error = ApiError::service(500, "Common.0001", "System error. Please try again later.");
        return Ok(render(Err(error), request_id));
    }
    Ok(render(answer, request_id))
}

/// The body ends early, and its length is given as if it ended there.
async fn cut(response: Response<Full<Bytes>>, at: Option<usize>) -> Response<Full<Bytes>> {
    let Some(at) = at else {
        return response;
    };
    let (parts, body) = response.into_parts();
    let whole = body
        .collect()
        .await
        .map_or_else(|never: Infallible| match never {}, |b| b.to_bytes());
    let part = whole.slice(..at.min(whole.len()));
    Response::from_parts(parts, Full::new(part))
}
