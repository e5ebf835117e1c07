//! # 谁能看谁
//!
//! 解码器用前面的词元预测下一个，所以谁也不能看到后面的。这里 `true` 表示 *可以看*；行是查询，列是键。
//!
//! 生成文本时，先前词元的键在缓存里，只有新词元才有查询。缓存了 `first` 个词元时，查询 i 站在位置 first + i。键从文本开头数起。
//!
//! 一批文本长短不一，短的要在左边填充补齐。填充的词元谁也不能看。

use ndarray::{Array2, ArrayView2};

/// 缓存 `first` 个之后的 `queries` 个新词元，对 `keys` 个键的掩码。返回 `[queries, keys]`。
pub fn causal_mask(first: usize, queries: usize, keys: usize) -> Array2<bool> {
    todo!("causal_mask")
}

/// 去掉填充之后的掩码：`real: [keys]` 说明哪些键是文本里的词元。返回的形状与 `mask: [queries, keys]` 相同。
pub fn without_padding(mask: ArrayView2<bool>, real: &[bool]) -> Array2<bool> {
    todo!("without_padding")
}

/// 把不可看的分数隐藏起来，使 softmax 给它的恰好是零。两者都是 `[queries, keys]`，返回的也是。
pub fn hide(scores: ArrayView2<f64>, mask: ArrayView2<bool>) -> Array2<f64> {
    todo!("hide")
}
