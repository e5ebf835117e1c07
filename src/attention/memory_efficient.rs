//! Attention that never holds its map: keys and values are met block by block.
//!
//! A softmax needs the sum of all exponentials only at the end. So a query keeps three things, the largest score $m$ so far, the sum $\ell$ of exponentials
//! relative to it, and the output $o$ weighted likewise; each block of scores $s_j$ brings them up to date:
//!
//! $$ m' = \max(m, \max_j s_j), \qquad \ell' = e^{m - m'} \ell + \sum_j e^{s_j - m'}, \qquad o' = e^{m - m'} o + \sum_j e^{s_j - m'} v_j $$
//!
//! and in the end $o / \ell$ is the output. Extra memory is one block of scores, whatever the number of keys.
//!
//! * Page: *memory efficient attention*.
//! * Paper: Rabe and Staats 2021, arXiv 2112.05682, sections 2 and 3 (the running maximum).
//! * Shipped: the 7B trains with `xops.memory_efficient_attention` of xFormers; elsewhere it calls PyTorch's `scaled_dot_product_attention`, which may go
//!   block by block too, as the 13B does in training. The shipped 13B makes its ALiBi bias whole; here it is folded into each block.

use super::{Bias, Rows, Visibility, single_head::scale};
use crate::tensor::{largest, weigh};
use ndarray::{
    Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, NdFloat, linalg::general_mat_mul,
    s,
};
use std::ops::Range;

/// Queries in a block, which meet the keys together.
pub(super) const QUERIES: usize = 64;

/// What a block of queries knows after the keys it has met: the streaming softmax.
///
/// ```
/// use baichuan2::attention::Running;
/// use ndarray::array;
/// let mut running = Running::new(1, 1);
/// running.meet(array![[0.0, 1.0]], array![[10.0], [20.0]].view());
/// running.meet(array![[2.0]], array![[30.0]].view());
/// let e = 1f64.exp();
/// let softmax_v = (10.0 + 20.0 * e + 30.0 * e * e) / (1.0 + e + e * e);
/// assert!((running.output()[[0, 0]] - softmax_v).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Running<A> {
    /// $m$, the largest score so far, `[queries]`; −∞ before anything was seen.
    pub max: Array1<A>,
    /// $\ell$, the sum of $e^{s - m}$, `[queries]`.
    pub sum: Array1<A>,
    /// $o$, the sum of $e^{s - m} v$, `[queries, d_v]`.
    pub weighted: Array2<A>,
}

/// $e^{m - m'}$: what the sum and the output so far are multiplied by where the largest score moves from `before` to `after`.
///
/// ```
/// use baichuan2::attention::fade;
/// assert_eq!(fade(1.0, 1.0), 1.0); // it did not move
/// assert_eq!(fade(f64::NEG_INFINITY, 1.0), 0.0); // there was nothing yet
/// ```
pub fn fade<A: NdFloat>(before: A, after: A) -> A {
    (before - after).exp()
}

impl<A: NdFloat> Running<A> {
    /// Before any key.
    pub fn new(queries: usize, d_v: usize) -> Self {
        Running {
            max: Array1::from_elem(queries, A::neg_infinity()),
            sum: Array1::zeros(queries),
            weighted: Array2::zeros((queries, d_v)),
        }
    }

    /// Meets one block of keys: their `scores: [queries, block]`, biased and masked, and their `values: [block, d_v]`.
    pub fn meet(&mut self, scores: Array2<A>, values: ArrayView2<A>) {
        let mut scores = in_rows(scores);
        for (i, mut scores) in scores.rows_mut().into_iter().enumerate() {
            let scores = scores.as_slice_mut().expect("in rows");
            let max = self.max[i].max(largest(scores));
            if max == A::neg_infinity() {
                // Nothing seen yet, and −∞ − (−∞) is not a number; NaN, which the maximum passes over, must stay to be seen.
                let broken = scores.iter().any(|s| s.is_nan());
                scores.fill(if broken { A::nan() } else { A::zero() });
                continue;
            }
            weigh(scores, max);
            let fade = fade(self.max[i], max);
            self.max[i] = max;
            self.sum[i] = self.sum[i] * fade + ArrayView1::from(&*scores).sum();
            if fade != A::one() {
                self.weighted.row_mut(i).mapv_inplace(|o| o * fade);
            }
        }
        if scores.nrows() == 1 {
            // A product of two matrices would first pack all the values.
            let met = scores.row(0).dot(&values);
            self.weighted
                .row_mut(0)
                .zip_mut_with(&met, |o, &met| *o += met);
        } else {
            general_mat_mul(A::one(), &scores, &values, A::one(), &mut self.weighted);
        }
    }

    /// The output $o / \ell$, `[queries, d_v]`; zeros for a query that saw nothing.
    pub fn output(mut self) -> Array2<A> {
        for (mut o, &sum) in self.weighted.rows_mut().into_iter().zip(&self.sum) {
            if sum > A::zero() {
                o.mapv_inplace(|o| o / sum);
            }
        }
        self.weighted
    }
}

/// One head, `block` keys at a time, into `out: [queries, d_v]`.
///
/// `q: [queries, d]`, `k: [keys, d]`, `v: [keys, d_v]`. The same as [`attend`](super::attend) to rounding, for every block size. Keys and values that are not
/// finite make nothing of a query that stands before them. Both may be views, or [`Rows`] of a cache, of which one block at a time is widened.
///
/// ```
/// use baichuan2::attention::{Bias, Visibility, attend, attend_in_blocks};
/// use ndarray::{Array2, array};
/// let bias = Bias { visibility: Visibility::Causal { first: 0 }, alibi_slope: Some(0.5) };
/// let x = array![[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]];
/// let mut out = Array2::zeros((3, 2));
/// attend_in_blocks(x.view(), x.view(), x.view(), &bias, 2, out.view_mut());
/// let whole = attend(x.view(), x.view(), x.view(), &bias).output;
/// assert!((out - whole).iter().all(|e: &f64| e.abs() < 1e-15));
/// ```
///
/// # Panics
/// Where `block` is zero, or shapes do not fit.
pub fn attend_in_blocks<'a, A: NdFloat>(
    q: ArrayView2<A>,
    k: impl Into<Rows<'a, A>>,
    v: impl Into<Rows<'a, A>>,
    bias: &Bias,
    block: usize,
    mut out: ArrayViewMut2<A>,
) {
    assert!(block > 0, "a block holds at least one key");
    let (k, v) = (k.into(), v.into());
    let ((keys, _), (_, d_v)) = (k.dim(), v.dim());
    if let Visibility::Mask(mask) = bias.visibility {
        assert_eq!(mask.dim(), (q.nrows(), keys), "mask: [queries, keys]");
    }
    let mut buffer = Vec::new();
    let reach = |queries: &Range<usize>| bias.visibility.reach(queries, keys);
    for queries in blocks(0..q.nrows(), QUERIES) {
        // Of the last keys a part of these queries sees nothing, but a weight of zero does not silence a value that is not finite.
        let hidden_from_some = reach(&(queries.start..queries.start + 1))..reach(&queries);
        let sound = is_finite(v.block(hidden_from_some, &mut buffer));
        for queries in blocks(queries, if sound { QUERIES } else { 1 }) {
            let mut running = Running::new(queries.len(), d_v);
            let q = q.slice(s![queries.clone(), ..]);
            for keys in blocks(0..reach(&queries), block) {
                let first = [queries.start, keys.start];
                let scores = block_scores(q, k.block(keys.clone(), &mut buffer), bias, first);
                running.meet(scores, v.block(keys, &mut buffer));
            }
            out.slice_mut(s![queries, ..]).assign(&running.output());
        }
    }
}

/// Whether all numbers are.
pub(super) fn is_finite<A: NdFloat>(m: ArrayView2<A>) -> bool {
    m.iter().all(|x| x.is_finite())
}

/// `range` in pieces of `length`, but the last.
pub(super) fn blocks(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(length)
        .map(move |start| start..end.min(start + length))
}

/// Scaled scores with bias, −∞ where hidden, of the queries and keys from `first` on in both. `q: [queries, d]`, `k: [keys, d]`. Returns `[queries, keys]`.
pub(super) fn block_scores<A: NdFloat>(
    q: ArrayView2<A>,
    k: ArrayView2<A>,
    bias: &Bias,
    first: [usize; 2],
) -> Array2<A> {
    let scale = scale(q.ncols());
    let mut scores = product(q, k);
    for (i, products) in scores.rows_mut().into_iter().enumerate() {
        bias.score(first[0] + i, first[1], scale, products);
    }
    scores
}

/// The same numbers, each row without gaps: what a product gives, unless both its sides are columns.
fn in_rows<A: NdFloat>(m: Array2<A>) -> Array2<A> {
    match m.is_standard_layout() {
        true => m,
        false => m.as_standard_layout().into_owned(),
    }
}

/// $Q K^\top$, for one query as a product of matrix and vector: with two matrices BLAS would first pack all the keys.
fn product<A: NdFloat>(q: ArrayView2<A>, k: ArrayView2<A>) -> Array2<A> {
    if q.nrows() == 1 {
        k.dot(&q.row(0)).insert_axis(Axis(0))
    } else {
        q.dot(&k.t())
    }
}
