//! How the model is trained.

pub mod loss;
