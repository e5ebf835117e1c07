//! # Positions that turn, two ways
//!
//! Before a query at position t meets any key, its dimensions are taken in pairs, each pair is a point of a plane,
//! and plane i is turned by the angle t · θ_i:
//!
//! ```text
//! (x, y)  →  (x cos φ − y sin φ,  x sin φ + y cos φ)          φ = t · θ_i,   θ_i = base^(−2i/d),   i = 0 … d/2 − 1
//! ```
//!
//! Keys are turned likewise, and the product of the two then knows their distance alone.
//!
//! Which dimensions are a pair? The paper (and the page) take **neighbours**, 2i and 2i + 1. The shipped code takes
//! **halves**, i and i + d/2. They give other vectors, but not another model: put the dimensions in another order
//! *before*, and the one becomes the other. Which order?

use ndarray::{Array1, ArrayView1};

/// Turns `x: [d]` at `position`, dimensions 2i and 2i + 1 being a pair. Returns `[d]`.
pub fn rotate_neighbours(x: ArrayView1<f64>, position: usize, base: f64) -> Array1<f64> {
    todo!("rotate_neighbours")
}

/// Turns `x: [d]` at `position`, dimensions i and i + d/2 being a pair. Returns `[d]`.
pub fn rotate_halves(x: ArrayView1<f64>, position: usize, base: f64) -> Array1<f64> {
    todo!("rotate_halves")
}

/// Where each dimension of the half form comes from: with h\[i\] = n\[permutation\[i\]\] for all i, turning h by
/// halves is turning n by neighbours, in this order.
pub fn permutation(d: usize) -> Vec<usize> {
    todo!("permutation")
}
