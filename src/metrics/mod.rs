//! What is shown to Prometheus: what this program did (`own`), and what it sees (`fleet`).

mod builds;
mod catalogue;
mod facts;
mod fleet;
mod own;
mod page;
mod text;
mod words;

pub use builds::WorkerBuilds;
pub use catalogue::{Declared, Kind, declared};
pub use facts::facts;
pub use fleet::{Configured, FleetCollector, FleetState, PoolFacts, Source};
pub use own::Own;
pub use page::{Gone, Metrics, PIECE, PageError};
pub use text::{Coding, Format};
pub use words::{
    AlertKind, Direction, GhostEnd, Leftover, OrderEnd, Poller, ReleaseEnd, Span, WebhookOutcome,
};

#[cfg(test)]
mod tests;
