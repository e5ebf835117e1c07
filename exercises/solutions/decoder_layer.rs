//! A layer, put together, solved.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};

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
    let normed = parts.rms_norm(x, layer.input_layernorm.view());
    let mut x = &x + &attention(normed.view(), layer, heads, parts);
    let normed = parts.rms_norm(x.view(), layer.post_attention_layernorm.view());
    x += &parts.swiglu(
        normed.view(),
        layer.gate_proj.view(),
        layer.up_proj.view(),
        layer.down_proj.view(),
    );
    x
}

/// The block of attention, without norm and residual.
fn attention(x: ArrayView2<f64>, layer: &Layer, heads: usize, parts: &impl Parts) -> Array2<f64> {
    let (tokens, d) = x.dim();
    let width = d / heads;
    let packed = x.dot(&layer.w_pack.t());
    let part = |third: usize, head: usize| {
        let start = third * d + head * width;
        packed.slice(s![.., start..start + width])
    };
    let mut concat = Array2::zeros((tokens, d));
    for head in 0..heads {
        let q = parts.rope(part(0, head));
        let k = parts.rope(part(1, head));
        let found = parts.attention(q.view(), k.view(), part(2, head));
        concat
            .slice_mut(s![.., head * width..(head + 1) * width])
            .assign(&found);
    }
    concat.dot(&layer.o_proj.t())
}
