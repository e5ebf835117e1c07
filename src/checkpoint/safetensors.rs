//! The safetensors format: eight bytes of length, a JSON header of names, formats, shapes and offsets, then the numbers.
//!
//! The offsets are checked by the crate `safetensors`. The header is split off here, because a name that occurs twice must be an
//! error, and so must a header whose offsets reach past the end of any memory.
//!
//! # Weights in groups
//!
//! The format knows no numbers with scales. A matrix `x` in groups ([`Dtype::Int8`], [`Dtype::Int4`]) is two tensors of one file: `x`, as I8 `[out, in]` or as
//! U8 `[out, in / 2]`, and `x_scale`, as BF16 `[out, in / 32]`.

use super::{NamedTensors, UnsupportedDtype, unique::UniqueMap};
#[cfg(feature = "files")]
use crate::tensor::GROUP;
use crate::tensor::{Dtype, StoredTensor};
use bytes::Bytes;
use indexmap::IndexMap;
use safetensors::{
    SafeTensorError,
    tensor::{Dtype as FileDtype, Metadata, TensorInfo},
};
use thiserror::Error;

/// Bytes that are not a safetensors file.
#[derive(Debug, Error)]
pub enum SafetensorsError {
    /// The file ends before its header begins.
    #[error("the file is {0} bytes long: it is truncated, or is not safetensors")]
    TooShort(usize),
    /// The file ends before its header does.
    #[error(
        "the header should be {header} bytes long, but only {left} bytes follow: the file is truncated, or is not safetensors"
    )]
    HeaderPastEnd {
        /// Bytes that the header claims.
        header: u64,
        /// Bytes that follow its length.
        left: usize,
    },
    /// The header is not what the format asks for.
    #[error("the header cannot be read: {0}")]
    Header(#[from] serde_json::Error),
    /// Offsets that overlap, leave holes, or do not fit their shape.
    #[error("the header contradicts itself: {0}")]
    Layout(#[from] SafeTensorError),
    /// The file ends before its numbers do, or goes on after them.
    #[error(
        "the header describes {described} bytes of numbers, but the file holds {found}: it is truncated or corrupted"
    )]
    WrongLength {
        /// Bytes that the header describes.
        described: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// Two arrays of one name were to be written.
    #[error("the tensor `{0}` was given twice")]
    Duplicate(String),
    /// The file could not be written.
    #[cfg(feature = "files")]
    #[error("{}: cannot be written: {reason}", path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// What went wrong.
        reason: SafeTensorError,
    },
}

/// The tensors of a safetensors file that lies in `file`, in the order of their offsets, sharing its bytes.
///
/// A tensor in a format that the decoder does not compute with is there as an [`UnsupportedDtype`].
///
/// ```
/// use baichuan2::checkpoint::read_safetensors;
/// let mut file = b"@\0\0\0\0\0\0\0".to_vec(); // the header is 64 bytes long
/// file.extend(br#"{"gamma":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}     "#);
/// file.extend([0x80, 0x3f, 0x00, 0xc0]);
/// let tensors = read_safetensors(file.into())?;
/// assert_eq!(tensors["gamma"].clone()?.to_vector("gamma")?, ndarray::array![1.0, -2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`SafetensorsError`].
pub fn read_safetensors(file: Bytes) -> Result<NamedTensors, SafetensorsError> {
    let (header, data) = split(&file)?;
    let UniqueMap(infos) = serde_json::from_slice::<UniqueMap<TensorInfo>>(header)?;
    let mut infos: Vec<(String, TensorInfo)> = infos.into_iter().collect();
    infos.sort_by_key(|(_, info)| info.data_offsets);
    let described = infos.last().map_or(0, |(_, info)| info.data_offsets.1);

    // Every tensor begins where the last one ends, and is as long as its shape.
    Metadata::new(None, infos.clone())?;
    if described != data.len() {
        return Err(SafetensorsError::WrongLength {
            described,
            found: data.len(),
        });
    }
    let infos: IndexMap<String, TensorInfo> = infos.into_iter().collect();
    let mut tensors = NamedTensors::new();
    for (name, info) in &infos {
        let of = |info: &TensorInfo| data.slice(info.data_offsets.0..info.data_offsets.1);
        // Scales are taken with their matrix, whichever of the two comes first.
        let scaled = name
            .strip_suffix(SCALE)
            .and_then(|matrix| infos.get(matrix));
        if scaled.is_some_and(|matrix| in_groups(matrix).is_some()) {
            continue;
        }
        let scales = infos.get(&format!("{name}{SCALE}"));
        let scales = scales.filter(|scales| scales.dtype == FileDtype::BF16);
        let tensor = stored(info, of(info), scales.map(of));
        tensors.insert(name.clone(), tensor);
    }
    Ok(tensors)
}

/// The header and the numbers.
fn split(file: &Bytes) -> Result<(&[u8], Bytes), SafetensorsError> {
    let (length, rest) = file
        .split_first_chunk()
        .ok_or(SafetensorsError::TooShort(file.len()))?;
    let header = u64::from_le_bytes(*length);
    match usize::try_from(header).ok().and_then(|n| rest.get(..n)) {
        Some(bytes) => Ok((bytes, file.slice(8 + bytes.len()..))),
        None => Err(SafetensorsError::HeaderPastEnd {
            header,
            left: rest.len(),
        }),
    }
}

/// What the name of a matrix in groups is followed by in that of its scales.
const SCALE: &str = "_scale";

/// Whether an entry of a file is among the tensors that were read of it: itself, or as the scales of another.
#[cfg(feature = "files")]
pub(super) fn has_entry(tensors: &NamedTensors, entry: &str) -> bool {
    let matrix = entry
        .strip_suffix(SCALE)
        .and_then(|matrix| tensors.get(matrix));
    let scaled = |tensor: &Result<StoredTensor, _>| matches!(tensor, Ok(tensor) if tensor.dtype().has_scales());
    tensors.contains_key(entry) || matrix.is_some_and(scaled)
}

/// The format in groups and the shape of a matrix that is stored so.
fn in_groups(info: &TensorInfo) -> Option<(Dtype, Vec<usize>)> {
    match (info.dtype, info.shape.as_slice()) {
        (FileDtype::I8, &[rows, width]) => Some((Dtype::Int8, vec![rows, width])),
        (FileDtype::U8, &[rows, bytes]) => Some((Dtype::Int4, vec![rows, bytes.checked_mul(2)?])),
        _ => None,
    }
}

fn stored(
    info: &TensorInfo,
    bytes: Bytes,
    scales: Option<Bytes>,
) -> Result<StoredTensor, UnsupportedDtype> {
    let float = |dtype| Some((dtype, info.shape.clone(), Bytes::new()));
    let known = match info.dtype {
        FileDtype::F32 => float(Dtype::F32),
        FileDtype::F16 => float(Dtype::F16),
        FileDtype::BF16 => float(Dtype::BF16),
        _ => in_groups(info)
            .zip(scales)
            .map(|((dtype, shape), scales)| (dtype, shape, scales)),
    };
    let tensor = known.and_then(|(dtype, shape, scales)| {
        StoredTensor::with_scales(dtype, shape, bytes, scales).ok()
    });
    tensor.ok_or_else(|| UnsupportedDtype {
        dtype: info.dtype.to_string(),
        shape: info.shape.clone(),
    })
}

/// Writes arrays as a safetensors file in f32. See [`write_stored`].
///
/// # Errors
/// Two arrays of one name, or a folder that cannot be written.
#[cfg(feature = "files")]
pub fn write_safetensors(
    path: impl AsRef<std::path::Path>,
    arrays: impl IntoIterator<Item = (String, ndarray::ArrayD<f32>)>,
) -> Result<(), SafetensorsError> {
    let stored = |(name, array): (String, ndarray::ArrayD<f32>)| (name, StoredTensor::from(array));
    write_stored(path, arrays.into_iter().map(stored))
}

/// Writes tensors as a safetensors file, whole or not at all: into a temporary file beside `path` that then takes its place.
///
/// # Errors
/// Two tensors of one name, or a folder that cannot be written.
#[cfg(feature = "files")]
pub fn write_stored(
    path: impl AsRef<std::path::Path>,
    tensors: impl IntoIterator<Item = (String, StoredTensor)>,
) -> Result<(), SafetensorsError> {
    let path = path.as_ref();
    let mut views = IndexMap::new();
    for (name, tensor) in tensors {
        for (name, view) in View::of(name, &tensor) {
            match views.entry(name) {
                indexmap::map::Entry::Vacant(entry) => entry.insert(view),
                indexmap::map::Entry::Occupied(entry) => {
                    return Err(SafetensorsError::Duplicate(entry.key().clone()));
                }
            };
        }
    }
    // Readers of other projects refuse a file that does not say whose convention its shapes follow.
    let format = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(views, Some(format), path).map_err(|reason| {
        SafetensorsError::Write {
            path: path.to_owned(),
            reason,
        }
    })?;
    #[cfg(unix)]
    readable_as_others(path);
    Ok(())
}

/// The file was a temporary one, its owner's alone; it gets the permissions that a new file has here. Where that fails it is whole all the same.
#[cfg(all(unix, feature = "files"))]
fn readable_as_others(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mode = std::fs::Permissions::from_mode(0o666);
    let new = tempfile::Builder::new()
        .permissions(mode)
        .tempfile_in(folder.unwrap_or(std::path::Path::new(".")));
    if let Ok(permissions) = new.and_then(|new| Ok(new.as_file().metadata()?.permissions())) {
        let _ = std::fs::set_permissions(path, permissions);
    }
}

/// One entry of a file.
#[cfg(feature = "files")]
struct View {
    dtype: FileDtype,
    shape: Vec<usize>,
    bytes: Bytes,
}

#[cfg(feature = "files")]
impl View {
    /// The entry or the two entries that a tensor is.
    fn of(name: String, tensor: &StoredTensor) -> impl Iterator<Item = (String, View)> {
        let (dtype, per_entry) = match tensor.dtype() {
            Dtype::F32 => (FileDtype::F32, 1),
            Dtype::F16 => (FileDtype::F16, 1),
            Dtype::BF16 => (FileDtype::BF16, 1),
            Dtype::Int8 => (FileDtype::I8, 1),
            Dtype::Int4 => (FileDtype::U8, 2),
        };
        let shape = |per_entry: usize| {
            let mut shape = tensor.shape().to_vec();
            if let Some(width) = shape.last_mut() {
                *width /= per_entry;
            }
            shape
        };
        let scales = tensor.dtype().has_scales().then(|| {
            let view = View {
                dtype: FileDtype::BF16,
                shape: shape(GROUP),
                bytes: tensor.scales().clone(),
            };
            (format!("{name}{SCALE}"), view)
        });
        let numbers = View {
            dtype,
            shape: shape(per_entry),
            bytes: tensor.bytes().clone(),
        };
        [(name, numbers)].into_iter().chain(scales)
    }
}

#[cfg(feature = "files")]
impl safetensors::View for View {
    fn dtype(&self) -> FileDtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.bytes.as_ref().into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The names of the entries that a tensor is in a file.
#[cfg(feature = "files")]
pub(super) fn entries(name: &str, tensor: &StoredTensor) -> impl Iterator<Item = String> {
    View::of(name.to_owned(), tensor).map(|(name, _)| name)
}

#[cfg(all(test, feature = "files"))]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Catches: scales that are lost on the way, taken for a parameter of their own, or read as another matrix's; a shape in bytes taken for one in weights.
    #[test]
    fn weights_in_groups_come_back_as_they_were() {
        let matrix =
            |seed: f32| Array2::from_shape_fn((3, 64), |(i, j)| (seed + (i * 64 + j) as f32).sin());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = [Dtype::Int8, Dtype::Int4, Dtype::BF16].map(|dtype| {
            (
                format!("{dtype}.weight"),
                StoredTensor::rounded(matrix(dtype.bits() as f32).into_dyn(), dtype),
            )
        });
        write_stored(&path, tensors.clone()).unwrap();
        let read = read_safetensors(std::fs::read(&path).unwrap().into()).unwrap();
        assert_eq!(read.len(), 3);
        for (name, tensor) in tensors {
            let back = read[&name].as_ref().unwrap();
            assert_eq!(
                (back.dtype(), back.shape()),
                (tensor.dtype(), &[3, 64][..]),
                "{name}"
            );
            assert_eq!(back.to_array(), tensor.to_array(), "{name}");
            let part = back.rows(1..3);
            assert_eq!(
                part.to_matrix("rows").unwrap(),
                tensor.to_matrix("all").unwrap().slice(ndarray::s![1.., ..]),
                "{name}"
            );
        }
    }

    /// Catches: whole numbers of another project taken for ours.
    #[test]
    fn whole_numbers_without_scales_are_not_supported() {
        let mut file = b"@\0\0\0\0\0\0\0".to_vec();
        file.extend(br#"{"w":{"dtype":"I8","shape":[1,32],"data_offsets":[0,32]}}       "#);
        file.extend([0; 32]);
        let read = read_safetensors(file.into()).unwrap();
        assert_eq!(read["w"].as_ref().unwrap_err().dtype, "I8");
    }
}
