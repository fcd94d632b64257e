//! The catalogue of metrics: what each family is called, means, rests on, and when it is not there.
//!
//! A family can not be written without being declared here: the writers take a [`Declared`] and no
//! name. `docs/metrics.md` is this catalogue as a page, and a test compares the two.
//!
//! To add a family, declare it in the file of its subject (or in a new one, listed in [`declared`]),
//! give it a series in the tests' farm, and write the page anew: `UPDATE_DOCS=1 cargo test docs_metrics`.

/// The families of what the cloud refused.
pub(super) mod cloud;
/// The families of the workers' resource use.
pub(super) mod hosts;
/// The families of what this program did.
pub(super) mod own;
/// The families of the pools: their configuration, jobs and workers.
pub(super) mod pools;
/// The families of the sources themselves.
pub(super) mod sources;
/// The families of single workers.
pub(super) mod workers;

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Always 1: its labels are what it tells. On the wire of the older text format a gauge.
    Info,
    /// Only grows, and begins at 0 with the process or with what it counts.
    Counter,
    /// Counts of observations by size.
    Histogram,
}

/// A family of metrics, as it is promised.
#[derive(Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name as it is scraped, with the `_total` of a counter and the `_info` of an info.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// The labels among them that some of its series do not have.
    pub may_lack: &'static [&'static str],
    /// What it means, without a final stop.
    pub help: &'static str,
    /// What it rests on: a route of OBS, a call to the cloud, the configuration, or this program.
    pub source: &'static str,
    /// When it is not there.
    pub absent: &'static str,
}

impl Declared {
    /// The name that the library is given: it adds the suffix of the type itself.
    pub(super) fn stem(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }
}

impl Kind {
    /// The word in the documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Info => "info",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// Every declared family, in the order of the documentation.
pub fn declared() -> impl Iterator<Item = &'static Declared> {
    let files = [
        sources::ALL,
        pools::ALL,
        workers::ALL,
        hosts::ALL,
        cloud::ALL,
        own::ALL,
    ];
    files.into_iter().flatten().copied()
}

/// Declares families: `NAME: Kind "name" ["label", …] may_lack ["label", …] { help: …, … }`, in which
/// `may_lack` may be left out. `ALL` is all of them.
macro_rules! families {
    ($(
        $family:ident: $kind:ident $name:literal [$($label:literal),*] $(may_lack [$($lack:literal),+])? {
            help: $help:expr,
            source: $source:expr,
            absent: $absent:expr,
        }
    )+) => {
        $(
            #[doc = $help]
            pub(in crate::metrics) static $family: $crate::metrics::catalogue::Declared =
                $crate::metrics::catalogue::Declared {
                    name: $name,
                    kind: $crate::metrics::catalogue::Kind::$kind,
                    labels: &[$($label),*],
                    may_lack: &[$($($lack),+)?],
                    help: $help,
                    source: $source,
                    absent: $absent,
                };
        )+

        /// All of them.
        pub(super) static ALL: &[&$crate::metrics::catalogue::Declared] = &[$(&$family),+];
    };
}

use families;
