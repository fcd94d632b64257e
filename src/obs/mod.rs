//! Open Build Service as this program reads it: one file per document, each read whole or not at all.

mod capabilities;
mod client;
mod constraints;
mod error;
mod feed;
mod ghost;
mod history;
mod job_history;
mod needs;
mod priorities;
mod project_config;
mod projects;
mod results;
#[cfg(test)]
pub(crate) mod testing;
mod worker_status;
mod xml;

pub use client::{ObsClient, http_client};
pub use error::{Fault, Malformed, ObsError};
pub use ghost::{Answered, Freed};
pub use history::{
    Bookmark, Build, HistoryStore, Learnt, PackageHistory, StoreError, TargetHistory, Terms,
};
pub use job_history::{BuildOutcome, Ended};
pub use priorities::{Priorities, Priority};
pub use results::Target;
