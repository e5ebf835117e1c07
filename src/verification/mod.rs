//! How we know that it is right: every number of a forward pass against the numbers that somebody else computed.
//!
//! A folder with goldens holds, beside the weights, `acts.safetensors` (intermediates of the shipped model code) and `golden.json` (losses,
//! log-probabilities, greedy ids, what each sampling filter keeps). [`verify`] runs our decoder on the same inputs and reports, for
//! everything in those files, the largest difference.

mod goldens;
mod report;

pub use goldens::verify;
pub use report::{Check, Report};
