//! Checkpoints of random weights, in any shape: to measure and try what a model of that size takes, where its weights are not at hand.

use crate::{
    dtransformer::Parameter,
    tensor::{Dtype, StoredTensor, threads},
};
use half::{bf16, f16};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// The standard deviation that training starts from (`initializer_range`).
const DEVIATION: f32 = 0.02;

/// Numbers that a thread makes at a time.
const CHUNK: usize = 1 << 16;

/// The parameter number `index` of a model that `seed` makes: a matrix drawn from $\mathcal N(0, 0.02^2)$ and rounded to `dtype`, a norm of ones.
///
/// The numbers follow from seed, index, shape and format alone, on any machine and any number of threads.
///
/// # Panics
/// For a `dtype` in groups.
pub fn synthetic(parameter: &Parameter, index: usize, seed: u64, dtype: Dtype) -> StoredTensor {
    let elements: usize = parameter.shape.iter().product();
    let width = dtype.bits() / 8;
    assert!(!dtype.has_scales(), "synthetic weights are floats");
    let mut bytes = vec![0; elements * width];
    let norm = parameter.shape.len() == 1;
    threads::for_each_chunk(
        ndarray::ArrayViewMut1::from(&mut bytes[..]),
        ndarray::Axis(0),
        CHUNK * width,
        |first, mut chunk| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            // Streams do not meet: each is longer than a chunk.
            rng.set_stream((index as u64) << 32 | (first / (CHUNK * width)) as u64);
            let normal = Normal::new(0.0, DEVIATION).expect("a positive deviation");
            let chunk = chunk.as_slice_mut().expect("a part of a vector");
            for bytes in chunk.chunks_exact_mut(width) {
                let number = if norm { 1.0 } else { normal.sample(&mut rng) };
                match dtype {
                    Dtype::F16 => bytes.copy_from_slice(&f16::from_f32(number).to_le_bytes()),
                    Dtype::BF16 => bytes.copy_from_slice(&bf16::from_f32(number).to_le_bytes()),
                    _ => bytes.copy_from_slice(&number.to_le_bytes()),
                }
            }
        },
    );
    StoredTensor::new(dtype, parameter.shape.clone(), bytes.into())
        .expect("as many bytes as the shape asks for")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(shape: &[usize]) -> Parameter {
        Parameter {
            name: "any".into(),
            shape: shape.to_vec(),
        }
    }

    /// Catches: chunks that repeat each other, a deviation that is a variance, a seed or index without effect.
    #[test]
    fn the_numbers_are_normal_and_all_different() {
        let of =
            |index, seed| synthetic(&parameter(&[300, 1000]), index, seed, Dtype::F32).to_array();
        let w = of(3, 1);
        let n = w.len() as f32;
        let mean = w.sum() / n;
        let deviation = (w.mapv(|w| (w - mean).powi(2)).sum() / n).sqrt();
        assert!(mean.abs() < 2e-4 && (deviation / DEVIATION - 1.0).abs() < 0.01);
        let mut sorted: Vec<u32> = w.iter().map(|w| w.to_bits()).collect();
        sorted.sort();
        sorted.dedup();
        assert!(sorted.len() > 290_000, "{}", sorted.len());
        assert_eq!(w, of(3, 1));
        assert_ne!(w, of(4, 1));
        assert_ne!(w, of(3, 2));
    }

    /// Catches: bytes of one format in another; norms that are drawn too, with which no stream survives.
    #[test]
    fn formats_round_the_same_numbers_and_norms_are_ones() {
        let shape = parameter(&[7, 33]);
        let of = |dtype| synthetic(&shape, 0, 0, dtype).to_array();
        let exact = of(Dtype::F32);
        for (dtype, bits) in [(Dtype::F16, 11), (Dtype::BF16, 8)] {
            for (a, b) in exact.iter().zip(&of(dtype)) {
                assert!(
                    (a - b).abs() <= a.abs() * 2_f32.powi(-bits) + 1e-7,
                    "{dtype}: {a} {b}"
                );
            }
        }
        let norm = synthetic(&parameter(&[5]), 0, 0, Dtype::BF16);
        assert_eq!(norm.to_array(), ndarray::arr1(&[1.0_f32; 5]).into_dyn());
    }
}
