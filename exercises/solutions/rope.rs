//! Positions that turn, two ways, solved.

use ndarray::{Array1, ArrayView1};

/// Turns `x: [d]` at `position`, dimensions 2i and 2i + 1 being a pair. Returns `[d]`.
pub fn rotate_neighbours(x: ArrayView1<f64>, position: usize, base: f64) -> Array1<f64> {
    rotate(x, position, base, |i| (2 * i, 2 * i + 1))
}

/// Turns `x: [d]` at `position`, dimensions i and i + d/2 being a pair. Returns `[d]`.
pub fn rotate_halves(x: ArrayView1<f64>, position: usize, base: f64) -> Array1<f64> {
    let half = x.len() / 2;
    rotate(x, position, base, |i| (i, i + half))
}

/// Turns the plane of each pair.
fn rotate(
    x: ArrayView1<f64>,
    position: usize,
    base: f64,
    pair: impl Fn(usize) -> (usize, usize),
) -> Array1<f64> {
    let d = x.len();
    let mut turned = Array1::zeros(d);
    for i in 0..d / 2 {
        let theta = base.powf(-2.0 * i as f64 / d as f64);
        let (sin, cos) = (position as f64 * theta).sin_cos();
        let (a, b) = pair(i);
        turned[a] = x[a] * cos - x[b] * sin;
        turned[b] = x[a] * sin + x[b] * cos;
    }
    turned
}

/// Where each dimension of the half form comes from: with h\[i\] = n\[permutation\[i\]\] for all i, turning h by
/// halves is turning n by neighbours, in this order.
pub fn permutation(d: usize) -> Vec<usize> {
    let evens = (0..d).step_by(2);
    let odds = (1..d).step_by(2);
    evens.chain(odds).collect()
}
