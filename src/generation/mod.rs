//! From a distribution to a text: filters, sampling, streaming and chat.

pub mod filters;
mod sampling;

pub use sampling::{Sampler, Sampling, SamplingError};
