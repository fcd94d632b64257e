//! The page of `GET /metrics`, written piece by piece: whatever the number of series, no more of it is
//! in memory than a few pieces, and what this program counts itself.

use super::FleetCollector;
use super::text::{Coding, Format, OlderText};
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use std::fmt;
use std::io::{self, Write as _};

/// The size of a piece, in bytes. The last is smaller, and one may be larger by what was written to it
/// last.
pub const PIECE: usize = 32 << 10;

/// Every metric there is.
#[derive(Debug)]
pub struct Metrics {
    own: Registry,
    farm: Registry,
}

/// Why a page was not written whole.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A collector failed to write.
    #[error("a collector failed")]
    Collector,
    /// Nobody takes the pieces any more.
    #[error("the client went away")]
    Gone,
    /// The compression failed.
    #[error("gzip: {0}")]
    Gzip(#[from] io::Error),
}

/// Nobody takes the pieces any more.
#[derive(Debug)]
pub struct Gone;

impl Metrics {
    /// What is counted in `own`, and what `farm` sees.
    #[must_use]
    pub fn new(own: Registry, farm: FleetCollector) -> Self {
        let mut seen = Registry::default();
        seen.register_collector(Box::new(farm));
        Self { own, farm: seen }
    }

    /// Writes every metric, in pieces that `take` takes one after the other; it may block.
    ///
    /// # Errors
    /// Where a collector fails, or `take` does. What was taken until then is not a whole page.
    pub fn write(
        &self,
        format: Format,
        coding: Coding,
        take: &mut dyn FnMut(Vec<u8>) -> Result<(), Gone>,
    ) -> Result<(), PageError> {
        let mut page = Page::new(format, coding, take);
        let written = self.encode(&mut page);
        match (written, page.failed.take()) {
            (Ok(()), None) => page.finish(),
            (_, Some(why)) => Err(why),
            (Err(fmt::Error), None) => Err(PageError::Collector),
        }
    }

    /// The own metrics are locked while they are encoded, so they are not given to `page`, which may
    /// block, before that is over. There are no more of them than the configuration, and the workers of a
    /// day, make.
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut own = String::new();
        encode_registry(&mut own, &self.own)?;
        fmt::Write::write_str(page, &own)?;
        drop(own);
        encode_registry(page, &self.farm)?;
        encode_eof(page)
    }
}

/// Collects what is written into pieces, converts and packs them, and hands them on.
struct Page<'a> {
    text: String,
    older: Option<OlderText>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    take: &'a mut dyn FnMut(Vec<u8>) -> Result<(), Gone>,
    failed: Option<PageError>,
}

impl<'a> Page<'a> {
    fn new(
        format: Format,
        coding: Coding,
        take: &'a mut dyn FnMut(Vec<u8>) -> Result<(), Gone>,
    ) -> Self {
        Self {
            text: String::with_capacity(PIECE + PIECE / 8),
            older: (format == Format::Prometheus).then(OlderText::default),
            gzip: (coding == Coding::Gzip)
                .then(|| GzEncoder::new(Vec::with_capacity(PIECE), Compression::fast())),
            take,
            failed: None,
        }
    }

    /// Passes the text so far through the stages.
    fn pass_on(&mut self) -> Result<(), PageError> {
        let empty = String::with_capacity(PIECE + PIECE / 8);
        let text = match &mut self.older {
            Some(older) => older.rewrite(&mut self.text),
            None => std::mem::replace(&mut self.text, empty),
        };
        match &mut self.gzip {
            None => self.hand_over(text.into_bytes()),
            Some(gzip) => {
                gzip.write_all(text.as_bytes())?;
                if gzip.get_ref().len() < PIECE {
                    return Ok(());
                }
                let packed = std::mem::replace(gzip.get_mut(), Vec::with_capacity(PIECE));
                self.hand_over(packed)
            }
        }
    }

    fn hand_over(&mut self, piece: Vec<u8>) -> Result<(), PageError> {
        if piece.is_empty() {
            return Ok(());
        }
        (self.take)(piece).map_err(|Gone| PageError::Gone)
    }

    fn finish(mut self) -> Result<(), PageError> {
        self.pass_on()?;
        match self.gzip.take() {
            None => Ok(()),
            Some(gzip) => {
                let packed = gzip.finish()?;
                self.hand_over(packed)
            }
        }
    }
}

impl fmt::Write for Page<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        if self.text.len() < PIECE {
            return Ok(());
        }
        self.pass_on().map_err(|why| {
            self.failed = Some(why);
            fmt::Error
        })
    }
}
