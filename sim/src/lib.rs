//! Stand-ins for the outside world of obs-scaler, for its tests, its demo and load runs. Nothing
//! of this is in the product.

mod clock;
pub mod ecs;
pub mod machine;
pub mod obs;
mod rng;

pub use clock::Clock;
