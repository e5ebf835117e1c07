//! SentencePiece `.model` files: a protocol-buffers message, `ModelProto`.
//!
//! The messages below carry the public field numbers of `sentencepiece_model.proto`, all of them, so that a file that is read and
//! written again loses nothing.

use super::{
    Kind, SPACE, Tokenizer, TokenizerError, Vocabulary, byte_of_piece,
    decoding::Decoding,
    encoding::Merges,
    matching::Matcher,
    tokenizer::{Fallback, Finder, Pipeline},
};
use prost::{Enumeration, Message};
use std::borrow::Cow;

/// A whole `.model` file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// The vocabulary; an id is a place in this list.
    #[prost(message, repeated, tag = "1")]
    pub pieces: Vec<SentencePiece>,
    /// How it was trained, and what encoding needs to know of that.
    #[prost(message, optional, tag = "2")]
    pub trainer_spec: Option<TrainerSpec>,
    /// What is done to a text before encoding.
    #[prost(message, optional, tag = "3")]
    pub normalizer_spec: Option<NormalizerSpec>,
    /// Samples of text and pieces.
    #[prost(message, optional, tag = "4")]
    pub self_test_data: Option<SelfTestData>,
    /// What is done to a text after decoding.
    #[prost(message, optional, tag = "5")]
    pub denormalizer_spec: Option<NormalizerSpec>,
}

/// A piece.
#[derive(Clone, PartialEq, Message)]
pub struct SentencePiece {
    /// Its text.
    #[prost(string, optional, tag = "1")]
    pub piece: Option<String>,
    /// Its score.
    #[prost(float, optional, tag = "2")]
    pub score: Option<f32>,
    /// Its kind.
    #[prost(enumeration = "Type", optional, tag = "3", default = "Normal")]
    pub r#type: Option<i32>,
}

/// Kinds of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Type {
    /// [`Kind::Normal`].
    Normal = 1,
    /// [`Kind::Unknown`].
    Unknown = 2,
    /// [`Kind::Control`].
    Control = 3,
    /// [`Kind::UserDefined`].
    UserDefined = 4,
    /// Switched off by hand. Not supported.
    Unused = 5,
    /// [`Kind::Byte`].
    Byte = 6,
}

/// The algorithm of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum ModelType {
    /// A unigram language model.
    Unigram = 1,
    /// Byte-pair encoding.
    Bpe = 2,
    /// Whole words.
    Word = 3,
    /// Characters.
    Char = 4,
}

/// `TrainerSpec`: field names are SentencePiece's, described in its documentation as the options of `spm_train`.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs)]
pub struct TrainerSpec {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, optional, tag = "2")]
    pub model_prefix: Option<String>,
    #[prost(enumeration = "ModelType", optional, tag = "3", default = "Unigram")]
    pub model_type: Option<i32>,
    #[prost(int32, optional, tag = "4", default = "8000")]
    pub vocab_size: Option<i32>,
    #[prost(string, repeated, tag = "5")]
    pub accept_language: Vec<String>,
    #[prost(int32, optional, tag = "6")]
    pub self_test_sample_size: Option<i32>,
    #[prost(string, optional, tag = "7")]
    pub input_format: Option<String>,
    #[prost(float, optional, tag = "10", default = "0.9995")]
    pub character_coverage: Option<f32>,
    #[prost(uint64, optional, tag = "11")]
    pub input_sentence_size: Option<u64>,
    #[prost(int32, optional, tag = "12")]
    pub mining_sentence_size: Option<i32>,
    #[prost(int32, optional, tag = "13")]
    pub training_sentence_size: Option<i32>,
    #[prost(int32, optional, tag = "14")]
    pub seed_sentencepiece_size: Option<i32>,
    #[prost(float, optional, tag = "15")]
    pub shrinking_factor: Option<f32>,
    #[prost(int32, optional, tag = "16")]
    pub num_threads: Option<i32>,
    #[prost(int32, optional, tag = "17")]
    pub num_sub_iterations: Option<i32>,
    #[prost(int32, optional, tag = "18")]
    pub max_sentence_length: Option<i32>,
    #[prost(bool, optional, tag = "19", default = "true")]
    pub shuffle_input_sentence: Option<bool>,
    #[prost(int32, optional, tag = "20", default = "16")]
    pub max_sentencepiece_length: Option<i32>,
    #[prost(bool, optional, tag = "21", default = "true")]
    pub split_by_unicode_script: Option<bool>,
    #[prost(bool, optional, tag = "22", default = "true")]
    pub split_by_whitespace: Option<bool>,
    #[prost(bool, optional, tag = "23", default = "true")]
    pub split_by_number: Option<bool>,
    #[prost(bool, optional, tag = "24")]
    pub treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "25")]
    pub split_digits: Option<bool>,
    #[prost(bool, optional, tag = "26")]
    pub allow_whitespace_only_pieces: Option<bool>,
    #[prost(string, repeated, tag = "30")]
    pub control_symbols: Vec<String>,
    #[prost(string, repeated, tag = "31")]
    pub user_defined_symbols: Vec<String>,
    #[prost(bool, optional, tag = "32")]
    pub vocabulary_output_piece_score: Option<bool>,
    #[prost(bool, optional, tag = "33")]
    pub hard_vocab_limit: Option<bool>,
    #[prost(bool, optional, tag = "34")]
    pub use_all_vocab: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    pub byte_fallback: Option<bool>,
    #[prost(string, optional, tag = "36")]
    pub required_chars: Option<String>,
    #[prost(int32, optional, tag = "40")]
    pub unk_id: Option<i32>,
    #[prost(int32, optional, tag = "41", default = "1")]
    pub bos_id: Option<i32>,
    #[prost(int32, optional, tag = "42", default = "2")]
    pub eos_id: Option<i32>,
    #[prost(int32, optional, tag = "43", default = "-1")]
    pub pad_id: Option<i32>,
    #[prost(string, optional, tag = "44", default = " \u{2047} ")]
    pub unk_surface: Option<String>,
    #[prost(string, optional, tag = "45", default = "<unk>")]
    pub unk_piece: Option<String>,
    #[prost(string, optional, tag = "46", default = "<s>")]
    pub bos_piece: Option<String>,
    #[prost(string, optional, tag = "47", default = "</s>")]
    pub eos_piece: Option<String>,
    #[prost(string, optional, tag = "48", default = "<pad>")]
    pub pad_piece: Option<String>,
    #[prost(bool, optional, tag = "49")]
    pub train_extremely_large_corpus: Option<bool>,
    #[prost(bool, optional, tag = "50")]
    pub enable_differential_privacy: Option<bool>,
    #[prost(float, optional, tag = "51")]
    pub differential_privacy_noise_level: Option<f32>,
    #[prost(uint64, optional, tag = "52")]
    pub differential_privacy_clipping_threshold: Option<u64>,
    #[prost(string, optional, tag = "53")]
    pub pretokenization_delimiter: Option<String>,
    #[prost(string, optional, tag = "54")]
    pub seed_sentencepieces_file: Option<String>,
    #[prost(bool, optional, tag = "55")]
    pub auto_character_coverage: Option<bool>,
}

/// What is done to a text.
#[derive(Clone, PartialEq, Message)]
pub struct NormalizerSpec {
    /// The rule's name: `identity`, `nmt_nfkc`, ….
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// The rule, compiled. Empty for `identity`.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub precompiled_charsmap: Option<Vec<u8>>,
    /// Put a space before the text, so that its first word is spelled like any other.
    #[prost(bool, optional, tag = "3", default = "true")]
    pub add_dummy_prefix: Option<bool>,
    /// Drop spaces at both ends and all but one of several.
    #[prost(bool, optional, tag = "4", default = "true")]
    pub remove_extra_whitespaces: Option<bool>,
    /// Write [`SPACE`] for a space.
    #[prost(bool, optional, tag = "5", default = "true")]
    pub escape_whitespaces: Option<bool>,
    /// The rule's source.
    #[prost(string, optional, tag = "6")]
    pub normalization_rule_tsv: Option<String>,
}

/// Samples to check an implementation with.
#[derive(Clone, PartialEq, Message)]
pub struct SelfTestData {
    /// The samples.
    #[prost(message, repeated, tag = "1")]
    pub samples: Vec<Sample>,
}

/// A text and its pieces.
#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    /// The text.
    #[prost(string, optional, tag = "1")]
    pub input: Option<String>,
    /// Its pieces, with spaces between them.
    #[prost(string, optional, tag = "2")]
    pub expected: Option<String>,
}

/// What SentencePiece does to a text before it merges.
#[derive(Clone, Debug)]
pub(super) struct Normalizer {
    pub add_dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
    pub escape_whitespaces: bool,
}

impl Normalizer {
    /// The text that is encoded, with spaces for spaces; and for marks, which mean the same from here on.
    pub(super) fn spaced<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        if self.remove_extra_whitespaces {
            let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
            text = words.join(" ").into();
        }
        if self.add_dummy_prefix && !text.is_empty() {
            text.to_mut().insert(0, ' ');
        }
        if self.escape_whitespaces && text.contains(SPACE) {
            text = text.replace(SPACE, " ").into();
        }
        text
    }

    /// The same with marks, as pieces are written.
    pub(super) fn marked<'t>(&self, spaced: &'t str) -> Cow<'t, str> {
        if self.escape_whitespaces && spaced.contains(' ') {
            spaced.replace(' ', SPACE.encode_utf8(&mut [0; 4])).into()
        } else {
            spaced.into()
        }
    }

    /// A piece as it is written in a spaced text, if any text has it.
    pub(super) fn in_spaced<'t>(&self, piece: &'t str) -> Option<Cow<'t, str>> {
        if !self.escape_whitespaces {
            return Some(piece.into());
        }
        if piece.contains(' ') {
            return None;
        }
        Some(if piece.contains(SPACE) {
            piece.replace(SPACE, " ").into()
        } else {
            piece.into()
        })
    }
}

/// Reads the bytes of a `.model`.
///
/// # Errors
/// Bytes that are not such a file; a model that is not BPE or asks for a normalization other than the identity; a vocabulary with
/// duplicates, without an unknown piece, or with some but not all byte pieces.
pub fn read(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
    ModelProto::decode(bytes)?.try_into()
}

impl TryFrom<ModelProto> for Tokenizer {
    type Error = TokenizerError;

    fn try_from(model: ModelProto) -> Result<Self, TokenizerError> {
        let trainer = model.trainer_spec.unwrap_or_default();
        let spec = model.normalizer_spec.unwrap_or_default();
        let unsupported = |what: String, cure| Err(TokenizerError::Unsupported { what, cure });
        if trainer.model_type() != ModelType::Bpe {
            let what = format!("a model of type {:?}", trainer.model_type());
            return unsupported(what, "only BPE models are read");
        }
        let rules = [Some(&spec), model.denormalizer_spec.as_ref()];
        if rules
            .into_iter()
            .flatten()
            .any(|s| !s.precompiled_charsmap().is_empty())
        {
            let what = format!("the normalization rule {:?}", spec.name());
            return unsupported(what, "only the identity is; normalize the text beforehand");
        }
        if trainer.treat_whitespace_as_suffix() {
            return unsupported(
                "treat_whitespace_as_suffix".into(),
                "train the model without",
            );
        }

        let mut vocabulary = Vocabulary::with_capacity(model.pieces.len());
        let mut unk = None;
        for (piece, id) in model.pieces.iter().zip(0..) {
            let bad = |problem| TokenizerError::BadPiece {
                id,
                piece: piece.piece().into(),
                problem,
            };
            let kind = match Type::try_from(piece.r#type.unwrap_or(Type::Normal as i32)) {
                Ok(Type::Normal) => Kind::Normal,
                Ok(Type::Control) => Kind::Control,
                Ok(Type::UserDefined) => Kind::UserDefined,
                Ok(Type::Unknown) if unk.replace(id).is_some() => {
                    return Err(bad("is a second unknown piece"));
                }
                Ok(Type::Unknown) => Kind::Unknown,
                Ok(Type::Byte) if !trainer.byte_fallback() => {
                    return Err(bad("is a byte, but the model has byte_fallback off"));
                }
                Ok(Type::Byte) => match byte_of_piece(piece.piece()) {
                    Some(byte) => Kind::Byte(byte),
                    None => return Err(bad("is marked as a byte but not named <0x00> to <0xFF>")),
                },
                Ok(Type::Unused) => {
                    return Err(bad(
                        "is marked unused, which is not supported: export the model without it",
                    ));
                }
                Err(_) => return Err(bad("has a type that SentencePiece does not define")),
            };
            vocabulary.push(piece.piece(), piece.score(), kind)?;
        }
        let Some(unk) = unk else {
            return Err(TokenizerError::Incomplete(
                "the vocabulary has no unknown piece".into(),
            ));
        };
        let fallback = if trainer.byte_fallback() {
            Fallback::Bytes(vocabulary.bytes().ok_or_else(|| {
                let why = "byte_fallback is on, but some of the 256 byte pieces are missing";
                TokenizerError::Incomplete(why.into())
            })?)
        } else {
            Fallback::Unknown {
                id: unk,
                fuse: true,
            }
        };
        let control = |name: &str, id: i32| {
            vocabulary
                .id_of(name)
                .filter(|_| id >= 0)
                .filter(|&id| vocabulary.get(id).is_some_and(|p| p.kind == Kind::Control))
        };
        let normalizer = Normalizer {
            add_dummy_prefix: spec.add_dummy_prefix(),
            remove_extra_whitespaces: spec.remove_extra_whitespaces(),
            escape_whitespaces: spec.escape_whitespaces(),
        };
        let written = |piece| normalizer.in_spaced(piece);
        let (merges, pairs) = Merges::by_score(&vocabulary, written);
        let special = |kind| matches!(kind, Kind::Control | Kind::Unknown);
        Ok(Tokenizer {
            matcher: Matcher::new(&vocabulary, merges, pairs),
            frozen: Finder::new(&vocabulary, |kind| kind == Kind::UserDefined, written),
            named: Finder::new(&vocabulary, special, |name| Some(name.into())),
            decoding: Decoding {
                byte_level: false,
                strip_first_space: normalizer.add_dummy_prefix,
                strip_leading_spaces: normalizer.remove_extra_whitespaces,
                unknown: trainer.unk_surface().into(),
            },
            bos: control(trainer.bos_piece(), trainer.bos_id()),
            eos: control(trainer.eos_piece(), trainer.eos_id()),
            unk: Some(unk),
            pipeline: Pipeline::SentencePiece(normalizer),
            fallback,
            vocabulary,
        })
    }
}
