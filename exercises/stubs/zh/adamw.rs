//! # AdamW：与 PyTorch 一位不差
//!
//! 对一个矩阵 θ，逆着梯度 g 走一步。两个滑动平均记住先前的：m 记梯度，v 记梯度的平方。第 t 步（从 1 数起），学习率为 η：
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g        m̂ = m / (1 − β₁ᵗ)
//! v ← β₂ v + (1 − β₂) g²       v̂ = v / (1 − β₂ᵗ)
//! θ ← θ − η λ θ − η m̂ / (√v̂ + ε)
//! ```
//!
//! 全都是逐元素的。两个平均从零开始；带帽的去掉这个开头的影响。右边的 θ 两处都是这一步之前的 θ。
//!
//! 走这一步之前，先裁剪梯度：如果模型的所有梯度*合在一起*，当作一个长向量，比上限还长，就全部乘以同一个系数，使长度等于上限。
//! 较短的梯度原样不动。（Baichuan 2 里上限是 0.5，β₁ 0.9，β₂ 0.95，λ 0.1。）

use ndarray::{Array2, ArrayView2};

/// 各步之间不变的。
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub eps: f64,
    /// λ.
    pub weight_decay: f64,
}

/// 一个矩阵从一步记到下一步的东西。从零开始。
#[derive(Clone, Debug)]
pub struct Moments {
    /// m.
    pub mean: Array2<f64>,
    /// v.
    pub square: Array2<f64>,
    /// t：已经走了多少步。
    pub steps: u64,
}

/// 让 `theta` 逆着 `gradient`（两者形状相同）走一步，学习率为 `rate`。
pub fn step(
    optimizer: &AdamW,
    theta: &mut Array2<f64>,
    gradient: ArrayView2<f64>,
    moments: &mut Moments,
    rate: f64,
) {
    todo!("step")
}

/// 把 `gradients`（一个模型的全部梯度）缩小，使合起来的长度不超过 `most`。返回原来的长度。
pub fn clip(gradients: &mut [Array2<f64>], most: f64) -> f64 {
    todo!("clip")
}
