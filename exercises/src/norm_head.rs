//! # NormHead, and a program that does not know it
//!
//! The last map turns what the model thinks into a score for each token, a *logit*: row i of W, times the hidden state. Baichuan 2 divides each row
//! by its length first, so that a token cannot be likely for having a long row:
//!
//! ```text
//! logit_i = x · w_i / max(‖w_i‖, 1e-12)        ‖w‖ = √( Σ_j w_j² )
//! ```
//!
//! A token that was never trained may have a row of zeros. Its logit is 0, and not 0/0: hence the 1e-12.
//!
//! The second question: you want to run the model in a program that was written for Llama. It takes x̂, the hidden state after a norm *without* γ (see
//! exercise `rms_norm`), and multiplies it with a matrix W′. It knows neither NormHead nor γ. Which W′ gives it the right logits? Two things go into
//! it; mind which comes first.

use ndarray::{Array2, ArrayView1, ArrayView2};

/// The logits after each token. `x: [tokens, d]`, `w: [vocabulary, d]`. Returns `[tokens, vocabulary]`.
pub fn norm_head(x: ArrayView2<f64>, w: ArrayView2<f64>) -> Array2<f64> {
    todo!("norm_head")
}

/// W′ for a head with `w: [vocabulary, d]` after a norm with `gamma: [d]`: x̂ · W′ᵀ = `norm_head(x̂ ⊙ γ, w)`. Returns `[vocabulary, d]`.
pub fn export(w: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64> {
    todo!("export")
}
