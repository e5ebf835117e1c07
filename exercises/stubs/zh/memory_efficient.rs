//! # 从不看完整一行的 softmax
//!
//! 16,384 个词元的注意力，每个头的图有 2.68 亿个权重。它们不必存在。键和值一块一块地来，查询只记三样东西：
//!
//! * `max`，到目前为止最大的分数，开始时是 −∞；
//! * `sum`，到目前为止所有分数的 e^(s − max) 之和；
//! * `weighted`，同样地，e^(s − max) · v 之和。
//!
//! 最后 weighted / sum 就是 softmax(scores) · V 会给出的。但先前加起来的，是相对于一个*旧的*最大值。来了更大的分数时，要对它做什么？
//!
//! 与 `softmax` 一样：隐藏的分数是 −∞，可以整块都是；什么也没看到的查询得到零。

use ndarray::{Array1, ArrayView1, ArrayView2};

/// 一个查询从遇到过的键那里知道的。
#[derive(Clone, Debug)]
pub struct Running {
    /// 到目前为止最大的分数。
    pub max: f64,
    /// e^(s − max) 之和。
    pub sum: f64,
    /// e^(s − max) · v 之和，`[d_v]`。
    pub weighted: Array1<f64>,
}

impl Running {
    /// 还没有遇到键，值有 `d_v` 维。
    pub fn new(d_v: usize) -> Self {
        todo!("Running::new")
    }

    /// 遇到一块键：`scores: [block]`，`values: [block, d_v]`。
    pub fn meet(&mut self, scores: ArrayView1<f64>, values: ArrayView2<f64>) {
        todo!("Running::meet")
    }

    /// 查询收集到的，`[d_v]`。
    pub fn output(&self) -> Array1<f64> {
        todo!("Running::output")
    }
}
