//! # 把一层装起来
//!
//! 零件你都有了：RMSNorm、RoPE、注意力和 SwiGLU。这里它们作为 [`Parts`] 交到你手里，所以这个文件只讲怎样把它们拼起来。7B 的一层让残差流 X，
//! `[tokens, d]`，经过两个模块。每个模块读的是残差流归一化之后的副本，再把找到的加回去：
//!
//! ```text
//! X ← X + Attention(RMSNorm(X))        用第一个归一化的 γ
//! X ← X + SwiGLU(RMSNorm(X))           用第二个的
//! ```
//!
//! 注意力本身，H 个头，每个 d / H 维：
//!
//! ```text
//! 1. 一个映射同时造出查询、键和值：W_pack，[3d, d]。它的行分三份：先是所有查询的，再是所有键的，再是所有值的；
//!    每一份里，先是头 0 的行，再是头 1 的，……
//! 2. 在每个头里，查询和键由 RoPE 转动。值不转。
//! 3. 每个头各自做注意力；各头的结果并排放好。
//! 4. o_proj，[d, d]，把它们混合。
//! ```
//!
//! 映射都存成 `[out, in]`。测试拿你的层与发布的模型算出的结果比较。

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// 前面的练习造出来的。
pub trait Parts {
    /// `x: [tokens, d]` 每一行的 RMSNorm，ε 已在其中。返回 `[tokens, d]`。
    fn rms_norm(&self, x: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64>;

    /// 一个头的查询或键，按各自的位置转动。`x: [tokens, head_dim]`。返回同样的形状。
    fn rope(&self, x: ArrayView2<f64>) -> Array2<f64>;

    /// 一个头找到的：因果的，乘以 1/√head_dim。三者都是 `[tokens, head_dim]`。返回同样的形状。
    fn attention(&self, q: ArrayView2<f64>, k: ArrayView2<f64>, v: ArrayView2<f64>) -> Array2<f64>;

    /// `x: [tokens, d]` 每一行的 SwiGLU；`gate`、`up`：`[width, d]`，`down`：`[d, width]`。返回 `[tokens, d]`。
    fn swiglu(
        &self,
        x: ArrayView2<f64>,
        gate: ArrayView2<f64>,
        up: ArrayView2<f64>,
        down: ArrayView2<f64>,
    ) -> Array2<f64>;
}

/// 一层的参数，用发布的模型里的名字。
#[derive(Clone, Debug)]
pub struct Layer {
    /// 注意力之前的 γ，`[d]`。
    pub input_layernorm: Array1<f64>,
    /// `[3d, d]`.
    pub w_pack: Array2<f64>,
    /// `[d, d]`.
    pub o_proj: Array2<f64>,
    /// SwiGLU 之前的 γ，`[d]`。
    pub post_attention_layernorm: Array1<f64>,
    /// `[width, d]`.
    pub gate_proj: Array2<f64>,
    /// `[width, d]`.
    pub up_proj: Array2<f64>,
    /// `[d, width]`.
    pub down_proj: Array2<f64>,
}

/// 经过这一层之后的残差流。`x: [tokens, d]`。返回 `[tokens, d]`。
pub fn decoder_layer(
    x: ArrayView2<f64>,
    layer: &Layer,
    heads: usize,
    parts: &impl Parts,
) -> Array2<f64> {
    todo!("decoder_layer")
}
