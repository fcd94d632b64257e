//! The cloud: Huawei Cloud ECS over HTTP. Signed calls, whole answers, jobs, classes of errors.
//!
//! Nothing is tried again in here, except a read whose connection broke: the reconciler's tick is
//! the retry loop, and [`EcsError::retry`] says what it may do.

mod brake;
mod client;
mod error;
mod jobs;
mod list;
mod request;
pub mod sign;
mod transport;
mod types;

pub use brake::BrakedList;
pub use client::{Created, EcsClient};
pub use error::{EcsError, Refusal};
pub use jobs::{Failure, JobState, JobStatus, SubJob};
pub use request::CreateRequest;
pub use transport::{Call, Observer};
pub use types::{TAG_ORDER, TAG_OWNER, TAG_POOL, TAG_PROTECTED};

#[cfg(test)]
mod tests;
