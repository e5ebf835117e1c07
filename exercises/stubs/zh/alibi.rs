//! # ALiBi：每个头一个斜率
//!
//! 13B 没有旋转。它让分数随距离减少：位置 i 的查询对位置 j ≤ i 的键，加上 m_h · (j − i)，每个头有自己的斜率 m_h：陡的头看近处，平的头看远处。
//!
//! 有 H 个头、H 是二的幂时，斜率是一个到 2^(−8) 为止的等比数列：
//!
//! ```text
//! m_h = 2^(−8h/H),   h = 1 … H
//! ```
//!
//! 13B 有 40 个头，不是二的幂。规则是：先取不超过它的最大的二的幂（32）的那些斜率，剩下的头（8 个）再取下一个二的幂（64）的斜率里
//! **每隔一个**的，从它的第一个取起。

use ndarray::Array2;

/// `heads` 个头（至少一个）各自的斜率。
pub fn slopes(heads: usize) -> Vec<f64> {
    todo!("slopes")
}

/// 偏置 m · (j − i)：缓存 `first` 个之后的 `queries` 个新词元，对 `keys` 个从文本开头数起的键。查询不该看的在这里不用管：
/// 自有掩码去隐藏。返回 `[queries, keys]`。
pub fn bias(slope: f64, first: usize, queries: usize, keys: usize) -> Array2<f64> {
    todo!("bias")
}
