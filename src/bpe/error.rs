use std::path::PathBuf;
use thiserror::Error;

/// What can be wrong with a tokenizer's file, or with ids handed to it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A file that cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder without a tokenizer.
    #[error("{}: no tokenizer.model and no tokenizer.json in this folder", path.display())]
    NothingThere {
        /// The folder.
        path: PathBuf,
    },
    /// What went wrong in a named file.
    #[error("{}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<TokenizerError>,
    },
    /// Bytes that are neither a SentencePiece `.model` nor a `tokenizer.json`.
    #[error("not a SentencePiece model (it ends too early, or is another kind of file)")]
    NotAModel(#[from] prost::DecodeError),
    /// Text that is not JSON, or JSON of another shape than a tokenizer's.
    #[error("not a tokenizer.json")]
    NotATokenizerJson(#[from] serde_json::Error),
    /// A part of the file that asks for behaviour which is not implemented: refused, since leaving it out would change ids.
    #[error("{what} is not supported: {cure}")]
    Unsupported {
        /// The part, by the name the file gives it.
        what: String,
        /// What to do instead.
        cure: &'static str,
    },
    /// Two ids that claim the same piece.
    #[error("piece {piece:?} has two ids, {first} and {second}")]
    DuplicatePiece {
        /// The piece.
        piece: String,
        /// The smaller id.
        first: u32,
        /// The larger id.
        second: u32,
    },
    /// A piece that cannot be one.
    #[error("piece {id} ({piece:?}) {problem}")]
    BadPiece {
        /// Its id.
        id: u32,
        /// Its text.
        piece: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A merge whose parts or whose result the vocabulary lacks.
    #[error("merge {rank} ({left:?} + {right:?}) needs pieces that the vocabulary lacks")]
    BadMerge {
        /// Place in the list, from 0.
        rank: usize,
        /// The left part.
        left: String,
        /// The right part.
        right: String,
    },
    /// A vocabulary that could not encode every text.
    #[error("{0}")]
    Incomplete(String),
    /// An id outside the vocabulary.
    #[error("id {id} is outside the vocabulary of {size} pieces")]
    IdOutOfRange {
        /// The id.
        id: u32,
        /// How many pieces there are; ids are below it.
        size: usize,
    },
}
