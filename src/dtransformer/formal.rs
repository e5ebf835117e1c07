//! The page's decoder, one step after the other, in f64 and with nothing saved: the oracle of the whole shipped model.

use super::{Config, Position};
use crate::{
    alibi,
    rope::{permutation, rope_formal},
    swiglu::{SwiGluParameters, swiglu_formal},
    tensor::softmax_formal,
    unembedding::{norm_head_formal, unembedding_formal},
};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use std::collections::HashMap;

/// The page's algorithm, mended where [`DTransformer`](super::DTransformer)'s note says: $P$, with row $t$ the distribution after `x[..=t]`.
///
/// `parameters` holds each of [`Config::parameters`] by name, a vector as a matrix of one row. Returns `[ℓ, N]`.
///
/// It composes the formal forms, and writes anew what the page lacks: the norm with its ε, attention with positions. Neighbours are turned as the
/// page turns them, after the rows of $W_q$ and $W_k$ are permuted. ALiBi's slopes alone are the model's own; a test of theirs holds them.
///
/// # Panics
/// Where a parameter is missing or of another shape, or an id is not in the vocabulary.
pub fn dtransformer_formal(
    x: &[u32],
    config: &Config,
    parameters: &HashMap<String, Array2<f64>>,
) -> Array2<f64> {
    forward(x, config, parameters, false)
}

/// `as_printed` lets the norms of step 4 overwrite the stream.
pub(super) fn forward(
    ids: &[u32],
    config: &Config,
    parameters: &HashMap<String, Array2<f64>>,
    as_printed: bool,
) -> Array2<f64> {
    let get = |name: &str| &parameters[&format!("model.{name}.weight")];
    let norm = |x: &Array2<f64>, name: &str| {
        let gamma = get(name).row(0);
        let mut y = x.clone();
        for mut token in y.rows_mut() {
            // The page's norm, with the ε that it leaves out.
            let mean_square = token.dot(&token) / token.len() as f64;
            token /= (mean_square + config.rms_norm_eps).sqrt();
            token *= &gamma;
        }
        y
    };
    let w_e = get("embed_tokens");
    let rows: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
    let mut x = w_e.select(Axis(0), &rows); // 1. 2. and 3. X, of ℓ rows
    for l in 0..config.num_hidden_layers {
        // 4. for each layer
        let layer = |name: &str| format!("layers.{l}.{name}");
        let normed = norm(&x, &layer("input_layernorm")); // 4a. a copy for attention
        let attended = attention(normed.view(), config, |name| {
            get(&layer(&format!("self_attn.{name}"))).clone()
        });
        x = if as_printed { normed } else { x } + attended; // 4b. added to the stream
        let normed = norm(&x, &layer("post_attention_layernorm")); // 4c. a copy for SwiGLU
        let swiglu = SwiGluParameters {
            w: get(&layer("mlp.gate_proj")).clone(),
            v: get(&layer("mlp.up_proj")).clone(),
            b: Array1::zeros(config.intermediate_size),
            c: Array1::zeros(config.intermediate_size),
            beta: 1.0,
        };
        let down = get(&layer("mlp.down_proj"));
        x = if as_printed { normed.clone() } else { x };
        for (normed, mut x) in normed.rows().into_iter().zip(x.rows_mut()) {
            x += &down.dot(&swiglu_formal(normed, &swiglu)); // 4d. added to the stream
        }
    }
    let x = norm(&x, "norm"); // 5. last norm
    let w_u = if config.tie_word_embeddings {
        w_e
    } else {
        &parameters["lm_head.weight"]
    };
    let w_u = if config.norm_head {
        norm_head_formal(w_u.view())
    } else {
        w_u.clone()
    };
    let mut p = Array2::zeros((ids.len(), w_u.nrows()));
    for (e, mut p) in x.rows().into_iter().zip(p.rows_mut()) {
        p.assign(&unembedding_formal(e, w_u.view())); // 6. P
    }
    p
}

/// Causal self-attention, head by head and query by query.
fn attention(
    x: ArrayView2<f64>,
    config: &Config,
    weight: impl Fn(&str) -> Array2<f64>,
) -> Array2<f64> {
    let (d, n_q, n_kv) = (config.head_dim, config.query_width(), config.kv_width());
    let (w_q, w_k, w_v) = if config.packed_qkv {
        let w = weight("W_pack");
        let third = |from: usize, n: usize| w.slice(s![from..from + n, ..]).to_owned();
        (third(0, n_q), third(n_q, n_kv), third(n_q + n_kv, n_kv))
    } else {
        (weight("q_proj"), weight("k_proj"), weight("v_proj"))
    };
    let slopes = alibi::slopes(config.num_attention_heads);
    // The dimensions of a head as neighbours: the inverse of the permutation into halves.
    let mut neighbours = vec![0; d];
    for (half, neighbour) in permutation(d).into_iter().enumerate() {
        neighbours[neighbour] = half;
    }
    let project = |w: &Array2<f64>, head: usize, t: usize, rotated: bool| -> Array1<f64> {
        let y = w.slice(s![head * d..(head + 1) * d, ..]).dot(&x.row(t));
        match config.position {
            Position::Rope { base } if rotated => {
                rope_formal(y.select(Axis(0), &neighbours).view(), t, base)
            }
            _ => y,
        }
    };
    let mut concat = Array2::zeros((x.nrows(), n_q));
    for (h, slope) in slopes.into_iter().enumerate() {
        let g = h * config.num_key_value_heads / config.num_attention_heads;
        for i in 0..x.nrows() {
            let q = project(&w_q, h, i, true);
            let score = |j: usize| {
                let s = q.dot(&project(&w_k, g, j, true)) / (d as f64).sqrt();
                match config.position {
                    Position::Alibi => s + slope * (j as f64 - i as f64),
                    Position::Rope { .. } => s,
                }
            };
            let weights = softmax_formal((0..=i).map(score).collect::<Array1<_>>().view());
            let mut out = concat.slice_mut(s![i, h * d..(h + 1) * d]);
            for (j, &w) in weights.iter().enumerate() {
                out.scaled_add(w, &project(&w_v, g, j, false));
            }
        }
    }
    concat.dot(&weight("o_proj").t())
}
