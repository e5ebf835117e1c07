//! # A softmax that never sees its whole row
//!
//! Attention over 16,384 tokens has maps of 268 million weights a head. They need not exist. Keys and values come
//! block by block, and a query remembers three things:
//!
//! * `max`, the largest score so far, −∞ in the beginning;
//! * `sum`, the sum of e^(s − max) over all scores so far;
//! * `weighted`, the sum of e^(s − max) · v likewise.
//!
//! In the end weighted / sum is what softmax(scores) · V would have been. But what was summed before was relative to
//! an *older* maximum. What must happen to it when a larger score comes?
//!
//! As in `softmax`: hidden scores are −∞, a whole block may be, and a query that saw nothing gathers zeros.

use ndarray::{Array1, ArrayView1, ArrayView2};

/// What one query knows after the keys it has met.
#[derive(Clone, Debug)]
pub struct Running {
    /// The largest score so far.
    pub max: f64,
    /// The sum of e^(s − max).
    pub sum: f64,
    /// The sum of e^(s − max) · v, `[d_v]`.
    pub weighted: Array1<f64>,
}

impl Running {
    /// Before any key, for values of `d_v` dimensions.
    pub fn new(d_v: usize) -> Self {
        todo!("Running::new")
    }

    /// Meets a block of keys: `scores: [block]`, `values: [block, d_v]`.
    pub fn meet(&mut self, scores: ArrayView1<f64>, values: ArrayView2<f64>) {
        todo!("Running::meet")
    }

    /// What the query gathers, `[d_v]`.
    pub fn output(&self) -> Array1<f64> {
        todo!("Running::output")
    }
}
