//! # NormHead，以及不认识它的程序
//!
//! 最后一个映射，把模型所想的变成每个词元的分数，即 *logit*：W 的第 i 行乘以隐藏状态。Baichuan 2 先把每一行除以它的长度，
//! 这样词元就不能因为行长而变得可能：
//!
//! ```text
//! logit_i = x · w_i / max(‖w_i‖, 1e-12)        ‖w‖ = √( Σ_j w_j² )
//! ```
//!
//! 从没训练过的词元，行可能全是零。它的 logit 是 0，而不是 0/0：所以有 1e-12。
//!
//! 第二问：你想在一个为 Llama 写的程序里运行这个模型。它拿到 x̂，即*不带* γ 的归一化之后的隐藏状态（见练习 `rms_norm`），乘以一个矩阵 W′。
//! 它既不知道 NormHead，也不知道 γ。哪个 W′ 让它给出正确的 logits？有两样东西要放进去；留心哪个在先。

use ndarray::{Array2, ArrayView1, ArrayView2};

/// 每个词元之后的 logits。`x: [tokens, d]`，`w: [vocabulary, d]`。返回 `[tokens, vocabulary]`。
pub fn norm_head(x: ArrayView2<f64>, w: ArrayView2<f64>) -> Array2<f64> {
    todo!("norm_head")
}

/// 归一化（`gamma: [d]`）之后的输出头 `w: [vocabulary, d]` 所对应的 W′：x̂ · W′ᵀ = `norm_head(x̂ ⊙ γ, w)`。返回 `[vocabulary, d]`。
pub fn export(w: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64> {
    todo!("export")
}
