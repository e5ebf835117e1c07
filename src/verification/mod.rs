//! How we know that it is right: every number of a forward pass against the numbers that somebody else computed.
//!
//! A folder with goldens holds, beside the weights, `acts.safetensors` (intermediates of the shipped model code) and `golden.json` (losses,
//! log-probabilities, greedy ids, what each sampling filter keeps). [`verify`] runs our decoder on the same inputs and reports, for
//! everything in those files, the largest difference. [`compare`] does so with a decoder at hand, its matrices held in any format.
//!
//! A real checkpoint has no such files: it is asked what its publishers asked it ([`Published`]), and any model is held against itself
//! ([`consistency`]).

mod consistency;
mod goldens;
mod numbers;
mod published;
mod report;

pub use consistency::consistency;
pub use goldens::{Error, compare, verify};
pub use published::{Item, Published, PublishedError};
pub use report::{Check, Report};
