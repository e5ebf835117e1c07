//! # Many heads side by side
//!
//! One head looks at one thing at a time. So the width D is cut into H heads of d = D / H dimensions, each attends by
//! itself, what they gather is put side by side, and a last map W_o mixes it.
//!
//! Baichuan 2 stores the three maps of all heads as one matrix, W_pack: its rows are first all queries, then all
//! keys, then all values, and in each third head after head:
//!
//! ```text
//! x W_packᵀ = [ q of head 0 │ q of head 1 │ … │ k of head 0 │ … │ v of head 0 │ … ]     3 · H · d columns
//! Y         = [ head 0 │ head 1 │ … ]                                                  H · d columns
//! result    = Y W_oᵀ
//! ```
//!
//! The single head is handed to you (you wrote it in `attention`); it knows its mask. It also asks which head it is,
//! because a head may treat positions in a way of its own.

use ndarray::{Array2, ArrayView2};

/// One head: its number, `q: [tokens, d]`, `k: [tokens, d]` and `v: [tokens, d]`. Returns `[tokens, d]`.
pub type Attention<'a> =
    dyn Fn(usize, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>) -> Array2<f64> + 'a;

/// Multi-head attention of `x: [tokens, D]`; `w_pack: [3 · D, D]`, `w_o: [D, D]`. Returns `[tokens, D]`.
pub fn multi_head(
    x: ArrayView2<f64>,
    w_pack: ArrayView2<f64>,
    w_o: ArrayView2<f64>,
    heads: usize,
    attention: &Attention,
) -> Array2<f64> {
    todo!("multi_head")
}
