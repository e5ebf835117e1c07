//! The gradient of the decoder as a whole: forward through all layers, and back.
//!
//! The residual stream is a sum, so its gradient $\bar X$ goes back unchanged past every block, and each block adds its own part:
//! $\bar X \leftarrow \bar X + \mathrm{block}^\top(\bar X)$. The gradient of the embedding is the sum of $\bar X_0$ over the places of each token.

use super::{add_linear, attention, linear, rms_norm, swiglu, unembedding};
use crate::{
    alibi,
    attention::{Projection, grouped_query::Positions},
    dtransformer::Position,
    rope::Rotation,
    swiglu::SwiGlu,
    tensor::threads,
    training::{
        loss::Loss,
        parameters::{LayerParameters, Parameters},
    },
};
use ndarray::{Array1, Array2, Axis, NdFloat, concatenate, s};

/// Sequences of one length, and what is to follow each token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Tokens of one sequence.
    pub tokens: usize,
    /// Token ids, one sequence after the other.
    pub ids: Vec<u32>,
    /// What follows each of them; none where that is not to be learned.
    pub targets: Vec<Option<u32>>,
}

impl Batch {
    /// Sequences of `tokens + 1` ids each: all but the first are to be learned.
    ///
    /// ```
    /// let batch = baichuan2::training::Batch::of(&[[5, 6, 7].as_slice(), &[8, 9, 1]]);
    /// assert_eq!(batch.ids, [5, 6, 8, 9]);
    /// assert_eq!(batch.targets, [Some(6), Some(7), Some(9), Some(1)]);
    /// ```
    ///
    /// # Panics
    /// Where the sequences differ in length, or have less than two ids.
    pub fn of(sequences: &[&[u32]]) -> Self {
        let length = sequences.first().map_or(2, |s| s.len());
        assert!(
            length > 1 && sequences.iter().all(|s| s.len() == length),
            "sequences of one length, of two ids at least"
        );
        Batch {
            tokens: length - 1,
            ids: sequences
                .iter()
                .flat_map(|s| &s[..length - 1])
                .copied()
                .collect(),
            targets: sequences
                .iter()
                .flat_map(|s| &s[1..])
                .copied()
                .map(Some)
                .collect(),
        }
    }

    /// Targets that are to be learned.
    pub fn counted(&self) -> usize {
        self.targets.iter().flatten().count()
    }
}

/// What one layer keeps for the way back.
struct SavedLayer<A> {
    x: Array2<A>,
    r: Array1<A>,
    normed: Array2<A>,
    attention: attention::Saved<A>,
    concat: Array2<A>,
    x_mid: Array2<A>,
    r_mid: Array1<A>,
    normed_mid: Array2<A>,
    mlp: swiglu::Saved<A>,
}

/// The loss of a batch: the mean over its counted targets.
pub fn loss<A: NdFloat>(p: &Parameters<A>, batch: &Batch, max_z_weight: f64) -> Loss {
    let (x, _) = forward(p, batch, false);
    let head = unembedding::head(&p.arrays[p.head_at()], p.config.norm_head);
    Loss::of(
        linear(x.normed.view(), &head),
        &batch.targets,
        max_z_weight,
        batch.counted(),
    )
    .0
}

/// The loss of a batch, and its gradient added to `gradient`. `count` divides both: the counted targets of the whole step.
pub fn loss_and_gradient<A: NdFloat>(
    p: &Parameters<A>,
    batch: &Batch,
    max_z_weight: f64,
    count: usize,
    gradient: &mut Parameters<A>,
) -> Loss {
    let (last, saved) = forward(p, batch, true);
    let head = unembedding::head(&p.arrays[p.head_at()], p.config.norm_head);
    let logits = linear(last.normed.view(), &head);
    let (loss, z_bar) = Loss::of(logits, &batch.targets, max_z_weight, count);

    // The head's own gradient, apart from what is there already, since it goes through NormHead.
    let mut head_bar = Array2::zeros(head.raw_dim());
    let normed_bar = unembedding::backward(z_bar.view(), last.normed.view(), &head, &mut head_bar);
    let head_at = p.head_at();
    if p.config.norm_head {
        unembedding::through_norm_head(&mut head_bar, &p.arrays[head_at]);
    }
    gradient.arrays[head_at] += &head_bar;
    let norm_at = p.norm_at();
    let mut x_bar = rms_norm::backward(
        normed_bar.view(),
        last.x.view(),
        last.r.view(),
        p.arrays[norm_at].row(0),
        gradient.arrays[norm_at].row_mut(0),
    );
    let positions = positions(p, batch.tokens);
    for (i, saved) in saved.into_iter().enumerate().rev() {
        back_through_layer(&mut x_bar, saved, p, i, &positions, batch.tokens, gradient);
    }
    for (&id, x_bar) in batch.ids.iter().zip(x_bar.rows()) {
        let mut row = gradient.arrays[0].row_mut(id as usize);
        row += &x_bar;
    }
    loss
}

/// The loss of a whole step in `parts`, each with a gradient of its own, and the sum of these in the first of `gradients`.
///
/// Parts may run side by side; their sums are made in one order, so that the numbers do not depend on the number of threads.
pub fn loss_and_gradient_of_parts<A: NdFloat>(
    p: &Parameters<A>,
    parts: &[Batch],
    max_z_weight: f64,
    gradients: &mut [Parameters<A>],
) -> Loss {
    assert!(
        parts.len() <= gradients.len(),
        "a gradient for each part of a step"
    );
    let count = parts.iter().map(Batch::counted).sum();
    let losses = threads::map(parts.iter().zip(&mut *gradients), |(batch, gradient)| {
        gradient
            .arrays
            .iter_mut()
            .for_each(|array| array.fill(A::zero()));
        loss_and_gradient(p, batch, max_z_weight, count, gradient)
    });
    if let Some((sum, others)) = gradients[..parts.len()].split_first_mut() {
        others.iter().for_each(|other| sum.add(other));
    }
    losses.iter().fold(Loss::default(), |sum, part| Loss {
        cross_entropy: sum.cross_entropy + part.cross_entropy,
        max_z: sum.max_z + part.max_z,
    })
}

/// The stream after the last layer.
struct Last<A> {
    x: Array2<A>,
    r: Array1<A>,
    normed: Array2<A>,
}

fn forward<A: NdFloat>(
    p: &Parameters<A>,
    batch: &Batch,
    keep: bool,
) -> (Last<A>, Vec<SavedLayer<A>>) {
    let eps = A::from(p.config.rms_norm_eps).expect("ε fits a float");
    let rows: Vec<usize> = batch.ids.iter().map(|&id| id as usize).collect();
    let mut x = p.embed_tokens().select(Axis(0), &rows);
    let positions = positions(p, batch.tokens);
    let mut saved = Vec::new();
    for i in 0..p.config.num_hidden_layers {
        let layer = p.layer(i);
        let (normed, r) = rms_norm::forward(x.view(), layer.input_layernorm, eps);
        let qkv = project(&normed, &layer);
        let (concat, attention) = attention::forward(qkv, &p.config, &positions, batch.tokens);
        let x_mid = linear(concat.view(), layer.o_proj) + &x;
        let (normed_mid, r_mid) =
            rms_norm::forward(x_mid.view(), layer.post_attention_layernorm, eps);
        let (y, mlp) = swiglu::forward(normed_mid.view(), &layer.mlp);
        let out = y + &x_mid;
        let x_in = std::mem::replace(&mut x, out);
        if keep {
            saved.push(SavedLayer {
                x: x_in,
                r,
                normed,
                attention,
                concat,
                x_mid,
                r_mid,
                normed_mid,
                mlp,
            });
        }
    }
    let (normed, r) = rms_norm::forward(x.view(), p.arrays[p.norm_at()].row(0), eps);
    (Last { x, r, normed }, saved)
}

/// Queries, keys and values side by side.
fn project<A: NdFloat>(x: &Array2<A>, layer: &LayerParameters<'_, A>) -> Array2<A> {
    match &layer.projection {
        Projection::Packed(w) => linear(x.view(), w),
        Projection::Separate { query, key, value } => {
            let parts = [query, key, value].map(|w| linear(x.view(), w));
            concatenate(Axis(1), &parts.each_ref().map(|p| p.view()))
                .expect("as many rows as tokens")
        }
    }
}

fn positions<A: NdFloat>(p: &Parameters<A>, tokens: usize) -> Positions<A> {
    match p.config.position {
        Position::Rope { base } => {
            Positions::Rotated(Rotation::new(p.config.head_dim, base, 0, tokens))
        }
        Position::Alibi => Positions::Biased(alibi::slopes(p.config.num_attention_heads)),
    }
}

/// Takes $\bar X$ from behind layer `i` to before it, in place.
fn back_through_layer<A: NdFloat>(
    x_bar: &mut Array2<A>,
    saved: SavedLayer<A>,
    p: &Parameters<A>,
    i: usize,
    positions: &Positions<A>,
    tokens: usize,
    gradient: &mut Parameters<A>,
) {
    let layer = p.layer(i);
    let bars = gradient.layer_mut(i);
    let (before, rest) = bars.split_at_mut(bars.len() - 5);
    let (input_norm, projection) = before.split_at_mut(1);
    let [o_proj, post_norm, gate, up, down] = rest else {
        unreachable!("five arrays behind the projection")
    };

    let normed_bar = swiglu::backward(
        x_bar.view(),
        saved.normed_mid.view(),
        saved.mlp,
        &layer.mlp,
        SwiGlu { gate, up, down },
    );
    *x_bar += &rms_norm::backward(
        normed_bar.view(),
        saved.x_mid.view(),
        saved.r_mid.view(),
        layer.post_attention_layernorm,
        post_norm.row_mut(0),
    );

    add_linear(o_proj, x_bar.view(), saved.concat.view());
    let concat_bar = x_bar.dot(layer.o_proj);
    let qkv_bar = attention::backward(
        concat_bar.view(),
        saved.attention,
        &p.config,
        positions,
        tokens,
    );
    let normed_bar = match &layer.projection {
        Projection::Packed(w) => {
            add_linear(&mut projection[0], qkv_bar.view(), saved.normed.view());
            qkv_bar.dot(*w)
        }
        Projection::Separate { query, key, value } => {
            let mut normed_bar = Array2::zeros(saved.normed.raw_dim());
            let mut from = 0;
            for (w, w_bar) in [query, key, value].into_iter().zip(projection) {
                let part = qkv_bar.slice(s![.., from..from + w.nrows()]);
                add_linear(w_bar, part, saved.normed.view());
                normed_bar += &part.dot(*w);
                from += w.nrows();
            }
            normed_bar
        }
    };
    *x_bar += &rms_norm::backward(
        normed_bar.view(),
        saved.x.view(),
        saved.r.view(),
        layer.input_layernorm,
        input_norm[0].row_mut(0),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dtransformer::Config,
        probe::Trace,
        testing::largest_difference,
        training::{backward::slope, loss as losses},
    };
    use proptest::prelude::*;

    fn case() -> impl Strategy<Value = (Parameters<f64>, Batch)> {
        (
            (1..3_usize, 1..3_usize, 1..3_usize, 1..3_usize),
            (2..5_usize, 2..5_usize, 2..7_usize),
            (1..4_usize, 1..3_usize),
            any::<[bool; 4]>(),
            any::<u64>(),
        )
            .prop_map(
                |(
                    (layers, kv, group, half),
                    (d, ffn, vocab),
                    (tokens, n),
                    [rope, packed, tied, norm_head],
                    seed,
                )| {
                    let config = Config {
                        vocab_size: vocab,
                        hidden_size: d,
                        intermediate_size: ffn,
                        num_hidden_layers: layers,
                        num_attention_heads: kv * group,
                        num_key_value_heads: kv,
                        head_dim: 2 * half,
                        position: if rope {
                            Position::Rope { base: 1e4 }
                        } else {
                            Position::Alibi
                        },
                        norm_head,
                        tie_word_embeddings: tied,
                        packed_qkv: packed && group == 1,
                        ..Config::baichuan2_7b()
                    };
                    let id = |i: usize| (seed >> (i % 40)) as u32 % vocab as u32;
                    let ids = (0..n * tokens).map(id).collect();
                    // Some targets are not to be learned, the first always is.
                    let targets = (0..n * tokens)
                        .map(|i| (i == 0 || id(i + 7) != 0).then(|| id(i + 3)))
                        .collect();
                    (
                        Parameters::random(&config, 0.8, seed),
                        Batch {
                            tokens,
                            ids,
                            targets,
                        },
                    )
                },
            )
    }

    /// Whether differences can find the slope: no two largest logits so close that the maximum may change hands, and no stream so near to
    /// zero that its norm turns within a step.
    fn is_smooth(p: &Parameters<f64>, batch: &Batch) -> bool {
        let decoder = p.decoder().unwrap();
        batch.ids.chunks(batch.tokens).all(|ids| {
            let mut trace = Trace::everything();
            let logits = decoder
                .forward(ids, &mut decoder.new_cache(), Some(&mut trace))
                .unwrap();
            let apart = logits.rows().into_iter().all(|row| {
                let mut sorted = row.to_vec();
                sorted.sort_by(|a, b| b.total_cmp(a));
                sorted[0] - sorted[1] > 0.02
            });
            let mut stream = trace.values["embed"].clone();
            let mut long = true;
            for name in (0..p.config.num_hidden_layers)
                .flat_map(|l| [format!("layers.{l}.self_attn"), format!("layers.{l}.mlp")])
            {
                long &= stream.rows().into_iter().all(|x| x.dot(&x) > 0.05);
                stream += &trace.values[&name];
            }
            apart && long && stream.rows().into_iter().all(|x| x.dot(&x) > 0.05)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, max_global_rejects: 100_000, ..ProptestConfig::default() })]

        /// Catches: a parameter without a gradient, or with another's; a residual path that is not passed on; tied gradients that overwrite each other.
        #[test]
        fn the_whole_models_gradient_is_the_slope_of_its_loss((p, batch) in case().prop_filter("smooth", |(p, batch)| is_smooth(p, batch))) {
            let z = 0.01; // larger than the paper's, so that a mistake in it shows
            let mut gradient = Parameters::zeros(&p.config);
            let loss_at = |p: &Parameters<f64>| loss(p, &batch, z).total();
            let found = loss_and_gradient(&p, &batch, z, batch.counted(), &mut gradient);
            prop_assert!((found.total() - loss_at(&p)).abs() < 1e-12);
            for i in 0..p.arrays.len() {
                let slope = slope::of(&p.arrays[i], |array| {
                    let mut p = p.clone();
                    p.arrays[i] = array.clone();
                    loss_at(&p)
                });
                let error = slope::relative_error(&gradient.arrays[i], &slope);
                prop_assert!(error < 1e-6, "{}: {error}", p.config.parameters()[i].name);
            }
        }

        /// Catches: losses or gradients of parts that are not added, or each divided by its own count.
        #[test]
        fn a_step_in_parts_is_the_step((p, batch) in case()) {
            let zeros = || Parameters::zeros(&p.config);
            let mut once = zeros();
            let whole = loss_and_gradient(&p, &batch, 0.01, batch.counted(), &mut once);
            let mut parts = [zeros(), zeros()];
            let sum = loss_and_gradient_of_parts(&p, &[batch.clone(), batch], 0.01, &mut parts);
            prop_assert!((whole.cross_entropy - sum.cross_entropy).abs() < 1e-12);
            prop_assert!((whole.max_z - sum.max_z).abs() < 1e-12);
            for (once, sum) in once.arrays.iter().zip(&parts[0].arrays) {
                prop_assert!(largest_difference(once, sum) < 1e-9);
            }
        }

        /// Catches: a forward pass in training that is not the model that runs.
        #[test]
        fn training_computes_the_decoders_loss((p, batch) in case()) {
            prop_assume!(batch.targets.iter().all(Option::is_some));
            let decoder = p.decoder().unwrap();
            let (mut cross_entropy, mut max_z) = (0.0, 0.0);
            for (ids, targets) in batch.ids.chunks(batch.tokens).zip(batch.targets.chunks(batch.tokens)) {
                let logits = decoder.forward(ids, &mut decoder.new_cache(), None).unwrap();
                let targets: Vec<u32> = targets.iter().flatten().copied().collect();
                cross_entropy += losses::cross_entropy(logits.view(), &targets) * batch.tokens as f64;
                max_z += losses::max_z(logits.view()) * batch.tokens as f64;
            }
            let ours = loss(&p, &batch, 0.01);
            let n = batch.ids.len() as f64;
            prop_assert!((ours.cross_entropy - cross_entropy / n).abs() < 1e-10);
            prop_assert!((ours.max_z - 0.01 * max_z / n).abs() < 1e-10);
        }
    }

    /// Catches: the last id among those that are read, or the first among those that follow.
    #[test]
    fn each_id_is_followed_by_the_next_of_its_sequence() {
        let batch = Batch::of(&[[5, 6, 7].as_slice(), &[8, 9, 1]]);
        assert_eq!(batch.tokens, 2);
        assert_eq!(batch.ids, [5, 6, 8, 9]);
        assert_eq!(batch.targets, [6, 7, 9, 1].map(Some));
    }
}
