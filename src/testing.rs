//! Random inputs for property tests, and a tokenizer.

use crate::bpe::Tokenizer;
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use std::ops::Range;

// The tests of the command have it too.
#[path = "../tests/common/tokenizer.rs"]
mod tokenizer;

/// A sequence of vectors, `[tokens, d]`, with numbers between −4 and 4.
pub fn sequence(tokens: Range<usize>, d: Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    (tokens, d).prop_flat_map(|(tokens, d)| matrix(tokens, d))
}

/// A matrix of this shape, with numbers between −4 and 4.
pub fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    prop::collection::vec(-4.0..4.0, rows * columns)
        .prop_map(move |v| Array2::from_shape_vec((rows, columns), v).expect("rows × columns"))
}

/// A vector of this length, with numbers between −4 and 4.
pub fn vector(len: usize) -> impl Strategy<Value = Array1<f64>> {
    prop::collection::vec(-4.0..4.0, len).prop_map(Array1::from)
}

/// The largest difference of two arrays of one shape; the shapes are compared first.
#[track_caller]
pub fn largest_difference<D: ndarray::Dimension>(
    a: &ndarray::Array<f64, D>,
    b: &ndarray::Array<f64, D>,
) -> f64 {
    assert_eq!(a.shape(), b.shape(), "shapes differ");
    ndarray::Zip::from(a).and(b).fold(0.0, |max, a, b| {
        let difference = (a - b).abs();
        // NaN is the largest difference of all, and `max` alone would drop it.
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference.max(max)
        }
    })
}

/// `<unk>`, `<s>` and `</s>`, one token for each byte, from 3 on, and `pieces` from 259 on, each of which must be a merge of two before it.
pub fn byte_tokenizer(pieces: &[&str]) -> Tokenizer {
    Tokenizer::from_bytes(&tokenizer::of_bytes(pieces)).expect("a tokenizer")
}
