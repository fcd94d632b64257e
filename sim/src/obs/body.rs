//! Bodies that come slowly, or not whole.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior};

/// The connection ends in the middle of the document: hyper does so on a body's error.
#[derive(Debug)]
pub(super) struct CutOff;

impl std::fmt::Display for CutOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut off on purpose")
    }
}

impl std::error::Error for CutOff {}

/// By then a part has left.
const LEAVE: Duration = Duration::from_millis(100);

/// A document on its way.
#[derive(Debug)]
pub(super) struct Paced {
    pieces: VecDeque<Bytes>,
    promised: u64,
    pace: Option<Interval>,
    cut_off: bool,
}

impl Paced {
    pub(super) fn whole(document: Bytes) -> Self {
        Self {
            promised: length(&document),
            pieces: pieces(&document, document.len()),
            pace: None,
            cut_off: false,
        }
    }

    /// So much of it, then the end of the connection, though the whole was promised.
    pub(super) fn cut_off(document: Bytes, at: usize) -> Self {
        let part = document.slice(..at.min(document.len()));
        Self {
            promised: length(&document),
            cut_off: true,
            // hyper drops what it has not written yet when a body fails: the part has to leave first
            pace: Some(tokio::time::interval(LEAVE)),
            ..Self::whole(part)
        }
    }

    /// In `count` pieces, one each `every`.
    pub(super) fn slowly(document: Bytes, count: usize, every: Duration) -> Self {
        let mut pace = tokio::time::interval(every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let size = document.len().div_ceil(count.max(1));
        Self {
            pieces: pieces(&document, size),
            pace: Some(pace),
            ..Self::whole(document)
        }
    }
}

fn length(document: &Bytes) -> u64 {
    u64::try_from(document.len()).unwrap_or(u64::MAX)
}

fn pieces(document: &Bytes, size: usize) -> VecDeque<Bytes> {
    let mut rest = document.clone();
    let mut pieces = VecDeque::new();
    while !rest.is_empty() {
        pieces.push_back(rest.split_to(size.clamp(1, rest.len())));
    }
    pieces
}

impl Body for Paced {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if let Some(pace) = &mut self.pace
            && pace.poll_tick(context).is_pending()
        {
            return Poll::Pending;
        }
        Poll::Ready(match self.pieces.pop_front() {
            Some(piece) => {
                self.promised -= length(&piece).min(self.promised);
                Some(Ok(Frame::data(piece)))
            }
            None => self.cut_off.then_some(Err(CutOff)),
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
