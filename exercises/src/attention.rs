//! # One head of attention
//!
//! Each query is compared with every key, and gathers the values of the keys that fit:
//!
//! ```text
//! S = Q Kᵀ / √d          hidden where the mask is false
//! A = softmax(S), each row
//! V~ = A V
//! ```
//!
//! Why √d? If the numbers of a query and a key are independent and of variance 1, their product has variance d:
//! without the root, wide heads would look at a single token each.
//!
//! Scores may be large (`softmax`), and a query may see nothing at all: it gathers zeros.

use ndarray::{Array2, ArrayView2};

/// Attention of `q: [queries, d]` to `k: [keys, d]` and `v: [keys, d_v]`; `mask: [queries, keys]` is true where a
/// query may look. Returns `[queries, d_v]`.
pub fn attention(
    q: ArrayView2<f64>,
    k: ArrayView2<f64>,
    v: ArrayView2<f64>,
    mask: ArrayView2<bool>,
) -> Array2<f64> {
    todo!("attention")
}
