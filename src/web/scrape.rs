//! `GET /metrics`: the page is written on a thread of its own, and goes out as the client takes it.
//!
//! The writing thread waits while the client is slow, and ends when the answer is dropped: because the
//! client went away, because it took too long, or because the server ends.

use crate::metrics::{Coding, Format, Gone, Metrics, PageError};
use hyper::body::{Body, Bytes, Frame};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;

/// Scrapes at once: a pair of Prometheis, and as many people. More are refused, so that memory stays
/// bounded.
pub(super) const MAX_SCRAPES: usize = 4;

/// For a whole scrape: Prometheus' own limit is 10 s unless it is told otherwise.
pub(super) const SCRAPE_TIMEOUT: Duration = Duration::from_secs(60);

/// Pieces that wait for the client, besides what the connection holds.
const PIECES: usize = 2;

/// Why a scrape was refused, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// As many as are allowed are under way.
    #[error("{MAX_SCRAPES} scrapes are under way: try again")]
    TooMany,
    /// The client did not take the page in time.
    #[error("the client took longer than {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    /// The page could not be written.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The writing thread panicked, or ended with its runtime.
    #[error("the writing of the page broke off")]
    Broke,
}

impl ScrapeError {
    /// The word in the log.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::TooSlow(_) => "too_slow",
            Self::Page(PageError::Collector) => "collector",
            Self::Page(PageError::Gone) => "gone",
            Self::Page(PageError::Gzip(_)) => "gzip",
            Self::Broke => "broke",
        }
    }
}

/// What may be scraped, and how many do.
#[derive(Debug)]
pub struct Scrapes {
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    timeout: Duration,
}

impl Scrapes {
    /// Scrapes of these metrics.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self::within(metrics, SCRAPE_TIMEOUT)
    }

    pub(super) fn within(metrics: Metrics, timeout: Duration) -> Self {
        Self {
            metrics: Arc::new(metrics),
            places: Arc::new(Semaphore::new(MAX_SCRAPES)),
            timeout,
        }
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> &Semaphore {
        &self.places
    }

    /// Begins to write a page, and waits for its first piece.
    ///
    /// # Errors
    /// Where too many are under way, or the page fails at once.
    pub(super) async fn begin(
        &self,
        format: Format,
        coding: Coding,
    ) -> Result<Scrape, ScrapeError> {
        let place = Arc::clone(&self.places);
        let place = place
            .try_acquire_owned()
            .map_err(|_| ScrapeError::TooMany)?;
        let (send, mut pieces) = mpsc::channel(PIECES);
        let metrics = Arc::clone(&self.metrics);
        tokio::task::spawn_blocking(move || {
            let mut take = |piece: Vec<u8>| {
                let piece = Piece::Part(piece.into());
                send.blocking_send(piece).map_err(|_| Gone)
            };
            let last = match metrics.write(format, coding, &mut take) {
                Ok(()) => Piece::End,
                Err(why) => Piece::Failed(why),
            };
            // where nobody waits for it any more, nobody misses it
            drop(send.blocking_send(last));
        });
        let first = match pieces.recv().await {
            Some(Piece::Part(bytes)) => Some(bytes),
            Some(Piece::End) => None,
            Some(Piece::Failed(why)) => return Err(why.into()),
            None => return Err(ScrapeError::Broke),
        };
        Ok(Scrape {
            first,
            pieces,
            timeout: self.timeout,
            deadline: Box::pin(tokio::time::sleep(self.timeout)),
            _place: place,
        })
    }
}

/// What the writing thread hands over.
#[derive(Debug)]
enum Piece {
    Part(Bytes),
    /// The page is whole. Without it, it is not.
    End,
    Failed(PageError),
}

/// The page, as a body.
pub struct Scrape {
    first: Option<Bytes>,
    pieces: mpsc::Receiver<Piece>,
    timeout: Duration,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

impl Body for Scrape {
    type Data = Bytes;
    type Error = ScrapeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScrapeError>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return broken(ScrapeError::TooSlow(self.timeout));
        }
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Part(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(Piece::End) => Poll::Ready(None),
            Some(Piece::Failed(why)) => broken(why.into()),
            None => broken(ScrapeError::Broke),
        }
    }
}

/// The head has gone out: the client learns by the connection's end that the page is not whole.
fn broken<T>(why: ScrapeError) -> Poll<Option<Result<T, ScrapeError>>> {
    tracing::warn!(error = %why, class = why.label(), "a scrape broke off");
    Poll::Ready(Some(Err(why)))
}
