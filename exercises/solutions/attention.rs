//! One head of attention, solved.

use ndarray::{Array2, ArrayView2, Zip};

/// Attention of `q: [queries, d]` to `k: [keys, d]` and `v: [keys, d_v]`; `mask: [queries, keys]` is true where a
/// query may look. Returns `[queries, d_v]`.
pub fn attention(
    q: ArrayView2<f64>,
    k: ArrayView2<f64>,
    v: ArrayView2<f64>,
    mask: ArrayView2<bool>,
) -> Array2<f64> {
    let mut scores = q.dot(&k.t()) / (q.ncols() as f64).sqrt();
    Zip::from(&mut scores).and(mask).for_each(|score, &seen| {
        if !seen {
            *score = f64::NEG_INFINITY;
        }
    });
    softmax(scores).dot(&v)
}

/// Of each row.
fn softmax(mut scores: Array2<f64>) -> Array2<f64> {
    for mut row in scores.rows_mut() {
        let max = row.fold(f64::NEG_INFINITY, |max, &s| max.max(s));
        if max == f64::NEG_INFINITY {
            row.fill(0.0);
            continue;
        }
        row.mapv_inplace(|s| (s - max).exp());
        let sum = row.sum();
        row /= sum;
    }
    scores
}
