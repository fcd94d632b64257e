//! Lets requests in: the socket, the frontend's password, and what faults do to answers.

use super::control;
use super::faults::{Fault, Faults};
use super::routes::{self, Answer, Query};
use super::shared_workers::{Part, SharedWorkers};
use super::world::{Doing, Instance, Size, World};
use crate::Clock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The frontend's cache of the worker status expires after this long.
const FRONTEND_CACHE: f64 = 180.0;
const BODY_LIMIT: usize = 1 << 20;

/// What is simulated, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The farm.
    pub size: Size,
    /// `USER:PASSWORD` that every request must carry (Basic authentication), as the frontend wants it;
    /// its worker status is then a cache of three minutes.
    pub frontend: Option<String>,
    /// What tells it the time.
    pub clock: Clock,
}

/// A running simulator; dropping it ends it.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Simulator {
    /// Begins to serve.
    ///
    /// # Errors
    /// Where it can not listen there.
    pub async fn start(options: Options) -> io::Result<Self> {
        Self::serve(options, None).await
    }

    /// Begins to serve as one of the backends that have these workers.
    ///
    /// # Errors
    /// Where it can not listen there.
    pub async fn start_beside(options: Options, others: &SharedWorkers) -> io::Result<Self> {
        Self::serve(options, Some(others.join())).await
    }

    async fn serve(options: Options, part: Option<Part>) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::new(options, part));
        let serving = tokio::spawn(serve(listener, shared, stopping));
        Ok(Self {
            address,
            stop,
            serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; connections are cut.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ended = self.serving.await;
    }
}

/// The farm with what is wrong about it.
#[derive(Debug)]
pub(super) struct Farm {
    pub(super) world: World,
    faults: Faults,
    frozen: BTreeMap<String, Answer>,
    cached: BTreeMap<String, (f64, Answer)>,
}

impl Farm {
    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.frozen.clear();
    }

    pub(super) fn state(&self) -> Value {
        let mut codes = BTreeMap::<&str, usize>::new();
        for job in self.world.targets.iter().flat_map(|target| &target.jobs) {
            *codes.entry(job.code.as_str()).or_default() += 1;
        }
        let mut instances = BTreeMap::<&str, usize>::new();
        for (name, host) in &self.world.hosts {
            for instance in &host.instances {
                let doing = self.world.doing(name, instance);
                *instances.entry(control::word(doing)).or_default() += 1;
            }
        }
        let has_one =
            |i: &&Instance| i.ghost.is_some() && !matches!(i.doing, Doing::Building { .. });
        let hosts = self.world.hosts.iter();
        let hosts = hosts.map(|(name, host)| (name, host.instances.iter().filter(has_one).count()));
        let haunted: BTreeMap<&String, usize> = hosts.filter(|(_, ghosts)| *ghosts > 0).collect();
        let ghosts: usize = haunted.values().sum();
        json!({ "packages": codes, "instances": instances, "ghosts": ghosts, "haunted": haunted })
    }
}

/// What every connection shares.
#[derive(Debug)]
pub(super) struct Shared {
    farm: Mutex<Farm>,
    frontend: Option<String>,
    clock: Clock,
}

impl Shared {
    fn new(options: Options, part: Option<Part>) -> Self {
        let mut world = World::new(&options.size, options.clock.now().as_second());
        world.shared = part;
        let basic = |pair| format!("Basic {}", STANDARD.encode(pair));
        Self {
            farm: Mutex::new(Farm {
                world,
                faults: Faults::default(),
                frozen: BTreeMap::new(),
                cached: BTreeMap::new(),
            }),
            frontend: options.frontend.map(basic),
            clock: options.clock,
        }
    }

    pub(super) fn now(&self) -> f64 {
        self.clock.now().as_duration().as_secs_f64()
    }

    pub(super) fn farm(&self) -> MutexGuard<'_, Farm> {
        self.farm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of a route, and what is wrong with it.
    fn obs(&self, method: &Method, path: &str, query: &str) -> (Answer, Option<Fault>) {
        let now = self.now();
        let mut farm = self.farm();
        farm.world.advance(now);
        let parsed = Query::parse(query);
        if method == Method::POST {
            return (routes::post(&mut farm.world, path, &parsed, now), None);
        }
        let kind = routes::kind(path);
        let fault = farm.faults.of(kind);
        let key = format!("{path}?{query}");
        if let Some(frozen) = farm
            .frozen
            .get(&key)
            .filter(|_| fault == Some(Fault::Frozen))
        {
            return (frozen.clone(), fault);
        }
        if fault == Some(Fault::Empty) {
            return (empty(kind), fault);
        }
        let is_cached = self.frontend.is_some() && kind == "workerstatus";
        if let Some((_, answer)) = farm
            .cached
            .get(&key)
            .filter(|(at, _)| is_cached && now - at < FRONTEND_CACHE)
        {
            return (answer.clone(), fault);
        }
        let answer = routes::get(&farm.world, path, &parsed, &farm.faults.daemons);
        if fault == Some(Fault::Frozen) {
            farm.frozen.insert(key, answer.clone());
        } else if is_cached {
            farm.cached.insert(key, (now, answer.clone()));
        }
        (answer, fault)
    }
}

/// A valid document that holds nothing.
fn empty(kind: &str) -> Answer {
    let document = match kind {
        "workerstatus" => "<workerstatus clients=\"0\" />\n",
        "result" => "<resultlist state=\"00000000000000000000000000000000\" />\n",
        "jobhistory" => "<jobhistlist />\n",
        _ => "<directory />\n",
    };
    Answer::ok(document.to_owned())
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        let service = service_fn(|request| handle(Arc::clone(&shared), request));
                        let http = hyper::server::conn::http1::Builder::new();
                        if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                            tracing::debug!(%error, "connection ended");
                        }
                    });
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

type Body = Either<Full<Bytes>, Channel<Bytes, io::Error>>;

async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    if path.starts_with("/_sim/") {
        let body = Limited::new(body, BODY_LIMIT).collect().await;
        let told = match body {
            Ok(body) => control::answer(&shared, &parts.method, path, &body.to_bytes()),
            Err(error) => Err((StatusCode::BAD_REQUEST, error.to_string())),
        };
        return Ok(match told {
            Ok(value) => full(StatusCode::OK, "application/json", value.to_string()),
            Err((status, why)) => full(status, "text/plain", format!("{why}\n")),
        });
    }
    let shown = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|h| h.to_str().ok());
    if shared.frontend.is_some() && shown != shared.frontend.as_deref() {
        let why = Answer::refused(401, "Authentication required");
        let mut answer = xml(why);
        let realm = HeaderValue::from_static("Basic realm=\"OBS\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, realm);
        return Ok(answer);
    }
    let (answer, fault) = shared.obs(&parts.method, path, query);
    Ok(spoiled(answer, fault).await)
}

fn full(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn xml(answer: Answer) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    full(status, "text/xml", answer.document)
}

/// The answer with its fault.
async fn spoiled(answer: Answer, fault: Option<Fault>) -> Response<Body> {
    match fault {
        None | Some(Fault::Empty | Fault::Frozen) => xml(answer),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Error) => xml(Answer::refused(500, "simulated fault")),
        Some(Fault::Garbage) => full(StatusCode::OK, "text/html", GARBAGE.to_owned()),
        Some(Fault::Cut) => {
            let half = answer.document.len() / 2;
            pieces(answer, half, Duration::ZERO)
        }
        Some(Fault::Slow) => pieces(answer, usize::MAX, Duration::from_secs(1)),
    }
}

const GARBAGE: &str = "<html><body><h1>502 Bad Gateway</h1><hr>nginx<br></body>";

/// Sends the document in small pieces with a pause after each, and cuts the connection after `length`
/// bytes.
fn pieces(answer: Answer, length: usize, pause: Duration) -> Response<Body> {
    let (mut sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        let bytes = answer.document.into_bytes();
        let cut = length < bytes.len();
        let size = if pause.is_zero() { 4096 } else { 16 };
        for piece in bytes
            .get(..length.min(bytes.len()))
            .unwrap_or_default()
            .chunks(size)
        {
            if sender
                .send_data(Bytes::copy_from_slice(piece))
                .await
                .is_err()
            {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        if cut {
            sender.abort(io::Error::other("cut, as was asked for"));
        }
    });
    let mut response = Response::new(Either::Right(channel));
    let kind = HeaderValue::from_static("text/xml");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
