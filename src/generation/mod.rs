//! From a distribution to a text: filters, sampling, a session that goes on token by token, and chat.

pub mod chat;
pub mod filters;
mod sampling;
mod session;

pub use sampling::{Sampler, Sampling, SamplingError, Stage};
pub use session::{Error, Event, Finish, Left, Options, Session};
