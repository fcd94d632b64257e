//! The HTTP server: Alertmanager's webhook, `/metrics`, health, and the JSON answers.

mod alerts;
mod maintenance;
mod people;
mod routes;
mod scrape;
mod server;
mod stall;
mod token;

pub use alerts::{AT_ONCE, Doorbell, Refused, Taken};
pub use people::{Answered, Checked, Noted, People, Refitted};
pub use routes::{Answers, App};
pub use scrape::{Scrape, ScrapeError, Scrapes};
pub use server::serve;
pub use token::Tokens;

#[cfg(test)]
mod tests;
