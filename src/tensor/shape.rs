//! Shapes that do not fit.

use thiserror::Error;

/// Two shapes that an operation cannot bring together, both named.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{operation}: expected shape {expected:?}, got {found:?}")]
pub struct ShapeError {
    /// The operation or the tensor that found out, as a reader knows it: `rope`, `model.norm.weight`.
    pub operation: String,
    /// The shape it needs.
    pub expected: Vec<usize>,
    /// The shape it was given.
    pub found: Vec<usize>,
}

/// Checks a shape: the rank first, then each length.
///
/// ```
/// use baichuan2::tensor::expect_shape;
/// assert!(expect_shape("gate_proj", &[172, 64], &[172, 64]).is_ok());
/// let error = expect_shape("gate_proj", &[172, 64], &[64, 172]).unwrap_err();
/// assert_eq!(error.to_string(), "gate_proj: expected shape [172, 64], got [64, 172]");
/// ```
pub fn expect_shape(
    operation: &str,
    expected: &[usize],
    found: &[usize],
) -> Result<(), ShapeError> {
    if expected == found {
        return Ok(());
    }
    Err(ShapeError {
        operation: operation.to_owned(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    })
}
