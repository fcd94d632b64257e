//! A simulated Open Build Service over HTTP: the routes of source server, repository server and frontend
//! that obs-scaler reads, over a farm of any size that lives. Its documents have the shape of a real
//! server's, attribute for attribute; a test compares them with captures.
//!
//! [`world`](self) is the farm as a value, a function of state and moment; `documents` writes it as OBS
//! does, `routes` finds what is asked for, `control` is for tests and demos, `server` lets requests in.

mod control;
mod documents;
mod faults;
mod jobs;
mod results;
mod routes;
mod server;
mod shared_workers;
mod world;

pub use server::{Options, Simulator};
pub use shared_workers::SharedWorkers;
pub use world::Size;
