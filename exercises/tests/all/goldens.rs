//! Numbers that the shipped model code computed (`tests/goldens` of the repository).

use ndarray::{Array, ArrayD, Axis, Dimension, IxDyn};
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// What f32 leaves of a pass of two layers.
pub const TOLERANCE: f64 = 2e-5;

/// A file of `tests/goldens`.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/goldens")
        .join(name)
}

/// An intermediate of the pass of `size` (`tiny7b`, `tiny13b`) over its prompt, without the axis of the batch, which
/// has one text: `act("tiny7b", "plain.layers.0.input_layernorm")` is `[12, 64]`.
pub fn act<D: Dimension>(size: &str, name: &str) -> Array<f64, D> {
    let mut array = read(&format!("{size}/acts.safetensors"), name);
    if array.ndim() > 1 && array.len_of(Axis(0)) == 1 {
        array = array.index_axis_move(Axis(0), 0);
    }
    fit(array, name)
}

/// A weight of the model, `weight("tiny7b", "model.layers.0.input_layernorm.weight")`.
pub fn weight<D: Dimension>(size: &str, name: &str) -> Array<f64, D> {
    fit(read(&format!("{size}/model.safetensors"), name), name)
}

fn fit<D: Dimension>(array: ArrayD<f64>, name: &str) -> Array<f64, D> {
    let shape = array.shape().to_vec();
    array
        .into_dimensionality()
        .unwrap_or_else(|_| panic!("{name} has shape {shape:?}"))
}

fn read(path: &str, name: &str) -> ArrayD<f64> {
    let path = file(path);
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let tensors = SafeTensors::deserialize(&bytes).expect("the goldens are safetensors");
    let tensor = tensors
        .tensor(name)
        .unwrap_or_else(|e| panic!("{name} of {}: {e}", path.display()));
    let numbers: Vec<f64> = match tensor.dtype() {
        Dtype::F32 => tensor
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect(),
        Dtype::I64 => tensor
            .data()
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b) as f64)
            .collect(),
        other => panic!("{name} holds {other:?}"),
    };
    ArrayD::from_shape_vec(IxDyn(tensor.shape()), numbers)
        .expect("as many numbers as the shape has")
}
