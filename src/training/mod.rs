//! How the model is trained.

pub mod corpus;
pub mod loss;
pub mod skills;
