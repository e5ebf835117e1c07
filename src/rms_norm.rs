//! Root-mean-square layer normalization.
//!
//! $$ \mathrm{RMS}(x) = \sqrt{\tfrac{1}{d}\textstyle\sum_i x_i^2 + \varepsilon}, \qquad y = \frac{x}{\mathrm{RMS}(x)} \odot \gamma $$
//!
//! * Page: *Algorithm: RMS Layer Normalization*.
//! * Paper: Zhang and Sennrich 2019, arXiv 1910.07467, equation 4.
//! * Shipped: `RMSNorm` in `modeling_baichuan.py`: ε = 1e-6, statistics in f32, no offset.
//!
//! # As printed, as shipped
//!
//! The page computes a mean μ and a variance σ² (steps 1 and 2) that no later step uses, leaves out ε, and adds an offset β that
//! no checkpoint carries. Without ε a row of zeros becomes NaN: the test `a_row_of_zeros_stays_zero` shows it.

use crate::tensor::threads;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, NdFloat, Zip};

/// The page's algorithm for one token, sharing no code with [`RmsNorm`], so that it can be its oracle.
///
/// `x`, `gamma`, `beta`: `[d]`. Returns `[d]`. NaN where `x` is all zeros: see the module's note.
///
/// ```
/// use baichuan2::rms_norm::rms_norm_formal;
/// use ndarray::array;
/// let (one, zero) = (array![1.0, 1.0], array![0.0, 0.0]);
/// let y = rms_norm_formal(array![3.0, 4.0].view(), one.view(), zero.view());
/// let rms = f64::sqrt((9.0 + 16.0) / 2.0);
/// assert_eq!(y, array![3.0 / rms, 4.0 / rms]);
/// ```
pub fn rms_norm_formal<A: NdFloat>(
    x: ArrayView1<A>,
    gamma: ArrayView1<A>,
    beta: ArrayView1<A>,
) -> Array1<A> {
    let d = A::from(x.len()).expect("a length fits a float");
    // 1. μ and 2. σ² are used by no later step.
    let rms = (x.fold(A::zero(), |sum, &x_i| sum + x_i * x_i) / d).sqrt(); // 3. RMS
    &x / rms * gamma + beta // 4. y, 5. return
}

/// RMSNorm as shipped: every token of a sequence, with ε and without β.
///
/// ```
/// use baichuan2::rms_norm::RmsNorm;
/// use ndarray::array;
/// let norm = RmsNorm { gamma: array![2.0, 2.0], eps: 0.0 };
/// assert_eq!(norm.forward(array![[5.0, 5.0], [-1.0, 1.0]].view()), array![[2.0, 2.0], [-2.0, 2.0]]);
/// ```
#[derive(Clone, Debug)]
pub struct RmsNorm<A> {
    /// Scale of each dimension, `[d]`.
    pub gamma: Array1<A>,
    /// Added to the mean square before the root, so that silence stays silent.
    pub eps: A,
}

impl<A: NdFloat> RmsNorm<A> {
    /// Normalizes each row of `x: [tokens, d]`. Returns `[tokens, d]`.
    ///
    /// # Panics
    /// Where `x` has another width than γ.
    pub fn forward(&self, x: ArrayView2<A>) -> Array2<A> {
        let mut y = x.to_owned();
        let rows = threads::share(x.nrows(), 4 * size_of::<A>() * x.ncols());
        threads::for_each_chunk(y.view_mut(), Axis(0), rows, |_, mut y| {
            for mut token in y.rows_mut() {
                let rms = self.rms(token.view());
                Zip::from(&mut token)
                    .and(&self.gamma)
                    .for_each(|y, &gamma| *y = *y / rms * gamma);
            }
        });
        y
    }

    /// What one token is divided by, $\mathrm{RMS}(x)$. `x: [d]`.
    pub fn rms(&self, x: ArrayView1<A>) -> A {
        (mean_square(x) + self.eps).sqrt()
    }
}

fn mean_square<A: NdFloat>(x: ArrayView1<A>) -> A {
    x.dot(&x) / A::from(x.len()).expect("a length fits a float")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sequence;
    use ndarray::array;
    use proptest::prelude::*;

    proptest! {
        /// Catches: normalizing over tokens instead of dimensions; forgetting γ.
        #[test]
        fn shipped_equals_the_page_row_by_row(x in sequence(1..9, 1..33)) {
            let d = x.ncols();
            let gamma = Array1::linspace(0.5, 1.5, d);
            let y = RmsNorm { gamma: gamma.clone(), eps: 0.0 }.forward(x.view());
            prop_assert_eq!(y.dim(), x.dim());
            for (x, y) in x.rows().into_iter().zip(y.rows()) {
                prop_assume!(x.dot(&x) > 1e-9);
                let page = rms_norm_formal(x, gamma.view(), Array1::zeros(d).view());
                prop_assert!((&page - &y).iter().all(|e| e.abs() < 1e-12));
            }
        }

        /// Catches: subtracting the mean (LayerNorm), or a mean where the mean square belongs.
        #[test]
        fn scaling_the_input_changes_nothing(x in sequence(1..9, 1..33), scale in 0.1..10.0) {
            let norm = RmsNorm { gamma: Array1::ones(x.ncols()), eps: 0.0 };
            for row in x.rows() { prop_assume!(row.dot(&row) > 1e-9); }
            let y = norm.forward(x.view());
            let scaled = norm.forward(x.mapv(|x| x * scale).view());
            prop_assert!((&scaled - &y).iter().all(|e| e.abs() < 1e-9));
            for (x, y) in x.rows().into_iter().zip(y.rows()) {
                prop_assert!((mean_square(y) - 1.0).abs() < 1e-9);
                // The direction stays, which subtracting a mean would turn.
                let length = mean_square(x).sqrt();
                prop_assert!((&y * length - x).iter().all(|e| e.abs() < 1e-9));
            }
        }
    }

    /// Catches: ε left out, as the page does.
    #[test]
    fn a_row_of_zeros_stays_zero() {
        let zeros = array![0.0_f32, 0.0];
        let page = rms_norm_formal(zeros.view(), array![1.0, 1.0].view(), zeros.view());
        assert!(page.iter().all(|y| y.is_nan()), "the page has no ε");
        let norm = RmsNorm {
            gamma: array![1.0_f32, 1.0],
            eps: 1e-6,
        };
        assert_eq!(
            norm.forward(zeros.view().insert_axis(Axis(0))),
            array![[0.0, 0.0]]
        );
    }

    /// Catches: ε added after the root, or to the norm, where its weight is another.
    #[test]
    fn eps_is_added_to_the_mean_square_under_the_root() {
        let norm = RmsNorm {
            gamma: array![1.0, 1.0],
            eps: 1.0,
        };
        let y = norm.forward(array![[1.0, 3.0]].view()); // mean square 5
        assert_eq!(y, array![[1.0 / 6.0_f64.sqrt(), 3.0 / 6.0_f64.sqrt()]]);
    }
}
