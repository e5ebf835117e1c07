//! How the model is trained.

mod adamw;
pub mod backward;
pub mod corpus;
#[cfg(feature = "files")]
pub mod export;
pub mod loss;
mod parameters;
mod recipe;
pub mod skills;
mod trainer;

pub use adamw::{AdamW, Moments, Schedule, clip};
pub use backward::Batch;
pub use parameters::{LayerParameters, Parameters};
pub use recipe::{PositionName, Recipe, RecipeError};
pub use trainer::{Step, Trainer, TrainerError, evaluate};
