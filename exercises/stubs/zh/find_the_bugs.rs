//! # 找出错误
//!
//! 这是一个 13B 那种的解码器，全都在这里。它能编译。它给每个词元打分，没有词元看得到后面的，它写出的文本也不比任何权重随机的小模型差。换了别人就发布了。
//!
//! **它有五处错误**，每处一两行，都是容易犯的。没有一处让形状出错，也没有一处让数变成无穷。五处都改掉，它就给出与发布的代码相同的结果，相差不超过 2e-5。
//!
//! 不要重写。调试解码器要从前往后：它把每个中间结果用发布的模型里的模块名[展示](See)出来，而测试有发布的模型自己的结果。最先不同的那个说明该看哪里；
//! 后面的反正都不同。一个函数该做什么，它的注释可以相信。它的代码不可以。

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

/// 一层的参数，用发布的模型里的名字。映射都存成 `[out, in]`。
#[derive(Clone, Debug)]
pub struct Layer {
    /// 注意力之前的 γ，`[d]`。
    pub input_layernorm: Array1<f64>,
    /// 所有头的查询、键和值，`[3d, d]`。
    pub w_pack: Array2<f64>,
    /// `[d, d]`.
    pub o_proj: Array2<f64>,
    /// SwiGLU 之前的 γ，`[d]`。
    pub post_attention_layernorm: Array1<f64>,
    /// `[width, d]`.
    pub gate_proj: Array2<f64>,
    /// `[width, d]`.
    pub up_proj: Array2<f64>,
    /// `[d, width]`.
    pub down_proj: Array2<f64>,
}

/// 带线性偏置的解码器。
#[derive(Clone, Debug)]
pub struct Decoder {
    /// `[vocab, d]`.
    pub embed_tokens: Array2<f64>,
    /// 各层，第一层在前。
    pub layers: Vec<Layer>,
    /// 最后一个归一化的 γ，`[d]`。
    pub norm: Array1<f64>,
    /// `[vocab, d]`，照存储的样子。
    pub lm_head: Array2<f64>,
    /// 每层的头数。
    pub heads: usize,
    /// 所有归一化的 ε。
    pub eps: f64,
}

/// 每个中间结果一造出来就展示给它，附上名字：`layers.0.W_pack`。
pub type See<'a> = dyn FnMut(&str, ArrayView2<f64>) + 'a;

impl Decoder {
    /// 在 `ids` 的每个词元之后，给所有词元的分数。返回 `[tokens, vocab]`。
    pub fn logits(&self, ids: &[u32], see: &mut See) -> Array2<f64> {
        let rows: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
        let mut x = self.embed_tokens.select(Axis(0), &rows);
        see("embed", x.view());
        for (l, layer) in self.layers.iter().enumerate() {
            let mut see = |name: &str, x: ArrayView2<f64>| see(&format!("layers.{l}.{name}"), x);
            x = self.rms_norm(&x, &layer.input_layernorm);
            see("input_layernorm", x.view());
            x += &self.attention(&x, layer, &mut see);
            x = self.rms_norm(&x, &layer.post_attention_layernorm);
            see("post_attention_layernorm", x.view());
            x += &swiglu(&x, layer, &mut see);
            see("out", x.view());
        }
        let x = self.rms_norm(&x, &self.norm);
        see("final_norm", x.view());
        x.dot(&self.lm_head.t())
    }

    /// 每行除以它的均方根（ε 在根号里），再乘以 γ。
    fn rms_norm(&self, x: &Array2<f64>, gamma: &Array1<f64>) -> Array2<f64> {
        let mut y = x.clone();
        for mut token in y.rows_mut() {
            let mean_square = token.dot(&token) / token.len() as f64;
            token /= (mean_square + self.eps).sqrt();
        }
        y * gamma
    }

    /// 每个词元从自己和前面的词元那里找到的。`x: [tokens, d]`。返回 `[tokens, d]`。
    fn attention(&self, x: &Array2<f64>, layer: &Layer, see: &mut See) -> Array2<f64> {
        let packed = x.dot(&layer.w_pack.t());
        see("W_pack", packed.view());
        let (tokens, d) = x.dim();
        let width = d / self.heads;
        // 0 是查询，1 是键，2 是值。
        let part = |which: usize, head: usize| {
            let start = (head * 3 + which) * width;
            packed.slice(s![.., start..start + width])
        };
        let mut concat = Array2::zeros((tokens, d));
        for (head, slope) in slopes(self.heads).into_iter().enumerate() {
            let (q, k, v) = (part(0, head), part(1, head), part(2, head));
            see(&format!("k.{head}"), k);
            see(&format!("v.{head}"), v);
            let mut scores = q.dot(&k.t()) / (d as f64).sqrt();
            for ((i, j), score) in scores.indexed_iter_mut() {
                if j > i {
                    *score = f64::NEG_INFINITY;
                } else {
                    *score -= slope * (i - j) as f64;
                }
            }
            let weights = softmax(scores);
            see(&format!("attn_probs.{head}"), weights.view());
            concat
                .slice_mut(s![.., head * width..(head + 1) * width])
                .assign(&weights.dot(&v));
        }
        see("attn_concat", concat.view());
        let found = concat.dot(&layer.o_proj.t());
        see("self_attn", found.view());
        found
    }
}

/// `heads` 个头里，每个头的分数随距离每远一个词元减少多少。
fn slopes(heads: usize) -> Vec<f64> {
    (1..=heads)
        .map(|h| (-8.0 * h as f64 / heads as f64).exp2())
        .collect()
}

/// 每一行的 softmax。
fn softmax(mut scores: Array2<f64>) -> Array2<f64> {
    for mut row in scores.rows_mut() {
        let max = row.fold(f64::NEG_INFINITY, |max, &s| max.max(s));
        row.mapv_inplace(|s| (s - max).exp());
        let sum = row.sum();
        row /= sum;
    }
    scores
}

/// `(SiLU(x Gᵀ) ⊙ (x Uᵀ)) Dᵀ`.
fn swiglu(x: &Array2<f64>, layer: &Layer, see: &mut See) -> Array2<f64> {
    let gate = x.dot(&layer.gate_proj.t());
    see("gate_proj", gate.view());
    let up = x.dot(&layer.up_proj.t());
    see("up_proj", up.view());
    let silu = |z: f64| z / (1.0 + (-z).exp());
    let y = (gate.mapv(silu) * up).dot(&layer.down_proj.t());
    see("mlp", y.view());
    y
}
