//! The HTTP server: Alertmanager's webhook, `/metrics`, health, and the JSON answers.

mod alerts;
mod routes;
mod server;
mod token;

pub use alerts::{AT_ONCE, Doorbell, Refused, Taken};
pub use routes::{Answers, App};
pub use server::serve;
pub use token::Tokens;

#[cfg(test)]
mod tests;
