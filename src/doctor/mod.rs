//! `doctor`: looks at everything that the program needs, and says what is wrong and how to mend it.
//! It changes nothing. What an answer means is a pure function of it; [`examine`] asks.

mod clocks;
mod cloud;
mod finding;
mod here;
mod look;
mod refused;
#[cfg(test)]
mod tests;

pub use finding::{Finding, Verdict, count};
pub use look::examine;
