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
mod failing;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod machines;
#[cfg(test)]
mod money;
#[cfg(test)]
mod neighbours;
#[cfg(test)]
mod obs;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod trouble;
