//! # 交叉熵与 max-z 损失
//!
//! 一个模型读到一篇文本，有多意外？每个词元之后它给出 logits，logits 的 softmax 就是它对*下一个*的预期。损失是它给真正到来者的概率的 −log，取平均：
//!
//! ```text
//! L = 对 t 取平均  −ln softmax(z_t)_{y_t}
//! ```
//!
//! logits 的第 t 行在词元 t 的后面，所以 y_t 是它之后的那个词元。最后一行没有要回答的：n 个词元的文本有 n − 1 个损失。
//!
//! 概率下溢为 0 时，−ln 是 ∞；而比最大的 logit 低 2,000 的词元，损失应是 2,000。先化简，再计算。
//!
//! softmax 不在乎 logits 有多大，所以它们可以一直长下去。Baichuan 2 加了一项来管它，权重 λ 是 2e-4：同样这些行上，*最大 logit 的平方* 的平均。

use ndarray::ArrayView2;

/// 一篇文本的平均损失，单位是 nat。`logits: [tokens, vocabulary]`，`ids` 是文本的词元，至少两个。
pub fn cross_entropy(logits: ArrayView2<f64>, ids: &[usize]) -> f64 {
    todo!("cross_entropy")
}

/// 要最小化的：交叉熵，加上 `lambda` 倍的 max-z 项。
pub fn loss(logits: ArrayView2<f64>, ids: &[usize], lambda: f64) -> f64 {
    todo!("loss")
}
