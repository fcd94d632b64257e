//! Hands on the workers: hosts whose key is known beforehand, and a closed set of commands.

mod access;
mod check;
mod command;
mod cordon;
mod disable;
mod error;
mod facts;
mod finding;
mod hands;
mod host_key;
mod known_hosts;
mod leash;
mod look;
mod proved;
mod service;
mod shell;
mod sysconfig;
mod user_data;
mod verb;

pub use access::{Access, SshKey};
pub use check::{Check, CheckOutcome, CheckReport, check};
pub use command::{Command, Output};
pub use cordon::{DrainOutcome, DrainReport, InstanceLine, cordon, drain};
pub use disable::disable_pattern;
pub use error::{InvalidKey, SshError};
pub use facts::{Disk, Expected, Facts};
pub use finding::{Fact, Finding, Verdict};
pub use hands::hands;
pub use host_key::{DerivedHostKey, HostKeys, Pin, Pinned};
pub use known_hosts::{Unpinned, known_pin};
pub use look::{ExpectedService, look};
pub use service::{Process, Service};
pub use shell::RemoteShell;
pub use sysconfig::{Difference, InvalidSettings, WorkerSettings};
pub use user_data::{MAX_USER_DATA_BYTES, UserDataError, render as user_data};
