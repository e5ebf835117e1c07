//! Find the bugs, found.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

/// The parameters of a layer, under the names of the shipped model. Maps are stored `[out, in]`.
#[derive(Clone, Debug)]
pub struct Layer {
    /// γ before attention, `[d]`.
    pub input_layernorm: Array1<f64>,
    /// Queries, keys and values of all heads, `[3d, d]`.
    pub w_pack: Array2<f64>,
    /// `[d, d]`.
    pub o_proj: Array2<f64>,
    /// γ before SwiGLU, `[d]`.
    pub post_attention_layernorm: Array1<f64>,
    /// `[width, d]`.
    pub gate_proj: Array2<f64>,
    /// `[width, d]`.
    pub up_proj: Array2<f64>,
    /// `[d, width]`.
    pub down_proj: Array2<f64>,
}

/// A decoder with linear biases.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// `[vocab, d]`.
    pub embed_tokens: Array2<f64>,
    /// The layers, the first one first.
    pub layers: Vec<Layer>,
    /// γ of the last norm, `[d]`.
    pub norm: Array1<f64>,
    /// `[vocab, d]`, as stored.
    pub lm_head: Array2<f64>,
    /// Heads of each layer.
    pub heads: usize,
    /// ε of every norm.
    pub eps: f64,
}

/// Is shown each intermediate as it is made, by name: `layers.0.W_pack`.
pub type See<'a> = dyn FnMut(&str, ArrayView2<f64>) + 'a;

impl Decoder {
    /// Scores of every token after each of `ids`. Returns `[tokens, vocab]`.
    pub fn logits(&self, ids: &[u32], see: &mut See) -> Array2<f64> {
        let rows: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
        let mut x = self.embed_tokens.select(Axis(0), &rows);
        see("embed", x.view());
        for (l, layer) in self.layers.iter().enumerate() {
            let mut see = |name: &str, x: ArrayView2<f64>| see(&format!("layers.{l}.{name}"), x);
            let normed = self.rms_norm(&x, &layer.input_layernorm);
            see("input_layernorm", normed.view());
            x += &self.attention(&normed, layer, &mut see);
            let normed = self.rms_norm(&x, &layer.post_attention_layernorm);
            see("post_attention_layernorm", normed.view());
            x += &swiglu(&normed, layer, &mut see);
            see("out", x.view());
        }
        let x = self.rms_norm(&x, &self.norm);
        see("final_norm", x.view());
        // NormHead: the rows are used at length one, so that a logit is the length of the state times a cosine.
        let mut head = self.lm_head.clone();
        for mut row in head.rows_mut() {
            let length = row.dot(&row).sqrt();
            row /= length.max(1e-12);
        }
        x.dot(&head.t())
    }

    /// Each row over the root of its mean square, ε under the root, times γ.
    fn rms_norm(&self, x: &Array2<f64>, gamma: &Array1<f64>) -> Array2<f64> {
        let mut y = x.clone();
        for mut token in y.rows_mut() {
            let mean_square = token.dot(&token) / token.len() as f64;
            token /= (mean_square + self.eps).sqrt();
        }
        y * gamma
    }

    /// What each token finds in itself and those before it. `x: [tokens, d]`. Returns `[tokens, d]`.
    fn attention(&self, x: &Array2<f64>, layer: &Layer, see: &mut See) -> Array2<f64> {
        let packed = x.dot(&layer.w_pack.t());
        see("W_pack", packed.view());
        let (tokens, d) = x.dim();
        let width = d / self.heads;
        // 0 are queries, 1 keys, 2 values.
        let part = |which: usize, head: usize| {
            let start = which * d + head * width;
            packed.slice(s![.., start..start + width])
        };
        let mut concat = Array2::zeros((tokens, d));
        for (head, slope) in slopes(self.heads).into_iter().enumerate() {
            let (q, k, v) = (part(0, head), part(1, head), part(2, head));
            see(&format!("k.{head}"), k);
            see(&format!("v.{head}"), v);
            let mut scores = q.dot(&k.t()) / (width as f64).sqrt();
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

/// How much a score loses for each token of distance, in each of `heads` heads.
fn slopes(heads: usize) -> Vec<f64> {
    // Those of the largest power of two that is not above it, then every other one of the next.
    let series = |n: usize| (1..=n).map(move |h| (-8.0 * h as f64 / n as f64).exp2());
    let power = 1 << heads.ilog2();
    series(power)
        .chain(series(2 * power).step_by(2))
        .take(heads)
        .collect()
}

/// The softmax of each row.
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
