//! An answer's body, parsed while it arrives: what stays in memory is what the parser keeps of it.

use super::error::Malformed;
use hyper::body::Bytes;
use reqwest::Response;
use std::io::{self, BufRead, Read};
use tokio::sync::mpsc;

/// How many chunks may wait for the parser; a chunk has some 100 KiB at most.
const AHEAD: usize = 8;

/// How much of a body's beginning is kept, in bytes: OBS' refusals are shorter.
const BEGINNING: usize = 64 << 10;

/// What counts as a short document, in bytes.
const SHORT: usize = 4 << 20;

/// What came of a body.
pub(super) struct Taken<T> {
    /// What the parser made of it.
    pub(super) parsed: Result<T, Malformed>,
    /// Its beginning, which is all of it where it is short.
    pub(super) beginning: Vec<u8>,
}

/// Why a body did not arrive whole.
pub(super) enum Broken {
    /// The connection broke, or the time was over.
    Connection(reqwest::Error),
    /// It has more than the most that is taken.
    TooLarge,
}

/// Parses a body of at most `most` bytes, on a thread of its own, while it arrives.
pub(super) async fn parse<T: Send + 'static>(
    mut response: Response,
    most: usize,
    parse: impl FnOnce(Body) -> Result<T, Malformed> + Send + 'static,
) -> Result<Taken<T>, Broken> {
    let (feed, chunks) = mpsc::channel(AHEAD);
    let parsing = tokio::task::spawn_blocking(move || parse(Body::new(chunks)));
    let mut beginning = Vec::new();
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.map_err(Broken::Connection)? {
        size += chunk.len();
        if size > most {
            return Err(Broken::TooLarge);
        }
        let missing = BEGINNING.saturating_sub(beginning.len()).min(chunk.len());
        beginning.extend_from_slice(chunk.get(..missing).unwrap_or_default());
        let given_up = feed.send(Piece::Chunk(chunk)).await.is_err();
        if given_up && beginning.len() >= BEGINNING {
            break;
        }
    }
    // Where nobody listens any more, the parser has found out before that it cannot go on.
    let _ = feed.send(Piece::End).await;
    let parsed = parsing.await;
    let parsed = parsed.unwrap_or_else(|e| Err(Malformed(format!("it was not read: {e}"))));
    Ok(Taken { parsed, beginning })
}

/// The beginning of a body.
pub(super) async fn beginning(mut response: Response) -> Result<Vec<u8>, Broken> {
    let mut beginning = Vec::new();
    while beginning.len() < BEGINNING
        && let Some(chunk) = response.chunk().await.map_err(Broken::Connection)?
    {
        beginning.extend_from_slice(&chunk);
    }
    Ok(beginning)
}

enum Piece {
    Chunk(Bytes),
    /// Only a body that arrived whole has one: without it, reading ends in an error.
    End,
}

/// The reading end. What is no UTF-8 in the body is read as U+FFFD: one odd byte in the words of a
/// build must not hide a backend.
pub(super) struct Body {
    chunks: mpsc::Receiver<Piece>,
    ready: Bytes,
    /// How much of it is read: to split it for each tag would cost more than to read the tag.
    read: usize,
    /// The first bytes of a character that the next chunk has the rest of.
    begun: Vec<u8>,
    ended: bool,
}

impl Body {
    const fn new(chunks: mpsc::Receiver<Piece>) -> Self {
        Self {
            chunks,
            ready: Bytes::new(),
            read: 0,
            begun: Vec::new(),
            ended: false,
        }
    }

    /// All of a body that is short, such as a single job.
    pub(super) fn short(self) -> Result<String, Malformed> {
        let mut text = String::new();
        let most = SHORT as u64 + 1;
        let read = self.take(most).read_to_string(&mut text);
        match read {
            Err(error) => Err(Malformed(error.to_string())),
            Ok(size) if size > SHORT => Err(Malformed(format!("it has more than {SHORT} bytes"))),
            Ok(_) => Ok(text),
        }
    }

    fn next(&mut self) -> io::Result<()> {
        self.read = 0;
        match self.chunks.blocking_recv() {
            Some(Piece::Chunk(chunk)) => self.ready = self.mend(chunk),
            Some(Piece::End) => {
                self.ended = true;
                let rest = std::mem::take(&mut self.begun);
                self.ready = String::from_utf8_lossy(&rest).into_owned().into();
            }
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    /// A chunk as UTF-8 and without a begun character at its end, which waits for the next chunk.
    fn mend(&mut self, chunk: Bytes) -> Bytes {
        let mut chunk = chunk;
        if !self.begun.is_empty() {
            self.begun.extend_from_slice(&chunk);
            chunk = std::mem::take(&mut self.begun).into();
        }
        if std::str::from_utf8(&chunk).is_ok() {
            return chunk;
        }
        let mut mended = Vec::with_capacity(chunk.len());
        let mut parts = chunk.utf8_chunks().peekable();
        while let Some(part) = parts.next() {
            mended.extend_from_slice(part.valid().as_bytes());
            let invalid = part.invalid();
            let may_go_on = |e: std::str::Utf8Error| e.error_len().is_none();
            if parts.peek().is_none() && std::str::from_utf8(invalid).is_err_and(may_go_on) {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                mended.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        mended.into()
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.read >= self.ready.len() && !self.ended {
            self.next()?;
        }
        Ok(self.ready.get(self.read..).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.read += bytes;
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a body that arrives in these chunks, and then ends or breaks.
    fn read(chunks: &[&[u8]], ends: bool) -> io::Result<String> {
        let (feed, body) = mpsc::channel(chunks.len() + 1);
        for chunk in chunks {
            let piece = Piece::Chunk(Bytes::copy_from_slice(chunk));
            assert!(feed.try_send(piece).is_ok());
        }
        if ends {
            assert!(feed.try_send(Piece::End).is_ok());
        }
        drop(feed);
        let mut text = String::new();
        Body::new(body).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn a_body_that_breaks_is_an_error_even_where_the_document_could_end() {
        assert_eq!(read(&[b"<a>", b"</a>"], true).unwrap(), "<a></a>");
        let broken = read(&[b"<a>", b"</a>"], false).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_utf8_is_replaced_and_a_character_may_be_cut_in_two() {
        let whole = "aé€😀z".as_bytes();
        for at in 0..=whole.len() {
            let (one, two) = whole.split_at(at);
            assert_eq!(read(&[one, two], true).unwrap(), "aé€😀z", "cut at {at}");
        }
        assert_eq!(
            read(&[b"a\xffb\xe2", b"\x82c\xf0"], true).unwrap(),
            "a\u{fffd}b\u{fffd}c\u{fffd}"
        );
    }
}
