//! # 多个头并排
//!
//! 一个头一次只看一样东西。所以把宽度 D 切成 H 个头，每个 d = D / H 维，各看各的，收集到的并排放好，最后由映射 W_o 混合。
//!
//! Baichuan 2 把所有头的三个映射存成一个矩阵 W_pack：它的行先是所有查询，再是所有键，再是所有值；每一份里，一个头接一个头：
//!
//! ```text
//! x W_packᵀ = [ 头 0 的 q │ 头 1 的 q │ … │ 头 0 的 k │ … │ 头 0 的 v │ … ]     3 · H · d 列
//! Y         = [ 头 0 │ 头 1 │ … ]                                              H · d 列
//! 结果      = Y W_oᵀ
//! ```
//!
//! 单个的头交到你手里（你在 `attention` 里写过）；它知道自己的掩码。它还要问自己是第几个头，因为各个头可以有自己对待位置的办法。

use ndarray::{Array2, ArrayView2};

/// 一个头：它的编号，`q: [tokens, d]`、`k: [tokens, d]` 和 `v: [tokens, d]`。返回 `[tokens, d]`。
pub type Attention<'a> =
    dyn Fn(usize, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>) -> Array2<f64> + 'a;

/// `x: [tokens, D]` 的多头注意力；`w_pack: [3 · D, D]`，`w_o: [D, D]`。返回 `[tokens, D]`。
pub fn multi_head(
    x: ArrayView2<f64>,
    w_pack: ArrayView2<f64>,
    w_o: ArrayView2<f64>,
    heads: usize,
    attention: &Attention,
) -> Array2<f64> {
    todo!("multi_head")
}
