//! A softmax that does not overflow, solved.

use ndarray::{Array2, ArrayView2};

/// The softmax of each row of `scores: [rows, n]`. Returns `[rows, n]`.
pub fn softmax(scores: ArrayView2<f64>) -> Array2<f64> {
    let mut weights = scores.to_owned();
    for mut row in weights.rows_mut() {
        let max = row.fold(f64::NEG_INFINITY, |max, &s| max.max(s));
        if max == f64::NEG_INFINITY {
            row.fill(0.0);
            continue;
        }
        row.mapv_inplace(|s| (s - max).exp());
        let sum = row.sum();
        row /= sum;
    }
    weights
}
