//! Where a model comes from, and the model itself.

#[cfg_attr(not(feature = "desktop"), path = "model/no_folder.rs")]
mod folder;

use baichuan2::{
    bpe::{Tokenizer, TokenizerError},
    checkpoint::{self, Checkpoint},
    dtransformer::Decoder,
    embedded::EmbeddedModel,
};
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};
use thiserror::Error;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Source {
    /// One of the models inside the program.
    Embedded(EmbeddedModel),
    /// A Hugging Face folder.
    Folder(PathBuf),
}

impl Default for Source {
    fn default() -> Self {
        Source::Embedded(EmbeddedModel::Rope)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Embedded(model) => model.fmt(f),
            Source::Folder(folder) => folder.display().fmt(f),
        }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.to_string()
    }
}

impl From<String> for Source {
    fn from(name: String) -> Self {
        match EmbeddedModel::from_str(&name) {
            Ok(model) => Source::Embedded(model),
            Err(_) => Source::Folder(name.into()),
        }
    }
}

/// A model's name where there is little space.
pub fn short(source: &Source) -> String {
    match source {
        Source::Embedded(model) => model.to_string(),
        Source::Folder(folder) => folder.file_name().map_or_else(
            || source.to_string(),
            |name| name.to_string_lossy().into_owned(),
        ),
    }
}

/// 32,768 as `33k`, 45,000,000 as `45.0M`.
pub fn count(tokens: u64) -> String {
    match tokens {
        0..1_000 => tokens.to_string(),
        1_000..1_000_000 => format!("{:.0}k", tokens as f64 / 1e3),
        _ => format!("{:.1}M", tokens as f64 / 1e6),
    }
}

/// Why a pass has no end, and a question no answer: in English, and in `locales`.
pub const CHANGED: &str = "The files of this model were changed while it was read.";

/// A model that is open.
#[derive(Debug)]
pub struct Model {
    /// Where it comes from.
    pub source: Source,
    /// Which of its checkpoints it is, in tokens seen; none for the model itself.
    pub checkpoint: Option<u64>,
    /// All checkpoints that it has, in tokens seen.
    pub history: Vec<u64>,
    /// Its decoder.
    pub decoder: Decoder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// What its files looked like when it was opened.
    files: folder::Files,
}

/// What a model is made of.
struct Parts {
    history: Vec<u64>,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    files: folder::Files,
}

/// Why a model cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// What a checkpoint's files say.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// What the tokenizer's file says.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A folder, where there are none.
    #[error(
        "{0}: a page can open no folders; name embedded:rope or embedded:alibi as the model of its session"
    )]
    NoFolders(PathBuf),
    /// Nothing to cut a text with.
    #[error("{0}: no tokenizer lies beside the weights; put tokenizer.model there")]
    NoTokenizer(PathBuf),
    /// Two things that do not belong together.
    #[error(
        "the tokenizer has {pieces} pieces, but the model a vocabulary of {vocab_size}; they do not belong together"
    )]
    Vocabulary {
        /// Of the tokenizer.
        pieces: usize,
        /// Of the model.
        vocab_size: usize,
    },
    /// A number that no checkpoint has.
    #[error("{source_name}: there is no checkpoint at {tokens} tokens{}", if *known == 0 { "; there are none here, leave it out" } else { "" })]
    NoCheckpoint {
        /// The model.
        source_name: String,
        /// What was asked for.
        tokens: u64,
        /// How many checkpoints there are; in a page none.
        known: usize,
    },
}

impl Model {
    /// Opens a model, or one of its checkpoints.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(source: &Source, tokens: Option<u64>) -> Result<Self, OpenError> {
        let parts = match source {
            Source::Embedded(model) => Parts {
                history: model.history(),
                checkpoint: match tokens {
                    None => model.checkpoint(),
                    Some(tokens) => {
                        model
                            .checkpoint_at(tokens)
                            .ok_or_else(|| OpenError::NoCheckpoint {
                                source_name: source.to_string(),
                                tokens,
                                known: model.history().len(),
                            })?
                    }
                },
                tokenizer: model.tokenizer(),
                files: folder::Files::default(),
            },
            Source::Folder(folder) => folder::open(folder, tokens)?,
        };
        let Parts {
            history,
            checkpoint,
            tokenizer,
            files,
        } = parts;
        let (pieces, vocab_size) = (tokenizer.vocab_size(), checkpoint.config.vocab_size);
        if pieces > vocab_size {
            return Err(OpenError::Vocabulary { pieces, vocab_size });
        }
        Ok(Model {
            source: source.clone(),
            checkpoint: tokens,
            history,
            decoder: checkpoint.decoder()?,
            tokenizer,
            files,
        })
    }

    /// Whether other files lie where it was read from, or the same ones were changed.
    ///
    /// Weights are mapped: what is put in the place of a file does not touch them, but one that is written over changes under those who read it, and one that
    /// is cut reads as zeros. So this is asked before every pass, before every layer of it, and again after it.
    pub fn was_replaced(&self) -> bool {
        match &self.source {
            Source::Embedded(_) => false,
            Source::Folder(_) => folder::were_replaced(&self.files),
        }
    }

    /// The decoder, for those who compute with its weights now: nothing where they are no longer those that were opened.
    pub fn weights(&self) -> Option<&Decoder> {
        (!self.was_replaced()).then_some(&self.decoder)
    }
}
