//! # SwiGLU: a layer with a gate
//!
//! Between two rounds of attention each token goes through a layer by itself. One map makes a gate, another what the
//! gate lets through, a third brings it back to the width of the model:
//!
//! ```text
//! SiLU(z)   = z · σ(z) = z / (1 + e^(−z))
//! SwiGLU(x) = ( SiLU(x Gᵀ) ⊙ (x Uᵀ) ) Dᵀ          ⊙ is element by element
//! ```
//!
//! The plain layer before it had two matrices, [4d, d] and [d, 4d]. Three cost more, unless they are narrower: for
//! the same number of parameters the width must be 8/3 · d. Baichuan 2 rounds that up to a multiple of 128.

use ndarray::{Array2, ArrayView2};

/// The layer, for every token of `x: [tokens, d]`; `gate`, `up`: `[width, d]`, `down`: `[d, width]`. Returns
/// `[tokens, d]`.
pub fn swiglu(
    x: ArrayView2<f64>,
    gate: ArrayView2<f64>,
    up: ArrayView2<f64>,
    down: ArrayView2<f64>,
) -> Array2<f64> {
    todo!("swiglu")
}

/// The width of the layer of a model of width `d`: 8/3 · d, rounded up to a multiple of 128. In whole numbers, exactly.
pub fn width(d: usize) -> usize {
    todo!("width")
}
