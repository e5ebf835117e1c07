//! The decoder: its configuration and the parameters that follow from it.

mod config;

pub use config::{Config, ConfigError, Parameter, Position};
