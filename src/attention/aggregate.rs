//! Many maps as one: over the heads of a layer, and through the layers.
//!
//! *Attention rollout* asks how much of what a token has after layer $L$ came from each token of the text. A layer adds what attention gathers to what the token
//! already has; taken as equal halves, and the heads as equals,
//!
//! $$ A_l = \tfrac12 \bar W_l + \tfrac12 I, \qquad \tilde A_l = A_l \tilde A_{l-1}, \qquad \tilde A_0 = I, $$
//!
//! with $\bar W_l$ the mean of the heads' weights and the rows of $A_l$ made to sum to one. That attention is half of a layer is an assumption, and what the
//! feed-forward layers and the norms do is left out: a rollout says where information could have come from, not what it did.
//!
//! * Source: Abnar and Zuidema 2020, *Quantifying Attention Flow in Transformers*, arXiv 2005.00928, section 3 and equation 1.

use crate::tensor::{ShapeError, expect_shape, threads};
use ndarray::{
    Array2, ArrayBase, ArrayView3, Axis, Data, Ix3, NdFloat, linalg::general_mat_mul, s,
};

/// The mean of the heads' weights. `maps: [H, queries, keys]`, whole or pooled. Returns `[queries, keys]`.
///
/// ```
/// use baichuan2::attention::{max_over_heads, mean_over_heads};
/// let maps = ndarray::array![[[1.0, f32::NAN]], [[0.5, f32::NAN]]]; // two heads that may not see the second key
/// let (mean, max) = (mean_over_heads(maps.view()), max_over_heads(maps.view()));
/// assert_eq!((mean[[0, 0]], max[[0, 0]]), (0.75, 1.0));
/// assert!(mean[[0, 1]].is_nan() && max[[0, 1]].is_nan());
/// ```
pub fn mean_over_heads<A: NdFloat>(maps: ArrayView3<A>) -> Array2<A> {
    let heads = A::from(maps.len_of(Axis(0))).expect("a number of heads fits a float");
    maps.sum_axis(Axis(0)) / heads
}

/// The largest of the heads' weights. `maps: [H, queries, keys]`, whole or pooled. Returns `[queries, keys]`.
///
/// NaN, which is hidden or broken, stays NaN whichever head has it, as in the [mean](mean_over_heads).
pub fn max_over_heads<A: NdFloat>(maps: ArrayView3<A>) -> Array2<A> {
    maps.fold_axis(Axis(0), A::neg_infinity(), |&largest, &w| {
        if w.is_nan() || w > largest {
            w
        } else {
            largest // NaN too: nothing is larger
        }
    })
}

/// Attention rollout, one layer after the other: see the [module](self).
///
/// ```
/// use baichuan2::attention::Rollout;
/// use ndarray::array;
/// // One head whose second token looks at the first alone: after one layer half of it is from there, after two ¾.
/// let layer = array![[[1.0, 0.0], [1.0, 0.0]]];
/// let mut rollout = Rollout::new(2);
/// rollout.layer(layer.view())?;
/// assert_eq!(rollout.weights(), array![[1.0, 0.0], [0.5, 0.5]]);
/// rollout.layer(layer.view())?;
/// assert_eq!(rollout.weights(), array![[1.0, 0.0], [0.75, 0.25]]);
/// # Ok::<(), baichuan2::tensor::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rollout<A> {
    /// $\tilde A_l$.
    weights: Array2<A>,
}

impl<A: NdFloat> Rollout<A> {
    /// Before the first layer of a pass over so many tokens: each token is from itself.
    pub fn new(tokens: usize) -> Self {
        Rollout {
            weights: Array2::eye(tokens),
        }
    }

    /// The rollout through `layers`, the first one first, each `[H, tokens, tokens]`, of which one is held at a time.
    ///
    /// # Errors
    /// A layer of other tokens, or of maps that are not square: rollout goes from the first token on, not from a cache.
    pub fn through<S: Data<Elem = A>>(
        tokens: usize,
        layers: impl IntoIterator<Item = ArrayBase<S, Ix3>>,
    ) -> Result<Array2<A>, ShapeError> {
        let mut rollout = Rollout::new(tokens);
        for maps in layers {
            rollout.layer(maps.view())?;
        }
        Ok(rollout.weights)
    }

    /// Goes through one more layer. `maps: [H, tokens, tokens]`, whole; a hidden weight is 0.
    ///
    /// # Errors
    /// Maps of other tokens. The rollout is then as before.
    pub fn layer(&mut self, maps: ArrayView3<A>) -> Result<(), ShapeError> {
        let tokens = self.weights.nrows();
        let heads = maps.len_of(Axis(0)).max(1);
        expect_shape("attention weights", &[heads, tokens, tokens], maps.shape())?;
        let half = A::from(0.5).expect("a half is a float");
        let mut mixed = mean_over_heads(maps);
        for (i, mut row) in mixed.rows_mut().into_iter().enumerate() {
            row.mapv_inplace(|w| half * w);
            row[i] += half;
            let sum = row.sum(); // 1, but for rounding and a row that saw nothing
            row.mapv_inplace(|w| w / sum);
        }
        let mut next = Array2::zeros(mixed.raw_dim());
        threads::for_each_chunk(next.view_mut(), Axis(0), 64, |first, mut next| {
            let mixed = mixed.slice(s![first..first + next.nrows(), ..]);
            general_mat_mul(A::one(), &mixed, &self.weights, A::zero(), &mut next);
        });
        self.weights = next;
        Ok(())
    }

    /// How much of each token (row) came from each token of the text (column), `[tokens, tokens]`. Each row sums to one.
    pub fn weights(&self) -> &Array2<A> {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        tensor::softmax,
        testing::{largest_difference, matrix},
    };
    use ndarray::{Array3, array};
    use proptest::prelude::*;

    /// Causal maps of some layers, `[H, tokens, tokens]`.
    fn layers() -> impl Strategy<Value = (usize, Vec<Array3<f64>>)> {
        (1..7_usize, 1..4_usize, 1..4_usize).prop_flat_map(|(tokens, heads, layers)| {
            let layer = matrix(heads * tokens, tokens).prop_map(move |mut scores| {
                for ((i, j), s) in scores.indexed_iter_mut() {
                    if j > i % tokens {
                        *s = f64::NEG_INFINITY;
                    }
                }
                let maps = softmax(scores.view());
                maps.into_shape_with_order((heads, tokens, tokens)).unwrap()
            });
            (Just(tokens), prop::collection::vec(layer, layers))
        })
    }

    proptest! {
        /// Catches: layers multiplied in the other order; a residual left out, or one that is not half; heads summed.
        #[test]
        fn rollout_is_the_product_of_the_layers((tokens, layers) in layers()) {
            let eye = Array2::<f64>::eye(tokens);
            let product = layers.iter().fold(eye.clone(), |below, maps| {
                (0.5 * maps.mean_axis(Axis(0)).unwrap() + 0.5 * &eye).dot(&below)
            });
            let rollout = Rollout::through(tokens, layers.iter().map(|maps| maps.view())).unwrap();
            prop_assert!(largest_difference(&rollout, &product) < 1e-12);
            prop_assert!(rollout.sum_axis(Axis(1)).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
        }

        /// Catches: a mean or a maximum over queries or keys.
        #[test]
        fn heads_are_drawn_together_cell_by_cell((_, layers) in layers()) {
            let maps = &layers[0];
            let (mean, max) = (mean_over_heads(maps.view()), max_over_heads(maps.view()));
            prop_assert_eq!((mean.dim(), max.dim()), (maps.index_axis(Axis(0), 0).dim(), mean.dim()));
            for ((i, j), &max) in max.indexed_iter() {
                let cell = maps.slice(s![.., i, j]);
                prop_assert!((mean[[i, j]] - cell.mean().unwrap()).abs() < 1e-15);
                prop_assert_eq!(max, cell.fold(0.0, |a, &b| f64::max(a, b)));
            }
        }
    }

    /// By hand, two heads and two layers whose order matters. Catches: $\tilde A_{l-1} A_l$.
    #[test]
    fn rollout_by_hand() {
        // The heads' mean has the second token half from the first; the next layer's third looks at the second.
        let first = array![
            [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        ];
        let second = array![[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]];
        let rollout = Rollout::through(3, [first, second]).unwrap();
        let expected = array![[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.125, 0.375, 0.5]];
        assert_eq!(rollout, expected);
    }

    /// Catches: 0/0 or half a row where a token saw nothing; a layer from a cache multiplied as if it were square.
    #[test]
    fn rows_that_see_nothing_keep_what_they_have() {
        let mut rollout = Rollout::new(2);
        rollout
            .layer(Array3::<f32>::zeros((2, 2, 2)).view())
            .unwrap();
        assert_eq!(rollout.weights(), Array2::<f32>::eye(2));
        let error = rollout.layer(Array3::zeros((2, 2, 5)).view()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "attention weights: expected shape [2, 2, 2], got [2, 2, 5]"
        );
        assert_eq!(rollout.weights(), Array2::<f32>::eye(2));
    }

    /// Catches: a broken head that a sound one hides.
    #[test]
    fn what_is_not_a_number_stays_so() {
        for maps in [array![[[f32::NAN]], [[0.5]]], array![[[0.5]], [[f32::NAN]]]] {
            assert!(max_over_heads(maps.view())[[0, 0]].is_nan());
            assert!(mean_over_heads(maps.view())[[0, 0]].is_nan());
        }
    }
}
