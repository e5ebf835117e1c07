//! # 共用键的头
//!
//! 模型写作时，键和值会占满内存：每层、每个头、每一维、每个词元两个数。分组查询注意力的键值头（N 个）比查询头（H 个）少：
//! N 个里的每一个，服务于相邻的一组 H / N 个查询头。
//!
//! 从你的 `multi_head` 出发。W_pack 变成三个映射，因为键和值现在窄一些：
//!
//! ```text
//! w_q: [H · d, D]      w_k, w_v: [N · d, D]      w_o: [D, H · d]
//! ```
//!
//! d 不必是 D / H。Baichuan 2 的两个尺寸都是 N = H；同一个解码器也能加载的 Llama 家族则不然。
//!
//! 用 H 个键头训练的模型，怎样变成 N 个？作者（Ainslie 等 2023）取每组映射的平均，再训练一小会儿。

use ndarray::{Array2, ArrayView2};

/// 一个查询头：它的编号，`q: [tokens, d]`、`k: [tokens, d]` 和 `v: [tokens, d]`。返回 `[tokens, d]`。
pub type Attention<'a> =
    dyn Fn(usize, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>) -> Array2<f64> + 'a;

/// 一层的各个映射，以及它们的行怎样切开。
pub struct Maps<'a> {
    /// `[H · d, D]`
    pub w_q: ArrayView2<'a, f64>,
    /// `[N · d, D]`
    pub w_k: ArrayView2<'a, f64>,
    /// `[N · d, D]`
    pub w_v: ArrayView2<'a, f64>,
    /// `[D, H · d]`
    pub w_o: ArrayView2<'a, f64>,
    /// H，N 的倍数。
    pub heads: usize,
    /// N
    pub kv_heads: usize,
}

/// `x: [tokens, D]` 的分组查询注意力。返回 `[tokens, D]`。
pub fn grouped_query(x: ArrayView2<f64>, maps: &Maps, attention: &Attention) -> Array2<f64> {
    todo!("grouped_query")
}

/// 把 `heads` 个头的键（或值）的映射 `w: [heads · d, D]`，变成 `kv_heads` 个头的，每个是它那一组的平均。返回 `[kv_heads · d, D]`。
pub fn share(w: ArrayView2<f64>, heads: usize, kv_heads: usize) -> Array2<f64> {
    todo!("share")
}
