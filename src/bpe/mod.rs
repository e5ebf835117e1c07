//! Byte-pair encoding: text into the ids that a model reads, and back.
mod byte_level;
mod decoding;
mod encoding;
mod error;
mod pre_tokenize;
pub mod sentencepiece;
mod tokenizer;
pub mod tokenizer_json;
mod trainer;
mod training;
mod vocabulary;

pub use decoding::{Specials, StreamDecoder, decode_formal};
pub use encoding::{Merge, encode_formal, encode_longest_match};
pub use error::TokenizerError;
pub use tokenizer::{Prepared, Tokenizer, Word};
pub use trainer::{Trained, TrainingError, TrainingOptions};
pub use training::{Learned, learn_merges, train_formal};
pub use vocabulary::{Kind, Piece, SPACE, Vocabulary, byte_of_piece, byte_piece};
