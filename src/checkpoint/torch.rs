//! Torch `.bin` files: a zip archive of a pickle that names the tensors, and one entry of numbers for each storage.
//!
//! The numbers are stored, not compressed, so that a tensor is a slice of the mapped file. The checksums of the archive are not
//! compared: that would read all of it.

use super::{
    NamedTensors, UnsupportedDtype,
    pickle::{Described, PickleError, read_state_dict},
};
use crate::tensor::{Dtype, StoredTensor};
use bytes::Bytes;
use rawzip::{CompressionMethod, ZipLocator, ZipSliceArchive};
use std::{collections::HashMap, ops::Range};
use thiserror::Error;

/// A torch file that cannot be read.
#[derive(Debug, Error)]
pub enum TorchError {
    /// The format before torch 1.6.
    #[error(
        "is of the format that torch wrote before 1.6; load it with torch, and save it again or as safetensors"
    )]
    Legacy,
    /// Not a whole zip archive.
    #[error("is not a whole zip archive, so it is truncated or no torch file: {0}")]
    Zip(#[from] rawzip::Error),
    /// More entries than any model has tensors.
    #[error("has more than {MOST_ENTRIES} entries; no state dict needs so many")]
    TooManyEntries,
    /// Two entries of one name.
    #[error("has two entries `{0}`")]
    TwoEntries(String),
    /// An archive that torch did not write.
    #[error("has no entry `data.pkl`: it is a zip archive, but torch did not save it")]
    NoPickle,
    /// A pickle longer than that of any model.
    #[error("has a pickle of {0} bytes; no state dict needs more than {LONGEST_PICKLE}")]
    LongPickle(usize),
    /// Numbers of another byte order.
    #[error("was saved on a big-endian machine; save it again on a little-endian one")]
    BigEndian,
    /// An entry that was compressed after torch saved it.
    #[error(
        "entry `{0}` is compressed, and cannot be mapped; torch stores them: save it again with torch"
    )]
    Compressed(String),
    /// The pickle is no state dict.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// The pickle names numbers that are not there.
    #[error("{tensor}: its numbers, entry `{entry}`, are missing")]
    NoStorage {
        /// The tensor.
        tensor: String,
        /// The entry.
        entry: String,
    },
    /// A tensor that reaches past its numbers.
    #[error(
        "{tensor}: shape {shape:?} at element {offset} reaches past the {bytes} bytes of its storage"
    )]
    PastEnd {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its first element in the storage.
        offset: usize,
        /// Bytes of the storage.
        bytes: usize,
    },
    /// A transposed or strided tensor.
    #[error(
        "{tensor}: shape {shape:?} with strides {stride:?} does not lie row by row; call .contiguous() on it before saving"
    )]
    NotContiguous {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its strides, in elements.
        stride: Vec<usize>,
    },
}

/// A state dict of 20,000 tensors has a pickle of some 2 MB.
const LONGEST_PICKLE: usize = 4 << 20;
const MOST_ENTRIES: usize = 1 << 20;
/// The end of a zip archive is found from behind: its last record and the longest comment.
const LONGEST_END: u64 = 22 + 0xffff;

/// The tensors of a torch `.bin` file that lies in `file`, in the order of its state dict, sharing its bytes.
///
/// A tensor in a format that the decoder does not compute with is there as an [`UnsupportedDtype`].
///
/// # Errors
/// See [`TorchError`].
pub fn read_torch(file: Bytes) -> Result<NamedTensors, TorchError> {
    // Pickles begin with a protocol, zip archives never do.
    if file.first() == Some(&0x80) {
        return Err(TorchError::Legacy);
    }
    let archive = ZipLocator::new()
        .max_search_space(LONGEST_END)
        .locate_in_slice(&file)
        .map_err(|(_, error)| error)?;
    let (root, entries) = entries(&archive)?;

    if let Some(order) = entries.get(format!("{root}/byteorder").as_str())
        && file.get(order.range.clone()) != Some(b"little")
    {
        return Err(TorchError::BigEndian);
    }
    let pickle = format!("{root}/data.pkl");
    let pickle = entries.get(pickle.as_str()).ok_or(TorchError::NoPickle)?;
    let pickle = file.slice(pickle.mapped("data.pkl")?);
    if pickle.len() > LONGEST_PICKLE {
        return Err(TorchError::LongPickle(pickle.len()));
    }
    let mut tensors = NamedTensors::new();
    for (name, described) in read_state_dict(&pickle)? {
        let entry = format!("{root}/data/{}", described.storage.key);
        let Some(storage) = entries.get(entry.as_str()) else {
            return Err(TorchError::NoStorage {
                tensor: name.to_owned(),
                entry,
            });
        };
        let storage = file.slice(storage.mapped(&entry)?);
        tensors.insert(name.to_owned(), stored(name, described, storage)?);
    }
    Ok(tensors)
}

/// Where an entry's bytes lie in the file.
struct Entry {
    range: Range<usize>,
    method: CompressionMethod,
}

impl Entry {
    fn mapped(&self, name: &str) -> Result<Range<usize>, TorchError> {
        match self.method {
            CompressionMethod::STORE => Ok(self.range.clone()),
            _ => Err(TorchError::Compressed(name.to_owned())),
        }
    }
}

/// The folder inside the archive that holds `data.pkl`, and all entries by name.
fn entries(
    archive: &ZipSliceArchive<&Bytes>,
) -> Result<(String, HashMap<String, Entry>), TorchError> {
    let mut root = None;
    let mut entries = HashMap::new();
    for header in archive.entries() {
        let header = header?;
        let entry = archive.get_entry(header.wayfinder())?;
        // Whatever has no readable name is nothing that torch wrote.
        let Ok(name) = str::from_utf8(header.file_path().as_bytes()) else {
            continue;
        };
        let (start, end) = entry.compressed_data_range();
        let entry = Entry {
            range: start as usize..end as usize,
            method: header.compression_method(),
        };
        if let Some(folder) = name.strip_suffix("/data.pkl").filter(|f| !f.contains('/')) {
            root.get_or_insert_with(|| folder.to_owned());
        }
        if entries.insert(name.to_owned(), entry).is_some() {
            return Err(TorchError::TwoEntries(name.to_owned()));
        }
        if entries.len() > MOST_ENTRIES {
            return Err(TorchError::TooManyEntries);
        }
    }
    Ok((root.ok_or(TorchError::NoPickle)?, entries))
}

/// The slice of a storage that a tensor is.
fn stored(
    name: &str,
    described: Described,
    storage: Bytes,
) -> Result<Result<StoredTensor, UnsupportedDtype>, TorchError> {
    let Described {
        storage: class,
        offset,
        shape,
        stride,
    } = described;
    let dtype = match class.class {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        other => {
            let dtype = format!("torch.{other}");
            return Ok(Err(UnsupportedDtype { dtype, shape }));
        }
    };
    if !is_contiguous(&shape, &stride) {
        return Err(TorchError::NotContiguous {
            tensor: name.to_owned(),
            shape,
            stride,
        });
    }
    let bytes = storage.len();
    let window = window(&shape, offset, dtype).filter(|window| window.end <= bytes);
    let tensor = window
        .and_then(|window| StoredTensor::new(dtype, shape.clone(), storage.slice(window)).ok());
    tensor.map(Ok).ok_or_else(|| TorchError::PastEnd {
        tensor: name.to_owned(),
        shape,
        offset,
        bytes,
    })
}

/// The bytes of so many elements; `None` beyond any memory.
fn window(shape: &[usize], offset: usize, dtype: Dtype) -> Option<Range<usize>> {
    let start = dtype.bytes(offset)?;
    let elements = shape
        .iter()
        .try_fold(1_usize, |n, &len| n.checked_mul(len))?;
    Some(start..start.checked_add(dtype.bytes(elements)?)?)
}

/// Each stride is the product of the lengths after it; that of an axis of length 1 is never used.
fn is_contiguous(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.contains(&0)
        || shape.iter().zip(stride).rev().all(|(&len, &stride)| {
            let fits = len == 1 || stride == expected;
            expected = expected.saturating_mul(len);
            fits
        })
}
