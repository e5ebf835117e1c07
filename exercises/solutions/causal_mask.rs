//! Who may look at whom, solved.

use ndarray::{Array2, ArrayView2, Zip};

/// The mask of `queries` new tokens after `first` cached ones, over `keys` keys. Returns `[queries, keys]`.
pub fn causal_mask(first: usize, queries: usize, keys: usize) -> Array2<bool> {
    Array2::from_shape_fn((queries, keys), |(i, j)| j <= first + i)
}

/// The mask without what is padding: `real: [keys]` says which keys are tokens of the text. Returns the shape of
/// `mask: [queries, keys]`.
pub fn without_padding(mask: ArrayView2<bool>, real: &[bool]) -> Array2<bool> {
    Array2::from_shape_fn(mask.dim(), |(i, j)| mask[[i, j]] && real[j])
}

/// The scores with what may not be seen hidden, so that a softmax gives it exactly nothing. Both `[queries, keys]`,
/// as is what returns.
pub fn hide(scores: ArrayView2<f64>, mask: ArrayView2<bool>) -> Array2<f64> {
    Zip::from(scores)
        .and(mask)
        .map_collect(|&score, &seen| if seen { score } else { f64::NEG_INFINITY })
}
