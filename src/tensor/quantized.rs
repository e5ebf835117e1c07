//! Weights in eight or four bits: whole numbers in groups of 32, and one scale for each group.
//!
//! $$ \hat w_{ij} = s_{i,\lfloor j / 32 \rfloor} q_{ij}, \qquad q \in [-127, 127] \text{ or } [-8, 7] $$
//!
//! | | bits a weight | the numbers of a row | the scales of a row |
//! |---|---|---|---|
//! | [`Dtype::Int8`] | 8.5 | `in` signed bytes | `in / 32` in bf16 |
//! | [`Dtype::Int4`] | 4.5 | `in / 2` bytes: a group is eight 16-bit words, and word $j$ holds $q + 8$ of the weights $j$, $8 + j$, $16 + j$ and $24 + j$, the first in its lowest four bits | `in / 32` in bf16 |
//!
//! Weights come in words, not in bytes, so that one shift and one mask bring forth a whole register of them, in the order of the input.
//!
//! * Paper: Dettmers et al. 2022, arXiv 2208.07339 (8 bits, scales by absolute maximum); Dettmers et al. 2023, arXiv 2305.14314, section 2 (blocks with a scale of their own).
//! * Shipped: `quantizer.py` puts the five linear maps of each layer into 8 or 4 bits and leaves the embedding, the norms and the head as they are. Its formats are those of
//!   a library that needs a graphics card; these here are our own.

use super::{Dtype, StoredTensor, threads};
use half::bf16;
use multiversion::multiversion;
use ndarray::{ArrayView2, Axis};

/// Weights that share a scale.
pub const GROUP: usize = 32;

/// 16-bit words of a group in four bits.
pub(super) const WORDS: usize = GROUP / 4;

impl StoredTensor {
    /// The nearest that a format in groups comes to a matrix.
    ///
    /// # Panics
    /// Where `dtype` is no format in groups, or a row is no multiple of [`GROUP`].
    pub(super) fn quantized(matrix: ArrayView2<f32>, dtype: Dtype) -> Self {
        let (rows, width) = matrix.dim();
        assert!(width.is_multiple_of(GROUP), "rows of whole groups");
        let parts = threads::map(matrix.axis_chunks_iter(Axis(0), ROWS), |rows| {
            let (mut numbers, mut scales) = (Vec::new(), Vec::new());
            for row in rows.rows() {
                let row = row.as_standard_layout();
                let row = row.as_slice().expect("standard layout");
                for group in row.as_chunks::<GROUP>().0 {
                    let scale = match dtype {
                        Dtype::Int8 => eight_bits(group, &mut numbers),
                        Dtype::Int4 => four_bits(group, &mut numbers),
                        other => panic!("{other} has no groups"),
                    };
                    scales.extend(scale.to_le_bytes());
                }
            }
            (numbers, scales)
        });
        let (numbers, scales): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let (numbers, scales) = (numbers.concat(), scales.concat());
        StoredTensor::with_scales(dtype, vec![rows, width], numbers.into(), scales.into())
            .expect("as many numbers and scales as the shape asks for")
    }
}

/// Rows that a thread rounds at a time.
const ROWS: usize = 64;

/// The largest weight becomes ±127, or what a scale of eight significant bits leaves of it.
fn eight_bits(group: &[f32; GROUP], numbers: &mut Vec<u8>) -> bf16 {
    let most = group.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
    let scale = no_less(most / 127.0);
    let inverse = inverse(scale);
    numbers.extend(group.map(|w| (w * inverse).round() as i8 as u8));
    scale
}

/// The scale that leaves the least squared error, of several near the one that maps the largest weight to −8.
fn four_bits(group: &[f32; GROUP], numbers: &mut Vec<u8>) -> bf16 {
    let codes = |scale: bf16| {
        let inverse = inverse(scale);
        group.map(|w| (w * inverse).round().clamp(-8.0, 7.0))
    };
    let error = |scale: bf16, codes: &[f32; GROUP]| -> f32 {
        let pairs = group.iter().zip(codes);
        pairs.map(|(w, q)| (w - q * scale.to_f32()).powi(2)).sum()
    };
    let extreme = group.iter().fold(
        0.0_f32,
        |most, &w| if w.abs() > most.abs() { w } else { most },
    );
    let mut best = (f32::INFINITY, bf16::ZERO, [0.0; GROUP]);
    for tenth in -7..=7_i8 {
        let first = bf16::from_f32(extreme / -(8.0 + 0.1 * f32::from(tenth)));
        let chosen = codes(first);
        // For these codes, the scale that fits them best.
        let (wq, qq) = group
            .iter()
            .zip(&chosen)
            .fold((0.0, 0.0), |(wq, qq), (w, q)| (wq + w * q, qq + q * q));
        let refined = bf16::from_f32(if qq > 0.0 { wq / qq } else { 0.0 });
        for scale in [first, refined] {
            let chosen = codes(scale);
            let error = error(scale, &chosen);
            if error < best.0 {
                best = (error, scale, chosen);
            }
        }
    }
    let (_, scale, chosen) = best;
    for j in 0..WORDS {
        let word = (0..4).fold(0_u16, |word, k| {
            let code = chosen[WORDS * k + j] + 8.0;
            word | (code as u16) << (4 * k)
        });
        numbers.extend(word.to_le_bytes());
    }
    scale
}

/// The nearest bf16 that is not below a positive number: a scale rounded down would need a code of 128.
fn no_less(scale: f32) -> bf16 {
    let near = bf16::from_f32(scale);
    match near.to_f32() < scale {
        true => bf16::from_bits(near.to_bits() + 1),
        false => near,
    }
}

fn inverse(scale: bf16) -> f32 {
    match scale.to_f32() {
        0.0 => 0.0,
        scale => scale.recip(),
    }
}

/// Groups in eight bits as floats.
#[multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn widen_eight(codes: &[[u8; GROUP]], scales: &[[u8; 2]], out: &mut [[f32; GROUP]]) {
    for ((codes, scale), out) in codes.iter().zip(scales).zip(out) {
        let scale = bf16::from_le_bytes(*scale).to_f32();
        for (out, &code) in out.iter_mut().zip(codes) {
            *out = f32::from(code as i8) * scale;
        }
    }
}

/// Groups in four bits as floats.
#[multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn widen_four(
    groups: &[[[u8; 2]; WORDS]],
    scales: &[[u8; 2]],
    out: &mut [[f32; GROUP]],
) {
    for ((words, scale), out) in groups.iter().zip(scales).zip(out) {
        let scale = bf16::from_le_bytes(*scale).to_f32();
        for (k, out) in out.as_chunks_mut::<WORDS>().0.iter_mut().enumerate() {
            for (out, &word) in out.iter_mut().zip(words) {
                let code = u16::from_le_bytes(word) >> (4 * k) & 15;
                *out = f32::from(code as i16 - 8) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::matrix;
    use proptest::prelude::*;

    fn of(dtype: Dtype, row: [f32; GROUP]) -> [f32; GROUP] {
        let stored =
            StoredTensor::quantized(ArrayView2::from_shape((1, GROUP), &row).unwrap(), dtype);
        let mut out = [0.0; GROUP];
        stored.widen_rows(0, &mut out);
        out
    }

    proptest! {
        /// Catches: a scale of another group or row; a code that wraps round at the largest weight; nibbles in another order.
        #[test]
        fn weights_come_back_to_within_their_steps(w in (1..4_usize, 1..4_usize).prop_flat_map(|(rows, groups)| matrix(rows, groups * GROUP)), size in -30..30_i32) {
            let w = w.mapv(|w| w as f32 * 2_f32.powi(size));
            for dtype in [Dtype::Int8, Dtype::Int4] {
                let stored = StoredTensor::quantized(w.view(), dtype);
                prop_assert_eq!(stored.shape(), w.shape());
                let back = stored.to_matrix("w").unwrap();
                let groups = |w: &ndarray::Array2<f32>| w.iter().copied().collect::<Vec<f32>>();
                let (w, back) = (groups(&w), groups(&back));
                for (g, (group, back)) in w.as_chunks::<GROUP>().0.iter().zip(back.as_chunks::<GROUP>().0).enumerate() {
                    let most = group.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
                    let errors = group.iter().zip(back).map(|(a, b)| (a - b).abs());
                    if dtype == Dtype::Int8 {
                        // Half a step, of a scale that has eight significant bits.
                        let worst = errors.fold(0.0, f32::max);
                        prop_assert!(worst <= 0.51 * most / 127.0, "group {g}: {worst} of {most}");
                    } else {
                        // No worse than the plain scale, by which no weight is further off than a step; one alone may be, for the sake of the others.
                        let mean_square = errors.map(|e| e * e).sum::<f32>() / GROUP as f32;
                        prop_assert!(mean_square.sqrt() <= 1.01 * most / 8.0, "group {g}: {mean_square} of {most}");
                    }
                }
            }
        }

        /// Catches: a scale one step of bf16 too large, which costs half a bit of every weight, or one rounded down.
        #[test]
        fn a_scale_is_the_smallest_that_is_no_less(bits in 0x0080_0000..0x7f00_0000_u32) {
            let scale = f32::from_bits(bits);
            let found = no_less(scale);
            let below = bf16::from_bits(found.to_bits() - 1);
            prop_assert!(below.to_f32() < scale && scale <= found.to_f32());
        }
    }

    /// Catches: a division by a scale of zero; −0 or NaN out of a group that is not used.
    #[test]
    fn a_group_of_zeros_stays_zero() {
        for dtype in [Dtype::Int8, Dtype::Int4] {
            assert_eq!(of(dtype, [0.0; GROUP]), [0.0; GROUP]);
        }
    }

    /// Catches: a layout other than the documented one, which files of earlier runs have.
    #[test]
    fn the_layout_is_the_documented_one() {
        let row: [f32; GROUP] = std::array::from_fn(|i| (i % 16) as f32 - 8.0);
        let view = ArrayView2::from_shape((1, GROUP), &row).unwrap();
        let stored = StoredTensor::quantized(view, Dtype::Int4);
        assert_eq!(of(Dtype::Int4, row), row, "these are codes themselves");
        // Word j holds weights j, 8 + j, 16 + j, 24 + j, here the codes j, 8 + j, j, 8 + j.
        let word = |j: u16| (j | (8 + j) << 4 | j << 8 | (8 + j) << 12).to_le_bytes();
        let expected: Vec<u8> = (0..8).flat_map(word).collect();
        assert_eq!(stored.bytes(), &expected[..]);
        assert_eq!(stored.scales(), &bf16::ONE.to_le_bytes()[..]);
        let row: [f32; GROUP] = std::array::from_fn(|i| 4.0 * i as f32 + 3.0);
        let view = ArrayView2::from_shape((1, GROUP), &row).unwrap();
        let stored = StoredTensor::quantized(view, Dtype::Int8);
        let expected: Vec<u8> = (0..32).map(|i| 4 * i + 3).collect();
        assert_eq!(stored.bytes(), &expected[..]);
    }

    /// Catches: scales taken from the largest weight alone, where another leaves less error; an error that does not shrink with the bits.
    #[test]
    fn errors_are_those_of_the_bits() {
        // Uniform weights and their root mean square error, of the weights' own.
        let w = ndarray::Array2::from_shape_fn((64, 256), |(i, j)| {
            let n = (i * 256 + j) as u32;
            n.wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32 - 0.5
        });
        let relative = |dtype| {
            let back = StoredTensor::quantized(w.view(), dtype)
                .to_matrix("w")
                .unwrap();
            let error = &w - &back;
            (error.mapv(|e| e * e).sum() / w.mapv(|w| w * w).sum()).sqrt()
        };
        let (eight, four) = (relative(Dtype::Int8), relative(Dtype::Int4));
        // A step of 1/127 or 1/8 of the largest, over √12, over the weights' 1/√3 of it.
        assert!((0.003..0.005).contains(&eight), "{eight}");
        assert!((0.045..0.065).contains(&four), "{four}");
    }

    proptest! {
        /// Catches: scales tried in vain: not near the plain one, or not those that fit their codes.
        #[test]
        fn no_scale_nearby_leaves_less_error_in_four_bits(w in matrix(1, GROUP)) {
            let w: [f32; GROUP] = std::array::from_fn(|i| w[[0, i]] as f32);
            let left: f32 = of(Dtype::Int4, w).iter().zip(&w).map(|(a, b)| (a - b).powi(2)).sum();
            let extreme = w.iter().fold(0.0_f32, |most, &w| if w.abs() > most.abs() { w } else { most });
            let codes = |scale: f32| w.map(|w| (w * scale.recip()).round().clamp(-8.0, 7.0));
            for tenth in -7..=7_i8 {
                let plain = bf16::from_f32(extreme / -(8.0 + 0.1 * f32::from(tenth))).to_f32();
                let pairs = || w.into_iter().zip(codes(plain));
                let fitted: f32 = pairs().map(|(w, q)| w * q).sum::<f32>() / pairs().map(|(_, q)| q * q).sum::<f32>();
                for scale in [plain, bf16::from_f32(fitted).to_f32()] {
                    let error: f32 = w.iter().zip(codes(scale)).map(|(w, q)| (w - q * scale).powi(2)).sum();
                    prop_assert!(left <= 1.001 * error, "{left}, and {error} by {scale}");
                }
            }
        }
    }
}
