//! # ALiBi: a slope for each head
//!
//! The 13B has no rotation. Instead a score loses a little for every token of distance, m_h · (j − i) for a query at
//! position i and a key at position j ≤ i, and each head has a slope m_h of its own: steep heads look near, flat ones
//! far.
//!
//! With H heads, H a power of two, the slopes are a geometric series that ends at 2^(−8):
//!
//! ```text
//! m_h = 2^(−8h/H),   h = 1 … H
//! ```
//!
//! The 13B has 40 heads, which is no power of two. The rule then: the slopes of the largest power of two below (32),
//! and after them, for the heads that are left (8), **every other** slope of the next power of two (64), beginning
//! with its first.

use ndarray::Array2;

/// The slope of each of `heads` heads, at least one.
pub fn slopes(heads: usize) -> Vec<f64> {
    todo!("slopes")
}

/// The bias m · (j − i) of `queries` new tokens after `first` cached ones, over `keys` keys counted from the
/// beginning of the text. What a query may not see is no concern here: a mask hides it. Returns `[queries, keys]`.
pub fn bias(slope: f64, first: usize, queries: usize, keys: usize) -> Array2<f64> {
    todo!("bias")
}
