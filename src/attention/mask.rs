//! What a query may see, and what is added to its scores.
//!
//! The page writes a mask as a matrix of 0 and 1 with keys as rows, and its steps contradict each other: *Attention* (step 5) hides where
//! the mask is **set**, *DTransformer* (step 4) sets it where a token may be **seen** ($t \le t'$). Taken together they show each token only its
//! future: the test `the_printed_mask_shows_only_the_future`. Here true means *may be seen*, and queries are rows.

use ndarray::{Array2, ArrayView2, ArrayViewMut1, Axis, NdFloat};
use std::ops::Range;

/// Which keys the queries may see.
#[derive(Clone, Copy, Debug)]
pub enum Visibility<'a> {
    /// All of them.
    All,
    /// Query `i`, which stands at position `first + i`, sees keys up to its own position.
    Causal {
        /// Position of the first query: the number of keys that were cached before this pass.
        first: usize,
    },
    /// Query `i` sees key `j` where `mask[[i, j]]`. A hidden key has a weight of zero; if its value is not finite, the product with it is NaN all the same.
    Mask(ArrayView2<'a, bool>),
}

/// What happens to the scores of one head after their scaling.
#[derive(Clone, Copy, Debug)]
pub struct Bias<'a> {
    /// What is hidden (a score of −∞).
    pub visibility: Visibility<'a>,
    /// ALiBi's slope $m_h$, added as $m_h (j - i)$; none where positions are rotated.
    pub alibi_slope: Option<f64>,
}

impl Visibility<'_> {
    /// Whether query `i` may see key `j`.
    pub fn sees(&self, i: usize, j: usize) -> bool {
        match self {
            Visibility::All => true,
            Visibility::Causal { first } => j <= first + i,
            Visibility::Mask(mask) => mask[[i, j]],
        }
    }

    /// How many leading keys, of `keys`, any of the queries may see: what lies behind need not be looked at.
    pub(super) fn reach(&self, queries: &Range<usize>, keys: usize) -> usize {
        match self {
            Visibility::Causal { first } => keys.min(first + queries.end),
            _ => keys,
        }
    }

    /// Position of query 0 among the keys.
    fn first(&self) -> usize {
        match self {
            Visibility::Causal { first } => *first,
            _ => 0,
        }
    }
}

impl<'a> Bias<'a> {
    /// What is added to the scaled score of query `i` and key `j`: −∞ where it is hidden, ALiBi's bias where there is one.
    ///
    /// ```
    /// use baichuan2::attention::{Bias, Visibility};
    /// let bias = Bias { visibility: Visibility::Causal { first: 4 }, alibi_slope: Some(0.5) };
    /// assert_eq!(bias.at::<f32>(0, 2), -1.0);
    /// assert_eq!(bias.at::<f32>(0, 5), f32::NEG_INFINITY);
    /// ```
    pub fn at<A: NdFloat>(&self, i: usize, j: usize) -> A {
        if !self.visibility.sees(i, j) {
            return A::neg_infinity();
        }
        self.alibi_slope
            .map_or(A::zero(), |slope| self.by_distance(slope, i, j))
    }

    /// The score that query `i` and key `j` have by their `product`: −∞ where the key is hidden, whatever the product is.
    pub(super) fn score_of<A: NdFloat>(&self, i: usize, j: usize, scale: A, product: A) -> A {
        match self.visibility.sees(i, j) {
            true => product * scale + self.at(i, j),
            false => A::neg_infinity(),
        }
    }

    /// Scales the products of query `i` with the keys from `first` on, and adds to each what [`at`](Self::at) says: the scores of a row, over themselves.
    pub(super) fn score<A: NdFloat>(
        &self,
        i: usize,
        first: usize,
        scale: A,
        products: ArrayViewMut1<A>,
    ) {
        if let Visibility::Mask(_) = self.visibility {
            for (j, s) in products.into_iter().enumerate() {
                *s = self.score_of(i, first + j, scale, *s);
            }
            return;
        }
        // What is seen comes first: a row is two loops without a question in them.
        let seen = self.visibility.reach(&(i..i + 1), first + products.len());
        let (mut seen, mut hidden) = products.split_at(Axis(0), seen.saturating_sub(first));
        hidden.fill(A::neg_infinity());
        seen.mapv_inplace(|s| s * scale);
        if let Some(slope) = self.alibi_slope {
            for (j, s) in seen.iter_mut().enumerate() {
                *s += self.by_distance(slope, i, first + j);
            }
        }
    }

    /// $m (j - i)$.
    fn by_distance<A: NdFloat>(&self, slope: f64, i: usize, j: usize) -> A {
        // Signed, which processors make a float of in one step.
        let distance = (j as isize - (self.visibility.first() + i) as isize) as f64;
        A::from(slope * distance).expect("a bias fits a float")
    }

    /// The same for no longer than `'b`: of the view of a mask the compiler cannot tell by itself.
    pub(super) fn reborrow<'b>(self) -> Bias<'b>
    where
        'a: 'b,
    {
        Bias {
            visibility: match self.visibility {
                Visibility::All => Visibility::All,
                Visibility::Causal { first } => Visibility::Causal { first },
                Visibility::Mask(mask) => Visibility::Mask(mask.reborrow()),
            },
            alibi_slope: self.alibi_slope,
        }
    }
}

/// The mask of a decoder as a matrix: row `i` is true up to key `first + i`. Returns `[queries, keys]`.
///
/// ```
/// assert_eq!(baichuan2::attention::causal_mask(1, 2, 3), ndarray::array![[true, true, false], [true, true, true]]);
/// ```
pub fn causal_mask(first: usize, queries: usize, keys: usize) -> Array2<bool> {
    Array2::from_shape_fn((queries, keys), |(i, j)| j <= first + i)
}
