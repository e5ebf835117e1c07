//! # A softmax that does not overflow
//!
//! Attention turns the scores of a query into weights: none is negative, and together they are one.
//!
//! ```text
//! softmax(s)_j = e^(s_j) / Σ_k e^(s_k)
//! ```
//!
//! As printed it breaks: e^710 is more than an f64 holds, and ∞ / ∞ is not a number. Find a form that gives the same
//! weights for every finite score. (What happens to the weights when the same number is added to all scores of a
//! row?)
//!
//! Attention hides what a query may not see by a score of −∞. So, two rules more:
//!
//! * a score of −∞ gets a weight of exactly 0;
//! * a row of nothing but −∞ gets zeros, for there is nothing to choose from.

use ndarray::{Array2, ArrayView2};

/// The softmax of each row of `scores: [rows, n]`. Returns `[rows, n]`.
pub fn softmax(scores: ArrayView2<f64>) -> Array2<f64> {
    todo!("softmax")
}
