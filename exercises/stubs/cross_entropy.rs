//! # Cross-entropy, and the max-z loss
//!
//! How surprised is a model by a text? After each token it gives logits, and the softmax of them is what it expects *next*. The loss is the mean of
//! −log of the probability that it gave to what did come:
//!
//! ```text
//! L = mean over t of  −ln softmax(z_t)_{y_t}
//! ```
//!
//! Row t of the logits stands behind token t, so that y_t is the token after it. The last row has nothing to answer for: a text of n tokens has
//! n − 1 losses.
//!
//! −ln of a probability that has underflowed to 0 is ∞, and the loss of a token that is 2,000 below the largest logit is 2,000. Simplify before you
//! compute.
//!
//! A softmax does not care how large its logits are, so that they may grow for ever. Baichuan 2 adds a term that does care, with a weight λ of 2e-4:
//! the mean of the *squared largest logit*, over the same rows.

use ndarray::ArrayView2;

/// The mean loss of a text, in nats. `logits: [tokens, vocabulary]`, `ids` the tokens of the text, two at the least.
pub fn cross_entropy(logits: ArrayView2<f64>, ids: &[usize]) -> f64 {
    todo!("cross_entropy")
}

/// What is minimized: the cross-entropy and, `lambda` times, the max-z term.
pub fn loss(logits: ArrayView2<f64>, ids: &[usize], lambda: f64) -> f64 {
    todo!("loss")
}
