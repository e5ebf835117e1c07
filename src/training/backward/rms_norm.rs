//! The gradient of RMSNorm.
//!
//! With $r = 1/\mathrm{RMS}(x)$ and $g = \bar y \odot \gamma$, one row at a time:
//!
//! $$ y = r x \odot \gamma, \qquad \bar\gamma \mathrel{+}= r x \odot \bar y, \qquad \bar x = r \left(g - \frac{r^2 (g \cdot x)}{d}  x\right) $$

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Axis, NdFloat, Zip};

/// $y$ `[rows, d]` and $r$ `[rows]` of `x: [rows, d]`.
pub fn forward<A: NdFloat>(
    x: ArrayView2<A>,
    gamma: ArrayView1<A>,
    eps: A,
) -> (Array2<A>, Array1<A>) {
    let d = A::from(x.ncols()).expect("a length fits a float");
    let mut y = x.to_owned();
    let r = y
        .rows_mut()
        .into_iter()
        .map(|mut row| {
            let r = (row.dot(&row) / d + eps).sqrt().recip();
            Zip::from(&mut row)
                .and(gamma)
                .for_each(|y, &gamma| *y = *y * r * gamma);
            r
        })
        .collect();
    (y, r)
}

/// $\bar x$ `[rows, d]`; $\bar\gamma$ is added to `gamma_bar: [d]`.
pub fn backward<A: NdFloat>(
    y_bar: ArrayView2<A>,
    x: ArrayView2<A>,
    r: ArrayView1<A>,
    gamma: ArrayView1<A>,
    mut gamma_bar: ArrayViewMut1<A>,
) -> Array2<A> {
    let d = A::from(x.ncols()).expect("a length fits a float");
    let mut x_bar = y_bar.to_owned();
    for ((mut row, x), &r) in x_bar.rows_mut().into_iter().zip(x.rows()).zip(r) {
        Zip::from(&mut gamma_bar)
            .and(&row)
            .and(x)
            .for_each(|sum, &y_bar, &x| *sum += r * x * y_bar);
        Zip::from(&mut row)
            .and(gamma)
            .for_each(|g, &gamma| *g *= gamma);
        let inward = r * r * row.dot(&x) / d;
        Zip::from(&mut row)
            .and(x)
            .for_each(|g, &x| *g = r * (*g - inward * x));
    }
    debug_assert_eq!(x_bar.len_of(Axis(0)), x.nrows());
    x_bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rms_norm::RmsNorm,
        testing::{largest_difference, matrix},
        training::backward::slope,
    };
    use proptest::prelude::*;

    proptest! {
        /// Catches: the part of the gradient through the norm itself left out; γ forgotten on the way back.
        #[test]
        fn the_gradient_is_the_slope(
            (x, gamma, w) in (1..5_usize, 1..7_usize).prop_flat_map(|(n, d)| (matrix(n, d), matrix(1, d), matrix(n, d))),
        ) {
            for row in x.rows() { prop_assume!(row.dot(&row) > 0.5); }
            let eps = 1e-6;
            // Any loss will do: a weighted sum of the output.
            let loss = |x: &Array2<f64>, gamma: &Array2<f64>| (forward(x.view(), gamma.row(0), eps).0 * &w).sum();
            let (y, r) = forward(x.view(), gamma.row(0), eps);
            let shipped = RmsNorm { gamma: gamma.row(0).to_owned(), eps }.forward(x.view());
            prop_assert!(largest_difference(&y, &shipped) < 1e-12);
            let mut gamma_bar = Array2::zeros(gamma.raw_dim());
            let x_bar = backward(w.view(), x.view(), r.view(), gamma.row(0), gamma_bar.row_mut(0));
            prop_assert!(slope::relative_error(&x_bar, &slope::of(&x, |x| loss(x, &gamma))) < 1e-6);
            prop_assert!(slope::relative_error(&gamma_bar, &slope::of(&gamma, |gamma| loss(&x, gamma))) < 1e-6);
        }
    }
}
