//! Two gradients by hand, solved.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// The slopes of `f` at `x`, measured with steps of `h` to both sides. Returns the shape of `x`.
pub fn slope(f: impl Fn(ArrayView2<f64>) -> f64, x: ArrayView2<f64>, h: f64) -> Array2<f64> {
    Array2::from_shape_fn(x.raw_dim(), |at| {
        let moved = |by: f64| {
            let mut x = x.to_owned();
            x[at] += by;
            f(x.view())
        };
        (moved(h) - moved(-h)) / (2.0 * h)
    })
}

/// ∂L/∂z of the cross-entropy of `logits: [tokens, vocab]`, one target a row. Returns `[tokens, vocab]`.
pub fn cross_entropy_backward(logits: ArrayView2<f64>, targets: &[usize]) -> Array2<f64> {
    let n = targets.len() as f64;
    let mut bar = logits.to_owned();
    for (mut row, &y) in bar.rows_mut().into_iter().zip(targets) {
        let max = row.fold(f64::NEG_INFINITY, |max, &z| max.max(z));
        row.mapv_inplace(|z| (z - max).exp());
        let sum = row.sum();
        row /= sum;
        row[y] -= 1.0;
        row /= n;
    }
    bar
}

/// x̄ and γ̄ of RMSNorm. `x`, `y_bar`: `[tokens, d]`; `gamma: [d]`. Returns `[tokens, d]` and `[d]`.
pub fn rms_norm_backward(
    x: ArrayView2<f64>,
    gamma: ArrayView1<f64>,
    eps: f64,
    y_bar: ArrayView2<f64>,
) -> (Array2<f64>, Array1<f64>) {
    let d = x.ncols() as f64;
    let mut gamma_bar = Array1::zeros(gamma.len());
    let mut x_bar = &y_bar * &gamma;
    for ((mut g, x), y_bar) in x_bar.rows_mut().into_iter().zip(x.rows()).zip(y_bar.rows()) {
        let rms = (x.dot(&x) / d + eps).sqrt();
        let normed = &x / rms;
        gamma_bar += &(&normed * &y_bar);
        // The way through RMS: ∂RMS/∂x = x / (d · RMS).
        let inward = g.dot(&normed) / d;
        g.scaled_add(-inward, &normed);
        g /= rms;
    }
    (x_bar, gamma_bar)
}
