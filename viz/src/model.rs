//! Where a model comes from, and the model itself.

use baichuan2::{
    bpe::{Tokenizer, TokenizerError},
    checkpoint::{self, Checkpoint},
    dtransformer::Decoder,
    embedded::EmbeddedModel,
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::SystemTime,
};
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
    files: Files,
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
    #[error("{source_name}: there is no checkpoint at {tokens} tokens")]
    NoCheckpoint {
        /// The model.
        source_name: String,
        /// What was asked for.
        tokens: u64,
    },
}

impl Model {
    /// Opens a model, or one of its checkpoints.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(source: &Source, tokens: Option<u64>) -> Result<Self, OpenError> {
        let no_checkpoint = |tokens| OpenError::NoCheckpoint {
            source_name: source.to_string(),
            tokens,
        };
        let (history, checkpoint, tokenizer, files) = match source {
            Source::Embedded(model) => {
                let checkpoint = match tokens {
                    None => model.checkpoint(),
                    Some(tokens) => model
                        .checkpoint_at(tokens)
                        .ok_or_else(|| no_checkpoint(tokens))?,
                };
                (model.history(), checkpoint, model.tokenizer(), Vec::new())
            }
            Source::Folder(folder) => {
                let history = checkpoint::history(folder);
                let at = match tokens {
                    None => folder,
                    Some(tokens) => history
                        .iter()
                        .find_map(|(n, path)| (*n == tokens).then_some(path))
                        .ok_or_else(|| no_checkpoint(tokens))?,
                };
                let files = files_of(at);
                let checkpoint = Checkpoint::open(at)?;
                let beside = [at, folder].map(|folder| folder.join("tokenizer.model"));
                let found = checkpoint
                    .tokenizer
                    .clone()
                    .or_else(|| beside.into_iter().find(|file| file.is_file()))
                    .ok_or_else(|| OpenError::NoTokenizer(folder.clone()))?;
                let tokens = history.into_iter().map(|(tokens, _)| tokens).collect();
                (tokens, checkpoint, Tokenizer::open(found)?, files)
            }
        };
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

    /// Whether other files lie where it was read from. What is open stays what it was: a replaced file lives on as long as it is mapped.
    pub fn was_replaced(&self) -> bool {
        match &self.source {
            Source::Embedded(_) => false,
            Source::Folder(_) => self.files != files_of_all(&self.files),
        }
    }
}

type Files = Vec<(PathBuf, Option<SystemTime>, u64)>;

fn files_of(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Files = entries.map(|entry| look(entry.path())).collect();
    files.sort();
    files
}

fn files_of_all(files: &Files) -> Files {
    files.iter().map(|(path, ..)| look(path.clone())).collect()
}

fn look(path: PathBuf) -> (PathBuf, Option<SystemTime>, u64) {
    let metadata = std::fs::metadata(&path).ok();
    let modified = metadata.as_ref().and_then(|m| m.modified().ok());
    (path, modified, metadata.map_or(0, |m| m.len()))
}
