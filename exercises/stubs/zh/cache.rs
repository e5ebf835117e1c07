//! # 键和值的缓存
//!
//! 模型一次写一个词元。先前词元的键和值不会再变（没有词元看得到后面的），所以把它们留下来；新词元只造自己的，再看全部。
//!
//! 不管文本分成什么样的几段到来（一段七个词元的提示，然后一个接一个），结果都必须与整篇一次通过的相同。
//!
//! 只有一个头，就像 `attention`；它交到你手里，但掩码要你自己造（`causal_mask`）。

use ndarray::{Array2, ArrayView2};

/// 一个头：`q: [queries, d]`、`k: [keys, d]`、`v: [keys, d_v]` 和掩码 `[queries, keys]`，查询可以看的地方为 true。
/// 返回 `[queries, d_v]`。
pub type Attention<'a> =
    dyn Fn(ArrayView2<f64>, ArrayView2<f64>, ArrayView2<f64>, ArrayView2<bool>) -> Array2<f64> + 'a;

/// 先前的词元留下的。
pub struct Cache {
    /// `[tokens, d]`
    pub keys: Array2<f64>,
    /// `[tokens, d_v]`
    pub values: Array2<f64>,
}

impl Cache {
    /// 还没有词元的缓存，键有 `d` 维，值有 `d_v` 维。
    pub fn new(d: usize, d_v: usize) -> Self {
        todo!("Cache::new")
    }

    /// 来了新词元：`q, k: [new, d]`，`v: [new, d_v]`。留下它们的键和值，返回它们从之前的所有词元和自己那里收集到的，`[new, d_v]`。
    pub fn step(
        &mut self,
        q: ArrayView2<f64>,
        k: ArrayView2<f64>,
        v: ArrayView2<f64>,
        attention: &Attention,
    ) -> Array2<f64> {
        todo!("Cache::step")
    }

    /// 只留下前 `tokens` 个，其余忘掉：以便从文本较早的一处继续。本来就没有这么多时，什么也不做。
    pub fn truncate(&mut self, tokens: usize) {
        todo!("Cache::truncate")
    }
}
