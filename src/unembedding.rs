//! From the last hidden state to a score for every token id, with NormHead.
//!
//! $$ p = \mathrm{softmax}(W_u e), \qquad \text{NormHead: } w_i \leftarrow \frac{w_i}{\max(\lVert w_i \rVert_2,\ 10^{-12})} \text{ for each row } w_i \text{ of } W_u $$
//!
//! * Page: *Algorithm: Unembedding*.
//! * Paper: Baichuan 2, arXiv 2309.10305, section 2.5 (NormHead): rare tokens have short rows, and the semantic part of a logit is its cosine.
//! * Shipped: `NormHead` in `modeling_baichuan.py`: `functional.normalize(weight)`, then the linear map.
//!
//! # As printed, as shipped
//!
//! The page has no NormHead. Without it every logit is scaled by the length of its row: the test
//! `without_norm_head_the_choice_is_another`. The rows are normalized, the hidden state is not. They are normalized once: here by keeping
//! $1/\lVert w_i \rVert$ and scaling each logit with it, so that the matrix itself stays as it is stored.

use crate::tensor::{LinearMap, softmax_formal};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, NdFloat};
use std::sync::OnceLock;

/// The page's algorithm: the distribution over the vocabulary after one token.
///
/// `e: [d_e]`, `w_u: [N, d_e]`. Returns `[N]`.
///
/// ```
/// use baichuan2::unembedding::unembedding_formal;
/// use ndarray::array;
/// let p = unembedding_formal(array![1.0].view(), array![[0.0], [f64::ln(3.0)]].view());
/// assert!((p - array![0.25, 0.75]).iter().all(|e: &f64| e.abs() < 1e-15));
/// ```
pub fn unembedding_formal<A: NdFloat>(e: ArrayView1<A>, w_u: ArrayView2<A>) -> Array1<A> {
    softmax_formal(w_u.dot(&e).view()) // 1. p
}

/// NormHead as a formula: the rows of `w_u: [N, d_e]`, each divided by its length or by 1e-12. Returns `[N, d_e]`.
///
/// ```
/// use baichuan2::unembedding::norm_head_formal;
/// use ndarray::array;
/// assert_eq!(norm_head_formal(array![[3.0, 4.0], [0.0, 0.0]].view()), array![[0.6, 0.8], [0.0, 0.0]]);
/// ```
pub fn norm_head_formal<A: NdFloat>(w_u: ArrayView2<A>) -> Array2<A> {
    let shortest = A::from(1e-12).expect("1e-12 fits a float");
    let mut normalized = w_u.to_owned();
    for mut row in normalized.rows_mut() {
        let norm = row.fold(A::zero(), |sum, &w| sum + w * w).sqrt();
        row /= norm.max(shortest);
    }
    normalized
}

/// The unembedding as shipped: logits of every token of a sequence, with or without NormHead.
#[derive(Clone, Debug)]
pub struct Unembedding<A, M> {
    weight: M,
    norm_head: bool,
    /// 1 / max(‖row‖, 1e-12), made when first needed: reading a whole head takes longer than opening a checkpoint should.
    inverse_norms: OnceLock<Array1<A>>,
}

impl<A: NdFloat, M: LinearMap<A>> Unembedding<A, M> {
    /// `weight: [N, d_e]`, as stored.
    pub fn new(weight: M, norm_head: bool) -> Self {
        Unembedding {
            weight,
            norm_head,
            inverse_norms: OnceLock::new(),
        }
    }

    /// The output matrix, as stored.
    pub fn weight(&self) -> &M {
        &self.weight
    }

    /// A score for every token id after each token. `x: [tokens, d_e]`. Returns `[tokens, N]`.
    ///
    /// ```
    /// use baichuan2::unembedding::Unembedding;
    /// use ndarray::array;
    /// let w_u = array![[2.0, 0.0], [0.0, 1.0]];
    /// let x = array![[1.0, 1.5]];
    /// assert_eq!(Unembedding::new(w_u.clone(), false).logits(x.view()), array![[2.0, 1.5]]);
    /// assert_eq!(Unembedding::new(w_u, true).logits(x.view()), array![[1.0, 1.5]]); // another choice
    /// ```
    ///
    /// # Panics
    /// Where `x` has another width than the matrix.
    pub fn logits(&self, x: ArrayView2<A>) -> Array2<A> {
        self.logits_as(x, self.norm_head)
    }

    /// The [`logits`](Self::logits) as they would be with NormHead, or without it, whatever the model has: to see what it changes.
    /// `x: [tokens, d_e]`, after the last norm. Returns `[tokens, N]`.
    ///
    /// ```
    /// use baichuan2::unembedding::Unembedding;
    /// use ndarray::array;
    /// let head = Unembedding::new(array![[2.0, 0.0], [0.0, 1.0]], true);
    /// let x = array![[1.0, 1.5]];
    /// assert_eq!(head.logits_as(x.view(), true), head.logits(x.view()));
    /// assert_eq!(head.logits_as(x.view(), false), array![[2.0, 1.5]]);
    /// ```
    ///
    /// # Panics
    /// Where `x` has another width than the matrix.
    pub fn logits_as(&self, x: ArrayView2<A>, norm_head: bool) -> Array2<A> {
        let mut logits = self.weight.apply(x);
        if norm_head {
            logits *= self
                .inverse_norms
                .get_or_init(|| self.weight.row_norms().mapv(inverse));
        }
        logits
    }

    /// The row $w_i$ whose product with a hidden state is the logit of token `i`: normalized, where NormHead is on. Returns `[d_e]`.
    ///
    /// ```
    /// use baichuan2::unembedding::Unembedding;
    /// use ndarray::array;
    /// let w_u = array![[3.0, 4.0], [0.0, 1.0]];
    /// assert_eq!(Unembedding::new(w_u.clone(), false).row(0), array![3.0, 4.0]);
    /// let normalized: ndarray::Array1<f64> = Unembedding::new(w_u, true).row(0);
    /// assert!((normalized.dot(&normalized) - 1.0).abs() < 1e-12);
    /// ```
    ///
    /// # Panics
    /// Where there is no such token.
    pub fn row(&self, i: usize) -> Array1<A> {
        let [_, d] = self.weight.out_in();
        let mut row = Array1::zeros(d);
        self.weight.copy_row(i, row.view_mut());
        if self.norm_head {
            let norm = row.dot(&row).sqrt();
            row *= inverse(norm);
        }
        row
    }
}

/// 1 / max(norm, 1e-12).
fn inverse<A: NdFloat>(norm: A) -> A {
    let shortest = A::from(1e-12).expect("1e-12 fits a float");
    norm.max(shortest).recip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::softmax;
    use crate::testing::{largest_difference, matrix};
    use proptest::prelude::*;

    /// Hidden states and an output matrix.
    fn head() -> impl Strategy<Value = (Array2<f64>, Array2<f64>)> {
        (1..6_usize, 1..9_usize, 1..20_usize)
            .prop_flat_map(|(tokens, d, n)| (matrix(tokens, d), matrix(n, d)))
    }

    proptest! {
        /// Catches: a softmax over tokens; a transposed output matrix.
        #[test]
        fn shipped_equals_the_page((x, w) in head()) {
            let p = softmax(Unembedding::new(w.clone(), false).logits(x.view()).view());
            prop_assert_eq!(p.dim(), (x.nrows(), w.nrows()));
            for (x, p) in x.rows().into_iter().zip(p.rows()) {
                prop_assert!(largest_difference(&unembedding_formal(x, w.view()), &p.to_owned()) < 1e-12);
            }
        }

        /// Catches: normalizing columns, or the hidden state, in place of rows.
        #[test]
        fn norm_head_scales_logits_by_the_row((x, w) in head()) {
            let shipped = Unembedding::new(w.clone(), true).logits(x.view());
            let formal = x.dot(&norm_head_formal(w.view()).t());
            prop_assert!(largest_difference(&shipped, &formal) < 1e-10);
            for norm_head in [true, false] {
                let head = Unembedding::new(w.clone(), norm_head);
                prop_assert!(largest_difference(&head.logits_as(x.view(), true), &formal) < 1e-10);
                prop_assert!(largest_difference(&head.logits_as(x.view(), false), &x.dot(&w.t())) < 1e-10);
                let rows = Array2::from_shape_fn(w.dim(), |(i, j)| head.row(i)[j]);
                prop_assert!(largest_difference(&x.dot(&rows.t()), &head.logits(x.view())) < 1e-10);
            }
        }

        /// Catches: dividing by the square of the norm, or normalizing the hidden state.
        #[test]
        fn norm_head_is_idempotent_and_blind_to_row_lengths((x, w) in head(), scale in 0.1..10.0_f64) {
            let once = norm_head_formal(w.view());
            prop_assert!(largest_difference(&norm_head_formal(once.view()), &once) < 1e-14);
            let scaled = norm_head_formal((&w * scale).view());
            prop_assert!(largest_difference(&scaled, &once) < 1e-12);
            let logits = Unembedding::new(w, true).logits(x.view());
            let doubled = Unembedding::new(once, true).logits((&x * 2.0).view());
            prop_assert!(largest_difference(&doubled, &(logits * 2.0)) < 1e-10);
        }

        /// `ndarray-linalg`'s own row normalization as a second oracle. Catches: a norm other than the Euclidean.
        #[cfg(feature = "linalg")]
        #[test]
        fn norm_head_is_what_ndarray_linalg_normalizes((_, w) in head()) {
            use ndarray_linalg::{NormalizeAxis, normalize};
            for row in w.rows() { prop_assume!(row.dot(&row) > 1e-9); }
            let (theirs, _) = normalize(w.clone(), NormalizeAxis::Row);
            prop_assert!(largest_difference(&norm_head_formal(w.view()), &theirs) < 1e-12);
        }
    }

    /// Catches: 0/0 for the row of a token that was never trained.
    #[test]
    fn a_row_of_zeros_gives_a_logit_of_zero() {
        let w = ndarray::array![[0.0_f32, 0.0], [0.0, 2.0]];
        let logits = Unembedding::new(w, true).logits(ndarray::array![[1.0, 1.0]].view());
        assert_eq!(logits, ndarray::array![[0.0, 1.0]]);
    }

    /// Two rows of different lengths. Catches: a checkpoint run without NormHead, which still looks plausible.
    #[test]
    fn without_norm_head_the_choice_is_another() {
        let w = ndarray::array![[5.0_f64, 0.0], [0.0, 1.0]];
        let x = ndarray::array![[0.3, 1.0]];
        let argmax = |norm_head| {
            let logits = Unembedding::new(w.clone(), norm_head).logits(x.view());
            usize::from(logits[[0, 1]] > logits[[0, 0]])
        };
        assert_eq!((argmax(false), argmax(true)), (0, 1));
    }
}
