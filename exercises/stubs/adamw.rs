//! # AdamW, to PyTorch's last digits
//!
//! A step against the gradient g, for one matrix θ. Two running means remember what came before: m of the gradients, v of their squares.
//! At step t, counted from 1, with the learning rate η:
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g        m̂ = m / (1 − β₁ᵗ)
//! v ← β₂ v + (1 − β₂) g²       v̂ = v / (1 − β₂ᵗ)
//! θ ← θ − η λ θ − η m̂ / (√v̂ + ε)
//! ```
//!
//! Everything is element by element. Both means begin at zero; the hats take out what that start does to them. θ on the right is the θ
//! from before the step, in both places.
//!
//! Before the step the gradient is clipped: if all gradients of the model *together*, as one long vector, are longer than the limit, all
//! are scaled by one factor so that the length becomes the limit. A shorter gradient stays exactly as it is. (In Baichuan 2 the limit is
//! 0.5, β₁ 0.9, β₂ 0.95 and λ 0.1.)

use ndarray::{Array2, ArrayView2};

/// What does not change from step to step.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub eps: f64,
    /// λ.
    pub weight_decay: f64,
}

/// What one matrix remembers from step to step. It begins with zeros.
#[derive(Clone, Debug)]
pub struct Moments {
    /// m.
    pub mean: Array2<f64>,
    /// v.
    pub square: Array2<f64>,
    /// t: steps that were taken.
    pub steps: u64,
}

/// Takes one step of `theta` against `gradient`, both of one shape, at the learning rate `rate`.
pub fn step(
    optimizer: &AdamW,
    theta: &mut Array2<f64>,
    gradient: ArrayView2<f64>,
    moments: &mut Moments,
    rate: f64,
) {
    todo!("step")
}

/// Scales `gradients`, all of a model's, down to a length of at most `most` together. Returns the length they had.
pub fn clip(gradients: &mut [Array2<f64>], most: f64) -> f64 {
    todo!("clip")
}
