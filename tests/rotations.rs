//! What a common rotation of the axes must leave alone: the algorithms know lengths and angles, and no axes of their own.
#![cfg(feature = "linalg")]

use baichuan2::{
    attention::{Bias, Visibility, attend},
    rms_norm::RmsNorm,
    rope::Rotation,
};
use ndarray::{Array1, Array2};
use ndarray_linalg::krylov::{Strategy as Dependent, mgs};
use proptest::prelude::*;

fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    prop::collection::vec(-3.0..3.0, rows * columns)
        .prop_map(move |v| Array2::from_shape_vec((rows, columns), v).unwrap())
}

/// A random orthonormal basis of `d` dimensions: a rotation, perhaps with a reflection.
fn rotation(d: usize) -> impl Strategy<Value = Array2<f64>> {
    matrix(d, d).prop_filter_map("as many directions as dimensions", move |m| {
        let (q, _) = mgs(m.rows().into_iter(), d, 1e-3, Dependent::Terminate);
        (q.ncols() == d).then_some(q)
    })
}

fn close(a: &Array2<f64>, b: &Array2<f64>, within: f64) -> bool {
    a.dim() == b.dim() && (a - b).iter().all(|e| e.abs() < within)
}

fn head() -> impl Strategy<Value = [Array2<f64>; 4]> {
    (1..7_usize, 1..6_usize).prop_flat_map(|(tokens, half)| {
        let d = 2 * half;
        (
            matrix(tokens, d),
            matrix(tokens, d),
            matrix(tokens, d),
            rotation(d),
        )
            .prop_map(|(q, k, v, r)| [q, k, v, r])
    })
}

const CAUSAL: Bias = Bias {
    visibility: Visibility::Causal { first: 0 },
    alibi_slope: Some(0.25),
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Catches: a basis that is none, which would make the tests below prove nothing.
    #[test]
    fn the_rotations_are_rotations(r in rotation(9)) {
        prop_assert!(close(&r.dot(&r.t()), &Array2::eye(9), 1e-9));
    }

    /// Catches: a scale, a bias or a norm that looks at single dimensions; keys that are not turned with queries.
    #[test]
    fn attention_weights_survive_a_common_rotation_of_queries_and_keys([q, k, v, r] in head()) {
        let before = attend(q.view(), k.view(), v.view(), &CAUSAL);
        let after = attend(q.dot(&r).view(), k.dot(&r).view(), v.view(), &CAUSAL);
        prop_assert!(close(&after.weights, &before.weights, 1e-9));
        prop_assert!(close(&after.output, &before.output, 1e-9));
    }

    /// Catches: an output that is not a weighted mean of values.
    #[test]
    fn the_output_turns_with_the_values([q, k, v, r] in head()) {
        let before = attend(q.view(), k.view(), v.view(), &CAUSAL).output;
        let after = attend(q.view(), k.view(), v.dot(&r).view(), &CAUSAL).output;
        prop_assert!(close(&after, &before.dot(&r), 1e-9));
    }

    /// Catches: a mean or a maximum in place of the root of the mean square.
    #[test]
    fn rms_norm_without_gamma_commutes_with_rotations([x, _, _, r] in head()) {
        let norm = RmsNorm { gamma: Array1::ones(x.ncols()), eps: 1e-6 };
        let after = norm.forward(x.dot(&r).view());
        prop_assert!(close(&after, &norm.forward(x.view()).dot(&r), 1e-9));
    }

    /// Catches: a γ that is not applied, dimension by dimension: with one, the axes do matter.
    #[test]
    fn rms_norm_with_gamma_does_not(r in rotation(6), x in matrix(1, 6)) {
        let norm = RmsNorm { gamma: Array1::from_iter((0..6).map(|i| f64::from(1 << i))), eps: 1e-6 };
        prop_assume!(r.diag().iter().all(|d| d.abs() < 0.9) && x.dot(&x.t())[[0, 0]] > 1.0);
        let after = norm.forward(x.dot(&r).view());
        prop_assert!(!close(&after, &norm.forward(x.view()).dot(&r), 1e-6));
    }

    /// Catches: RoPE that changes lengths, and a score at distance 0 that still knows where its token stands.
    #[test]
    fn rope_keeps_lengths_and_is_gone_at_distance_zero([q, k, _, r] in head(), first in 0..500_usize) {
        let rope = Rotation::new(q.ncols(), 1e4, first, q.nrows());
        let turned = |x: &Array2<f64>| {
            let mut x = x.clone();
            rope.rotate(x.view_mut());
            x
        };
        let of_itself = |q: &Array2<f64>, k: &Array2<f64>| q.dot(&k.t()).diag().to_owned();
        let length = |x: &Array2<f64>| of_itself(x, x);
        prop_assert!((length(&turned(&q)) - length(&q)).iter().all(|e| e.abs() < 1e-9));
        // A token's score with itself is what it is without RoPE, whatever common rotation came before.
        let after = of_itself(&turned(&q.dot(&r)), &turned(&k.dot(&r)));
        prop_assert!((after - of_itself(&q, &k)).iter().all(|e| e.abs() < 1e-8));
    }
}
