//! The resource use of the workers: read from node_exporter, over ssh from `/proc`, or from Prometheus.
//!
//! Parsing is pure; only [`Reader`] asks anybody. A worker that cannot be read delays no other: each
//! has its own time limit, and as many are asked at once as it takes to be through before the next poll.

mod discovery;
mod error;
mod exposition;
mod http;
mod proc;
mod prometheus;
mod reader;
mod tally;
#[cfg(test)]
pub(crate) mod testing;

pub use discovery::discover;
pub use error::HostError;
pub use reader::{Reader, Reading, Readings, Target};
