//! Tensors as a checkpoint stores them: bytes of a file, owned or memory-mapped, in f32, f16, bf16 or groups of small whole numbers, widened only where
//! used.

use super::{
    ShapeError, expect_shape,
    quantized::{GROUP, widen_eight, widen_four},
};
use bytes::Bytes;
use half::{bf16, f16, slice::HalfFloatSliceExt};
use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayD, Ix2, IxDyn};
use std::{fmt, ops::Range};
use thiserror::Error;

/// The number format of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    BF16,
    /// Signed bytes in groups of 32 with a scale each.
    Int8,
    /// Four bits in groups of 32 with a scale each.
    Int4,
}

impl Dtype {
    /// Bits of one element, scales not counted.
    pub const fn bits(self) -> usize {
        match self {
            Dtype::F32 => 32,
            Dtype::F16 | Dtype::BF16 => 16,
            Dtype::Int8 => 8,
            Dtype::Int4 => 4,
        }
    }

    /// Whether its numbers come in groups of 32 that share a scale.
    pub const fn has_scales(self) -> bool {
        matches!(self, Dtype::Int8 | Dtype::Int4)
    }

    /// Bytes of so many elements; none beyond any memory.
    pub(crate) fn bytes(self, elements: usize) -> Option<usize> {
        // Rows in groups are whole bytes.
        Some(elements.checked_mul(self.bits())? / 8)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
            Dtype::Int8 => "int8",
            Dtype::Int4 => "int4",
        })
    }
}

/// Bytes that are not those of a tensor.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoredError {
    /// Not as many as a shape needs.
    #[error(
        "a tensor of shape {shape:?} in {dtype} takes {expected} bytes, but {found} are stored"
    )]
    Bytes {
        /// The shape that was claimed.
        shape: Vec<usize>,
        /// The number format that was claimed.
        dtype: Dtype,
        /// Bytes that shape and format need (`usize::MAX` where that overflows).
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// Not as many scales as a shape needs.
    #[error(
        "the scales of a tensor of shape {shape:?} in {dtype} take {expected} bytes, but {found} are stored"
    )]
    Scales {
        /// The shape that was claimed.
        shape: Vec<usize>,
        /// The number format that was claimed.
        dtype: Dtype,
        /// Bytes of scales that shape and format need.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// A format in groups for what has none.
    #[error(
        "a tensor of shape {shape:?} cannot be stored in {dtype}: that takes rows of a multiple of {GROUP}"
    )]
    Groups {
        /// The shape that was claimed.
        shape: Vec<usize>,
        /// The number format that was claimed.
        dtype: Dtype,
    },
}

/// A tensor of any rank in its stored number format, row-major, little-endian.
///
/// Cloning shares the bytes, so that a memory-mapped checkpoint is never copied.
///
/// ```
/// use baichuan2::tensor::{Dtype, StoredTensor};
/// let bf16 = StoredTensor::new(Dtype::BF16, vec![1, 2], vec![0x80, 0x3f, 0x00, 0xc0].into())?;
/// assert_eq!(bf16.to_matrix("example")?, ndarray::array![[1.0, -2.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StoredTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Bytes,
    /// One bf16 for each group; empty where the format has none.
    scales: Bytes,
}

impl StoredTensor {
    /// Takes `bytes` as a tensor of this shape, in a format without scales.
    ///
    /// # Errors
    /// The number of bytes is not the product of `shape` times the size of an element, or the format has scales.
    pub fn new(dtype: Dtype, shape: Vec<usize>, bytes: Bytes) -> Result<Self, StoredError> {
        StoredTensor::with_scales(dtype, shape, bytes, Bytes::new())
    }

    /// Takes `bytes` as a tensor of this shape, and `scales` as the bf16 of its groups, `[out, in / 32]`; none for a format without.
    ///
    /// # Errors
    /// Bytes or scales are not as many as shape and format need, or the shape has no groups.
    pub fn with_scales(
        dtype: Dtype,
        shape: Vec<usize>,
        bytes: Bytes,
        scales: Bytes,
    ) -> Result<Self, StoredError> {
        if dtype.has_scales() && !matches!(*shape, [_, width] if width.is_multiple_of(GROUP)) {
            return Err(StoredError::Groups { shape, dtype });
        }
        let elements = shape.iter().try_fold(1_usize, |n, &len| n.checked_mul(len));
        let expected = elements.and_then(|n| dtype.bytes(n)).unwrap_or(usize::MAX);
        let found = bytes.len();
        if expected != found {
            return Err(StoredError::Bytes {
                shape,
                dtype,
                expected,
                found,
            });
        }
        let expected = match dtype.has_scales() {
            true => 2 * (elements.unwrap_or(usize::MAX) / GROUP),
            false => 0,
        };
        let found = scales.len();
        if expected != found {
            return Err(StoredError::Scales {
                shape,
                dtype,
                expected,
                found,
            });
        }
        Ok(StoredTensor {
            dtype,
            shape,
            bytes,
            scales,
        })
    }

    /// The number format.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Bytes it takes as stored, scales included.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + self.scales.len()
    }

    /// The bytes of its numbers, as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bf16 scales of its groups; empty where the format has none.
    pub fn scales(&self) -> &Bytes {
        &self.scales
    }

    /// Elements of one step along the first axis.
    pub(super) fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The bytes of some steps along the first axis, and their scales.
    fn window(&self, rows: Range<usize>) -> [Range<usize>; 2] {
        let bytes = self.row_len() * self.dtype.bits() / 8;
        let scales = match self.dtype.has_scales() {
            true => 2 * (self.row_len() / GROUP),
            false => 0,
        };
        [bytes, scales].map(|row| rows.start * row..rows.end * row)
    }

    /// Some steps along the first axis, sharing the bytes.
    ///
    /// # Panics
    /// Where `rows` reach past the last.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let [bytes, scales] = self.window(rows.clone());
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        StoredTensor {
            dtype: self.dtype,
            shape,
            bytes: self.bytes.slice(bytes),
            scales: self.scales.slice(scales),
        }
    }

    /// Its elements as they lie in memory, where they are f32 and aligned.
    pub(super) fn as_f32(&self) -> Option<&[f32]> {
        match self.dtype {
            Dtype::F32 => bytemuck::try_cast_slice(&self.bytes).ok(),
            _ => None,
        }
    }

    /// The bytes and the scales of some rows.
    pub(super) fn rows_bytes(&self, rows: Range<usize>) -> (&[u8], &[[u8; 2]]) {
        let [bytes, scales] = self.window(rows);
        (&self.bytes[bytes], self.scales[scales].as_chunks().0)
    }

    /// Widens the rows from `first` on into `out`, as many as it holds.
    ///
    /// # Panics
    /// Where `out` reaches past the last row.
    pub fn widen_rows(&self, first: usize, out: &mut [f32]) {
        self.widen(first * self.row_len(), out);
    }

    /// Widens elements from `first` on, in row-major order, into `out`, as many as it holds; whole groups, where the format has them.
    ///
    /// # Panics
    /// Where `out` reaches past the last element.
    pub(super) fn widen(&self, first: usize, out: &mut [f32]) {
        let elements = first..first + out.len();
        let at = |i: usize| i * self.dtype.bits() / 8;
        let bytes = &self.bytes[at(elements.start)..at(elements.end)];
        match self.dtype {
            Dtype::F32 => bytemuck::cast_slice_mut(out).copy_from_slice(bytes),
            Dtype::BF16 => widen_bf16(bytes.as_chunks().0, out),
            Dtype::F16 => match bytemuck::try_cast_slice::<u8, f16>(bytes) {
                Ok(halves) => {
                    halves.convert_to_f32_slice(out);
                }
                _ => {
                    for (out, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                        *out = f16::from_le_bytes(*b).to_f32();
                    }
                }
            },
            Dtype::Int8 | Dtype::Int4 => {
                debug_assert!(first.is_multiple_of(GROUP) && out.len().is_multiple_of(GROUP));
                let groups = 2 * (elements.start / GROUP)..2 * (elements.end / GROUP);
                let scales = self.scales[groups].as_chunks().0;
                let out = out.as_chunks_mut().0;
                match self.dtype {
                    Dtype::Int8 => widen_eight(bytes.as_chunks().0, scales, out),
                    _ => widen_four(bytes.as_chunks().0.as_chunks().0, scales, out),
                }
            }
        }
    }

    /// All of it in f32.
    pub fn to_array(&self) -> ArrayD<f32> {
        let mut array = ArrayD::zeros(IxDyn(&self.shape));
        // A fresh array is contiguous.
        if let Some(out) = array.as_slice_mut() {
            self.widen_rows(0, out);
        }
        array
    }

    /// All of it in f32, as a vector.
    ///
    /// # Errors
    /// It is not of rank 1. `name` stands in the error.
    pub fn to_vector(&self, name: &str) -> Result<Array1<f32>, ShapeError> {
        let elements = self.shape.iter().product();
        expect_shape(name, &[elements], &self.shape)?;
        let mut vector = Array1::zeros(elements);
        if let Some(out) = vector.as_slice_mut() {
            self.widen_rows(0, out);
        }
        Ok(vector)
    }

    /// All of it in f32, as a matrix.
    ///
    /// # Errors
    /// It is not of rank 2. `name` stands in the error.
    pub fn to_matrix(&self, name: &str) -> Result<Array2<f32>, ShapeError> {
        let &[rows, columns] = self.shape.as_slice() else {
            let rows = self.shape.first().copied().unwrap_or(1);
            return Err(ShapeError {
                operation: name.to_owned(),
                expected: vec![rows, self.row_len()],
                found: self.shape.clone(),
            });
        };
        let mut matrix = Array2::zeros((rows, columns));
        if let Some(out) = matrix.as_slice_mut() {
            self.widen_rows(0, out);
        }
        Ok(matrix)
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn widen_bf16(bytes: &[[u8; 2]], out: &mut [f32]) {
    for (out, b) in out.iter_mut().zip(bytes) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
    }
}

impl StoredTensor {
    /// An array in another number format, each number rounded to the nearest, of two as near to the even one.
    ///
    /// ```
    /// use baichuan2::tensor::{Dtype, StoredTensor};
    /// let third = ndarray::arr1(&[1.0_f32 / 3.0]).into_dyn();
    /// assert_eq!(StoredTensor::rounded(third, Dtype::BF16).to_vector("third")?, ndarray::array![0.333984375]);
    /// # Ok::<(), baichuan2::tensor::ShapeError>(())
    /// ```
    ///
    /// # Panics
    /// Where `dtype` has groups, and the array is no matrix whose rows are a multiple of 32.
    pub fn rounded(array: ArrayD<f32>, dtype: Dtype) -> Self {
        let halves =
            |round: fn(f32) -> [u8; 2]| array.iter().flat_map(|&x| round(x)).collect::<Vec<u8>>();
        let bytes = match dtype {
            Dtype::F32 => return array.into(),
            Dtype::F16 => halves(|x| f16::from_f32(x).to_le_bytes()),
            Dtype::BF16 => halves(|x| bf16::from_f32(x).to_le_bytes()),
            Dtype::Int8 | Dtype::Int4 => {
                let matrix = array.view().into_dimensionality::<Ix2>();
                return StoredTensor::quantized(matrix.expect("a matrix"), dtype);
            }
        };
        StoredTensor {
            dtype,
            shape: array.shape().to_vec(),
            bytes: bytes.into(),
            scales: Bytes::new(),
        }
    }
}

impl From<ArrayD<f32>> for StoredTensor {
    fn from(array: ArrayD<f32>) -> Self {
        let shape = array.shape().to_vec();
        let values: Vec<f32> = array.as_standard_layout().iter().copied().collect();
        let bytes = Bytes::from_owner(LittleEndian(values));
        StoredTensor {
            dtype: Dtype::F32,
            shape,
            bytes,
            scales: Bytes::new(),
        }
    }
}

/// Owned numbers, seen as bytes with the alignment of the numbers.
struct LittleEndian(Vec<f32>);

impl AsRef<[u8]> for LittleEndian {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl fmt::Debug for StoredTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        tensor::LinearMap,
        testing::{largest_difference, matrix},
    };
    use proptest::prelude::*;

    /// Input and weights of random shapes: one token and several, rows that fill a tile and more, widths that fill a block and less.
    fn product() -> impl Strategy<Value = (Array2<f32>, Array2<f32>)> {
        (
            prop_oneof![Just(1_usize), 2..5_usize],
            1..200_usize,
            prop_oneof![1..20_usize, 120..280_usize],
        )
            .prop_flat_map(|(tokens, width, out)| (matrix(tokens, width), matrix(out, width)))
            .prop_map(|(x, w)| (x.mapv(|x| x as f32), w.mapv(|w| w as f32)))
    }

    /// The same, each row repeated until it is whole groups long.
    fn in_groups(m: Array2<f32>) -> Array2<f32> {
        let width = m.ncols();
        Array2::from_shape_fn((m.nrows(), width.next_multiple_of(GROUP)), |(i, j)| {
            m[[i, j % width]]
        })
    }

    /// The same numbers, their bytes at an odd address.
    fn misaligned(tensor: &StoredTensor) -> StoredTensor {
        let mut bytes = vec![0_u8];
        bytes.extend_from_slice(&tensor.bytes);
        let bytes = Bytes::from(bytes).slice(1..);
        StoredTensor {
            bytes,
            ..tensor.clone()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Catches: a last tile or block cut short, a row taken twice; one format read as another; bytes that lie unaligned misread.
        #[test]
        fn products_over_stored_weights_are_those_over_dense_ones((x, w) in product(), dtype in 0..5_usize) {
            let dtype = [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::Int8, Dtype::Int4][dtype];
            let (x, w) = match dtype.has_scales() {
                true => (in_groups(x), in_groups(w)),
                false => (x, w),
            };
            let stored = StoredTensor::rounded(w.into_dyn(), dtype);
            let dense = stored.to_matrix("w").unwrap();
            let expected = x.mapv(f64::from).dot(&dense.t().mapv(f64::from));
            for stored in [stored.clone(), misaligned(&stored)] {
                let product = stored.apply(x.view()).mapv(f64::from);
                prop_assert!(largest_difference(&product, &expected) < 1e-2);
                prop_assert_eq!(&stored.to_matrix("w").unwrap(), &dense);
                let mut row = Array1::zeros(dense.ncols());
                stored.copy_row(dense.nrows() - 1, row.view_mut());
                prop_assert_eq!(row, dense.row(dense.nrows() - 1));
                let norms = stored.row_norms();
                for (norm, row) in norms.iter().zip(dense.rows()) {
                    prop_assert!((norm - row.dot(&row).sqrt()).abs() <= 1e-5 * norm);
                }
            }
        }
    }

    /// Catches: a shape whose product overflows taken for an empty tensor.
    #[test]
    fn bytes_that_are_not_a_shapes_are_an_error() {
        let new =
            |shape: Vec<usize>| StoredTensor::new(Dtype::F32, shape, vec![0; 8].into()).map(|_| ());
        assert!(new(vec![2]).is_ok());
        assert_eq!(
            new(vec![3]).unwrap_err().to_string(),
            "a tensor of shape [3] in f32 takes 12 bytes, but 8 are stored"
        );
        let overflow = new(vec![usize::MAX, 4]).unwrap_err();
        assert!(
            matches!(
                overflow,
                StoredError::Bytes {
                    expected: usize::MAX,
                    ..
                }
            ),
            "{overflow}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Catches: a tile of another place, or one left out, where tokens are many and rows wider than a tile.
        #[test]
        fn many_tokens_meet_every_tile(
            (x, w) in (5..8_usize, prop_oneof![1..40_usize, 500..1100_usize], 1..40_usize)
                .prop_flat_map(|(tokens, width, out)| (matrix(tokens, width), matrix(out, width))),
            dtype in 0..5_usize,
        ) {
            let dtype = [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::Int8, Dtype::Int4][dtype];
            let [x, w] = [x, w].map(|m| in_groups(m.mapv(|m| m as f32)));
            let stored = StoredTensor::rounded(w.into_dyn(), dtype);
            let dense = stored.to_matrix("w").unwrap().mapv(f64::from);
            let product = stored.apply(x.view()).mapv(f64::from);
            prop_assert!(largest_difference(&product, &x.mapv(f64::from).dot(&dense.t())) < 1e-2);
        }
    }
}
