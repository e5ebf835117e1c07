//! The loss: cross-entropy, and the max-z term that keeps logits small.
//!
//! $$ L = \frac1n \sum_t -\log \mathrm{softmax}(z_t)\_{y_t} + \lambda \frac1n \sum_t \left(\max_i z_{t,i}\right)^2 $$
//!
//! * Paper: Baichuan 2, arXiv 2309.10305, section 2.4 (max-z loss): λ = 2e-4.
//! * Shipped: `BaichuanForCausalLM.forward`; its `z_loss_weight` is 0 unless the configuration gives one.

use ndarray::{ArrayView1, ArrayView2, NdFloat};

/// λ of the paper's max-z term.
pub const MAX_Z_WEIGHT: f64 = 2e-4;

/// $\log \mathrm{softmax}(z)_y$: the logarithm of the probability that `logits: [vocab]` give to `token`.
///
/// ```
/// let log_p = baichuan2::training::loss::log_probability(ndarray::array![0.0_f64, 0.0].view(), 1);
/// assert_eq!(log_p, -2f64.ln());
/// ```
///
/// # Panics
/// Where `token` is not below the number of logits.
pub fn log_probability<A: NdFloat>(logits: ArrayView1<A>, token: usize) -> A {
    let max = logits.fold(A::neg_infinity(), |max, &z| max.max(z));
    let sum = logits.fold(A::zero(), |sum, &z| sum + (z - max).exp());
    logits[token] - max - sum.ln()
}

/// The mean of $-\log p$ over all rows of `logits: [tokens, vocab]`, `targets` being the token that follows each: its exponential is the perplexity.
///
/// # Panics
/// Where there are not as many targets as rows, or none.
pub fn cross_entropy<A: NdFloat>(logits: ArrayView2<A>, targets: &[u32]) -> A {
    assert_eq!(logits.nrows(), targets.len(), "a target a row");
    let sum = logits
        .rows()
        .into_iter()
        .zip(targets)
        .fold(A::zero(), |sum, (row, &y)| {
            sum - log_probability(row, y as usize)
        });
    sum / count(targets.len())
}

/// The mean of the squared largest logit of each row, without its weight λ.
///
/// ```
/// let z = baichuan2::training::loss::max_z(ndarray::array![[1.0, 3.0], [-2.0, -5.0]].view());
/// assert_eq!(z, (9.0 + 4.0) / 2.0);
/// ```
pub fn max_z<A: NdFloat>(logits: ArrayView2<A>) -> A {
    let sum = logits.rows().into_iter().fold(A::zero(), |sum, row| {
        let max = row.fold(A::neg_infinity(), |max, &z| max.max(z));
        sum + max * max
    });
    sum / count(logits.nrows())
}

fn count<A: NdFloat>(n: usize) -> A {
    A::from(n).expect("a count fits a float")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tensor::softmax, testing::matrix};
    use ndarray::Axis;
    use proptest::prelude::*;

    proptest! {
        /// Catches: a sum for a mean; a logarithm to another base; a target off by one.
        #[test]
        fn cross_entropy_is_the_mean_log_of_the_softmax(z in (1..6_usize, 1..9_usize).prop_flat_map(|(t, n)| matrix(t, n)), y in any::<u32>()) {
            let targets: Vec<u32> = (0..z.nrows() as u32).map(|t| (y.wrapping_add(t)) % z.ncols() as u32).collect();
            let p = softmax(z.view());
            let expected = p.rows().into_iter().zip(&targets).map(|(p, &y)| -p[y as usize].ln()).sum::<f64>() / z.nrows() as f64;
            prop_assert!((cross_entropy(z.view(), &targets) - expected).abs() < 1e-10);
        }
    }

    /// Catches: exponentials that overflow; the square of the sum for that of the maximum.
    #[test]
    fn large_logits_stay_finite() {
        let z = ndarray::array![1e4_f32, -1e4].insert_axis(Axis(0));
        assert_eq!(cross_entropy(z.view(), &[0]), 0.0);
        assert_eq!(cross_entropy(z.view(), &[1]), 2e4);
        assert_eq!(max_z(z.view()), 1e8);
    }
}
