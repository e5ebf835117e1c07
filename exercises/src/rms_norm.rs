//! # RMSNorm, and where its γ can hide
//!
//! Before each block every token is brought to one length: it is divided by the root of its mean square, and each
//! dimension then gets a scale γ of its own, which is learned.
//!
//! ```text
//! RMS(x) = √( Σ_i x_i² / d + ε )        y_i = x_i / RMS(x) · γ_i
//! ```
//!
//! No mean is subtracted, no offset added: that is all the difference from LayerNorm.
//!
//! The second question needs a pencil. What comes out of the norm goes into a linear map, y Wᵀ. So γ is one scale too
//! many: there is a matrix W′ for which the norm without γ (all ones) gives the same result, for every x. Which?

use ndarray::{Array2, ArrayView1, ArrayView2};

/// Normalizes each row of `x: [tokens, d]`; `gamma: [d]`, `eps` is ε. Returns `[tokens, d]`.
pub fn rms_norm(x: ArrayView2<f64>, gamma: ArrayView1<f64>, eps: f64) -> Array2<f64> {
    todo!("rms_norm")
}

/// W′ for a map `w: [out, d]` that follows a norm with `gamma: [d]`. Returns `[out, d]`.
pub fn fold_gamma(w: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64> {
    todo!("fold_gamma")
}
