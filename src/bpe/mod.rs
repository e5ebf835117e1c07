//! Byte-pair encoding: text into the ids that a model reads, and back.
mod byte_level;
mod decoding;
mod encoding;
mod error;
mod pre_tokenize;
pub mod sentencepiece;
mod tokenizer;
pub mod tokenizer_json;
mod vocabulary;

pub use decoding::{Specials, StreamDecoder, decode_formal};
pub use encoding::{Merge, Merges, encode_formal, encode_longest_match};
pub use error::TokenizerError;
pub use tokenizer::{Prepared, Tokenizer, Word};
pub use vocabulary::{Kind, Piece, SPACE, Vocabulary, byte_of_piece, byte_piece};
