//! The gradient of grouped-query attention, with RoPE or ALiBi.
//!
//! For one head of one sequence, with $s = 1/\sqrt d$ and the bias $B$ constant:
//!
//! $$ P = \mathrm{softmax}(s Q K^\top + B), \quad O = P V; \qquad
//!    \bar V = P^\top \bar O, \quad \bar P = \bar O V^\top, \quad
//!    \bar S = P \odot (\bar P - \mathrm{rowsum}(\bar P \odot P)), \quad
//!    \bar Q = s \bar S K, \quad \bar K = s \bar S^\top Q $$
//!
//! A key/value head gets the sum over the heads that share it. RoPE is a rotation, and the gradient is turned back by the same angles.

use crate::{
    attention::{Bias, Visibility, grouped_query::Positions},
    dtransformer::Config,
    rope::Rotation,
    tensor::{largest, weigh},
};
use ndarray::{
    Array2, Array3, ArrayView2, ArrayViewMut2, Axis, NdFloat, aview1, linalg::general_mat_mul, s,
};
use std::ops::Range;

/// Rows of queries at a time. Those of one block see no key behind its last row, so that most of what the mask hides is not computed at all.
/// Tests have small ones, so that short sequences have several.
const BLOCK: usize = if cfg!(test) { 2 } else { 64 };

/// What the way back needs.
pub struct Saved<A> {
    /// Queries and keys turned, values as they are, `[rows, (H + 2 N_kv) · head_dim]`.
    qkv: Array2<A>,
    /// $P$ of each head of each sequence, `[heads, tokens, tokens]`, in blocks up to the diagonal; zero behind them.
    weights: Array3<A>,
}

/// The heads' outputs side by side, `[rows, H · head_dim]`, of `qkv: [rows, (H + 2 N_kv) · head_dim]` before rotation.
///
/// Rows are sequences of `tokens` tokens, one after the other, each causal and seeing itself alone.
pub fn forward<A: NdFloat>(
    mut qkv: Array2<A>,
    config: &Config,
    positions: &Positions<A>,
    tokens: usize,
) -> (Array2<A>, Saved<A>) {
    if let Positions::Rotated(rotation) = positions {
        rotate(&mut qkv, config, rotation, tokens);
    }
    let heads = Heads::of(config);
    let scale = heads.scale::<A>();
    let mut out = Array2::zeros((qkv.nrows(), config.query_width()));
    let maps = qkv.nrows() / tokens.max(1) * heads.query;
    let mut weights = Array3::zeros((maps, tokens, tokens));
    let mut maps = weights.outer_iter_mut();
    for (qkv, mut out) in sequences(&qkv, tokens).zip(out.axis_chunks_iter_mut(Axis(0), tokens)) {
        for h in 0..heads.query {
            let (q, k, v) = heads.of_query(qkv, h);
            let keys = k.t().as_standard_layout().into_owned();
            let bias = biases(positions, h, tokens);
            let mut p = maps.next().expect("a map for each head of each sequence");
            let mut out = out.slice_mut(heads.columns(h));
            for Block { rows, seen } in blocks(tokens) {
                let mut p = p.slice_mut(s![rows.clone(), ..seen]);
                let q = q.slice(s![rows.clone(), ..]);
                general_mat_mul(scale, &q, &keys.slice(s![.., ..seen]), A::zero(), &mut p);
                softmax_causal(&mut p, rows.start, bias.as_deref());
                let mut out = out.slice_mut(s![rows, ..]);
                general_mat_mul(A::one(), &p, &v.slice(s![..seen, ..]), A::zero(), &mut out);
            }
        }
    }
    (out, Saved { qkv, weights })
}

/// The gradient of queries, keys and values, side by side as they came.
pub fn backward<A: NdFloat>(
    out_bar: ArrayView2<A>,
    saved: Saved<A>,
    config: &Config,
    positions: &Positions<A>,
    tokens: usize,
) -> Array2<A> {
    let Saved { qkv, weights } = saved;
    let heads = Heads::of(config);
    let (one, scale) = (A::one(), heads.scale::<A>());
    let mut bar = Array2::zeros(qkv.raw_dim());
    let mut maps = weights.outer_iter();
    let mut s_bar = Array2::zeros((BLOCK.min(tokens), tokens));
    let chunks = sequences(&qkv, tokens).zip(bar.axis_chunks_iter_mut(Axis(0), tokens));
    for ((qkv, mut bar), out_bar) in chunks.zip(out_bar.axis_chunks_iter(Axis(0), tokens)) {
        for h in 0..heads.query {
            let (q, k, v) = heads.of_query(qkv, h);
            let values = v.t().as_standard_layout().into_owned();
            let p = maps.next().expect("a map for each head of each sequence");
            let o_bar = out_bar.slice(heads.columns(h));
            let [q_at, k_at, v_at] = heads.places(h).map(|place| heads.columns(place));
            for Block { rows, seen } in blocks(tokens) {
                let p = p.slice(s![rows.clone(), ..seen]);
                let o_bar = o_bar.slice(s![rows.clone(), ..]);
                let q = q.slice(s![rows.clone(), ..]);
                let mut v_bar = bar.slice_mut(v_at);
                let mut v_bar = v_bar.slice_mut(s![..seen, ..]);
                general_mat_mul(one, &p.t(), &o_bar, one, &mut v_bar);
                let mut s_bar = s_bar.slice_mut(s![..rows.len(), ..seen]);
                general_mat_mul(
                    one,
                    &o_bar,
                    &values.slice(s![.., ..seen]),
                    A::zero(),
                    &mut s_bar,
                );
                for (mut s_bar, p) in s_bar.rows_mut().into_iter().zip(p.rows()) {
                    let inward = s_bar.dot(&p);
                    s_bar.zip_mut_with(&p, |s_bar, &p| *s_bar = p * (*s_bar - inward));
                }
                let mut q_bar = bar.slice_mut(q_at);
                let mut q_bar = q_bar.slice_mut(s![rows, ..]);
                general_mat_mul(scale, &s_bar, &k.slice(s![..seen, ..]), one, &mut q_bar);
                let mut k_bar = bar.slice_mut(k_at);
                let mut k_bar = k_bar.slice_mut(s![..seen, ..]);
                general_mat_mul(scale, &s_bar.t(), &q, one, &mut k_bar);
            }
        }
    }
    if let Positions::Rotated(rotation) = positions {
        let back = Rotation {
            cos: rotation.cos.clone(),
            sin: rotation.sin.mapv(|sin| -sin),
        };
        rotate(&mut bar, config, &back, tokens);
    }
    bar
}

/// Some rows of queries, and how many keys the last of them sees.
struct Block {
    rows: Range<usize>,
    seen: usize,
}

fn blocks(tokens: usize) -> impl Iterator<Item = Block> {
    (0..tokens).step_by(BLOCK).map(move |start| {
        let seen = (start + BLOCK).min(tokens);
        Block {
            rows: start..seen,
            seen,
        }
    })
}

fn sequences<A>(rows: &Array2<A>, tokens: usize) -> impl Iterator<Item = ArrayView2<'_, A>> {
    rows.axis_chunks_iter(Axis(0), tokens)
}

/// Turns the queries and keys of every sequence, in place.
fn rotate<A: NdFloat>(qkv: &mut Array2<A>, config: &Config, rotation: &Rotation<A>, tokens: usize) {
    let turned = config.query_width() + config.kv_width();
    for mut sequence in qkv.axis_chunks_iter_mut(Axis(0), tokens) {
        for head in sequence
            .slice_mut(s![.., ..turned])
            .axis_chunks_iter_mut(Axis(1), config.head_dim)
        {
            rotation.rotate(head);
        }
    }
}

/// ALiBi's biases of the last of `tokens` tokens; those of the others are the ends of it, since the bias follows from the distance alone.
fn biases<A: NdFloat>(positions: &Positions<A>, head: usize, tokens: usize) -> Option<Vec<A>> {
    let Positions::Biased(slopes) = positions else {
        return None;
    };
    let last = Bias {
        visibility: Visibility::Causal {
            first: tokens.checked_sub(1)?,
        },
        alibi_slope: Some(slopes[head]),
    };
    Some((0..tokens).map(|j| last.at(0, j)).collect())
}

/// The weights of some rows of scores, the first being that of token `first`; what the mask hides becomes zero.
fn softmax_causal<A: NdFloat>(scores: &mut ArrayViewMut2<A>, first: usize, bias: Option<&[A]>) {
    for (i, mut row) in scores.rows_mut().into_iter().enumerate() {
        let row = row.as_slice_mut().expect("made in rows");
        let (seen, hidden) = row.split_at_mut(first + i + 1);
        hidden.fill(A::zero());
        if let Some(bias) = bias {
            let of_this_row = &bias[bias.len() - seen.len()..];
            seen.iter_mut().zip(of_this_row).for_each(|(s, &b)| *s += b);
        }
        weigh(seen, largest(seen));
        let sum = aview1(seen).sum().recip();
        seen.iter_mut().for_each(|e| *e *= sum);
    }
}

/// Where heads lie among the columns of queries, keys and values.
struct Heads {
    query: usize,
    kv: usize,
    width: usize,
}

impl Heads {
    fn of(config: &Config) -> Self {
        Heads {
            query: config.num_attention_heads,
            kv: config.num_key_value_heads,
            width: config.head_dim,
        }
    }

    /// Query, key and value of query head `h`, counted in heads from the left.
    fn places(&self, h: usize) -> [usize; 3] {
        let group = h * self.kv / self.query;
        [h, self.query + group, self.query + self.kv + group]
    }

    /// $1 / \sqrt d$.
    fn scale<A: NdFloat>(&self) -> A {
        let width = A::from(self.width).expect("a length fits a float");
        width.sqrt().recip()
    }

    fn columns(
        &self,
        place: usize,
    ) -> ndarray::SliceInfo<[ndarray::SliceInfoElem; 2], ndarray::Ix2, ndarray::Ix2> {
        s![.., place * self.width..(place + 1) * self.width]
    }

    fn of_query<'a, A>(
        &self,
        qkv: ArrayView2<'a, A>,
        h: usize,
    ) -> (ArrayView2<'a, A>, ArrayView2<'a, A>, ArrayView2<'a, A>) {
        let [q, k, v] = self
            .places(h)
            .map(|place| qkv.slice_move(self.columns(place)));
        (q, k, v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alibi, dtransformer::Position, testing::matrix, training::backward::slope as by_differences,
    };
    use proptest::prelude::*;

    proptest! {
        /// Catches: gradients of shared keys not summed; a rotation turned forward on the way back; a scale forgotten; sequences that see each other.
        #[test]
        fn the_gradient_is_the_slope(
            (config, tokens, qkv, w) in (1..3_usize, 1..3_usize, 1..3_usize, 1..5_usize, 1..3_usize, any::<bool>())
                .prop_flat_map(|(kv, group, half, tokens, n, rope)| {
                    let config = Config {
                        num_attention_heads: kv * group, num_key_value_heads: kv, head_dim: 2 * half,
                        position: if rope { Position::Rope { base: 1e4 } } else { Position::Alibi },
                        ..Config::baichuan2_7b()
                    };
                    let (rows, q, k) = (n * tokens, config.query_width(), config.kv_width());
                    (Just(config), Just(tokens), matrix(rows, q + 2 * k), matrix(rows, q))
                }),
        ) {
            let positions = match config.position {
                Position::Rope { base } => Positions::Rotated(Rotation::new(config.head_dim, base, 0, tokens)),
                Position::Alibi => Positions::Biased(alibi::slopes(config.num_attention_heads)),
            };
            let qkv = qkv / 2.0;
            let loss = |qkv: &Array2<f64>| (forward(qkv.clone(), &config, &positions, tokens).0 * &w).sum();
            let (_, saved) = forward(qkv.clone(), &config, &positions, tokens);
            let bar = backward(w.view(), saved, &config, &positions, tokens);
            prop_assert!(by_differences::relative_error(&bar, &by_differences::of(&qkv, loss)) < 1e-6);
        }
    }

    /// Catches: exponentials of scores from which the maximum was not taken.
    #[test]
    fn large_scores_stay_finite() {
        let mut scores = ndarray::array![[300.0_f32, 5.0], [300.0, 299.0]];
        softmax_causal(&mut scores.view_mut(), 0, None);
        let nearer = 1.0 / (1.0 + (-1.0_f32).exp());
        assert_eq!(scores.row(0), ndarray::array![1.0, 0.0]);
        assert!(
            (scores[[1, 0]] - nearer).abs() < 1e-6 && (scores[[1, 1]] + nearer - 1.0).abs() < 1e-6
        );
    }
}
