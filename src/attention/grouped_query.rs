//! Grouped-query attention: several query heads share one head of keys and values.
//!
//! $$ S_h = \frac{Q_h K_{g(h)}^\top}{\sqrt{d}} + B_h, \qquad C_h = \mathrm{softmax}(S_h) V_{g(h)}, \qquad \tilde V = [C_1, \dots, C_H] W_o^\top, \qquad g(h) = \lfloor h N_{kv} / H \rfloor $$
//!
//! With $N_{kv} = H$ it is multi-head attention, which is what both sizes of Baichuan 2 are. Groups make the cache smaller by $H / N_{kv}$.
//!
//! * Page: *Algorithm: Grouped-Query Attention*.
//! * Paper: Ainslie et al. 2023, arXiv 2305.13245, section 2.2.
//! * Shipped: `Attention` in `modeling_baichuan.py` (one `W_pack`, rows in thirds of queries, keys and values, heads contiguous in each).
//!
//! # As printed, as shipped
//!
//! * The page's parameters are per head, $W^h_k$ and $W^h_v$ for every head $h$; with $N_{kv} < H$ there are only $N_{kv}$ of them, and step 7 repeats them.
//!   Repeating copies; the shipped form here lets head $h$ read the keys of group $g(h)$ where they lie.
//! * Step 9 adds a mask of 0 and 1 to the scores, which hides nothing. What is hidden must get −∞: the test `the_printed_mask_is_added_and_hides_nothing`.

use super::{
    Bias, CacheOverflow, LayerCache, Visibility, attend, attend_in_blocks,
    memory_efficient::QUERIES,
};
use crate::{
    probe::{LayerProbe, LayerSite},
    rope::Rotation,
    tensor::{LinearMap, ShapeError, expect_shape, softmax_formal, threads},
};
use ndarray::{Array2, Array3, ArrayView2, Axis, NdFloat, concatenate, s};

/// The page's parameters.
#[derive(Clone, Debug)]
pub struct GroupedQueryParameters<A> {
    /// $W^h_q$ of each of the $H$ heads, `[d_attn, d_x]`.
    pub w_q: Vec<Array2<A>>,
    /// $W_k$ of each of the $N_{kv}$ key/value heads, `[d_attn, d_z]`.
    pub w_k: Vec<Array2<A>>,
    /// $W_v$ of each of the $N_{kv}$ key/value heads, `[d_attn, d_z]`.
    pub w_v: Vec<Array2<A>>,
    /// $W_o$, `[d_out, H · d_attn]`.
    pub w_o: Array2<A>,
}

/// The page's algorithm. `x: [ℓ_x, d_x]` attends to what `cache` holds of earlier calls and to `z: [ℓ_z, d_z]`, which it adds to the cache.
///
/// `mask: [ℓ_x, cached + ℓ_z]` is added to the scores (step 9): 0 where a key may be seen, −∞ where not. Returns `[ℓ_x, d_out]`.
///
/// ```
/// use baichuan2::attention::{GroupedQueryParameters, grouped_query_attention_formal};
/// use ndarray::{Array2, array};
/// let one = || array![[1.0]];
/// let p = GroupedQueryParameters { w_q: vec![one(), one()], w_k: vec![one()], w_v: vec![one()], w_o: array![[1.0, 10.0]] };
/// let x = array![[2.0]];
/// let y = grouped_query_attention_formal(x.view(), x.view(), &p, Array2::zeros((1, 1)).view(), &mut Vec::new());
/// assert_eq!(y, array![[22.0]]); // both heads read the one value
/// ```
pub fn grouped_query_attention_formal<A: NdFloat>(
    x: ArrayView2<A>,
    z: ArrayView2<A>,
    p: &GroupedQueryParameters<A>,
    mask: ArrayView2<A>,
    cache: &mut Vec<(Array2<A>, Array2<A>)>,
) -> Array2<A> {
    let (heads, n_kv) = (p.w_q.len(), p.w_k.len());
    // Made and kept once a key/value head, not once a head.
    for (g, (w_k, w_v)) in p.w_k.iter().zip(&p.w_v).enumerate() {
        let (k, v) = (z.dot(&w_k.t()), z.dot(&w_v.t())); // 3. keys, 4. values
        match cache.get_mut(g) {
            Some((keys, values)) => {
                keys.append(Axis(0), k.view()).expect("keys of one width"); // 5. cache
                values
                    .append(Axis(0), v.view())
                    .expect("values of one width");
            }
            None => cache.push((k, v)),
        }
    }
    let n_rep = heads / n_kv; // 6. and 7. each of them serves so many heads
    let mut contexts = Vec::new();
    for h in 0..heads {
        // 1. for each head
        let (keys, values) = &cache[h / n_rep];
        let q = x.dot(&p.w_q[h].t()); // 2. queries
        let root = A::from(q.ncols()).expect("a length fits a float").sqrt();
        let mut s = q.dot(&keys.t()) / root; // 8. scores
        s += &mask; // 9. mask
        for mut s in s.rows_mut() {
            let p = softmax_formal(s.view()); // 10. softmax
            s.assign(&p);
        }
        contexts.push(s.dot(values)); // 11. context
    }
    let views: Vec<_> = contexts.iter().map(|c| c.view()).collect();
    let y: Array2<A> = concatenate(Axis(1), &views).expect("heads of one length"); // 12. Y
    y.dot(&p.w_o.t()) // 13. Ṽ
}

/// Where queries, keys and values come from.
#[derive(Clone, Debug)]
pub enum Projection<M> {
    /// Baichuan's `W_pack`, `[3 · D, D]`: rows in thirds.
    Packed(M),
    /// Llama's three matrices, `[H · head_dim, D]` and twice `[N_kv · head_dim, D]`.
    Separate {
        /// $W_q$.
        query: M,
        /// $W_k$.
        key: M,
        /// $W_v$.
        value: M,
    },
}

impl<M> Projection<M> {
    /// Queries, keys and values side by side, `[tokens, (H + 2 N_kv) · head_dim]`.
    fn apply<A: NdFloat>(&self, x: ArrayView2<A>) -> Array2<A>
    where
        M: LinearMap<A>,
    {
        match self {
            Projection::Packed(w_pack) => w_pack.apply(x),
            Projection::Separate { query, key, value } => {
                let parts = [query.apply(x), key.apply(x), value.apply(x)];
                concatenate(Axis(1), &parts.each_ref().map(|part| part.view()))
                    .expect("as many rows as tokens")
            }
        }
    }

    /// Rows of all maps together.
    fn width<A>(&self) -> [usize; 2]
    where
        M: LinearMap<A>,
    {
        match self {
            Projection::Packed(w_pack) => w_pack.out_in(),
            Projection::Separate { query, key, value } => {
                let [q, width] = query.out_in();
                [q + key.out_in()[0] + value.out_in()[0], width]
            }
        }
    }
}

/// How a pass tells positions apart.
#[derive(Clone, Debug)]
pub enum Positions<A> {
    /// Queries and keys are turned by these angles.
    Rotated(Rotation<A>),
    /// Each head's scores are biased by its slope.
    Biased(Vec<f64>),
}

/// Grouped-query attention as shipped: self-attention of new tokens over themselves and a cache, with RoPE or ALiBi.
#[derive(Clone, Debug)]
pub struct GroupedQueryAttention<M> {
    projection: Projection<M>,
    output: M,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

/// Keys met at a time where nobody watches.
const BLOCK: usize = 256;

impl<M> GroupedQueryAttention<M> {
    /// Checks the shapes once.
    ///
    /// # Errors
    /// Maps that do not have `(heads + 2 kv_heads) · head_dim` rows, or an output map that does not take `heads · head_dim`.
    ///
    /// # Panics
    /// Where `heads` is not a multiple of `kv_heads`.
    pub fn new<A>(
        projection: Projection<M>,
        output: M,
        heads: usize,
        kv_heads: usize,
        head_dim: usize,
    ) -> Result<Self, ShapeError>
    where
        M: LinearMap<A>,
    {
        assert!(
            kv_heads > 0 && heads.is_multiple_of(kv_heads),
            "heads in groups of one size"
        );
        let width = projection.width()[1];
        expect_shape(
            "queries, keys and values",
            &[(heads + 2 * kv_heads) * head_dim, width],
            &projection.width(),
        )?;
        expect_shape("o_proj", &[width, heads * head_dim], &output.out_in())?;
        Ok(GroupedQueryAttention {
            projection,
            output,
            heads,
            kv_heads,
            head_dim,
        })
    }

    /// Attends from `x: [tokens, D]` to the cache and to itself, causally, and adds its keys and values to the cache.
    ///
    /// Returns `[tokens, D]`. The map of weights is made whole only where `probe` wants it.
    ///
    /// # Errors
    /// Keys or values that the cache's format cannot hold; the cache is then as before.
    pub fn forward<A: NdFloat>(
        &self,
        x: ArrayView2<A>,
        positions: &Positions<A>,
        cache: &mut LayerCache<A>,
        probe: &mut LayerProbe<A>,
    ) -> Result<Array2<A>, CacheOverflow>
    where
        M: LinearMap<A>,
    {
        let first = cache.len();
        let mut qkv = self.projection.apply(x);
        probe.pass_on(LayerSite::WPack, &mut qkv);
        if let Positions::Rotated(rotation) = positions {
            let turned = (self.heads + self.kv_heads) * self.head_dim; // values stay
            for head in qkv
                .slice_mut(s![.., ..turned])
                .axis_chunks_iter_mut(Axis(1), self.head_dim)
            {
                rotation.rotate(head);
            }
        }
        let tokens = x.nrows();
        // [tokens, heads · head_dim] seen as [heads, tokens, head_dim], without a copy.
        let by_head = qkv
            .to_shape((tokens, self.heads + 2 * self.kv_heads, self.head_dim))
            .expect("heads side by side");
        let by_head = by_head.view().permuted_axes([1, 0, 2]);
        let (q, kv) = by_head.split_at(Axis(0), self.heads);
        let (k, v) = kv.split_at(Axis(0), self.kv_heads);
        probe.see(LayerSite::QRot, q);
        probe.see(LayerSite::KRot, k);
        cache.append(k, v)?;

        let bias = |head: usize| Bias {
            visibility: Visibility::Causal { first },
            alibi_slope: match positions {
                Positions::Rotated(_) => None,
                Positions::Biased(slopes) => Some(slopes[head]),
            },
        };
        let group = self.heads / self.kv_heads;
        let mut concat = Array2::zeros((tokens, self.heads * self.head_dim));
        if probe.wants(LayerSite::AttnScoresMasked) || probe.wants(LayerSite::AttnProbs) {
            let mut scores = Array3::zeros((self.heads, tokens, cache.len()));
            let mut weights = scores.clone();
            for (head, mut out) in concat
                .axis_chunks_iter_mut(Axis(1), self.head_dim)
                .enumerate()
            {
                let (keys, values) = (cache.keys(head / group), cache.values(head / group));
                let bias = bias(head);
                let seen = attend(
                    q.index_axis(Axis(0), head),
                    keys.view(),
                    values.view(),
                    &bias,
                );
                out.assign(&seen.output);
                weights.index_axis_mut(Axis(0), head).assign(&seen.weights);
                scores.index_axis_mut(Axis(0), head).assign(&as_evaluated(
                    seen.scores,
                    first,
                    bias.alibi_slope,
                ));
            }
            probe.see(LayerSite::AttnScoresMasked, scores.view());
            probe.see(LayerSite::AttnProbs, weights.view());
        } else {
            let (cache, head_dim) = (&*cache, self.head_dim);
            // The keys and values that a head meets, once for each block of queries.
            let met = 2 * size_of::<A>() * head_dim * cache.len() * tokens.div_ceil(QUERIES);
            let heads = threads::share(self.heads, met);
            let tile = [QUERIES, heads.min(self.heads) * head_dim];
            threads::for_each_tile(concat.view_mut(), tile, |[row, column], mut out| {
                let queries = row..row + out.nrows();
                for (i, out) in out.axis_chunks_iter_mut(Axis(1), head_dim).enumerate() {
                    let head = column / head_dim + i;
                    let bias = Bias {
                        visibility: Visibility::Causal { first: first + row },
                        ..bias(head)
                    };
                    attend_in_blocks(
                        q.slice(s![head, queries.clone(), ..]),
                        cache.key_rows(head / group),
                        cache.value_rows(head / group),
                        &bias,
                        BLOCK,
                        out,
                    );
                }
            });
        }
        probe.pass_on(LayerSite::AttnConcat, &mut concat);
        let mut y = self.output.apply(concat.view());
        probe.pass_on(LayerSite::SelfAttn, &mut y);
        Ok(y)
    }

    /// What each head adds to the stream: its part of `concat: [tokens, H · head_dim]` through its columns of $W_o$. Returns `[H, tokens, D]`.
    ///
    /// The parts sum to what [`forward`](Self::forward) returns. They are one product, of $H$ times as many rows.
    ///
    /// # Panics
    /// Where `concat` has another width.
    pub fn head_outputs<A: NdFloat>(&self, concat: ArrayView2<A>) -> Array3<A>
    where
        M: LinearMap<A>,
    {
        let (tokens, width) = concat.dim();
        assert_eq!(
            width,
            self.heads * self.head_dim,
            "concat: [tokens, H · head_dim]"
        );
        let mut alone = Array3::zeros((self.heads, tokens, width));
        for (head, mut alone) in alone.outer_iter_mut().enumerate() {
            let columns = s![.., head * self.head_dim..(head + 1) * self.head_dim];
            alone.slice_mut(columns).assign(&concat.slice(columns));
        }
        let rows = alone
            .into_shape_with_order((self.heads * tokens, width))
            .expect("heads one below the other");
        let outputs = self.output.apply(rows.view());
        let shape = (self.heads, tokens, outputs.ncols());
        let outputs = outputs.to_shape(shape).expect("as many numbers");
        outputs.into_owned()
    }
}

/// Scores as the shipped evaluation code has them: ALiBi's bias as $m_h j$, and the lowest finite number where a key is hidden.
fn as_evaluated<A: NdFloat>(
    mut scores: Array2<A>,
    first: usize,
    alibi_slope: Option<f64>,
) -> Array2<A> {
    for ((i, _), s) in scores.indexed_iter_mut() {
        let shift = alibi_slope.unwrap_or(0.0) * (first + i) as f64;
        *s += A::from(shift).expect("a bias fits a float");
        if *s < A::min_value() {
            *s = A::min_value(); // NaN stays to be seen
        }
    }
    scores
}
