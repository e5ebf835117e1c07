//! The map of one head at any size: a rectangle of its weights at the resolution of a picture, and a single weight taken apart.
//!
//! A map of $n$ tokens has $n^2$ weights, of which a picture shows far fewer cells. Given queries and keys, any part of it can be made when it is looked at:
//! block by block, each block of scores is turned into weights and pooled into the cells that it belongs to, and forgotten. What the weights of a row share
//! are the two numbers of its normalizer,
//!
//! $$ A_{ij} = \frac{e^{s_{ij} - m_i}}{\ell_i}, \qquad m_i = \max_j s_{ij}, \qquad \ell_i = \sum_j e^{s_{ij} - m_i}, \qquad
//!    s_{ij} = \frac{q_i \cdot k_j}{\sqrt d} + B_{ij} $$
//!
//! made in one stream over all keys, as in [`memory_efficient`](super::memory_efficient), and kept. To look closer, or aside, costs no more than the rectangle.
//!
//! * Source: Milakov and Gimelshein 2018, *Online normalizer calculation for softmax*, arXiv 1805.02867, algorithm 3.
//! * The whole map is [`attend`](super::attend)'s `weights`, but that a hidden cell is NaN here, and not 0: hidden is not the same as unseen.

use super::{
    Bias, Visibility,
    memory_efficient::{block_scores, blocks},
};
use crate::tensor::{ShapeError, exp_in_place, expect_shape, largest, threads};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut2, Axis, CowArray, Ix2, NdFloat, s};
use std::ops::Range;
use thiserror::Error;

/// What a cell shows of the weights that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// The largest, so that a single bright weight is never lost.
    Max,
    /// The mean of those that are not hidden.
    Mean,
}

/// A part of a map that cannot be made.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MapError {
    /// Keys of another width than the queries, or a mask of another shape than theirs.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Rows or columns outside the map.
    #[error("{axis} {start} to {end} (excluded) are not all in a map of {len}")]
    Range {
        /// `queries` or `keys`.
        axis: &'static str,
        /// The first asked for.
        start: usize,
        /// Behind the last asked for.
        end: usize,
        /// How many there are.
        len: usize,
    },
    /// Overflow, or queries and keys that hold NaN or infinity.
    #[error("the attention weights of query {query} are not finite")]
    NotFinite {
        /// The row.
        query: usize,
    },
}

/// The map of one head, made where it is looked at.
///
/// ```
/// use baichuan2::attention::{Bias, HeadMap, Pooling, Visibility};
/// use ndarray::array;
/// let bias = Bias { visibility: Visibility::Causal { first: 0 }, alibi_slope: None };
/// let q = array![[0.0_f32], [0.0], [0.0], [0.0]]; // likes all keys alike
/// let mut map = HeadMap::new(&q, &q, bias)?;
/// let halves = map.weights(0..4, 0..4, [2, 2], Pooling::Max)?;
/// assert_eq!(halves.column(0), array![1.0, 1.0 / 3.0]);
/// assert!(halves[[0, 1]].is_nan()); // the future
/// assert_eq!(map.weights(3..4, 1..4, [1, 1], Pooling::Mean)?, array![[0.25]]);
/// # Ok::<(), baichuan2::attention::MapError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeadMap<'a, A> {
    queries: CowArray<'a, A, Ix2>,
    keys: CowArray<'a, A, Ix2>,
    bias: Bias<'a>,
    /// Of each row, once it was needed.
    normalizers: Vec<Option<Normalizer<A>>>,
}

/// One weight, taken apart: $w = e^{b - z}$ with $b = c \sum_d q_d k_d + B_{ij}$.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms<A> {
    /// $q_d k_d$ of each dimension, `[head_dim]`.
    pub products: Array1<A>,
    /// Their sum, $q \cdot k$.
    pub dot: A,
    /// $c = 1 / \sqrt{d}$.
    pub scale: A,
    /// $c\\, q \cdot k$.
    pub score: A,
    /// ALiBi's $m (j - i)$, −∞ where the key is hidden, 0 otherwise.
    pub bias: A,
    /// $b$, the score with its bias.
    pub biased: A,
    /// $z = \log \sum_j e^{b_j}$ over the keys of the row; −∞ where all are hidden.
    pub log_normalizer: A,
    /// The weight; 0 where the key is hidden.
    pub weight: A,
}

/// Queries in a block, and keys: a block of scores stays in the cache of a core.
const BLOCK: [usize; 2] = [64, 512];

impl<'a, A: NdFloat> HeadMap<'a, A> {
    /// The map of `queries: [queries, head_dim]` over `keys: [keys, head_dim]`, both after rotation where positions are rotated: as a probe sees them at
    /// `q_rot` and `k_rot`, or as [`LayerCache::keys`](super::LayerCache::keys) has them, in whatever format they are kept. Views or owned arrays.
    ///
    /// # Errors
    /// [`MapError::Shape`].
    pub fn new<'m: 'a>(
        queries: impl Into<CowArray<'a, A, Ix2>>,
        keys: impl Into<CowArray<'a, A, Ix2>>,
        bias: Bias<'m>,
    ) -> Result<Self, MapError> {
        let (queries, keys) = (queries.into(), keys.into());
        expect_shape("keys", &[keys.nrows(), queries.ncols()], keys.shape())?;
        if let Visibility::Mask(mask) = bias.visibility {
            expect_shape("mask", &[queries.nrows(), keys.nrows()], mask.shape())?;
        }
        let normalizers = vec![None; queries.nrows()];
        Ok(HeadMap {
            queries,
            keys,
            bias: bias.reborrow(),
            normalizers,
        })
    }

    /// `[queries, keys]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.queries.nrows(), self.keys.nrows()]
    }

    /// The rectangle `queries × keys` of the map in at most `size` cells, `[rows, columns]`; cell $r$ of $R$ stands for the rows from
    /// $\lfloor r n / R \rfloor$ up to the next cell's. Returns `[rows, columns]`.
    ///
    /// Where the size is at least that of the rectangle, each cell is one weight. A cell is NaN where all that it stands for is hidden.
    /// The first look at a row costs a stream over all keys; after it, only the rectangle counts.
    ///
    /// # Errors
    /// Rows or columns that are not there; a row whose weights are not finite.
    pub fn weights(
        &mut self,
        queries: Range<usize>,
        keys: Range<usize>,
        size: [usize; 2],
        pooling: Pooling,
    ) -> Result<Array2<A>, MapError> {
        within("queries", &queries, self.queries.nrows())?;
        within("keys", &keys, self.keys.nrows())?;
        self.normalize(queries.clone())?;
        let rows = cells(size[0], queries.len());
        let mut pooled = Array2::from_elem((rows, cells(size[1], keys.len())), A::nan());
        if pooled.is_empty() {
            return Ok(pooled);
        }
        // As many rows of cells as make about a block of queries.
        let chunk = (BLOCK[0] * rows / queries.len()).max(1);
        threads::for_each_chunk(pooled.view_mut(), Axis(0), chunk, |first, pooled| {
            let last = first + pooled.nrows() - 1;
            let start = queries.start + span(first, rows, queries.len()).start;
            let end = queries.start + span(last, rows, queries.len()).end;
            let row = |query: usize| cell_of(query - queries.start, rows, queries.len()) - first;
            self.pool(start..end, &keys, row, pooling, pooled);
        });
        Ok(pooled)
    }

    /// One weight and what it is made of.
    ///
    /// ```
    /// use baichuan2::attention::{Bias, HeadMap, Visibility};
    /// use ndarray::array;
    /// let bias = Bias { visibility: Visibility::Causal { first: 0 }, alibi_slope: Some(0.5) };
    /// let (q, k) = (array![[1.0, 0.0], [3.0, 4.0]], array![[2.0, 1.0], [0.0, 0.0]]);
    /// let terms = HeadMap::new(&q, &k, bias)?.terms(1, 0)?;
    /// assert_eq!(terms.products, array![6.0, 4.0]);
    /// assert_eq!((terms.dot, terms.bias), (10.0, -0.5));
    /// assert_eq!(terms.biased, 10.0 / 2_f64.sqrt() - 0.5);
    /// assert!((terms.weight - (terms.biased - terms.log_normalizer).exp()).abs() < 1e-12);
    /// # Ok::<(), baichuan2::attention::MapError>(())
    /// ```
    ///
    /// # Errors
    /// As [`weights`](Self::weights).
    pub fn terms(&mut self, query: usize, key: usize) -> Result<Terms<A>, MapError> {
        let one = |i: usize| i..i.saturating_add(1);
        within("queries", &one(query), self.queries.nrows())?;
        within("keys", &one(key), self.keys.nrows())?;
        self.normalize(one(query))?;
        let normalizer = self.normalizer(query);
        let products = &self.queries.row(query) * &self.keys.row(key);
        let dot = products.sum();
        let scale = super::single_head::scale::<A>(products.len());
        let (score, bias) = (dot * scale, self.bias.at(query, key));
        let biased = score + bias;
        let weight = if self.bias.visibility.sees(query, key) {
            (biased - normalizer.max).exp() / normalizer.sum
        } else {
            A::zero()
        };
        Ok(Terms {
            products,
            dot,
            scale,
            score,
            bias,
            biased,
            log_normalizer: normalizer.max + normalizer.sum.ln(),
            weight,
        })
    }

    /// Makes the normalizers of `queries` that are not there yet.
    fn normalize(&mut self, queries: Range<usize>) -> Result<(), MapError> {
        let blocks = blocks(queries, BLOCK[0]).filter(|block| {
            let mut kept = self.normalizers[block.clone()].iter();
            kept.any(Option::is_none)
        });
        let made = threads::map(blocks, |block| (block.start, self.normalizers_of(block)));
        for (query, normalizer) in made
            .into_iter()
            .flat_map(|(first, made)| (first..).zip(made))
        {
            if !normalizer.sum.is_finite() {
                return Err(MapError::NotFinite { query });
            }
            self.normalizers[query] = Some(normalizer);
        }
        Ok(())
    }

    fn normalizers_of(&self, queries: Range<usize>) -> Vec<Normalizer<A>> {
        let mut normalizers = vec![Normalizer::new(); queries.len()];
        let reach = self.bias.visibility.reach(&queries, self.keys.nrows());
        for keys in blocks(0..reach, BLOCK[1]) {
            let mut scores = self.scores(queries.clone(), keys);
            for (normalizer, mut scores) in normalizers.iter_mut().zip(scores.rows_mut()) {
                normalizer.meet(scores.as_slice_mut().expect("a row lies in one piece"));
            }
        }
        normalizers
    }

    fn normalizer(&self, query: usize) -> Normalizer<A> {
        self.normalizers[query].expect("made before it is asked for")
    }

    /// A block of scores with bias, its rows each in one piece, `[queries, keys]`.
    fn scores(&self, queries: Range<usize>, keys: Range<usize>) -> Array2<A> {
        let scores = block_scores(
            self.queries.slice(s![queries.clone(), ..]),
            self.keys.slice(s![keys.clone(), ..]),
            &self.bias,
            [queries.start, keys.start],
        );
        if scores.is_standard_layout() {
            scores
        } else {
            scores.as_standard_layout().into_owned() // a product of two matrices stored by columns
        }
    }

    /// Pools the weights of `queries × keys` into `pooled`, whose columns stand for `keys` and whose rows are told by `row`.
    fn pool(
        &self,
        queries: Range<usize>,
        keys: &Range<usize>,
        row: impl Fn(usize) -> usize,
        pooling: Pooling,
        mut pooled: ArrayViewMut2<A>,
    ) {
        let columns = pooled.ncols();
        // Of each cell the sum and the number of its weights, where a mean is asked for.
        let mut sums = match pooling {
            Pooling::Max => Array2::default((0, 0)),
            Pooling::Mean => Array2::<(f64, usize)>::default(pooled.dim()),
        };
        for queries in blocks(queries, BLOCK[0]) {
            let reach = self.bias.visibility.reach(&queries, keys.end);
            for block in blocks(keys.start..reach.max(keys.start), BLOCK[1]) {
                let mut scores = self.scores(queries.clone(), block.clone());
                let column = |key: usize| cell_of(key - keys.start, columns, keys.len());
                for (query, mut scores) in queries.clone().zip(scores.rows_mut()) {
                    let weights = scores.as_slice_mut().expect("a row lies in one piece");
                    self.normalizer(query).weigh(weights);
                    self.hide(query, block.start, weights);
                    for c in column(block.start)..=column(block.end - 1) {
                        let cell = span(c, columns, keys.len());
                        let start = (keys.start + cell.start).max(block.start) - block.start;
                        let end = (keys.start + cell.end).min(block.end) - block.start;
                        let (at, weights) = ([row(query), c], &weights[start..end]);
                        match pooling {
                            Pooling::Max => {
                                let largest = largest(weights); // −∞ where all are hidden
                                if largest.is_finite() {
                                    pooled[at] = pooled[at].max(largest); // NaN is passed over
                                }
                            }
                            Pooling::Mean => {
                                let (sum, number) = &mut sums[at];
                                for weight in weights.iter().filter(|w| !w.is_nan()) {
                                    *sum += weight.to_f64().expect("a float is an f64");
                                    *number += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
        for (at, &(sum, number)) in sums.indexed_iter().filter(|(_, (_, number))| *number > 0) {
            pooled[at] = A::from(sum / number as f64).expect("a weight fits a float");
        }
    }

    /// NaN where `query` may not see one of the keys from `first` on.
    fn hide(&self, query: usize, first: usize, weights: &mut [A]) {
        match self.bias.visibility {
            Visibility::Mask(mask) => {
                for (weight, sees) in weights.iter_mut().zip(mask.row(query).slice(s![first..])) {
                    if !sees {
                        *weight = A::nan();
                    }
                }
            }
            visibility => {
                let seen = visibility.reach(&(query..query + 1), first + weights.len());
                weights[seen.saturating_sub(first)..].fill(A::nan());
            }
        }
    }
}

/// What turns the scores of a row into weights.
#[derive(Clone, Copy, Debug)]
struct Normalizer<A> {
    /// $m$, the largest score; −∞ before anything was seen.
    max: A,
    /// $\ell$, the sum of $e^{s - m}$.
    sum: A,
}

impl<A: NdFloat> Normalizer<A> {
    fn new() -> Self {
        Normalizer {
            max: A::neg_infinity(),
            sum: A::zero(),
        }
    }

    /// Meets more scores of the row, which are used up.
    fn meet(&mut self, scores: &mut [A]) {
        let max = self.max.max(largest(scores));
        if max == A::neg_infinity() {
            // Nothing seen yet; NaN, which the maximum passes over, must stay to be seen.
            if scores.iter().any(|s| s.is_nan()) {
                self.sum = A::nan();
            }
            return;
        }
        scores.iter_mut().for_each(|s| *s -= max);
        exp_in_place(scores);
        let fade = (self.max - max).exp();
        self.sum = self.sum * fade + ArrayView1::from(&*scores).sum();
        self.max = max;
    }

    /// The weights of scores of the row, over themselves.
    fn weigh(self, scores: &mut [A]) {
        scores.iter_mut().for_each(|s| *s -= self.max);
        exp_in_place(scores);
        scores.iter_mut().for_each(|e| *e /= self.sum);
    }
}

fn within(axis: &'static str, range: &Range<usize>, len: usize) -> Result<(), MapError> {
    if range.start <= range.end && range.end <= len {
        return Ok(());
    }
    Err(MapError::Range {
        axis,
        start: range.start,
        end: range.end,
        len,
    })
}

/// How many cells `of` things get where at most `wanted` are wanted: one at the least, but no more than there are things.
pub(crate) fn cells(wanted: usize, of: usize) -> usize {
    wanted.max(1).min(of)
}

/// The things that cell `cell` of `cells` stands for, of `of` in all.
pub(crate) fn span(cell: usize, cells: usize, of: usize) -> Range<usize> {
    cell * of / cells..(cell + 1) * of / cells
}

/// The cell whose [`span`] thing `i` is in.
fn cell_of(i: usize, cells: usize, of: usize) -> usize {
    ((i + 1) * cells - 1) / of
}

#[cfg(test)]
mod tests;
