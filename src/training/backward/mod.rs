//! Gradients, each beside the forward pass that saves what it needs.
//!
//! For a loss $L$ and an intermediate $Y$, $\bar Y$ stands for $\partial L / \partial Y$, of the shape of $Y$. Every function here takes the $\bar Y$ of its
//! output and returns the $\bar X$ of its inputs and the gradients of its parameters, in matrix form, so that all of it goes through BLAS:
//!
//! | forward | backward |
//! |---|---|
//! | $Y = X W^\top$ | $\bar X = \bar Y W$, $\bar W = \bar Y^\top X$ |
//! | [`RmsNorm`](crate::rms_norm) | [`rms_norm`] |
//! | [`SwiGlu`](crate::swiglu) | [`swiglu`] |
//! | attention with RoPE or ALiBi, grouped | [`attention`] |
//! | [`Unembedding`](crate::unembedding) with NormHead | [`unembedding`] |
//! | loss with max-z | [`loss`](super::loss) |
//! | embedding, and the decoder as a whole | [`decoder`] |
//!
//! Each is checked against central differences in f64 under random shapes: the test of its own file, and `the_whole_models_gradient_is_the_slope_of_its_loss`.

pub mod attention;
pub mod decoder;
pub mod rms_norm;
pub mod swiglu;
pub mod unembedding;

pub use decoder::{Batch, loss, loss_and_gradient, loss_and_gradient_of_parts};

use ndarray::{Array2, ArrayView2, NdFloat, linalg::general_mat_mul};

/// $Y = X W^\top$, with $W^\top$ copied into rows first: that takes a moment, and the product of rows by rows is faster in BLAS than that by columns.
pub(crate) fn linear<A: NdFloat>(x: ArrayView2<A>, w: &Array2<A>) -> Array2<A> {
    let mut y = Array2::zeros((x.nrows(), w.nrows()));
    general_mat_mul(A::one(), &x, &w.t().as_standard_layout(), A::zero(), &mut y);
    y
}

/// $\bar W = \bar Y^\top X$ of a linear map $Y = X W^\top$, added to `w_bar: [out, in]`.
pub(crate) fn add_linear<A: NdFloat>(
    w_bar: &mut Array2<A>,
    y_bar: ArrayView2<A>,
    x: ArrayView2<A>,
) {
    general_mat_mul(A::one(), &y_bar.t(), &x, A::one(), w_bar);
}

/// For tests: the slope of a function by central differences.
#[cfg(test)]
pub(crate) mod slope {
    use ndarray::Array2;

    /// $\partial f / \partial x$ of each number of `x`, by central differences of two widths $h$ and $2h$, whose errors of order $h^2$ cancel:
    /// $\tfrac43 D_h - \tfrac13 D_{2h}$ with $D_h = (f(x + h) - f(x - h)) / 2h$.
    pub fn of(x: &Array2<f64>, f: impl Fn(&Array2<f64>) -> f64) -> Array2<f64> {
        Array2::from_shape_fn(x.raw_dim(), |at| {
            let moved = |by: f64| {
                let mut x = x.clone();
                x[at] += by;
                f(&x)
            };
            let central = |h: f64| (moved(h) - moved(-h)) / (2.0 * h);
            (4.0 * central(3e-5) - central(6e-5)) / 3.0
        })
    }

    /// The largest difference of a gradient from the slope, relative to the largest slope (or to 1e-3 where all are smaller: the differences themselves
    /// are no better than some 1e-10).
    #[track_caller]
    pub fn relative_error(gradient: &Array2<f64>, slope: &Array2<f64>) -> f64 {
        let scale = slope.iter().fold(1e-3_f64, |max, s| max.max(s.abs()));
        crate::testing::largest_difference(gradient, slope) / scale
    }
}
