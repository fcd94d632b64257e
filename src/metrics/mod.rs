//! What is shown to Prometheus: what this program did (`own`), and what it sees (`fleet`).

mod builds;
mod facts;
mod fleet;
mod own;
mod text;
mod words;

pub use builds::WorkerBuilds;
pub use facts::facts;
pub use fleet::{Configured, FleetCollector, FleetState, PoolFacts, Source};
pub use own::Own;
pub use text::{Format, render};
pub use words::{AlertKind, Direction, OrderEnd, Poller, ReleaseEnd, Span, WebhookOutcome};

#[cfg(test)]
mod tests;
