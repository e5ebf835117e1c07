//! Hugging Face `tokenizer.json` files that hold a BPE, byte-level (GPT-2, SmolLM2) or with byte fallback (Llama).
//!
//! Whatever the file asks for and this module does not do is refused by its name: to leave a step out would change ids in silence.

pub(super) use super::pre_tokenize::Pipeline;
use super::{
    Kind, SPACE, Tokenizer, TokenizerError, Vocabulary, byte_level, byte_of_piece,
    decoding::Decoding,
    encoding::Merges,
    matching::Matcher,
    pre_tokenize::{Behavior, Cut, PrependScheme, Replacement, gpt2_words, pattern},
    tokenizer::{self, Fallback, Finder},
};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: Option<String>,
    truncation: Option<Value>,
    padding: Option<Value>,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<PreTokenizer>,
    post_processor: Option<PostProcessor>,
    decoder: Option<Decoder>,
    model: Model,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
enum Pattern {
    String(String),
    Regex(String),
}

#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Normalizer {
    Sequence { normalizers: Vec<Normalizer> },
    Prepend { prepend: String },
    Replace { pattern: Pattern, content: String },
}

#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum PreTokenizer {
    Sequence {
        pretokenizers: Vec<PreTokenizer>,
    },
    Digits {
        individual_digits: bool,
    },
    ByteLevel {
        add_prefix_space: bool,
        #[serde(default, rename = "trim_offsets")]
        _trim_offsets: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    Split {
        pattern: Pattern,
        behavior: Behavior,
        invert: bool,
    },
    Metaspace(Metaspace),
}

#[derive(Deserialize)]
struct Metaspace {
    replacement: char,
    add_prefix_space: Option<bool>,
    prepend_scheme: Option<PrependScheme>,
    #[serde(default = "yes")]
    split: bool,
}

impl Metaspace {
    fn scheme(&self) -> PrependScheme {
        match (self.prepend_scheme, self.add_prefix_space) {
            (Some(scheme), _) => scheme,
            (None, Some(false)) => PrependScheme::Never,
            (None, _) => PrependScheme::Always,
        }
    }
}

/// Adds control pieces around ids, which [`Tokenizer::encode`] never does: read only to be sure that it does nothing else.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum PostProcessor {
    ByteLevel {},
    TemplateProcessing {},
    Sequence {
        #[serde(rename = "processors")]
        _processors: Vec<PostProcessor>,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Decoder {
    Sequence {
        decoders: Vec<Decoder>,
    },
    ByteLevel {},
    Replace {
        pattern: Pattern,
        content: String,
    },
    ByteFallback {},
    Fuse {},
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    Metaspace(Metaspace),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    r#type: Option<String>,
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: IndexMap<String, u32>,
    merges: Vec<MergePair>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MergePair {
    Text(String),
    Pair(String, String),
}

fn yes() -> bool {
    true
}

fn unsupported(what: impl Into<String>, cure: &'static str) -> TokenizerError {
    TokenizerError::Unsupported {
        what: what.into(),
        cure,
    }
}

fn incomplete(why: impl Into<String>) -> TokenizerError {
    TokenizerError::Incomplete(why.into())
}

/// Reads the bytes of a `tokenizer.json`.
///
/// Its pieces have no scores (merges are a list instead). A byte-level vocabulary that lacks both a byte's piece and an `unk_token`
/// loses that byte in encoding, as the `tokenizers` library does.
///
/// # Errors
/// Bytes that are not such a file; a step that is not understood, by name; merges of pieces that are not there; ids with gaps; a
/// vocabulary in which some characters would have no id.
pub fn read(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let file: File = serde_json::from_slice(bytes)?;
    let model = &file.model;
    if let Some(other) = model.r#type.as_deref().filter(|&t| t != "BPE") {
        return Err(unsupported(
            format!("model {other:?}"),
            "only BPE models are read",
        ));
    }
    let set = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    for (what, is_set) in [
        ("truncation", file.truncation.is_some()),
        ("padding", file.padding.is_some()),
        ("dropout", model.dropout.is_some_and(|p| p > 0.0)),
        (
            "continuing_subword_prefix",
            set(&model.continuing_subword_prefix),
        ),
        ("end_of_word_suffix", set(&model.end_of_word_suffix)),
    ] {
        if is_set {
            return Err(unsupported(what, "set it to null in the file"));
        }
    }
    let mut pipeline = Pipeline {
        ignore_merges: model.ignore_merges,
        ..Pipeline::default()
    };
    if let Some(normalizer) = file.normalizer {
        replacements(normalizer, &mut pipeline.replacements)?;
    }
    if let Some(pre_tokenizer) = file.pre_tokenizer {
        cuts(pre_tokenizer, &mut pipeline.cuts)?;
    }
    let decoding = decoding(file.decoder, &pipeline, model.byte_fallback)?;
    let _ = file.post_processor;

    let vocabulary = vocabulary(model, &file.added_tokens, &pipeline)?;
    let unk = match &model.unk_token {
        Some(name) => Some(vocabulary.id_of(name).ok_or_else(|| {
            incomplete(format!("the unk_token {name:?} is not in the vocabulary"))
        })?),
        None => None,
    };
    let fallback = if decoding.byte_level {
        match unk {
            Some(id) => Fallback::Unknown {
                id,
                fuse: model.fuse_unk,
            },
            None => Fallback::Nothing,
        }
    } else if model.byte_fallback {
        Fallback::Bytes(vocabulary.bytes().ok_or_else(|| {
            incomplete("byte_fallback is on, but some of the 256 byte pieces are missing")
        })?)
    } else if let Some(id) = unk {
        Fallback::Unknown {
            id,
            fuse: model.fuse_unk,
        }
    } else {
        return Err(incomplete(
            "the model needs byte_fallback or an unk_token, for characters that have no piece",
        ));
    };
    if matches!(fallback, Fallback::Nothing) {
        let letters = (0..=u8::MAX).map(byte_level::letter);
        let without_piece = |&letter: &char| {
            let mut piece = [0; 4];
            vocabulary.id_of(letter.encode_utf8(&mut piece)).is_none()
        };
        pipeline.lost = letters.filter(without_piece).collect();
    }

    let merges = model
        .merges
        .iter()
        .enumerate()
        .map(|(rank, pair)| match pair {
            MergePair::Pair(left, right) => Ok((left.as_str(), right.as_str())),
            MergePair::Text(text) => text
                .split_once(' ')
                .ok_or_else(|| TokenizerError::BadMerge {
                    rank,
                    left: text.clone(),
                    right: String::new(),
                }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (merges, pairs) = Merges::by_list(&vocabulary, merges)?;
    let special = |kind| matches!(kind, Kind::UserDefined | Kind::Control);
    let as_is = |piece| Some(Cow::Borrowed(piece));
    Ok(Tokenizer {
        matcher: Matcher::new(&vocabulary, merges, pairs),
        frozen: Finder::new(&vocabulary, |kind| kind == Kind::UserDefined, as_is),
        named: Finder::new(&vocabulary, special, as_is),
        bos: control(&vocabulary, "<s>"),
        eos: control(&vocabulary, "</s>"),
        unk,
        pipeline: tokenizer::Pipeline::Json(Box::new(pipeline)),
        fallback,
        decoding,
        vocabulary,
    })
}

fn control(vocabulary: &Vocabulary, name: &str) -> Option<u32> {
    vocabulary
        .id_of(name)
        .filter(|&id| vocabulary.get(id).is_some_and(|p| p.kind == Kind::Control))
}

/// Takes the begin and the end of sequence from the bytes of a `tokenizer_config.json`, where it names them.
pub(super) fn read_special_names(
    tokenizer: &mut Tokenizer,
    bytes: &[u8],
) -> Result<(), TokenizerError> {
    let config: Value = serde_json::from_slice(bytes)?;
    let id = |key: &str| -> Result<Option<u32>, TokenizerError> {
        let name = match &config[key] {
            Value::String(name) => name,
            Value::Object(token) => match token.get("content") {
                Some(Value::String(name)) => name,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        tokenizer
            .id_of(name)
            .map(Some)
            .ok_or_else(|| incomplete(format!("{key} is {name:?}, which is not in the vocabulary")))
    };
    let (bos, eos) = (id("bos_token")?, id("eos_token")?);
    tokenizer.bos = bos.or(tokenizer.bos);
    tokenizer.eos = eos.or(tokenizer.eos);
    Ok(())
}

fn vocabulary(
    model: &Model,
    added: &[AddedToken],
    pipeline: &Pipeline,
) -> Result<Vocabulary, TokenizerError> {
    let kind = |name: &str| match byte_of_piece(name) {
        Some(byte) if model.byte_fallback => Kind::Byte(byte),
        _ if model.unk_token.as_deref() == Some(name) => Kind::Unknown,
        _ => Kind::Normal,
    };
    let mut entries: IndexMap<&str, (u32, Kind)> = model
        .vocab
        .iter()
        .map(|(name, &id)| (name.as_str(), (id, kind(name))))
        .collect();
    for token in added {
        for (what, is_set) in [
            ("single_word", token.single_word),
            ("lstrip", token.lstrip),
            ("rstrip", token.rstrip),
            (
                "normalized",
                token.normalized && !pipeline.replacements.is_empty(),
            ),
        ] {
            if is_set {
                let what = format!("{what} of the added token {:?}", token.content);
                return Err(unsupported(what, "set it to false in the file"));
            }
        }
        let kind = if token.special {
            Kind::Control
        } else {
            Kind::UserDefined
        };
        let known = entries.insert(&token.content, (token.id, kind));
        if let Some((first, _)) = known.filter(|&(id, _)| id != token.id) {
            return Err(TokenizerError::DuplicatePiece {
                piece: token.content.clone(),
                first,
                second: token.id,
            });
        }
    }
    entries.sort_by(|_, a, _, b| a.0.cmp(&b.0));
    let mut vocabulary = Vocabulary::with_capacity(entries.len());
    for (name, (id, kind)) in entries {
        let expected = vocabulary.push(name, 0.0, kind)?;
        if id != expected {
            return Err(incomplete(format!(
                "ids must run from 0 without gap or repetition: {name:?} has {id}, where {expected} is next"
            )));
        }
    }
    if vocabulary.is_empty() {
        return Err(incomplete("the vocabulary is empty"));
    }
    refuse_unfaithful_baichuan(&vocabulary, pipeline)?;
    Ok(vocabulary)
}

/// Public conversions of Baichuan 2's tokenizer add a space before the text or leave user-defined symbols to the merges.
fn refuse_unfaithful_baichuan(
    vocabulary: &Vocabulary,
    pipeline: &Pipeline,
) -> Result<(), TokenizerError> {
    let is_baichuan2 =
        vocabulary.len() == 125_696 && vocabulary.id_of("<reserved_106>") == Some(195);
    let frozen = (3..=1088)
        .filter_map(|id| vocabulary.get(id))
        .all(|piece| matches!(piece.kind, Kind::UserDefined | Kind::Control));
    let prefixed = pipeline
        .replacements
        .iter()
        .any(|r| matches!(r, Replacement::Prepend(_)))
        || pipeline.cuts.iter().any(
            |cut| matches!(cut, Cut::Metaspace { scheme, .. } if *scheme != PrependScheme::Never),
        );
    if is_baichuan2 && (prefixed || !frozen) {
        return Err(unsupported(
            "this unfaithful conversion of Baichuan 2's tokenizer",
            "use its tokenizer.model",
        ));
    }
    Ok(())
}

fn literal(pattern: Pattern, of: &str) -> Result<String, TokenizerError> {
    match pattern {
        Pattern::String(text) => Ok(text),
        Pattern::Regex(regex) => Err(unsupported(
            format!("the regular expression {regex:?} of {of}"),
            "only plain strings are replaced",
        )),
    }
}

fn replacements(
    normalizer: Normalizer,
    steps: &mut Vec<Replacement>,
) -> Result<(), TokenizerError> {
    match normalizer {
        Normalizer::Sequence { normalizers } => {
            for normalizer in normalizers {
                replacements(normalizer, steps)?;
            }
        }
        Normalizer::Prepend { prepend } => steps.push(Replacement::Prepend(prepend)),
        Normalizer::Replace { pattern, content } => {
            let from = literal(pattern, "the normalizer")?;
            steps.push(Replacement::Replace(from, content));
        }
    }
    Ok(())
}

fn cuts(pre_tokenizer: PreTokenizer, steps: &mut Vec<Cut>) -> Result<(), TokenizerError> {
    let bad_pattern = |e: fancy_regex::Error| unsupported(e.to_string(), "correct the pattern");
    steps.push(match pre_tokenizer {
        PreTokenizer::Sequence { pretokenizers } => {
            for pre_tokenizer in pretokenizers {
                cuts(pre_tokenizer, steps)?;
            }
            return Ok(());
        }
        PreTokenizer::Digits { individual_digits } => Cut::Digits {
            each: individual_digits,
        },
        PreTokenizer::ByteLevel {
            add_prefix_space,
            use_regex,
            ..
        } => Cut::ByteLevel {
            prefix_space: add_prefix_space,
            words: use_regex
                .then(gpt2_words)
                .transpose()
                .map_err(bad_pattern)?,
        },
        PreTokenizer::Split {
            pattern: words,
            behavior,
            invert,
        } => {
            let words = match words {
                Pattern::Regex(words) => words,
                Pattern::String(text) => fancy_regex::escape(&text).into_owned(),
            };
            Cut::Split {
                words: pattern(&words).map_err(bad_pattern)?,
                behavior,
                invert,
            }
        }
        PreTokenizer::Metaspace(m) => Cut::Metaspace {
            mark: m.replacement,
            scheme: m.scheme(),
            split: m.split,
        },
    });
    Ok(())
}

/// The steps of the decoder, which must undo what encoding did.
fn decoding(
    decoder: Option<Decoder>,
    pipeline: &Pipeline,
    byte_fallback: bool,
) -> Result<Decoding, TokenizerError> {
    let mut steps = Vec::new();
    fn flatten(decoder: Decoder, steps: &mut Vec<Decoder>) {
        match decoder {
            Decoder::Sequence { decoders } => decoders.into_iter().for_each(|d| flatten(d, steps)),
            step => steps.push(step),
        }
    }
    if let Some(decoder) = decoder {
        flatten(decoder, &mut steps);
    }
    let mut decoding = Decoding {
        byte_level: false,
        strip_first_space: false,
        strip_leading_spaces: false,
        unknown: String::new(),
    };
    let (mut restores_spaces, mut restores_bytes) = (false, false);
    for step in steps {
        match step {
            Decoder::ByteLevel {} => decoding.byte_level = true,
            Decoder::ByteFallback {} => restores_bytes = true,
            Decoder::Fuse {} => {}
            Decoder::Replace { pattern, content } => {
                let from = literal(pattern, "the decoder")?;
                if (from.as_str(), content.as_str()) != ("▁", " ") {
                    let what = format!("the decoder's replacement of {from:?} by {content:?}");
                    return Err(unsupported(what, "only ▁ is replaced, by a space"));
                }
                restores_spaces = true;
            }
            Decoder::Strip {
                content: ' ',
                start: 1,
                stop: 0,
            } => decoding.strip_first_space = true,
            Decoder::Strip { .. } => {
                return Err(unsupported(
                    "the decoder's Strip",
                    "only one space at the start is stripped",
                ));
            }
            Decoder::Metaspace(m) if m.scheme() != PrependScheme::Never => {
                return Err(unsupported(
                    "a Metaspace decoder that drops every space of the first piece",
                    "use the steps Replace, ByteFallback, Fuse, Strip, as in Llama's files",
                ));
            }
            Decoder::Metaspace(m) if m.replacement == SPACE => restores_spaces = true,
            Decoder::Metaspace(m) => {
                let what = format!("the decoder's space mark {:?}", m.replacement);
                return Err(unsupported(what, "only ▁ is"));
            }
            Decoder::Sequence { .. } => {}
        }
    }
    let letters = pipeline
        .cuts
        .iter()
        .any(|cut| matches!(cut, Cut::ByteLevel { .. }));
    if letters != decoding.byte_level || letters == restores_spaces {
        return Err(unsupported(
            "a decoder that does not undo the pre-tokenizer",
            "both must be ByteLevel, or the decoder must replace ▁ by a space",
        ));
    }
    if byte_fallback && !restores_bytes {
        return Err(unsupported(
            "byte_fallback with a decoder that lacks ByteFallback",
            "add it, or byte pieces would print as their names",
        ));
    }
    Ok(decoding)
}
