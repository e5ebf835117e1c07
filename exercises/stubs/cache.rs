//! # A cache of keys and values
//!
//! A model writes one token at a time. The keys and values of earlier tokens do not change any more (no token sees a
//! later one), so they are kept, and a new token makes its own and looks at all.
//!
//! Whatever the pieces in which a text arrives (a prompt of seven tokens at once, then one by one), what comes out
//! must be what one pass over the whole text gives.
//!
//! One head, as in `attention`; it is handed to you, but the mask is yours to make (`causal_mask`).

use ndarray::{Array2, ArrayView2};

/// One head: `q: [queries, d]`, `k: [keys, d]`, `v: [keys, d_v]` and a mask `[queries, keys]`, true where a query may
/// look. Returns `[queries, d_v]`.
pub type Attention<'a> =
    dyn Fn(ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<bool>) -> Array2<f64> + 'a;

/// What earlier tokens left.
pub struct Cache {
    /// `[tokens, d]`
    pub keys: Array2<f64>,
    /// `[tokens, d_v]`
    pub values: Array2<f64>,
}

impl Cache {
    /// A cache that holds no token yet, for keys of `d` dimensions and values of `d_v`.
    pub fn new(d: usize, d_v: usize) -> Self {
        todo!("Cache::new")
    }

    /// New tokens arrive: `q, k: [new, d]`, `v: [new, d_v]`. Keeps their keys and values, and returns what they
    /// gather from all tokens before them and from themselves, `[new, d_v]`.
    pub fn step(
        &mut self,
        q: ArrayView2<f64>,
        k: ArrayView2<f64>,
        v: ArrayView2<f64>,
        attention: &Attention,
    ) -> Array2<f64> {
        todo!("Cache::step")
    }

    /// Forgets all but the first `tokens`: to go on from an earlier point of the text. Does nothing where it holds
    /// fewer.
    pub fn truncate(&mut self, tokens: usize) {
        todo!("Cache::truncate")
    }
}
