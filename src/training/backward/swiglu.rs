//! The gradient of the gated feed-forward layer.
//!
//! With $a = x G^\top$, $b = x U^\top$, $\sigma = \sigma(a)$ and $h = a\sigma \odot b$:
//!
//! $$ y = h D^\top, \qquad \bar h = \bar y D, \qquad \bar a = \bar h \odot b \odot \sigma (1 + a (1 - \sigma)), \qquad \bar b = \bar h \odot a\sigma $$
//!
//! $$ \bar x = \bar a G + \bar b U, \qquad \bar D = \bar y^\top h, \qquad \bar G = \bar a^\top x, \qquad \bar U = \bar b^\top x $$

use super::{add_linear, linear};
use crate::{swiglu::SwiGlu, tensor::exp_in_place};
use ndarray::{Array2, ArrayView2, NdFloat, Zip, linalg::general_mat_mul};

/// What the way back needs, all `[rows, d_mlp]`.
pub struct Saved<A> {
    a: Array2<A>,
    b: Array2<A>,
    sigma: Array2<A>,
    h: Array2<A>,
}

/// $y$ `[rows, d]` of `x: [rows, d]`.
pub fn forward<A: NdFloat>(x: ArrayView2<A>, p: &SwiGlu<&Array2<A>>) -> (Array2<A>, Saved<A>) {
    let (a, b) = (linear(x, p.gate), linear(x, p.up));
    let sigma = logistic(&a);
    let mut h = Array2::zeros(a.raw_dim());
    Zip::from(&mut h)
        .and(&a)
        .and(&b)
        .and(&sigma)
        .for_each(|h, &a, &b, &sigma| *h = a * sigma * b);
    let y = linear(h.view(), p.down);
    (y, Saved { a, b, sigma, h })
}

/// $\bar x$ `[rows, d]`; the gradients of the matrices are added to `bars`.
pub fn backward<A: NdFloat>(
    y_bar: ArrayView2<A>,
    x: ArrayView2<A>,
    saved: Saved<A>,
    p: &SwiGlu<&Array2<A>>,
    bars: SwiGlu<&mut Array2<A>>,
) -> Array2<A> {
    let Saved {
        mut a,
        mut b,
        sigma,
        h,
    } = saved;
    add_linear(bars.down, y_bar, h.view());
    let h_bar = y_bar.dot(p.down);
    Zip::from(&mut a)
        .and(&mut b)
        .and(&h_bar)
        .and(&sigma)
        .for_each(|a, b, &h_bar, &sigma| {
            let silu = *a * sigma;
            (*a, *b) = (h_bar * *b * sigma * (A::one() + *a - silu), h_bar * silu);
        });
    add_linear(bars.gate, a.view(), x);
    add_linear(bars.up, b.view(), x);
    let mut x_bar = a.dot(p.gate);
    general_mat_mul(A::one(), &b, p.up, A::one(), &mut x_bar);
    x_bar
}

/// $\sigma(a) = 1 / (1 + e^{-a})$.
fn logistic<A: NdFloat>(a: &Array2<A>) -> Array2<A> {
    let mut sigma = a.mapv(|a| -a);
    exp_in_place(sigma.as_slice_mut().expect("made in rows"));
    sigma.mapv_inplace(|e| (A::one() + e).recip());
    sigma
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        probe::LayerProbe,
        testing::{largest_difference, matrix},
        training::backward::slope,
    };
    use proptest::prelude::*;

    proptest! {
        /// Catches: the derivative of the sigmoid for that of SiLU; gate and up exchanged on the way back.
        #[test]
        fn the_gradient_is_the_slope(
            (x, g, u, d, w) in (1..4_usize, 1..5_usize, 1..6_usize)
                .prop_flat_map(|(n, d, m)| (matrix(n, d), matrix(m, d), matrix(m, d), matrix(d, m), matrix(n, d))),
        ) {
            let (x, w) = (x / 4.0, w / 4.0);
            let loss = |x: &Array2<f64>, gate: &Array2<f64>, up: &Array2<f64>, down: &Array2<f64>| {
                (forward(x.view(), &SwiGlu { gate, up, down }).0 * &w).sum()
            };
            let p = SwiGlu { gate: &g, up: &u, down: &d };
            let (y, saved) = forward(x.view(), &p);
            let shipped = SwiGlu { gate: g.clone(), up: u.clone(), down: d.clone() }.forward(x.view(), &mut LayerProbe::none());
            prop_assert!(largest_difference(&y, &shipped) < 1e-12);
            let zeros = |of: &Array2<f64>| Array2::zeros(of.raw_dim());
            let (mut g_bar, mut u_bar, mut d_bar) = (zeros(&g), zeros(&u), zeros(&d));
            let bars = SwiGlu { gate: &mut g_bar, up: &mut u_bar, down: &mut d_bar };
            let x_bar = backward(w.view(), x.view(), saved, &p, bars);
            prop_assert!(slope::relative_error(&x_bar, &slope::of(&x, |x| loss(x, &g, &u, &d))) < 1e-6);
            prop_assert!(slope::relative_error(&g_bar, &slope::of(&g, |g| loss(&x, g, &u, &d))) < 1e-6);
            prop_assert!(slope::relative_error(&u_bar, &slope::of(&u, |u| loss(&x, &g, u, &d))) < 1e-6);
            prop_assert!(slope::relative_error(&d_bar, &slope::of(&d, |d| loss(&x, &g, &u, d))) < 1e-6);
        }
    }
}
