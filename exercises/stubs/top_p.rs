//! # Top-p, and a draw
//!
//! A model gives every token a probability, and even nonsense gets a little; there are a hundred thousand tokens, so that the little adds up. Top-p
//! cuts the tail off: it keeps the fewest of the likeliest tokens that together reach p, and divides what is left by its sum.
//!
//! ```text
//! 0.125  0.5  0.0625  0.25  0.0625      p = 0.75 keeps the two of 0.5 and 0.25:
//! 0      2/3  0       1/3   0
//! ```
//!
//! So a token stays if those that are likelier do not reach p by themselves. The likeliest always stays, even for p = 0. (Which of two equally likely
//! tokens stays, where only one does, is up to you.)
//!
//! Then one token is drawn. A generator of random numbers gives `u`, anything from 0 up to but not including 1. Lay the probabilities side by side,
//! in the order of ids: u falls into one of them. Two traps: a token of probability 0 must never be drawn, not for u = 0 either. And probabilities that
//! were rounded may sum to 0.9999, with a u above it; it is the last token that has a probability then.

use ndarray::{Array1, ArrayView1};

/// The distribution that is left of `probabilities: [vocabulary]`, each at its place. Returns `[vocabulary]`.
pub fn top_p(probabilities: ArrayView1<f64>, p: f64) -> Array1<f64> {
    todo!("top_p")
}

/// The id that `u` falls on.
pub fn draw(probabilities: ArrayView1<f64>, u: f64) -> usize {
    todo!("draw")
}
