//! # Two gradients by hand
//!
//! Training asks one thing of every number in the model: if it grew a little, would the loss grow? That is the gradient, and a framework
//! finds it alone. Here you do.
//!
//! Write the judge first. A slope can be measured, without knowing what the function is:
//!
//! ```text
//! ∂f/∂x_i ≈ ( f(x + h e_i) − f(x − h e_i) ) / 2h        e_i moves x_i alone
//! ```
//!
//! Measuring takes two passes a number, which is too slow to train with, and fast enough to test with. Then two gradients in closed form.
//! The cross-entropy of the logits z_t after n tokens, when y_t is what came next:
//!
//! ```text
//! L = (1/n) Σ_t −log softmax(z_t)[y_t]
//! ```
//!
//! and RMSNorm, y_i = x_i / RMS(x) · γ_i with RMS(x) = √(Σ x_i²/d + ε). Whatever loss follows it, you are handed ȳ = ∂L/∂y, and return x̄
//! and γ̄. Every x_i stands in the formula of every y_j: once as itself, where i = j, and always inside RMS. Each way by which it reaches
//! the loss counts.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// The slopes of `f` at `x`, measured with steps of `h` to both sides. Returns the shape of `x`.
pub fn slope(f: impl Fn(ArrayView2<f64>) -> f64, x: ArrayView2<f64>, h: f64) -> Array2<f64> {
    todo!("slope")
}

/// ∂L/∂z of the cross-entropy of `logits: [tokens, vocab]`, one target a row. Returns `[tokens, vocab]`.
pub fn cross_entropy_backward(logits: ArrayView2<f64>, targets: &[usize]) -> Array2<f64> {
    todo!("cross_entropy_backward")
}

/// x̄ and γ̄ of RMSNorm. `x`, `y_bar`: `[tokens, d]`; `gamma: [d]`. Returns `[tokens, d]` and `[d]`.
pub fn rms_norm_backward(
    x: ArrayView2<f64>,
    gamma: ArrayView1<f64>,
    eps: f64,
    y_bar: ArrayView2<f64>,
) -> (Array2<f64>, Array1<f64>) {
    todo!("rms_norm_backward")
}
