//! # RoPE：旋转的位置，两种转法
//!
//! 位置 t 上的查询在遇到任何键之前，它的各维两两配对，每一对是平面上的一个点，第 i 个平面转过角度 t · θ_i：
//!
//! ```text
//! (x, y)  →  (x cos φ − y sin φ,  x sin φ + y cos φ)          φ = t · θ_i,   θ_i = base^(−2i/d),   i = 0 … d/2 − 1
//! ```
//!
//! 键也这样转，于是两者的内积只知道它们的距离。
//!
//! 哪两维是一对？论文（和那一页）取**相邻**的，2i 和 2i + 1。发布的代码取**两半**里对应的，i 和 i + d/2。得到的向量不同，模型却没有不同：
//! *事先* 把各维换个顺序，一种就变成另一种。是什么顺序？

use ndarray::{Array1, ArrayView1};

/// 把位置 `position` 上的 `x: [d]` 转过去，第 2i 和 2i + 1 维为一对。返回 `[d]`。
pub fn rotate_neighbours(x: ArrayView1<f64>, position: usize, base: f64) -> Array1<f64> {
    todo!("rotate_neighbours")
}

/// 把位置 `position` 上的 `x: [d]` 转过去，第 i 和 i + d/2 维为一对。返回 `[d]`。
pub fn rotate_halves(x: ArrayView1<f64>, position: usize, base: f64) -> Array1<f64> {
    todo!("rotate_halves")
}

/// 两半形式的每一维从哪里来：若对所有 i 有 h\[i\] = n\[permutation\[i\]\]，那么按两半转 h，就是按相邻转 n 之后再排成这个顺序。
pub fn permutation(d: usize) -> Vec<usize> {
    todo!("permutation")
}
