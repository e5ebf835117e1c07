//! # RMSNorm，以及 γ 能藏在哪里
//!
//! 每个模块之前，先把每个词元调到同样的大小：除以它的均方根，再让每一维乘以自己的系数 γ，γ 是学来的。
//!
//! ```text
//! RMS(x) = √( Σ_i x_i² / d + ε )        y_i = x_i / RMS(x) · γ_i
//! ```
//!
//! 不减平均值，也不加偏移：与 LayerNorm 的区别就只有这些。
//!
//! 第二问需要一支铅笔。归一化的结果进入一个线性映射 y Wᵀ。所以 γ 是多余的一个系数：有一个矩阵 W′，用不带 γ（全为 1）的归一化，
//! 对每个 x 都给出同样的结果。是哪一个？

use ndarray::{Array2, ArrayView1, ArrayView2};

/// 把 `x: [tokens, d]` 的每一行归一化；`gamma: [d]`，`eps` 是 ε。返回 `[tokens, d]`。
pub fn rms_norm(x: ArrayView2<f64>, gamma: ArrayView1<f64>, eps: f64) -> Array2<f64> {
    todo!("rms_norm")
}

/// 归一化（`gamma: [d]`）之后的映射 `w: [out, d]` 所对应的 W′。返回 `[out, d]`。
pub fn fold_gamma(w: ArrayView2<f64>, gamma: ArrayView1<f64>) -> Array2<f64> {
    todo!("fold_gamma")
}
