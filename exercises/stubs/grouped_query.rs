//! # Heads that share keys
//!
//! While a model writes, its keys and values fill the memory: two numbers for each layer, head, dimension and token.
//! Grouped-query attention has fewer heads of keys and values (N) than of queries (H): each of the N serves a group
//! of H / N query heads that stand next to each other.
//!
//! Start from your `multi_head`. W_pack becomes three maps, for the keys and values are narrower now:
//!
//! ```text
//! w_q: [H · d, D]      w_k, w_v: [N · d, D]      w_o: [D, H · d]
//! ```
//!
//! d need not be D / H. Both sizes of Baichuan 2 have N = H; the Llama family, which the same decoder loads, has not.
//!
//! How does a model that was trained with H heads of keys get N of them? The authors (Ainslie et al. 2023) take the
//! mean of the maps of each group, and train a little more.

use ndarray::{Array2, ArrayView2};

/// One query head: its number, `q: [tokens, d]`, `k: [tokens, d]` and `v: [tokens, d]`. Returns `[tokens, d]`.
pub type Attention<'a> =
    dyn Fn(usize, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>) -> Array2<f64> + 'a;

/// The maps of a layer, and how their rows are cut.
pub struct Maps<'a> {
    /// `[H · d, D]`
    pub w_q: ArrayView2<'a, f64>,
    /// `[N · d, D]`
    pub w_k: ArrayView2<'a, f64>,
    /// `[N · d, D]`
    pub w_v: ArrayView2<'a, f64>,
    /// `[D, H · d]`
    pub w_o: ArrayView2<'a, f64>,
    /// H, a multiple of N.
    pub heads: usize,
    /// N
    pub kv_heads: usize,
}

/// Grouped-query attention of `x: [tokens, D]`. Returns `[tokens, D]`.
pub fn grouped_query(x: ArrayView2<f64>, maps: &Maps, attention: &Attention) -> Array2<f64> {
    todo!("grouped_query")
}

/// A map of the keys (or values) of `heads` heads, `w: [heads · d, D]`, as one of `kv_heads`, each the mean of its
/// group. Returns `[kv_heads · d, D]`.
pub fn share(w: ArrayView2<f64>, heads: usize, kv_heads: usize) -> Array2<f64> {
    todo!("share")
}
