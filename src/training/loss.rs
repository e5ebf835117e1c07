//! The loss: cross-entropy, and the max-z term that keeps logits small.
//!
//! $$ L = \frac1n \sum_t -\log \mathrm{softmax}(z_t)\_{y_t} + \lambda \frac1n \sum_t \left(\max_i z_{t,i}\right)^2 $$
//!
//! * Paper: Baichuan 2, arXiv 2309.10305, section 2.5 (max-z loss): λ = 2e-4.
//! * Shipped: `BaichuanForCausalLM.forward`; its `z_loss_weight` is 0 unless the configuration gives one.

use crate::tensor::{exp_in_place, largest};
use ndarray::{Array2, ArrayView1, ArrayView2, NdFloat};

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
/// Where there are not as many targets as rows, or a target is not below the vocabulary. NaN where there are no rows.
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

/// Both parts of the loss, each a mean over the targets that count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Cross-entropy, in nats.
    pub cross_entropy: f64,
    /// The max-z term with its weight λ.
    pub max_z: f64,
}

impl Loss {
    /// What is minimized.
    pub fn total(&self) -> f64 {
        self.cross_entropy + self.max_z
    }

    /// The loss of `logits: [rows, vocab]` and its gradient, which takes their place.
    ///
    /// $$ \bar z_t = \frac{1}{n} \left(\mathrm{softmax}(z_t) - e_{y_t} + 2\lambda  \max(z_t)  e_{\arg\max z_t}\right) $$
    ///
    /// Rows without a target have neither loss nor gradient. `count` is $n$: the targets of the whole step, of which these may be a part.
    ///
    /// # Panics
    /// Where there is not one target a row.
    pub fn of<A: NdFloat>(
        mut logits: Array2<A>,
        targets: &[Option<u32>],
        max_z_weight: f64,
        count: usize,
    ) -> (Loss, Array2<A>) {
        assert_eq!(logits.nrows(), targets.len(), "a target a row");
        if !logits.is_standard_layout() {
            logits = logits.as_standard_layout().into_owned();
        }
        let n = count.max(1) as f64;
        let (share, lambda) = (float::<A>(1.0 / n), float::<A>(2.0 * max_z_weight / n));
        let mut loss = Loss::default();
        for (mut row, target) in logits.rows_mut().into_iter().zip(targets) {
            let Some(y) = target.map(|y| y as usize) else {
                row.fill(A::zero());
                continue;
            };
            let row_of = "made in rows";
            let max = largest(row.as_slice().expect(row_of));
            let top = row.iter().position(|&z| z == max).unwrap_or(y);
            let z_y = row[y];
            row.mapv_inplace(|z| z - max);
            exp_in_place(row.as_slice_mut().expect(row_of));
            let sum = row.sum();
            let f64_of = |x: A| x.to_f64().expect("a float");
            loss.cross_entropy += (f64_of(sum).ln() - f64_of(z_y - max)) / n;
            loss.max_z += max_z_weight * f64_of(max) * f64_of(max) / n;
            let scale = share / sum;
            row.mapv_inplace(|e| e * scale);
            row[y] -= share;
            row[top] += lambda * max;
        }
        (loss, logits)
    }
}

fn float<A: NdFloat>(x: f64) -> A {
    A::from(x).expect("a factor fits a float")
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

    /// Catches: one part of the loss taken from the other.
    #[test]
    fn the_total_is_the_sum() {
        let loss = Loss {
            cross_entropy: 3.0,
            max_z: 0.5,
        };
        assert_eq!(loss.total(), 3.5);
    }
}
