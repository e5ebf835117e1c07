//! # 手算两个梯度
//!
//! 训练对模型里的每个数只问一件事：它大一点点，损失会变大吗？这就是梯度，框架会自己求出来。这里由你来求。
//!
//! 先写裁判。不知道函数是什么，也可以测出斜率：
//!
//! ```text
//! ∂f/∂x_i ≈ ( f(x + h e_i) − f(x − h e_i) ) / 2h        e_i 只动 x_i
//! ```
//!
//! 测一个数要算两遍，用来训练太慢，用来检验够快。然后是两个写成公式的梯度。n 个词元的 logits z_t，接着到来的是 y_t，它们的交叉熵：
//!
//! ```text
//! L = (1/n) Σ_t −log softmax(z_t)[y_t]
//! ```
//!
//! 以及 RMSNorm：y_i = x_i / RMS(x) · γ_i，其中 RMS(x) = √(Σ x_i²/d + ε)。不管后面是什么损失，交给你的是 ȳ = ∂L/∂y，你要返回 x̄ 和 γ̄。
//! 每个 x_i 都出现在每个 y_j 的公式里：i = j 时作为它自己出现一次，在 RMS 里则总是出现。它到达损失的每一条路都要算。

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// `f` 在 `x` 处的斜率，向两边各走 `h` 来测。返回的形状与 `x` 相同。
pub fn slope(f: impl Fn(ArrayView2<f64>) -> f64, x: ArrayView2<f64>, h: f64) -> Array2<f64> {
    todo!("slope")
}

/// 交叉熵的 ∂L/∂z；`logits: [tokens, vocab]`，每行一个目标。返回 `[tokens, vocab]`。
pub fn cross_entropy_backward(logits: ArrayView2<f64>, targets: &[usize]) -> Array2<f64> {
    todo!("cross_entropy_backward")
}

/// RMSNorm 的 x̄ 和 γ̄。`x`、`y_bar`：`[tokens, d]`；`gamma: [d]`。返回 `[tokens, d]` 和 `[d]`。
pub fn rms_norm_backward(
    x: ArrayView2<f64>,
    gamma: ArrayView1<f64>,
    eps: f64,
    y_bar: ArrayView2<f64>,
) -> (Array2<f64>, Array1<f64>) {
    todo!("rms_norm_backward")
}
