//! What can be wrong with a decoder's configuration or its input.

use super::ConfigError;
use crate::{attention::CacheOverflow, tensor::ShapeError};
use thiserror::Error;

/// A decoder that cannot be built, or an input that it cannot take.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Error {
    /// Hyperparameters that no decoder can have.
    #[error("config.json: {0}")]
    Config(#[from] ConfigError),
    /// A parameter of another shape than the configuration says.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An empty input.
    #[error(
        "no tokens: the decoder predicts what follows a text, and needs at least one token of it"
    )]
    NoTokens,
    /// A token id that is not in the vocabulary.
    #[error(
        "token id {id} (at position {position} of the input) is outside the vocabulary of {vocab_size} ids; was the text \
         encoded with another model's tokenizer?"
    )]
    NoSuchToken {
        /// The id.
        id: u32,
        /// Where it stands in the input.
        position: usize,
        /// Ids run below this.
        vocab_size: usize,
    },
    /// More tokens than the context.
    #[error(
        "the text has {} tokens{}, but the context is {limit}; shorten it or allow a longer context (--context)",
        held + new,
        if *held == 0 { String::new() } else { format!(", {new} of them new") }
    )]
    ContextFull {
        /// Tokens in the cache.
        held: usize,
        /// Tokens of the input.
        new: usize,
        /// Tokens that the cache may hold.
        limit: usize,
    },
    /// Overflow or broken weights.
    #[error(
        "the logits after token {position} are not finite; the weights hold NaN or infinity, or overflow (`baichuan2 trace` \
         shows the first intermediate where they appear)"
    )]
    NotFinite {
        /// The first position where they are, counted from the start of the text: that of the token which broke, for those before it do not see it.
        position: usize,
    },
    /// A cache in f16, and a model whose keys or values are too large for it.
    #[error("layer {layer}: {overflow}; keep the cache in f32 (--cache f32)")]
    CacheOverflow {
        /// The layer, counted from 0.
        layer: usize,
        /// The token and the number.
        overflow: CacheOverflow,
    },
    /// The probe asked for it.
    #[error("the pass was stopped")]
    Stopped,
}
