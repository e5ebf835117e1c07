//! NormHead, and a program that does not know it, solved.

use ndarray::{Array2, ArrayView1, ArrayView2};

/// The logits after each token. `x: [tokens, d]`, `w: [vocabulary, d]`. Returns `[tokens, vocabulary]`.
pub fn norm_head(x: ArrayView2<f64>, w: ArrayView2<f64>) -> Array2<f64> {
    x.dot(&normalized(w).t())
}

/// W′ for a head with `w: [vocabulary, d]` after a norm with `gamma: [d]`: x̂ · W′ᵀ = `norm_head(x̂ ⊙ γ, w)`. Returns `[vocabulary, d]`.
pub fn export(w: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64> {
    // The length is that of the row without γ.
    normalized(w) * gamma
}

fn normalized(w: ArrayView2<f64>) -> Array2<f64> {
    let mut w = w.to_owned();
    for mut row in w.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length.max(1e-12);
    }
    w
}
