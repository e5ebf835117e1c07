//! Top-p, and a draw, solved.

use ndarray::{Array1, ArrayView1};

/// The distribution that is left of `probabilities: [vocabulary]`, each at its place. Returns `[vocabulary]`.
pub fn top_p(probabilities: ArrayView1<f64>, p: f64) -> Array1<f64> {
    let mut ids: Vec<usize> = (0..probabilities.len()).collect();
    ids.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let mut kept = Array1::zeros(probabilities.len());
    let mut sum = 0.0;
    for (i, &id) in ids.iter().enumerate() {
        if i > 0 && sum >= p {
            break;
        }
        kept[id] = probabilities[id];
        sum += probabilities[id];
    }
    kept / sum
}

/// The id that `u` falls on.
pub fn draw(probabilities: ArrayView1<f64>, u: f64) -> usize {
    let mut last = 0;
    let mut sum = 0.0;
    for (id, &p) in probabilities.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        last = id;
        sum += p;
        if u < sum {
            break;
        }
    }
    last
}
