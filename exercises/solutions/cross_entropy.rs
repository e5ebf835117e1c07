//! Cross-entropy, and the max-z loss, solved.

use ndarray::{ArrayView1, ArrayView2};

/// The mean loss of a text, in nats. `logits: [tokens, vocabulary]`, `ids` the tokens of the text, two at the least.
pub fn cross_entropy(logits: ArrayView2<f64>, ids: &[usize]) -> f64 {
    let losses = logits.rows().into_iter().zip(&ids[1..]).map(|(z, &next)| {
        // −ln(e^(z_y − m) / Σ e^(z_i − m)): no exponential of z_y is ever taken.
        let m = largest(z);
        z.fold(0.0, |sum, &z| sum + (z - m).exp()).ln() + m - z[next]
    });
    losses.sum::<f64>() / (ids.len() - 1) as f64
}

/// What is minimized: the cross-entropy and, `lambda` times, the max-z term.
pub fn loss(logits: ArrayView2<f64>, ids: &[usize], lambda: f64) -> f64 {
    let count = ids.len() - 1;
    let rows = logits.rows().into_iter().take(count);
    let squares = rows.map(|z| largest(z).powi(2)).sum::<f64>();
    cross_entropy(logits, ids) + lambda * squares / count as f64
}

fn largest(z: ArrayView1<f64>) -> f64 {
    z.fold(f64::NEG_INFINITY, |max, &z| max.max(z))
}
