//! What must hold of attention in all its forms, under random shapes.

mod cache;

use super::grouped_query::Positions;
use super::*;
use crate::{
    alibi,
    probe::LayerProbe,
    rope::Rotation,
    testing::{largest_difference, matrix, vector},
};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use proptest::prelude::*;

/// Query, keys and values of one head.
#[derive(Clone, Debug)]
struct Qkv {
    q: Array2<f64>,
    k: Array2<f64>,
    v: Array2<f64>,
}

/// Random projected queries, keys and values; at least as many keys as queries.
fn qkv() -> impl Strategy<Value = Qkv> {
    (1..9_usize, 0..9_usize, 1..7_usize, 1..6_usize).prop_flat_map(|(queries, more, d, d_v)| {
        let keys = queries + more;
        (matrix(queries, d), matrix(keys, d), matrix(keys, d_v)).prop_map(|(q, k, v)| Qkv {
            q,
            k,
            v,
        })
    })
}

fn slope() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(0.01..1.0_f64)
}

/// The decoder's bias, its queries standing at the last positions.
fn causal(x: &Qkv, alibi_slope: Option<f64>) -> Bias<'static> {
    let first = x.k.nrows() - x.q.nrows();
    Bias {
        visibility: Visibility::Causal { first },
        alibi_slope,
    }
}

fn whole(x: &Qkv, bias: &Bias) -> Head<f64> {
    attend(x.q.view(), x.k.view(), x.v.view(), bias)
}

fn in_blocks(x: &Qkv, bias: &Bias, block: usize) -> Array2<f64> {
    let mut out = Array2::zeros((x.q.nrows(), x.v.ncols()));
    attend_in_blocks(
        x.q.view(),
        x.k.view(),
        x.v.view(),
        bias,
        block,
        out.view_mut(),
    );
    out
}

fn first_row(x: &Array2<f64>) -> Array1<f64> {
    x.row(0).to_owned()
}

/// Parameters of one head, with biases.
fn head(
    d_x: usize,
    d_z: usize,
    d: usize,
    d_out: usize,
) -> impl Strategy<Value = AttentionParameters<f64>> {
    (
        matrix(d, d_x),
        vector(d),
        matrix(d, d_z),
        vector(d),
        matrix(d_out, d_z),
        vector(d_out),
    )
        .prop_map(|(w_q, b_q, w_k, b_k, w_v, b_v)| AttentionParameters {
            w_q,
            b_q,
            w_k,
            b_k,
            w_v,
            b_v,
        })
}

proptest! {
    /// Catches: a scale by d or by nothing; a softmax over queries; biases left out.
    #[test]
    fn attend_is_the_page_after_its_projections(
        (x, z, p) in (1..6_usize, 1..8_usize, 1..5_usize, 1..5_usize, 1..5_usize, 1..5_usize)
            .prop_flat_map(|(l_x, l_z, d_x, d_z, d, d_out)|
                (matrix(l_x, d_x), matrix(l_z, d_z), head(d_x, d_z, d, d_out))),
        seed in any::<u64>(),
    ) {
        // Each query sees its own choice of keys, one at least.
        let mask = Array2::from_shape_fn((x.nrows(), z.nrows()), |(i, j)| {
            j == i % z.nrows() || (seed >> ((7 * i + j) % 64)) & 1 == 1
        });
        let page = attention_formal((&x / 4.0).view(), z.view(), &p, mask.view());
        let project = |x: ArrayView2<f64>, w: &Array2<f64>, b: &Array1<f64>| x.dot(&w.t()) + b;
        let x = Qkv { q: project((&x / 4.0).view(), &p.w_q, &p.b_q), k: project(z.view(), &p.w_k, &p.b_k), v: project(z.view(), &p.w_v, &p.b_v) };
        let bias = Bias { visibility: Visibility::Mask(mask.view()), alibi_slope: None };
        prop_assert!(largest_difference(&whole(&x, &bias).output, &page) < 1e-9);
    }

    /// Catches: weights that do not sum to one, or mix something else than the values.
    #[test]
    fn rows_are_convex_combinations(x in qkv(), slope in slope()) {
        let head = whole(&x, &causal(&x, slope));
        for (weights, out) in head.weights.rows().into_iter().zip(head.output.rows()) {
            prop_assert!((weights.sum() - 1.0).abs() < 1e-12);
            prop_assert!(weights.iter().all(|w| (0.0..=1.0).contains(w)));
            for (out, values) in out.iter().zip(x.v.columns()) {
                let low = values.fold(f64::INFINITY, |low, &v| low.min(v));
                let high = values.fold(f64::NEG_INFINITY, |high, &v| high.max(v));
                prop_assert!((low - 1e-12..=high + 1e-12).contains(out));
            }
        }
    }

    /// Catches: positions that leak in where there is neither a mask nor a bias.
    #[test]
    fn permuting_keys_and_values_together_changes_nothing(x in qkv(), by in 0..20_usize) {
        let all = Bias { visibility: Visibility::All, alibi_slope: None };
        let order: Vec<_> = (0..x.k.nrows()).map(|j| (j + by) % x.k.nrows()).rev().collect();
        let permuted = Qkv { q: x.q.clone(), k: x.k.select(Axis(0), &order), v: x.v.select(Axis(0), &order) };
        prop_assert!(largest_difference(&whole(&x, &all).output, &whole(&permuted, &all).output) < 1e-12);
        prop_assert!(largest_difference(&in_blocks(&x, &all, 3), &in_blocks(&permuted, &all, 3)) < 1e-12);
    }

    /// Catches: an inverted or shifted mask, in the whole form and in blocks.
    #[test]
    fn what_is_masked_moves_nothing(x in qkv(), slope in slope(), hidden in 1..9_usize, change in -50.0..50.0_f64, block in 1..6_usize) {
        let bias = causal(&x, slope);
        // What the first query may not see is changed.
        let first_hidden = x.k.nrows() - x.q.nrows() + 1;
        let mut changed = x.clone();
        for j in (first_hidden..x.k.nrows()).take(hidden) {
            changed.k.row_mut(j).mapv_inplace(|k| k + change);
            changed.v.row_mut(j).mapv_inplace(|v| v - change);
        }
        prop_assert_eq!(first_row(&whole(&x, &bias).output), first_row(&whole(&changed, &bias).output));
        prop_assert_eq!(first_row(&in_blocks(&x, &bias, block)), first_row(&in_blocks(&changed, &bias, block)));
        // And what it may see does move it: the last visible value is its own.
        let mut seen = x.clone();
        seen.v.row_mut(first_hidden - 1).mapv_inplace(|v| v + 1e3);
        prop_assume!(whole(&x, &bias).weights[[0, first_hidden - 1]] > 1e-6);
        prop_assert!(first_row(&whole(&x, &bias).output) != first_row(&whole(&seen, &bias).output));
    }

    /// Catches: a running maximum that forgets to fade what came before; a last block cut short.
    #[test]
    fn blocks_of_every_size_equal_the_whole(x in qkv(), slope in slope(), block in 1..20_usize, sharpness in 0.1..60.0_f64) {
        let x = Qkv { q: &x.q * sharpness, ..x };
        let bias = causal(&x, slope);
        prop_assert!(largest_difference(&in_blocks(&x, &bias, block), &whole(&x, &bias).output) < 1e-10);
        let mask = causal_mask(x.k.nrows() - x.q.nrows(), x.q.nrows(), x.k.nrows());
        let masked = Bias { visibility: Visibility::Mask(mask.view()), alibi_slope: None };
        prop_assert!(largest_difference(&in_blocks(&x, &masked, block), &whole(&x, &causal(&x, None)).output) < 1e-10);
    }

    /// Catches: the bias divided by √d with the scores, as the page prints it; a scale left out.
    #[test]
    fn the_bias_is_added_after_the_scale(x in qkv(), m in 0.01..1.0_f64) {
        let scores = whole(&x, &causal(&x, Some(m))).scores;
        let first = x.k.nrows() - x.q.nrows();
        let bias = alibi::relative_bias::<f64>(m, first, x.q.nrows(), x.k.nrows());
        let expected = x.q.dot(&x.k.t()) / (x.q.ncols() as f64).sqrt() + bias;
        for ((i, j), s) in scores.indexed_iter() {
            prop_assert!(j > first + i || (s - expected[[i, j]]).abs() < 1e-12);
        }
    }

    /// Catches: ALiBi's distance counted from the start of the pass and not from the query's own place.
    #[test]
    fn the_bias_is_alibis_matrix(x in qkv(), m in 0.01..1.0_f64) {
        let first = x.k.nrows() - x.q.nrows();
        let bias = causal(&x, Some(m));
        let matrix = alibi::relative_bias::<f64>(m, first, x.q.nrows(), x.k.nrows());
        for ((i, j), &biased) in matrix.indexed_iter() {
            let expected = if j <= first + i { biased } else { f64::NEG_INFINITY };
            prop_assert_eq!(bias.at::<f64>(i, j), expected);
        }
    }
}

/// Shipped attention of random weights, and its input.
#[derive(Clone, Debug)]
struct Shipped {
    x: Array2<f64>,
    w_pack: Array2<f64>,
    w_o: Array2<f64>,
    heads: usize,
    kv_heads: usize,
    d: usize,
}

impl Shipped {
    fn separate(&self) -> GroupedQueryAttention<Array2<f64>> {
        let (q, kv) = (self.heads * self.d, self.kv_heads * self.d);
        let projection = Projection::Separate {
            query: self.w_pack.slice(s![..q, ..]).to_owned(),
            key: self.w_pack.slice(s![q..q + kv, ..]).to_owned(),
            value: self.w_pack.slice(s![q + kv.., ..]).to_owned(),
        };
        GroupedQueryAttention::new(
            projection,
            self.w_o.clone(),
            self.heads,
            self.kv_heads,
            self.d,
        )
        .unwrap()
    }

    fn packed(&self) -> GroupedQueryAttention<Array2<f64>> {
        GroupedQueryAttention::new(
            Projection::Packed(self.w_pack.clone()),
            self.w_o.clone(),
            self.heads,
            self.kv_heads,
            self.d,
        )
        .unwrap()
    }

    /// The page's parameters of the same weights.
    fn page(&self) -> GroupedQueryParameters<f64> {
        let part = |i: usize| {
            self.w_pack
                .slice(s![i * self.d..(i + 1) * self.d, ..])
                .to_owned()
        };
        GroupedQueryParameters {
            w_q: (0..self.heads).map(part).collect(),
            w_k: (self.heads..self.heads + self.kv_heads).map(part).collect(),
            w_v: (self.heads + self.kv_heads..self.heads + 2 * self.kv_heads)
                .map(part)
                .collect(),
            w_o: self.w_o.clone(),
        }
    }

    fn rotated(&self, first: usize, tokens: usize) -> Positions<f64> {
        Positions::Rotated(Rotation::new(self.d, 1e4, first, tokens))
    }

    fn biased(&self) -> Positions<f64> {
        Positions::Biased(alibi::slopes(self.heads))
    }

    /// No positions at all.
    fn unplaced(&self) -> Positions<f64> {
        Positions::Biased(vec![0.0; self.heads])
    }

    fn run(
        &self,
        attention: &GroupedQueryAttention<Array2<f64>>,
        positions: &Positions<f64>,
    ) -> Array2<f64> {
        let mut cache = LayerCache::new(self.kv_heads, self.d);
        let nobody = &mut LayerProbe::none();
        attention
            .forward(self.x.view(), positions, &mut cache, nobody)
            .unwrap()
    }
}

fn shipped() -> impl Strategy<Value = Shipped> {
    (1..8_usize, 1..6_usize, 1..4_usize, 1..4_usize, 1..4_usize).prop_flat_map(
        |(tokens, width, kv_heads, group, half)| {
            let (heads, d) = (kv_heads * group, 2 * half);
            (
                matrix(tokens, width),
                matrix((heads + 2 * kv_heads) * d, width),
                matrix(width, heads * d),
            )
                .prop_map(move |(x, w_pack, w_o)| Shipped {
                    x: x / 4.0,
                    w_pack,
                    w_o,
                    heads,
                    kv_heads,
                    d,
                })
        },
    )
}

/// The page's additive mask of a decoder.
fn additive_mask(first: usize, queries: usize, keys: usize) -> Array2<f64> {
    causal_mask(first, queries, keys).mapv(|sees| if sees { 0.0 } else { f64::NEG_INFINITY })
}

proptest! {
    /// Catches: thirds of `W_pack` in another order; heads interleaved; a key/value head given to the wrong queries.
    #[test]
    fn shipped_equals_the_page(a in shipped()) {
        let n = a.x.nrows();
        let page = grouped_query_attention_formal(a.x.view(), a.x.view(), &a.page(), additive_mask(0, n, n).view(), &mut Vec::new());
        for attention in [a.separate(), a.packed()] {
            prop_assert!(largest_difference(&a.run(&attention, &a.unplaced()), &page) < 1e-9);
        }
    }

    /// Catches: a formal cache that repeats or drops what it was given.
    #[test]
    fn the_pages_cache_equals_no_cache(a in shipped(), cut in 0..8_usize) {
        let n = a.x.nrows();
        let cut = cut.min(n);
        let whole = grouped_query_attention_formal(a.x.view(), a.x.view(), &a.page(), additive_mask(0, n, n).view(), &mut Vec::new());
        let mut cache = Vec::new();
        let (head, tail) = a.x.view().split_at(Axis(0), cut);
        let first = grouped_query_attention_formal(head, head, &a.page(), additive_mask(0, cut, cut).view(), &mut cache);
        let second = grouped_query_attention_formal(tail, tail, &a.page(), additive_mask(cut, n - cut, n).view(), &mut cache);
        prop_assert!(largest_difference(&concatenate![Axis(0), first, second], &whole) < 1e-10);
    }

    /// Catches: an index h mod N_kv in place of h / group.
    #[test]
    fn grouped_query_is_multi_head_with_repeated_keys(a in shipped()) {
        let n = a.x.nrows();
        let p = a.page();
        let heads = (0..a.heads).map(|h| {
            let g = h * a.kv_heads / a.heads;
            let zero = Array1::zeros(a.d);
            AttentionParameters {
                w_q: p.w_q[h].clone(), b_q: zero.clone(), w_k: p.w_k[g].clone(), b_k: zero.clone(), w_v: p.w_v[g].clone(), b_v: zero,
            }
        }).collect();
        let multi = MultiHeadParameters { heads, w_o: a.w_o.clone(), b_o: Array1::zeros(a.x.ncols()) };
        let multi = multi_head_attention_formal(a.x.view(), a.x.view(), &multi, causal_mask(0, n, n).view());
        prop_assert!(largest_difference(&a.run(&a.separate(), &a.unplaced()), &multi) < 1e-9);
    }

    /// Groups of one. Catches: a head that reads a neighbour's keys although each has its own.
    #[test]
    fn multi_head_is_grouped_query_with_groups_of_one(a in shipped()) {
        let a = Shipped { kv_heads: a.heads, w_pack: {
            let q = a.heads * a.d;
            let w_q = a.w_pack.slice(s![..q, ..]);
            concatenate![Axis(0), w_q, w_q.mapv(|w| w * 0.7 - 0.1), w_q.mapv(|w| 1.0 - w)]
        }, ..a };
        let n = a.x.nrows();
        let p = a.page();
        let zero = || Array1::zeros(a.d);
        let heads = (0..a.heads).map(|h| AttentionParameters {
            w_q: p.w_q[h].clone(), b_q: zero(), w_k: p.w_k[h].clone(), b_k: zero(), w_v: p.w_v[h].clone(), b_v: zero(),
        }).collect();
        let multi = MultiHeadParameters { heads, w_o: a.w_o.clone(), b_o: Array1::zeros(a.x.ncols()) };
        let multi = multi_head_attention_formal(a.x.view(), a.x.view(), &multi, causal_mask(0, n, n).view());
        prop_assert!(largest_difference(&a.run(&a.packed(), &a.unplaced()), &multi) < 1e-9);
    }

    /// Catches: positions that restart at 0 in a later pass; a causal mask that forgets the cached keys.
    #[test]
    fn cached_equals_uncached_for_every_split(a in shipped(), cut in 0..8_usize) {
        let attention = a.separate();
        let n = a.x.nrows();
        let cut = cut.min(n);
        for rope in [true, false] {
            let positions = |first, tokens| if rope { a.rotated(first, tokens) } else { a.biased() };
            let whole = a.run(&attention, &positions(0, n));
            let mut cache = LayerCache::new(a.kv_heads, a.d);
            let mut pass = |from: usize, to: usize| {
                attention.forward(a.x.slice(s![from..to, ..]), &positions(from, to - from), &mut cache, &mut LayerProbe::none()).unwrap()
            };
            let (first, second) = (pass(0, cut), pass(cut, n));
            prop_assert!(largest_difference(&concatenate![Axis(0), first, second], &whole) < 1e-10);
            prop_assert_eq!(cache.len(), n);
        }
    }

    /// Catches: weights that a probe sees but that are not those which made the output.
    #[test]
    fn watching_changes_nothing(a in shipped()) {
        use crate::probe::{LayerSite, Site, Trace};
        let attention = a.packed();
        let n = a.x.nrows();
        for positions in [a.rotated(0, n), a.biased()] {
            let mut trace = Trace::everything();
            let mut cache = LayerCache::new(a.kv_heads, a.d);
            let watched = attention.forward(a.x.view(), &positions, &mut cache, &mut LayerProbe::new(Some(&mut trace), 0)).unwrap();
            prop_assert!(largest_difference(&watched, &a.run(&attention, &positions)) < 1e-10);
            let weights = &trace.get(Site::Layer(0, LayerSite::AttnProbs)).unwrap().view().into_dimensionality::<ndarray::Ix3>().unwrap();
            let scores = &trace.get(Site::Layer(0, LayerSite::AttnScoresMasked)).unwrap().view().into_dimensionality::<ndarray::Ix3>().unwrap();
            for h in 0..a.heads {
                let again = crate::tensor::softmax(scores.index_axis(Axis(0), h));
                prop_assert!(largest_difference(&again, &weights.index_axis(Axis(0), h).to_owned()) < 1e-10);
            }
        }
    }
}

/// As printed: step 5 of *Attention* hides where the mask is set, and *DTransformer* sets it where a token may be seen.
#[test]
fn the_printed_mask_shows_only_the_future() {
    let printed = causal_mask(0, 3, 3).mapv(|set| !set);
    let zeros = || Array2::zeros((3, 1));
    let x = Qkv {
        q: zeros(),
        k: zeros(),
        v: ndarray::array![[1.0], [2.0], [6.0]],
    };
    let bias = Bias {
        visibility: Visibility::Mask(printed.view()),
        alibi_slope: None,
    };
    // The first token gets the mean of what follows, the last nothing at all.
    let future = ndarray::array![[4.0], [6.0], [0.0]];
    let past = ndarray::array![[1.0], [1.5], [3.0]];
    for run in [
        |x: &Qkv, b: &Bias| whole(x, b).output,
        |x: &Qkv, b: &Bias| in_blocks(x, b, 2),
    ] {
        assert!(largest_difference(&run(&x, &bias), &future) < 1e-14);
        assert!(largest_difference(&run(&x, &causal(&x, None)), &past) < 1e-14);
    }
}

/// As printed: step 9 of *Grouped-Query Attention* adds the mask of 0 and 1.
#[test]
fn the_printed_mask_is_added_and_hides_nothing() {
    let one = || ndarray::array![[1.0]];
    let p = GroupedQueryParameters {
        w_q: vec![one() * 0.0],
        w_k: vec![one()],
        w_v: vec![one()],
        w_o: one(),
    };
    let x = ndarray::array![[1.0], [5.0]];
    let run = |mask: Array2<f64>| {
        grouped_query_attention_formal(x.view(), x.view(), &p, mask.view(), &mut Vec::new())
    };
    let printed = run(causal_mask(0, 2, 2).mapv(|sees| f64::from(u8::from(sees))));
    let right = run(additive_mask(0, 2, 2));
    assert_eq!(right[[0, 0]], 1.0);
    assert!(
        printed[[0, 0]] > 2.0,
        "the first token has seen the second: {}",
        printed[[0, 0]]
    );
}

/// Catches: a reach that is off by one: a key that is looked at in vain, or hidden from a query that sees it.
#[test]
fn the_reach_ends_with_the_last_key_that_is_seen() {
    for (first, queries, keys) in [(0, 0..1, 4), (0, 1..3, 4), (2, 0..2, 9), (3, 1..4, 5)] {
        let causal = Visibility::Causal { first };
        let seen = (0..keys)
            .filter(|&j| queries.clone().any(|i| causal.sees(i, j)))
            .count();
        assert_eq!(causal.reach(&queries, keys), seen, "{first} {queries:?}");
        assert_eq!(Visibility::All.reach(&queries, keys), keys);
    }
}
