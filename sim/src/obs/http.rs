//! Lets requests in: the socket, the frontend's door, and the faults that concern answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::body::Paced;
use super::control;
use super::faults::{Fault, Part};
use super::routes::{self, Query, Refusal};
use super::shared::Shared;

const BODY_LIMIT: usize = 1 << 20;
/// [`Fault::Slow`]: so many pieces, one each.
const PIECES: usize = 50;
const PACE: Duration = Duration::from_millis(200);

const GARBAGE: &str =
    "<html><body><h1>502 Bad Gateway</h1><hr>nginx</body>\n\u{0}\u{1}<workerstatus <<<";

/// The connection is to be closed without an answer: hyper does so on a service's error.
#[derive(Debug)]
struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for NoAnswer {}

/// A request with its body read.
struct Call {
    method: Method,
    path: Vec<String>,
    query: String,
    authorization: Option<String>,
    body: Bytes,
}

type Answer = (u16, Bytes);

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
) -> Result<Response<Paced>, NoAnswer> {
    let call = read(request).await.ok_or(NoAnswer)?;
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    if let ["_sim", rest @ ..] = path.as_slice() {
        return Ok(controlled(&shared, peer, &call, rest));
    }
    if !shared.admits(call.authorization.as_deref()) {
        return Ok(unauthorized());
    }
    let part = routes::part_of(&path, call.method == Method::POST);
    let fault = part.and_then(|part| shared.faults().of(part).map(|fault| (part, fault)));
    if let Some((part, Fault::Hang)) = fault {
        hang_while(&shared, part).await?;
    }
    let (answer, fault) = (answer(&shared, &call, &path), fault.map(|(_, fault)| fault));
    tracing::debug!(method = %call.method, path = path.join("/"), call.query, status = answer.0, ?fault);
    let empty = || part.map(|part| shared.with_world(|w, _| routes::nothing(w, &path, part)));
    Ok(match fault {
        None | Some(Fault::Hang) => whole(answer),
        Some(Fault::Frozen) => {
            let request = format!("{}?{}", path.join("/"), call.query);
            whole(shared.frozen(&request, answer))
        }
        Some(Fault::Empty) => whole((200, empty().unwrap_or_default().into())),
        Some(fault) => spoilt(fault, answer),
    })
}

async fn read(request: Request<Incoming>) -> Option<Call> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.ok()?;
    let authorization = parts.headers.get(AUTHORIZATION);
    Some(Call {
        path: routes::parts(parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        authorization: authorization.and_then(|v| Some(v.to_str().ok()?.to_owned())),
        method: parts.method,
        body: body.to_bytes(),
    })
}

fn controlled(shared: &Shared, peer: SocketAddr, call: &Call, path: &[&str]) -> Response<Paced> {
    if !peer.ip().to_canonical().is_loopback() {
        return refused(&Refusal::new(403, "for loopback only".to_owned()));
    }
    let done = control::answer(shared, call.method.as_str(), path, &call.query, &call.body);
    match done {
        Ok(value) => response(
            200,
            "application/json",
            Paced::whole(value.to_string().into()),
        ),
        Err(refusal) => refused(&refusal),
    }
}

fn answer(shared: &Shared, call: &Call, path: &[&str]) -> Answer {
    let query = Query::parse(&call.query);
    let done = match (call.method.as_str(), path) {
        ("GET", ["build", "_workerstatus"] | ["worker", "_status" | "status"])
            if shared.is_frontend() =>
        {
            Ok(shared.cached_status())
        }
        // the frontend passes on what lies below /build and /source, and nothing else
        (_, ["workerstatus" | "jobs" | "worker", ..]) if shared.is_frontend() => {
            Err(routes::unknown(path))
        }
        ("GET", _) => shared.with_world(|world, _| routes::answer(world, path, &query)),
        ("POST", ["build", project]) => command(shared, project, &query),
        _ => Err(routes::unknown(path)),
    };
    match done {
        Ok(document) => (200, document.into()),
        Err(refusal) => (refusal.status, refusal.document().into()),
    }
}

fn command(shared: &Shared, project: &str, query: &Query) -> Result<String, Refusal> {
    const OK: &str = "<status code=\"ok\" />\n";
    match query.one("cmd") {
        Some("restartbuild") => {
            shared.with_world(|world, now| world.restart_build(project, query, now))?;
            Ok(OK.to_owned())
        }
        // it answers well and does nothing to a ghost
        Some("abortbuild") => Ok(OK.to_owned()),
        other => {
            let text = format!("unknown command '{}'", other.unwrap_or_default());
            Err(Refusal::new(400, text))
        }
    }
}

/// Holds a call as long as its route is to hang, then drops it: it never gets an answer.
async fn hang_while(shared: &Shared, part: Part) -> Result<(), NoAnswer> {
    let mut changed = shared.faults_changed.subscribe();
    while shared.faults().of(part) == Some(Fault::Hang) {
        changed.changed().await.map_err(|_| NoAnswer)?;
    }
    Err(NoAnswer)
}

fn spoilt(fault: Fault, (status, document): Answer) -> Response<Paced> {
    let half = document.len() / 2;
    let body = match fault {
        Fault::CutOff => Paced::cut_off(document, half),
        Fault::Truncated => Paced::whole(document.slice(..half)),
        Fault::Slow => Paced::slowly(document, PIECES, PACE),
        Fault::Status500 => {
            return refused(&Refusal::new(500, "Internal Server Error".to_owned()));
        }
        Fault::Garbage => return response(200, "text/html", Paced::whole(GARBAGE.into())),
        Fault::Hang | Fault::Empty | Fault::Frozen => Paced::whole(document),
    };
    response(status, "text/xml", body)
}

fn whole((status, document): Answer) -> Response<Paced> {
    response(status, "text/xml", Paced::whole(document))
}

fn refused(refusal: &Refusal) -> Response<Paced> {
    whole((refusal.status, refusal.document().into()))
}

/// The frontend's answer to who brings no credentials, or wrong ones.
fn unauthorized() -> Response<Paced> {
    const DOCUMENT: &str = "<status code=\"authentication_required\">\n  \
                            <summary>Authentication required</summary>\n</status>\n";
    let mut response = response(401, "text/xml", Paced::whole(DOCUMENT.into()));
    let realm = HeaderValue::from_static("basic realm=\"Frontend login\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}

fn response(status: u16, kind: &'static str, body: Paced) -> Response<Paced> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
