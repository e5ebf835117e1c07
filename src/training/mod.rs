//! How the model is trained.

pub mod backward;
pub mod loss;
mod parameters;

pub use backward::Batch;
pub use parameters::{LayerParameters, Parameters};
