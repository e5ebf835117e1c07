//! Tensors as a checkpoint stores them: bytes of a file, owned or memory-mapped, in f32, f16 or bf16, widened only where used.

use super::{ShapeError, expect_shape};
use bytes::Bytes;
use half::{bf16, f16, slice::HalfFloatSliceExt};
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use std::fmt;
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
}

impl Dtype {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
        })
    }
}

/// Bytes that are not as many as a shape needs.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a tensor of shape {shape:?} in {dtype} takes {expected} bytes, but {found} are stored")]
pub struct StoredError {
    /// The shape that was claimed.
    pub shape: Vec<usize>,
    /// The number format that was claimed.
    pub dtype: Dtype,
    /// Bytes that shape and format need (`usize::MAX` where that overflows).
    pub expected: usize,
    /// Bytes that are there.
    pub found: usize,
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
}

impl StoredTensor {
    /// Takes `bytes` as a tensor of this shape.
    ///
    /// # Errors
    /// The number of bytes is not the product of `shape` times the size of an element.
    pub fn new(dtype: Dtype, shape: Vec<usize>, bytes: Bytes) -> Result<Self, StoredError> {
        let expected = shape
            .iter()
            .try_fold(dtype.size(), |n, &len| n.checked_mul(len));
        if expected != Some(bytes.len()) {
            return Err(StoredError {
                expected: expected.unwrap_or(usize::MAX),
                found: bytes.len(),
                shape,
                dtype,
            });
        }
        Ok(StoredTensor {
            dtype,
            shape,
            bytes,
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

    /// Bytes it takes as stored.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes, as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Elements of one step along the first axis.
    pub(super) fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Its elements as they lie in memory, where they are f32 and aligned.
    pub(super) fn as_f32(&self) -> Option<&[f32]> {
        match self.dtype {
            Dtype::F32 => bytemuck::try_cast_slice(&self.bytes).ok(),
            _ => None,
        }
    }

    /// Its elements as they lie in memory, where they are bf16 and aligned.
    pub(super) fn as_bf16(&self) -> Option<&[bf16]> {
        match self.dtype {
            Dtype::BF16 => bytemuck::try_cast_slice(&self.bytes).ok(),
            _ => None,
        }
    }

    /// Widens the rows from `first` on into `out`, as many as it holds.
    ///
    /// # Panics
    /// Where `out` reaches past the last row.
    pub fn widen_rows(&self, first: usize, out: &mut [f32]) {
        let start = first * self.row_len() * self.dtype.size();
        let bytes = &self.bytes[start..start + out.len() * self.dtype.size()];
        match self.dtype {
            Dtype::F32 => {
                for (out, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*b);
                }
            }
            Dtype::BF16 => {
                for (out, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *out = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
                }
            }
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

impl StoredTensor {
    /// An array in another number format, each number rounded to the nearest, of two as near to the even one.
    ///
    /// ```
    /// use baichuan2::tensor::{Dtype, StoredTensor};
    /// let third = ndarray::arr1(&[1.0_f32 / 3.0]).into_dyn();
    /// assert_eq!(StoredTensor::rounded(third, Dtype::BF16).to_vector("third")?, ndarray::array![0.333984375]);
    /// # Ok::<(), baichuan2::tensor::ShapeError>(())
    /// ```
    pub fn rounded(array: ArrayD<f32>, dtype: Dtype) -> Self {
        let halves =
            |round: fn(f32) -> [u8; 2]| array.iter().flat_map(|&x| round(x)).collect::<Vec<u8>>();
        let bytes = match dtype {
            Dtype::F32 => return array.into(),
            Dtype::F16 => halves(|x| f16::from_f32(x).to_le_bytes()),
            Dtype::BF16 => halves(|x| bf16::from_f32(x).to_le_bytes()),
        };
        StoredTensor {
            dtype,
            shape: array.shape().to_vec(),
            bytes: bytes.into(),
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
        fn products_over_stored_weights_are_those_over_dense_ones((x, w) in product(), dtype in 0..3_usize) {
            let dtype = [Dtype::F32, Dtype::F16, Dtype::BF16][dtype];
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
        assert_eq!(new(vec![usize::MAX, 4]).unwrap_err().expected, usize::MAX);
    }
}
