//! The simulators over HTTP: each test is named after what it promises.

#[cfg(test)]
mod buying;
#[cfg(test)]
mod client;
#[cfg(test)]
mod command;
#[cfg(test)]
mod deleting;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod machines;
#[cfg(test)]
mod obs;
