//! # SwiGLU：带门的一层
//!
//! 两次注意力之间，每个词元独自经过一层。一个映射造出门，另一个造出要过门的东西，第三个把它变回模型的宽度：
//!
//! ```text
//! SiLU(z)   = z · σ(z) = z / (1 + e^(−z))
//! SwiGLU(x) = ( SiLU(x Gᵀ) ⊙ (x Uᵀ) ) Dᵀ          ⊙ 是逐元素相乘
//! ```
//!
//! 从前普通的一层有两个矩阵，[4d, d] 和 [d, 4d]。三个矩阵要花更多参数，除非窄一些：参数量要相同，宽度须是 8/3 · d。
//! Baichuan 2 把它向上取到 128 的倍数。

use ndarray::{Array2, ArrayView2};

/// 这一层，作用于 `x: [tokens, d]` 的每个词元；`gate`、`up`：`[width, d]`，`down`：`[d, width]`。返回 `[tokens, d]`。
pub fn swiglu(
    x: ArrayView2<f64>,
    gate: ArrayView2<f64>,
    up: ArrayView2<f64>,
    down: ArrayView2<f64>,
) -> Array2<f64> {
    todo!("swiglu")
}

/// 宽度为 `d` 的模型里这一层的宽度：8/3 · d，向上取到 128 的倍数。用整数算，要精确。
pub fn width(d: usize) -> usize {
    todo!("width")
}
