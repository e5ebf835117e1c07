//! The loss of a reward model, and what PPO's clipping lets through.

use crate::numbers::{Numbers, rounded};
use baichuan2::training::loss::cross_entropy;
use ndarray::array;

/// The numbers of the chapter *RLHF in outline*.
pub(super) fn numbers(n: &mut Numbers) {
    // -log σ(a - b) is the cross-entropy of two logits, the first being right.
    let mut rows = Vec::new();
    for gap in [-2.0, 0.0, 1.0, 3.0] {
        let loss = cross_entropy(array![[gap, 0.0]].view(), &[0]);
        rows.push(vec![
            rounded(gap, 0),
            rounded((-loss).exp(), 3),
            rounded(loss, 3),
        ]);
    }
    n.table(
        "pairs",
        &["$r_w - r_l$", "$\\sigma(r_w - r_l)$", "loss"],
        &rows,
    );
    n.table(
        "pairs_zh",
        &["$r_w - r_l$", "$\\sigma(r_w - r_l)$", "损失"],
        &rows,
    );

    let epsilon: f64 = 0.1;
    let mut rows = Vec::new();
    for (ratio, advantage) in [
        (1.05, 1.0),
        (1.3, 1.0),
        (0.7, 1.0),
        (1.3, -1.0),
        (0.7, -1.0),
    ] {
        let whole: f64 = ratio * advantage;
        let clipped = f64::clamp(ratio, 1.0 - epsilon, 1.0 + epsilon) * advantage;
        rows.push(vec![
            rounded(ratio, 2),
            rounded(advantage, 0),
            rounded(whole, 2),
            rounded(clipped, 2),
            rounded(whole.min(clipped), 2),
            if whole <= clipped { "✓" } else { "–" }.to_owned(),
        ]);
    }
    let english = [
        "$\\rho$",
        "$\\hat A$",
        "$\\rho \\hat A$",
        "clipped",
        "counts",
        "gradient",
    ];
    let chinese = [
        "$\\rho$",
        "$\\hat A$",
        "$\\rho \\hat A$",
        "截断后",
        "计入",
        "有梯度",
    ];
    n.table("ppo", &english, &rows);
    n.table("ppo_zh", &chinese, &rows);

    // Log-probabilities of three tokens under the policy and under the reference.
    let policy = [-0.2, -1.0, -0.5];
    let reference = [-0.4, -1.1, -1.5];
    let drift: f64 = policy
        .iter()
        .zip(&reference)
        .map(|(p, q): (&f64, &f64)| p - q)
        .sum();
    n.number("drift", drift, 1);
    let reward: f64 = 2.0;
    n.number("reward", reward, 1);
    for (name, beta) in [("early", 0.2), ("late", 0.005)] {
        n.number(name, reward - beta * drift, 3);
    }
}
