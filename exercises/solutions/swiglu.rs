//! SwiGLU, solved.

use ndarray::{Array2, ArrayView2};

/// The layer, for every token of `x: [tokens, d]`; `gate`, `up`: `[width, d]`, `down`: `[d, width]`. Returns
/// `[tokens, d]`.
pub fn swiglu(
    x: ArrayView2<f64>,
    gate: ArrayView2<f64>,
    up: ArrayView2<f64>,
    down: ArrayView2<f64>,
) -> Array2<f64> {
    let gated = x.dot(&gate.t()).mapv(silu) * x.dot(&up.t());
    gated.dot(&down.t())
}

fn silu(z: f64) -> f64 {
    z / (1.0 + (-z).exp())
}

/// The width of the layer of a model of width `d`: 8/3 · d, rounded up to a multiple of 128. In whole numbers, exactly.
pub fn width(d: usize) -> usize {
    (8 * d).div_ceil(3).next_multiple_of(128)
}
