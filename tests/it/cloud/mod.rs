//! What becomes of the real program when the cloud goes wrong: everything of `serve` but its web server,
//! in this process, against the simulated cloud, its machines behind ssh, and a simulated OBS. All of
//! them keep one fast time (`Setup::times`), so that no limit of the program is another one here.

mod bills;
mod black_hole;
mod books;
mod canary;
mod exclusive;
mod farm;
mod gates;
mod judge;
mod mischief;
mod owners;
pub(crate) mod random;
mod refit;
mod rows;
mod scaler;
mod somebody;
mod table;
mod trial;
mod walk;
