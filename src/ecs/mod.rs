//! The cloud: Huawei Cloud ECS over HTTP. Signed calls, whole answers, jobs, classes of errors.
//!
//! Nothing is tried again in here, except a read whose connection broke or whose token has ended: the
//! reconciler's tick is the retry loop, and [`EcsError::retry`] says what it may do.

mod ask;
mod billing;
mod brake;
mod budget;
mod client;
mod credentials;
mod dead_man;
mod error;
mod find;
mod flavors;
mod http;
mod inspect;
mod jobs;
mod leftovers;
mod limits;
mod list;
mod permission;
mod request;
mod rights;
mod seam;
mod services;
pub mod sign;
mod tags;
mod transport;
mod types;

pub use client::EcsClient;
pub use error::{EcsError, Refusal};
pub use inspect::{Image, KeyPair, Network};
pub use permission::action;
pub use rights::Right;
pub use transport::{Call, Observer};

#[cfg(test)]
mod tests;
