//! What is done to the logits of the next token before one is drawn, in the order of the shipped code.
//!
//! Each filter changes logits in place; what it takes out gets −∞, so that a softmax of the rest is the distribution drawn from.
//!
//! * Shipped: `generation_utils.py` and the logits processors of transformers 4.33: repetition penalty, temperature, top-k, top-p.
//! * Papers: Keskar et al. 2019, arXiv 1909.05858, section 4.1 (penalty); Fan et al. 2018, arXiv 1805.04833 (top-k); Holtzman et al.
//!   2020, arXiv 1904.09751, equations 2 and 3 (top-p).

use crate::tensor::softmax_in_place;
use ndarray::ArrayViewMut1;
use std::collections::HashSet;

/// Makes each token that is in the text already less likely: its logit is divided by `penalty` where positive, multiplied where negative.
///
/// A token counts once, however often it occurs. Ids outside the vocabulary are passed over.
///
/// ```
/// let mut logits = ndarray::array![2.0_f32, -1.0, 3.0];
/// baichuan2::generation::filters::repetition_penalty(logits.view_mut(), &[1, 0, 0], 2.0);
/// assert_eq!(logits, ndarray::array![1.0, -2.0, 3.0]);
/// ```
pub fn repetition_penalty(mut logits: ArrayViewMut1<f32>, text: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    for id in text.iter().collect::<HashSet<_>>() {
        if let Some(logit) = logits.get_mut(*id as usize) {
            *logit = if *logit < 0.0 {
                *logit * penalty
            } else {
                *logit / penalty
            };
        }
    }
}

/// Divides all logits by `temperature`: below 1 sharpens the distribution, above 1 flattens it.
///
/// ```
/// let mut logits = ndarray::array![1.0_f32, 3.0];
/// baichuan2::generation::filters::temperature(logits.view_mut(), 0.5);
/// assert_eq!(logits, ndarray::array![2.0, 6.0]);
/// ```
pub fn temperature(mut logits: ArrayViewMut1<f32>, temperature: f32) {
    logits.mapv_inplace(|logit| logit / temperature);
}

/// Keeps the `k` largest logits, and those equal to the last of them; 0 keeps all.
///
/// ```
/// let mut logits = ndarray::array![1.0_f32, 3.0, 2.0];
/// baichuan2::generation::filters::top_k(logits.view_mut(), 2);
/// assert_eq!(logits, ndarray::array![f32::NEG_INFINITY, 3.0, 2.0]);
/// ```
pub fn top_k(mut logits: ArrayViewMut1<f32>, k: usize) {
    if k == 0 || k >= logits.len() {
        return;
    }
    let mut sorted = logits.to_vec();
    let (_, &mut kth, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    logits.mapv_inplace(|logit| {
        if logit < kth {
            f32::NEG_INFINITY
        } else {
            logit
        }
    });
}

/// Keeps the fewest of the likeliest tokens whose probabilities together reach `p`, one at the least.
///
/// ```
/// let mut logits = ndarray::array![0.5_f32, 0.3, 0.2].ln();
/// baichuan2::generation::filters::top_p(logits.view_mut(), 0.7);
/// assert_eq!(logits.mapv(f32::is_finite), ndarray::array![true, true, false]);
/// ```
pub fn top_p(mut logits: ArrayViewMut1<f32>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let mut probabilities = logits.to_owned();
    softmax_in_place(probabilities.view_mut());
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    // From the least likely up, as shipped: out goes what together does not reach 1 − p.
    let mut sum = 0.0;
    order.pop(); // the likeliest stays
    for i in order {
        sum += probabilities[i];
        if sum > 1.0 - p {
            break;
        }
        logits[i] = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;
    use proptest::prelude::*;

    fn logits() -> impl Strategy<Value = Array1<f32>> {
        prop::collection::vec(-9.0..9.0_f32, 1..60).prop_map(Array1::from)
    }

    fn kept(logits: &Array1<f32>) -> usize {
        logits.iter().filter(|l| l.is_finite()).count()
    }

    proptest! {
        /// Catches: a penalty that makes negative logits likelier, or counts repetitions.
        #[test]
        fn the_penalty_lowers_what_was_said(l in logits(), text in prop::collection::vec(0..80_u32, 0..20), penalty in 1.01..2.0_f32) {
            let mut after = l.clone();
            repetition_penalty(after.view_mut(), &text, penalty);
            for (i, (before, after)) in l.iter().zip(&after).enumerate() {
                if text.contains(&(i as u32)) {
                    prop_assert!(after < before || *before == 0.0);
                    prop_assert!((after / before - penalty).abs() < 1e-4 || (before / after - penalty).abs() < 1e-4 || *before == 0.0);
                } else {
                    prop_assert_eq!(after, before);
                }
            }
        }

        /// Catches: the smallest kept; one too many or too few.
        #[test]
        fn top_k_keeps_the_largest(l in logits(), k in 1..70_usize) {
            let mut after = l.clone();
            top_k(after.view_mut(), k);
            let mut sorted = l.to_vec();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let kth = sorted[k.min(sorted.len()) - 1];
            for (before, after) in l.iter().zip(&after) {
                prop_assert_eq!(after.is_finite(), *before >= kth);
            }
        }

        /// Catches: the token that oversteps p left out; nothing left for a small p.
        #[test]
        fn top_p_keeps_just_enough(l in logits(), p in 0.01..0.99_f32) {
            let mut after = l.clone();
            top_p(after.view_mut(), p);
            prop_assert!(kept(&after) >= 1);
            let mut probability = l.clone();
            softmax_in_place(probability.view_mut());
            let of_kept: Vec<f32> = probability.iter().zip(&after).filter(|(_, l)| l.is_finite()).map(|(p, _)| *p).collect();
            let sum: f32 = of_kept.iter().sum();
            let least = of_kept.iter().copied().fold(f32::INFINITY, f32::min);
            prop_assert!(sum >= p - 1e-5, "{} of {}", sum, p);
            prop_assert!(of_kept.len() == 1 || sum - least <= p + 1e-5, "one too many");
        }
    }

    /// Catches: filters that a vocabulary of one, or of equals, sets on fire.
    #[test]
    fn edges() {
        let mut one = ndarray::array![3.0_f32];
        top_k(one.view_mut(), 5);
        top_p(one.view_mut(), 0.001);
        assert_eq!(one, ndarray::array![3.0]);
        let mut equal = Array1::from_elem(4, 1.0_f32);
        top_k(equal.view_mut(), 2);
        assert_eq!(kept(&equal), 4, "ties stay, as shipped");
    }

    /// Catches: a comparison that takes the boundary for the other side.
    #[test]
    fn what_just_reaches_is_enough_and_one_keeps_the_unlikeliest() {
        let mut halves = Array1::from_elem(2, 0.0_f32);
        top_p(halves.view_mut(), 0.5);
        assert_eq!(kept(&halves), 1, "1 − p together goes out, as shipped");
        let mut unlikely = ndarray::array![0.0_f32, -200.0];
        top_p(unlikely.view_mut(), 1.0);
        assert_eq!(kept(&unlikely), 2, "its probability is rounded to 0");
    }
}
