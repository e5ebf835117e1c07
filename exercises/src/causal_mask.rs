//! # Who may look at whom
//!
//! A decoder predicts the next token from those before it, so no token may see a later one. Here `true` means *may be
//! seen*; queries are rows, keys are columns.
//!
//! While a text is generated, the keys of earlier tokens lie in a cache, and only the new tokens have queries. With
//! `first` cached tokens, query i stands at position first + i. Keys are counted from the beginning of the text.
//!
//! In a batch of texts of different lengths the shorter ones are filled up with padding, on the left. A padding token
//! must not be seen by any.

use ndarray::{Array2, ArrayView2};

/// The mask of `queries` new tokens after `first` cached ones, over `keys` keys. Returns `[queries, keys]`.
pub fn causal_mask(first: usize, queries: usize, keys: usize) -> Array2<bool> {
    todo!("causal_mask")
}

/// The mask without what is padding: `real: [keys]` says which keys are tokens of the text. Returns the shape of
/// `mask: [queries, keys]`.
pub fn without_padding(mask: ArrayView2<bool>, real: &[bool]) -> Array2<bool> {
    todo!("without_padding")
}

/// The scores with what may not be seen hidden, so that a softmax gives it exactly nothing. Both `[queries, keys]`,
/// as is what returns.
pub fn hide(scores: ArrayView2<f64>, mask: ArrayView2<bool>) -> Array2<f64> {
    todo!("hide")
}
