//! How the model is trained, as the report trains it (Baichuan 2, arXiv 2309.10305, section 2.5), at a size for a laptop.
//!
//! One step takes the parameters $\theta$ against the gradient of the loss on a batch, at the learning rate $\eta_t$:
//!
//! $$ g = \nabla_\theta L, \qquad \theta \leftarrow \mathrm{AdamW}\left(\theta, g \cdot \min\left(1, \tfrac{0.5}{\lVert g \rVert}\right), \eta_t\right) $$
//!
//! | | |
//! |---|---|
//! | what is learned from | [`corpus`], or any text |
//! | the loss $L$: cross-entropy and max-z | [`loss`] |
//! | its gradient, by hand, through every algorithm | [`backward`] |
//! | clipping, AdamW, the learning rate | [`clip`], [`AdamW`], [`Schedule`] |
//! | the loop, resumable to the bit | [`Trainer`], of a [`Recipe`] |
//! | what a trained model learns from conversations | [`finetune`] |
//! | the folder that other engines take | `export` |
//! | what was learned, skill by skill | [`skills`] |
//! | the loss on held-out text, beside what the text itself costs | [`held_out`] |

mod adamw;
pub mod backward;
pub mod corpus;
#[cfg(feature = "files")]
pub mod export;
pub mod finetune;
pub mod held_out;
pub mod loss;
mod parameters;
mod recipe;
pub mod skills;
mod trainer;

pub use adamw::{AdamW, Moments, Schedule, clip};
pub use backward::Batch;
pub use parameters::{LayerParameters, Parameters};
pub use recipe::{PositionName, Recipe, RecipeError};
pub use trainer::{Step, Trainer, TrainerError, evaluate, keep_freed_memory};
