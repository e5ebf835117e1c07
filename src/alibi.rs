//! Attention with linear biases.
//!
//! Positions are not embedded; instead each score loses a little for each token of distance, at a rate of its own for every head:
//!
//! $$ s_{ij} = \frac{q_i \cdot k_j}{\sqrt{d}} + m_h (j - i), \qquad j \le i $$
//!
//! With $H$ a power of two, $m_h = 2^{-8h/H}$ for $h = 1, \dots, H$. For other $H$: the slopes of the largest power of two below $H$, then every
//! other slope of the power of two above it. The 40 heads of the 13B have 32 of $2^{-h/4}$, then 8 of the odd ones of 64.
//!
//! * Page: *Attention with Linear Biases (ALiBi)*, the formula of its overview.
//! * Paper: Press, Smith and Lewis 2022, arXiv 2108.12409, section 3; the slopes for other numbers of heads are of the authors' code.
//! * Shipped: `_get_interleave`, `_gen_alibi_mask` in the 13B's `modeling_baichuan.py`.
//!
//! # As printed, as shipped
//!
//! * The page adds one constant $m$ to every score of a head, inside the division: $(q \cdot k + m)/\sqrt{d}$. A constant added to a
//!   whole row is taken out again by the softmax, so the printed formula does nothing: the test `the_printed_constant_does_nothing`.
//! * The shipped code evaluates $m_h j$ in place of $m_h (j - i)$ ([`absolute_bias`]). The two differ by $m_h i$, constant in a row, which the
//!   softmax removes as well: the test `absolute_and_relative_agree_after_the_softmax`.

use ndarray::{Array2, NdFloat};

/// The slope $m_h$ of each of `heads` heads.
///
/// ```
/// assert_eq!(baichuan2::alibi::slopes(4), [0.25, 0.0625, 0.015625, 0.00390625]);
/// assert_eq!(baichuan2::alibi::slopes(5)[4], 0.5); // the first of the eight-head series
/// ```
pub fn slopes(heads: usize) -> Vec<f64> {
    // As shipped: powers of the first slope, so that not even a rounding differs.
    let series = |n: usize| {
        let first = (-8.0 / n as f64).exp2();
        (0..n).map(move |i| first * first.powf(i as f64))
    };
    let Some(log) = heads.checked_ilog2() else {
        return Vec::new();
    };
    let power = 1 << log;
    series(power)
        .chain(series(2 * power).step_by(2).take(heads - power))
        .collect()
}

/// The bias $m (j - i)$ of `queries` tokens from position `first` on, over the `keys` before and at them. Returns `[queries, keys]`.
///
/// It is defined for keys after the query too (positive there), where a causal mask hides it.
///
/// ```
/// use ndarray::array;
/// let bias: ndarray::Array2<f64> = baichuan2::alibi::relative_bias(0.5, 1, 2, 3);
/// assert_eq!(bias, array![[-0.5, 0.0, 0.5], [-1.0, -0.5, 0.0]]);
/// ```
pub fn relative_bias<A: NdFloat>(
    slope: f64,
    first: usize,
    queries: usize,
    keys: usize,
) -> Array2<A> {
    Array2::from_shape_fn((queries, keys), |(i, j)| {
        float(slope * (j as f64 - (first + i) as f64))
    })
}

/// The bias as the shipped evaluation code adds it, $m j$, the same for every query. Returns `[queries, keys]`.
///
/// ```
/// use ndarray::array;
/// let bias: ndarray::Array2<f64> = baichuan2::alibi::absolute_bias(0.5, 2, 3);
/// assert_eq!(bias, array![[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]);
/// ```
pub fn absolute_bias<A: NdFloat>(slope: f64, queries: usize, keys: usize) -> Array2<A> {
    Array2::from_shape_fn((queries, keys), |(_, j)| float(slope * j as f64))
}

fn float<A: NdFloat>(x: f64) -> A {
    A::from(x).expect("a bias fits a float")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::softmax;
    use crate::testing::{largest_difference, matrix};
    use proptest::prelude::*;

    /// Scores of one head, square.
    fn scores() -> impl Strategy<Value = Array2<f64>> {
        (1..12_usize).prop_flat_map(|n| matrix(n, n))
    }

    fn causal(mut scores: Array2<f64>) -> Array2<f64> {
        for ((i, j), s) in scores.indexed_iter_mut() {
            if j > i {
                *s = f64::NEG_INFINITY;
            }
        }
        scores
    }

    proptest! {
        /// Catches: the absolute form with a sign turned round.
        #[test]
        fn absolute_and_relative_agree_after_the_softmax(s in scores(), slope in 0.001..1.0) {
            let n = s.nrows();
            let relative = softmax(causal(&s + &relative_bias::<f64>(slope, 0, n, n)).view());
            let absolute = softmax(causal(&s + &absolute_bias::<f64>(slope, n, n)).view());
            prop_assert!(largest_difference(&relative, &absolute) < 1e-12);
        }

        /// Catches: a bias that depends on where the text stands and not on the distance alone.
        #[test]
        fn shifting_all_positions_changes_nothing(
            slope in 0.001..1.0, first in 0..40_usize, shift in 0..100_usize, n in 1..9_usize,
        ) {
            let here: Array2<f64> = relative_bias(slope, first, n, first + n);
            let there: Array2<f64> = relative_bias(slope, first + shift, n, first + shift + n);
            let same_keys = there.slice_move(ndarray::s![.., shift..]);
            prop_assert!(largest_difference(&here, &same_keys) < 1e-12);
        }

        /// Catches: a bias with the wrong sign, favouring what is far.
        #[test]
        fn equal_scores_decay_with_distance(slope in 0.01..1.0, n in 2..20_usize) {
            let p = softmax(causal(relative_bias(slope, 0, n, n)).view());
            let last = p.row(n - 1);
            prop_assert!(last.windows(2).into_iter().all(|w| w[0] < w[1]));
            // One token nearer is e^m times as likely.
            prop_assert!((last[n - 1] / last[n - 2] - slope.exp()).abs() < 1e-9);
        }

        /// As printed. Catches: a constant where a bias by distance belongs.
        #[test]
        fn the_printed_constant_does_nothing(s in scores(), m in -5.0..5.0_f64, d in 1..64_usize) {
            let scale = (d as f64).sqrt();
            let printed = softmax(((&s + m) / scale).view());
            prop_assert!(largest_difference(&printed, &softmax((&s / scale).view())) < 1e-12);
        }

        /// As printed, inside the division. Catches: taking the two for the same.
        #[test]
        fn dividing_the_bias_too_is_another_model(s in scores(), slope in 0.1..1.0) {
            let n = s.nrows();
            prop_assume!(n > 1);
            let bias = relative_bias::<f64>(slope, 0, n, n);
            let after = softmax(causal(&s / 4.0 + &bias).view());
            let inside = softmax(causal((&s + &bias) / 4.0).view());
            prop_assert!(largest_difference(&after, &inside) > 1e-6);
        }
    }

    /// Catches: a geometric series straight through 40 heads.
    #[test]
    fn forty_heads_are_thirty_two_and_every_other_of_sixty_four() {
        let m = slopes(40);
        assert_eq!(m.len(), 40);
        for (h, m) in m[..32].iter().enumerate() {
            assert!((m - 2f64.powf(-((h + 1) as f64) / 4.0)).abs() < 1e-15);
        }
        for (h, m) in m[32..].iter().enumerate() {
            assert!((m - 2f64.powf(-((2 * h + 1) as f64) / 8.0)).abs() < 1e-15);
        }
    }

    /// Catches: slopes of any number of heads that are not those of the shipped code.
    #[test]
    fn slopes_are_the_shipped_ones() {
        let golden: std::collections::BTreeMap<usize, Vec<f64>> =
            serde_json::from_str(include_str!("../tests/goldens/alibi_slopes.json")).unwrap();
        assert!(golden.len() >= 9);
        for (heads, golden) in golden {
            assert_eq!(slopes(heads), golden, "{heads} heads");
        }
    }

    /// Catches: a panic where there is no head.
    #[test]
    fn no_heads_have_no_slopes() {
        assert!(slopes(0).is_empty());
    }
}
