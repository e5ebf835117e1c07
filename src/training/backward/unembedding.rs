//! The gradient of the unembedding, with NormHead made anew at every step, as training has it.
//!
//! With $\hat w = w / \lVert w \rVert$, one row of the head at a time:
//!
//! $$ Z = X \hat W^\top, \qquad \bar X = \bar Z \hat W, \qquad \bar{\hat W} = \bar Z^\top X, \qquad
//!    \bar w = \frac{\bar{\hat w} - (\hat w \cdot \bar{\hat w}) \hat w}{\lVert w \rVert} $$
//!
//! The gradient of a row stands at a right angle to it: length alone changes no logit.

use crate::unembedding::norm_head_formal;
use ndarray::{Array2, ArrayView2, NdFloat, Zip};
use std::borrow::Cow;

/// The output matrix as it is multiplied with, `[vocab, d]`: with rows of length 1 where there is NormHead.
pub fn head<A: NdFloat>(w: &Array2<A>, norm_head: bool) -> Cow<'_, Array2<A>> {
    if norm_head {
        Cow::Owned(norm_head_formal(w.view()))
    } else {
        Cow::Borrowed(w)
    }
}

/// $\bar X$ `[rows, d]`; the gradient of $\hat W$ (see [`head`]) is added to `head_bar`, which [`through_norm_head`] makes that of $W$ in the end.
pub fn backward<A: NdFloat>(
    z_bar: ArrayView2<A>,
    x: ArrayView2<A>,
    head: &Array2<A>,
    head_bar: &mut Array2<A>,
) -> Array2<A> {
    super::add_linear(head_bar, z_bar, x);
    z_bar.dot(head)
}

/// $\bar W$ from the sum of all $\bar{\hat W}$, in place.
pub fn through_norm_head<A: NdFloat>(head_bar: &mut Array2<A>, w: &Array2<A>) {
    let shortest = A::from(1e-12).expect("1e-12 fits a float");
    for (mut bar, w) in head_bar.rows_mut().into_iter().zip(w.rows()) {
        let norm = w.dot(&w).sqrt();
        // Below the shortest length a row is divided by a constant.
        let (norm, along) = if norm > shortest {
            (norm, bar.dot(&w) / (norm * norm))
        } else {
            (shortest, A::zero())
        };
        Zip::from(&mut bar)
            .and(w)
            .for_each(|bar, &w| *bar = (*bar - along * w) / norm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{testing::matrix, training::backward::slope};
    use proptest::prelude::*;

    proptest! {
        /// Catches: a head that is normalized forward, but whose gradient goes past the normalization.
        #[test]
        fn the_gradient_is_the_slope(
            (x, w, weights) in (1..5_usize, 1..6_usize, 1..8_usize)
                .prop_flat_map(|(n, d, v)| (matrix(n, d), matrix(v, d), matrix(n, v))),
            norm_head in any::<bool>(),
        ) {
            for row in w.rows() { prop_assume!(row.dot(&row) > 0.5); }
            let loss = |x: &Array2<f64>, w: &Array2<f64>| (x.dot(&head(w, norm_head).t()) * &weights).sum();
            let mut w_bar = Array2::zeros(w.raw_dim());
            let x_bar = backward(weights.view(), x.view(), &head(&w, norm_head), &mut w_bar);
            if norm_head {
                through_norm_head(&mut w_bar, &w);
                for (bar, w) in w_bar.rows().into_iter().zip(w.rows()) {
                    prop_assert!(bar.dot(&w).abs() < 1e-9);
                }
            }
            prop_assert!(slope::relative_error(&x_bar, &slope::of(&x, |x| loss(x, &w))) < 1e-6);
            prop_assert!(slope::relative_error(&w_bar, &slope::of(&w, |w| loss(&x, w))) < 1e-6);
        }
    }
}
