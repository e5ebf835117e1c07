//! How the model is trained.

mod adamw;
pub mod backward;
pub mod loss;
mod parameters;

pub use adamw::{AdamW, Moments, Schedule, clip};
pub use backward::Batch;
pub use parameters::{LayerParameters, Parameters};
