//! # A layer, put together
//!
//! You have the parts: RMSNorm, RoPE, attention and SwiGLU. They are handed to you here as [`Parts`], so that this file is about nothing
//! but how they are put together. A layer of the 7B takes the stream X, `[tokens, d]`, through two blocks. Each reads a normalized copy
//! of the stream, and adds what it found:
//!
//! ```text
//! X ← X + Attention(RMSNorm(X))        with the first norm's γ
//! X ← X + SwiGLU(RMSNorm(X))           with the second norm's
//! ```
//!
//! Attention itself, for H heads of d / H dimensions:
//!
//! ```text
//! 1. One map makes queries, keys and values at once: W_pack, [3d, d]. Its rows come in thirds: first those of all queries, then of all
//!    keys, then of all values; in each third, the rows of head 0, then of head 1, …
//! 2. In each head, queries and keys are turned by RoPE. Values are not.
//! 3. Each head attends; the results of the heads are put side by side.
//! 4. o_proj, [d, d], mixes them.
//! ```
//!
//! Maps are stored `[out, in]`. The test holds your layer against what the shipped model computed.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// What the earlier exercises made.
pub trait Parts {
    /// RMSNorm of each row of `x: [tokens, d]`, with its ε. Returns `[tokens, d]`.
    fn rms_norm(&self, x: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64>;

    /// One head's queries, or keys, turned by their positions. `x: [tokens, head_dim]`. Returns the same shape.
    fn rope(&self, x: ArrayView2<f64>) -> Array2<f64>;

    /// What one head finds: causal, scaled by 1/√head_dim. All three `[tokens, head_dim]`. Returns the same shape.
    fn attention(&self, q: ArrayView2<f64>, k: ArrayView2<f64>, v: ArrayView2<f64>) -> Array2<f64>;

    /// SwiGLU of each row of `x: [tokens, d]`; `gate`, `up`: `[width, d]`, `down`: `[d, width]`. Returns `[tokens, d]`.
    fn swiglu(
        &self,
        x: ArrayView2<f64>,
        gate: ArrayView2<f64>,
        up: ArrayView2<f64>,
        down: ArrayView2<f64>,
    ) -> Array2<f64>;
}

/// The parameters of a layer, under the names of the shipped model.
#[derive(Clone, Debug)]
pub struct Layer {
    /// γ before attention, `[d]`.
    pub input_layernorm: Array1<f64>,
    /// `[3d, d]`.
    pub w_pack: Array2<f64>,
    /// `[d, d]`.
    pub o_proj: Array2<f64>,
    /// γ before SwiGLU, `[d]`.
    pub post_attention_layernorm: Array1<f64>,
    /// `[width, d]`.
    pub gate_proj: Array2<f64>,
    /// `[width, d]`.
    pub up_proj: Array2<f64>,
    /// `[d, width]`.
    pub down_proj: Array2<f64>,
}

/// The stream after the layer. `x: [tokens, d]`. Returns `[tokens, d]`.
pub fn decoder_layer(
    x: ArrayView2<f64>,
    layer: &Layer,
    heads: usize,
    parts: &impl Parts,
) -> Array2<f64> {
    todo!("decoder_layer")
}
