//! A softmax that survives any finite input.
//!
//! $$ \mathrm{softmax}(s)_j = \frac{e^{s_j}}{\sum_k e^{s_k}} = \frac{e^{s_j - \max s}}{\sum_k e^{s_k - \max s}} $$
//!
//! * Page: used by *Attention* (step 6), *Unembedding* (step 1) and *DTransformer* (step 6).
//! * The page's form overflows: $e^{89}$ is already more than an f32 holds, and ∞/∞ is not a number. The test
//!   `the_printed_form_overflows_and_the_safe_one_does_not` shows it.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, NdFloat};

/// The softmax as printed, of one vector. NaN where $e^{s_j}$ overflows.
pub fn softmax_formal<A: NdFloat>(scores: ArrayView1<A>) -> Array1<A> {
    let exp = scores.mapv(A::exp);
    let sum = exp.sum();
    exp / sum
}

/// The softmax of each row of `scores: [rows, n]`. Returns `[rows, n]`.
///
/// A score of −∞ gets exactly zero; a row of nothing but −∞ gets zeros, for there is nothing to choose from. NaN stays NaN.
///
/// ```
/// use baichuan2::tensor::softmax;
/// use ndarray::array;
/// let p = softmax(array![[1e4_f32, 1e4, -1e4]].view());
/// assert_eq!(p, array![[0.5, 0.5, 0.0]]);
/// ```
pub fn softmax<A: NdFloat>(scores: ArrayView2<A>) -> Array2<A> {
    let mut p = scores.to_owned();
    for row in p.rows_mut() {
        softmax_in_place(row);
    }
    p
}

/// The softmax of one vector, over itself.
pub fn softmax_in_place<A: NdFloat>(mut scores: ArrayViewMut1<A>) {
    let max = scores.fold(A::neg_infinity(), |max, &s| max.max(s));
    if max == A::neg_infinity() {
        // Nothing but −∞ is a row that sees nothing. NaN, which the maximum passes over, is a broken weight, and must stay to be seen.
        let broken = scores.iter().any(|s| s.is_nan());
        scores.fill(if broken { A::nan() } else { A::zero() });
        return;
    }
    scores.mapv_inplace(|s| (s - max).exp());
    let sum = scores.sum();
    scores.mapv_inplace(|e| e / sum);
}

/// The largest number, −∞ where there is none; NaN is passed over.
pub(crate) fn largest<A: NdFloat>(xs: &[A]) -> A {
    // Sixteen maxima side by side, which the compiler keeps in vector registers.
    let max = |a: A, b: A| if b > a { b } else { a };
    let (chunks, rest) = xs.as_chunks::<16>();
    let mut lanes = [A::neg_infinity(); 16];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = max(*lane, x);
        }
    }
    lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(A::neg_infinity(), max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sequence;
    use ndarray::array;
    use proptest::prelude::*;

    fn scores() -> impl Strategy<Value = Array1<f64>> {
        prop::collection::vec(-30.0..30.0, 1..40).prop_map(Array1::from)
    }

    fn of_row(scores: &Array1<f64>) -> Array1<f64> {
        let mut p = scores.clone();
        softmax_in_place(p.view_mut());
        p
    }

    proptest! {
        /// Catches: a maximum or a sum over the wrong axis; a forgotten division.
        #[test]
        fn shipped_equals_the_page(s in sequence(1..6, 1..30)) {
            let s = s * 7.0;
            for (s, p) in s.rows().into_iter().zip(softmax(s.view()).rows()) {
                let difference = &p - &softmax_formal(s);
                prop_assert!(difference.iter().all(|e| e.abs() < 1e-14));
            }
        }

        /// Catches: normalizing by the maximum, or by a sum in another order of exponentials.
        #[test]
        fn it_sums_to_one_and_a_common_shift_changes_nothing(s in scores(), shift in -1e4..1e4) {
            let p = of_row(&s);
            prop_assert!((p.sum() - 1.0).abs() < 1e-12);
            let shifted = of_row(&(&s + shift));
            prop_assert!((&shifted - &p).iter().all(|e| e.abs() < 1e-11));
        }
    }

    /// Catches: exponentials taken before the maximum is subtracted.
    #[test]
    fn the_printed_form_overflows_and_the_safe_one_does_not() {
        let scores = array![1e4_f32, 0.0, -1e4];
        assert!(softmax_formal(scores.view())[0].is_nan());
        assert_eq!(
            softmax(scores.view().insert_axis(ndarray::Axis(0))),
            array![[1.0, 0.0, 0.0]]
        );
    }

    /// Catches: 0/0 where every key is hidden.
    #[test]
    fn a_row_that_sees_nothing_is_zero() {
        let hidden = array![[f32::NEG_INFINITY, f32::NEG_INFINITY]];
        assert_eq!(softmax(hidden.view()), array![[0.0, 0.0]]);
    }
}
