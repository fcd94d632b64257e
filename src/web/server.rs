//! Accepting connections, and letting go of them.

use super::App;
use super::stall::Impatient;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once. More wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 128;

/// For the head of a request to arrive whole; an idle connection is closed after as long. Not a
/// multiple of Alertmanager's usual intervals, so that its next request does not meet the closing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(47);

/// For a client to take 64 KiB of an answer, once it lets us wait.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// For the requests in hand to end once the server is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Before accepting again after an error, which is the want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the head of a request.
    pub(super) head: Duration,
    /// For a client that does not read.
    pub(super) stall: Duration,
    /// For the requests in hand, at the end.
    pub(super) drain: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: HEAD_TIMEOUT,
            stall: STALL_TIMEOUT,
            drain: DRAIN_TIMEOUT,
        }
    }
}

/// Serves until `cancel`, then lets the requests in hand end. Returns only after that; what takes too
/// long is cut off.
pub async fn serve(listener: TcpListener, app: Arc<App>, cancel: CancellationToken) {
    serve_within(Patience::default(), listener, app, cancel).await;
}

pub(super) async fn serve_within(
    patience: Patience,
    listener: TcpListener,
    app: Arc<App>,
    cancel: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some(Some((stream, place))) =
        cancel.run_until_cancelled(accept(&listener, &places)).await
    {
        let watcher = graceful.watcher();
        let (app, cut) = (Arc::clone(&app), cut.clone());
        connections.spawn(async move {
            let conversation = converse(stream, patience, app, watcher);
            cut.run_until_cancelled(conversation).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(patience.drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests still in hand were cut off");
        cut.cancel();
    }
    connections.close();
    connections.wait().await;
}

/// The next connection; `None` never while the semaphore is open.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, patience: Patience, app: Arc<App>, watcher: Watcher) {
    let stream = TokioIo::new(Impatient::new(stream, patience.stall));
    let service = service_fn(|request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(app.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .serve_connection(stream, service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
}
