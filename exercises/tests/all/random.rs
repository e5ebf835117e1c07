//! Random numbers and shapes. Numbers are quarters, so that a failing case can be read and worked out on paper.

use ndarray::{Array1, Array2};
use proptest::{collection::vec, prelude::*};
use std::ops::Range;

/// A quarter between −3 and 3.
pub fn number() -> impl Strategy<Value = f64> + Clone {
    (-12..=12_i32).prop_map(|n| f64::from(n) / 4.0)
}

/// `[n]`.
pub fn vector(n: usize) -> impl Strategy<Value = Array1<f64>> {
    vec(number(), n).prop_map(Array1::from)
}

/// `[rows, columns]`.
pub fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    vec(number(), rows * columns).prop_map(move |v| {
        Array2::from_shape_vec((rows, columns), v).expect("as many as rows × columns")
    })
}

/// A matrix of a random shape.
pub fn matrix_of(rows: Range<usize>, columns: Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    (rows, columns).prop_flat_map(|(rows, columns)| matrix(rows, columns))
}
