//! The safetensors format: eight bytes of length, a JSON header of names, formats, shapes and offsets, then the numbers.
//!
//! The offsets are checked by the crate `safetensors`. The header is split off here, because a name that occurs twice must be an
//! error, and so must a header whose offsets reach past the end of any memory.

use super::{NamedTensors, UnsupportedDtype, unique::UniqueMap};
use crate::tensor::{Dtype, StoredTensor};
use bytes::Bytes;
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
    Ok(infos
        .into_iter()
        .map(|(name, info)| {
            let (start, end) = info.data_offsets;
            let tensor = stored(info, data.slice(start..end));
            (name, tensor)
        })
        .collect())
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

fn stored(info: TensorInfo, bytes: Bytes) -> Result<StoredTensor, UnsupportedDtype> {
    let dtype = match info.dtype {
        FileDtype::F32 => Some(Dtype::F32),
        FileDtype::F16 => Some(Dtype::F16),
        FileDtype::BF16 => Some(Dtype::BF16),
        _ => None,
    };
    let unsupported = UnsupportedDtype {
        dtype: info.dtype.to_string(),
        shape: info.shape.clone(),
    };
    let tensor = dtype.and_then(|dtype| StoredTensor::new(dtype, info.shape, bytes).ok());
    tensor.ok_or(unsupported)
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
    let mut views = indexmap::IndexMap::new();
    for (name, tensor) in tensors {
        match views.entry(name) {
            indexmap::map::Entry::Vacant(entry) => entry.insert(View(tensor)),
            indexmap::map::Entry::Occupied(entry) => {
                return Err(SafetensorsError::Duplicate(entry.key().clone()));
            }
        };
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

#[cfg(feature = "files")]
struct View(StoredTensor);

#[cfg(feature = "files")]
impl safetensors::View for View {
    fn dtype(&self) -> FileDtype {
        match self.0.dtype() {
            Dtype::F32 => FileDtype::F32,
            Dtype::F16 => FileDtype::F16,
            Dtype::BF16 => FileDtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.0.bytes().as_ref().into()
    }

    fn data_len(&self) -> usize {
        self.0.byte_len()
    }
}
