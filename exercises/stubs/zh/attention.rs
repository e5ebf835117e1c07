//! # 单头注意力
//!
//! 每个查询与每个键比较，从对得上的键那里收集值：
//!
//! ```text
//! S = Q Kᵀ / √d          掩码为 false 的地方隐藏
//! A = softmax(S)，逐行
//! V~ = A V
//! ```
//!
//! 为什么是 √d？如果查询和键里的数互相独立、方差为 1，它们的内积方差就是 d：没有这个根号，宽的头只会盯着一个词元看。
//!
//! 分数可能很大（见 `softmax`）；一个查询也可能什么都看不到：它得到零。

use ndarray::{Array2, ArrayView2};

/// `q: [queries, d]` 对 `k: [keys, d]` 和 `v: [keys, d_v]` 的注意力；`mask: [queries, keys]` 在查询可以看的地方为 true。
/// 返回 `[queries, d_v]`。
pub fn attention(
    q: ArrayView2<f64>,
    k: ArrayView2<f64>,
    v: ArrayView2<f64>,
    mask: ArrayView2<bool>,
) -> Array2<f64> {
    todo!("attention")
}
