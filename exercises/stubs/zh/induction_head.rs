//! # 找到归纳头
//!
//! 小模型读够了文本，就学会照抄：`moon fish tree | moon fish` 之后它说 `tree`。让它这样做的是一种头：它寻找当前词元以前出现过的位置，看那之后跟着什么。
//!
//! ```text
//! 位置   0    1    2    3   4    5
//! 词元   moon fish tree |   moon fish
//!                  ↑             └ fish 以前出现在 1，跟在后面的在 2
//! ```
//!
//! 交给你的是某个模型的注意力图：图的第 i 行说明位置 i 的查询怎样把它的注意力（一共是一）分给键 0 … i。还有词元。请说出是哪个头，或者没有。
//!
//! * 查询 i 的*目标*，是它的词元以前出现之后的位置：每个 1 ≤ j < i，只要它前面 j − 1 处的词元就是 i 处的词元。（不含 i 自己：只看脚下的头什么也没找到。）
//! * 一个头的*得分*，是查询落在自己全部目标上的权重之和，对有目标的查询取平均。
//! * 什么也不懂的头也会得一些分。*碰巧*的得分，就是把注意力平均分给看得到的一切的头所得的分。
//! * 归纳头是得分最高的那个，条件是至少为碰巧得分的两倍。否则就没有。

use ndarray::{ArrayView2, ArrayView4};

/// 一个头，由层和它在层里的位置确定。
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// 层，从 0 数起。
    pub layer: usize,
    /// 头，从 0 数起。
    pub head: usize,
}

/// 一个头的得分，它的权重是 `map: [tokens, tokens]`，即 `[查询, 键]`。没有查询有目标时是 `None`。
pub fn score(map: ArrayView2<f64>, tokens: &[u32]) -> Option<f64> {
    todo!("score")
}

/// 把注意力平均分给看得到的一切的头的得分。
pub fn by_chance(tokens: &[u32]) -> Option<f64> {
    todo!("by_chance")
}

/// 一个模型的归纳头（如果有），它的图是 `[layers, heads, tokens, tokens]`。
pub fn find(maps: ArrayView4<f64>, tokens: &[u32]) -> Option<Head> {
    todo!("find")
}
