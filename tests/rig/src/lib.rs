//! Starts the real parts around obs-scaler (OBS, Prometheus, Alertmanager, sshd on worker machines),
//! with a simulated cloud, and watches them from outside. The demo and the end-to-end tests share it.

mod backend;
mod farm;
mod files;
mod machine;
mod process;
mod prometheus;
pub mod simulated;
mod story;
mod trace;
mod watch;
mod yard;

pub use backend::Backend;
pub use farm::{Farm, Options, clean_up};
pub use prometheus::Prometheus;
pub use story::{Load, judge, run};
pub use trace::Trace;
pub use watch::{History, Ledger, Obs, Story};
pub use yard::{Machine, Yard};

/// Build instances of each worker in the rig's configuration.
pub const INSTANCES: usize = 2;
