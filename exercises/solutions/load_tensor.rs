//! A tensor out of a file of strangers, solved.

use ndarray::{ArrayD, IxDyn};
use serde_json::{Map, Value};

/// Why there is no tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// The file ends before its header does, or before the numbers of the tensor do.
    Truncated,
    /// The header is not JSON, or does not say of the tensor what the format asks for.
    Header,
    /// The file has no tensor of that name.
    Missing,
    /// Its numbers are in this other format.
    Format(String),
    /// Its shape and its offsets contradict each other.
    Contradiction,
}

/// The tensor `name` of a safetensors file, whose bytes are `file`.
pub fn load_tensor(file: &[u8], name: &str) -> Result<ArrayD<f64>, Refused> {
    let (length, rest) = file.split_first_chunk().ok_or(Refused::Truncated)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| Refused::Truncated)?;
    let (header, data) = rest.split_at_checked(length).ok_or(Refused::Truncated)?;

    let mut header: Map<String, Value> =
        serde_json::from_slice(header).map_err(|_| Refused::Header)?;
    header.remove("__metadata__");
    let entry = header.get(name).ok_or(Refused::Missing)?;
    let dtype = entry["dtype"].as_str().ok_or(Refused::Header)?;
    let shape = sizes(&entry["shape"])?;
    let [begin, end] = sizes(&entry["data_offsets"])?[..] else {
        return Err(Refused::Header);
    };

    let (width, widen): (usize, fn(&[u8]) -> f64) = match dtype {
        "F32" => (4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()),
        "BF16" => (2, |b| f32::from_le_bytes([0, 0, b[0], b[1]]).into()),
        other => return Err(Refused::Format(other.to_owned())),
    };
    let claimed = shape.iter().try_fold(width, |n, &len| n.checked_mul(len));
    if claimed.is_none() || end.checked_sub(begin) != claimed {
        return Err(Refused::Contradiction);
    }
    let bytes = data.get(begin..end).ok_or(Refused::Truncated)?;
    let numbers = bytes.chunks_exact(width).map(widen).collect();
    ArrayD::from_shape_vec(IxDyn(&shape), numbers).map_err(|_| Refused::Contradiction)
}

/// A list of whole numbers of the header.
fn sizes(list: &Value) -> Result<Vec<usize>, Refused> {
    let size = |n: &Value| n.as_u64().and_then(|n| usize::try_from(n).ok());
    let list = list.as_array().ok_or(Refused::Header)?;
    let list: Option<Vec<usize>> = list.iter().map(size).collect();
    list.ok_or(Refused::Header)
}
