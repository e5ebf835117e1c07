//! RMSNorm, and where its γ can hide, solved.

use ndarray::{Array2, ArrayView1, ArrayView2};

/// Normalizes each row of `x: [tokens, d]`; `gamma: [d]`, `eps` is ε. Returns `[tokens, d]`.
pub fn rms_norm(x: ArrayView2<f64>, gamma: ArrayView1<f64>, eps: f64) -> Array2<f64> {
    let mut y = x.to_owned();
    for mut token in y.rows_mut() {
        let mean_square = token.dot(&token) / token.len() as f64;
        let rms = (mean_square + eps).sqrt();
        token /= rms;
        token *= &gamma;
    }
    y
}

/// W′ for a map `w: [out, d]` that follows a norm with `gamma: [d]`. Returns `[out, d]`.
pub fn fold_gamma(w: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64> {
    // (x ⊙ γ) Wᵀ sums x_i γ_i W_oi over i: γ belongs to the columns.
    &w * &gamma
}
