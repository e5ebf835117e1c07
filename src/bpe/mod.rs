//! Byte-pair encoding: text into the ids that a model reads, and back.
//!
//! | algorithm of the page | formal | shipped |
//! |---|---|---|
//! | Byte-Pair Encoding (training) | [`train_formal`] | [`learn_merges`], inside [`TrainingOptions::train`] |
//! | BPE Tokenization | [`encode_longest_match`], as printed; [`encode_formal`], as meant | [`Tokenizer::encode`] |
//! | BPE Detokenization | [`decode_formal`] | [`Tokenizer::decode`], [`StreamDecoder`] |
//!
//! Around them: [`Vocabulary`], SentencePiece `.model` files ([`sentencepiece`], read and written) and Hugging Face
//! `tokenizer.json` ([`tokenizer_json`], read). [`Tokenizer::open`] takes either. Nothing but `open` needs files.
//!
//! # From text to ids
//!
//! What Baichuan 2's tokenizer does to a text, each step in [`Tokenizer::encode`]:
//!
//! 1. Every space becomes [`SPACE`]. No space is added before the text (Llama's vocabularies add one) and none is dropped.
//! 2. User-defined symbols such as `<reserved_106>` are found, from left to right, the longest first, and are done.
//! 3. What is left starts as characters, and is merged: best score first, leftmost on ties. (Or it is cut as merging would, which is
//!    faster: `matching.rs`.) Since no piece of the vocabulary has a digit beside anything, digits stay alone.
//! 4. A character that has no piece becomes the pieces of its bytes.
//!
//! Control pieces (`<s>`, `</s>`) never come from text, unless [`Tokenizer::encode_with_specials`] is asked for them.
//!
//! # As printed, as shipped
//!
//! * The page encodes by longest match: on the 827 distinct English words of the reference texts that gives other pieces for 72
//!   (8.7%), and it never ends at a character without a piece (`longest_match_is_not_bpe_on_a_tenth_of_english_words`).
//! * The page trains on the bare text, so that its pieces reach across spaces; and it counts everything anew for each merge.
//! * The page decodes by concatenation, which prints the names of byte pieces and control pieces, and marks for spaces.
//! * A literal U+2581 in a text decodes to a space, here as in SentencePiece: it is the one character that does not come back.

mod byte_level;
mod decoding;
mod encoding;
mod error;
mod matching;
mod pre_tokenize;
pub mod sentencepiece;
mod tokenizer;
pub mod tokenizer_json;
mod trainer;
mod training;
mod trie;
mod vocabulary;

pub use decoding::{Specials, StreamDecoder, decode_formal};
pub use encoding::{Merge, encode_formal, encode_longest_match};
pub use error::TokenizerError;
pub use tokenizer::{Prepared, Tokenizer, Word};
pub use trainer::{Trained, TrainingError, TrainingOptions};
pub use training::{Learned, learn_merges, train_formal};
pub use vocabulary::{Kind, Piece, SPACE, Vocabulary, byte_of_piece, byte_piece};
