//! # A tensor out of a file of strangers
//!
//! Weights come as safetensors, a format so plain that it can be read by hand:
//!
//! ```text
//! 8 bytes      n: how long the header is (u64, little-endian)
//! n bytes      the header, in JSON: { "NAME": { "dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end] }, … }
//! the rest     the numbers: row by row, little-endian; begin and end count from where they start, and end is the byte behind the last
//! ```
//!
//! One name in the header is no tensor: `__metadata__`. Two number formats are to be read: `F32`, and `BF16`, in which Baichuan 2 was
//! published. A BF16 is the upper half of an f32: its sign, its eight bits of exponent, and the first seven of the fraction.
//!
//! The file was downloaded, and every number in it is a claim. Whoever made it may have been careless or malicious, and the download may
//! have stopped half way. So: whatever the bytes are, give the tensor or say why not. No panic, no overflow, and no memory asked for
//! because a header says so.
//!
//! `serde_json::from_slice::<serde_json::Value>` reads the JSON.

use ndarray::ArrayD;

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
    todo!("load_tensor")
}
