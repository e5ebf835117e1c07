//! The whole tokenizer: everything around the merges.

use super::{
    Kind, Merge, Piece, Specials, StreamDecoder, TokenizerError, Vocabulary,
    decoding::Decoding,
    encode_longest_match,
    encoding::Merger,
    matching::Matcher,
    sentencepiece::{self, Normalizer},
    tokenizer_json,
    trie::{Texts, Trie},
};
use crate::tensor::threads;
use std::{borrow::Cow, ops::Range, path::Path};

/// A tokenizer as a model ships it: text ↔ ids, exactly as the library that trained it does.
///
/// ```
/// use baichuan2::bpe::{Tokenizer, TrainingOptions};
/// let options = TrainingOptions { vocab_size: 275, ..TrainingOptions::default() };
/// let tokenizer = options.train(["low lower lowest", "new newer newest"], |_, _| ())?.tokenizer()?;
/// let ids = tokenizer.encode("lower and newer: 你");
/// assert_eq!(tokenizer.decode(&ids)?, "lower and newer: 你");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokenizer {
    pub(super) vocabulary: Vocabulary,
    pub(super) matcher: Matcher,
    pub(super) pipeline: Pipeline,
    /// Pieces found in the text before any merge.
    pub(super) frozen: Finder,
    /// The same for [`Tokenizer::encode_with_specials`], which looks for these first.
    pub(super) named: Finder,
    pub(super) fallback: Fallback,
    pub(super) decoding: Decoding,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) unk: Option<u32>,
}

/// How a text becomes words whose merges do not touch.
#[derive(Clone, Debug)]
pub(super) enum Pipeline {
    SentencePiece(Normalizer),
    Json(Box<tokenizer_json::Pipeline>),
}

/// What stands for a character without a piece.
#[derive(Clone, Debug)]
pub(super) enum Fallback {
    /// The pieces of its UTF-8 bytes.
    Bytes(Box<[u32; 256]>),
    /// The unknown piece; where `fuse`, one for several in a row.
    Unknown { id: u32, fuse: bool },
    /// Nothing: a byte-level vocabulary that lacks a byte loses it, as `tokenizers` does. SmolLM2's lacks six control characters
    /// and the bytes F1 to F4, which begin the characters from U+40000 on.
    Nothing,
}

/// A text as merging sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The text with all replacements done: spaces as [`SPACE`](super::SPACE), or one letter for each byte.
    pub text: String,
    /// Its parts, in order. No merge reaches from one into another.
    pub words: Vec<Word>,
}

/// A part of a [`Prepared`] text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Bytes of [`Prepared::text`].
    pub range: Range<usize>,
    /// The id of a user-defined symbol, which is never split nor merged.
    pub frozen: Option<u32>,
}

impl Prepared {
    pub(super) fn push(&mut self, text: &str, frozen: Option<u32>) {
        let start = self.text.len();
        self.text.push_str(text);
        self.words.push(Word {
            range: start..self.text.len(),
            frozen,
        });
    }
}

/// Finds pieces in a text as they are written: leftmost first, the longest of those.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    pieces: Trie,
    /// Whether a piece begins with a byte.
    first: Box<[bool; 256]>,
}

impl Finder {
    /// `written` says how a piece is written in the texts to be searched, if it can be in any.
    pub(super) fn new<'v>(
        vocabulary: &'v Vocabulary,
        wanted: impl Fn(Kind) -> bool,
        written: impl Fn(&'v str) -> Option<Cow<'v, str>>,
    ) -> Self {
        let mut names = Texts::default();
        let mut first = Box::new([false; 256]);
        for (piece, id) in vocabulary.iter().zip(0..) {
            if wanted(piece.kind)
                && let Some(name) = written(piece.text)
            {
                names.push(&name, id);
                first[usize::from(name.as_bytes()[0])] = true;
            }
        }
        let pieces = Trie::new(&names.sorted());
        Finder { pieces, first }
    }

    /// Calls `part` with each piece that is found and with each stretch between.
    pub(super) fn split<'t>(&self, text: &'t str, mut part: impl FnMut(&'t str, Option<u32>)) {
        let bytes = text.as_bytes();
        let begins = |&byte: &u8| self.first[usize::from(byte)];
        let (mut done, mut at) = (0, 0);
        while let Some(skipped) = bytes[at..].iter().position(begins) {
            at += skipped;
            let Some((id, length)) = self.pieces.beginnings(&bytes[at..]).last() else {
                at += 1;
                continue;
            };
            if at > done {
                part(&text[done..at], None);
            }
            done = at + length;
            part(&text[at..done], Some(id));
            at = done;
        }
        if done < text.len() {
            part(&text[done..], None);
        }
    }
}

impl Pipeline {
    /// A text as merging sees it, from one as [`Matcher`] does.
    fn marked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self {
            Pipeline::SentencePiece(normalizer) => normalizer.marked(text),
            Pipeline::Json(_) => text.into(),
        }
    }
}

impl Tokenizer {
    /// Reads a `.model` or `tokenizer.json` file, or the one in a folder: `tokenizer.model`, which is preferred, since
    /// public conversions of Baichuan 2's to `tokenizer.json` are not faithful.
    ///
    /// # Errors
    /// A file that cannot be read or is no tokenizer; each names the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let file = if path.is_dir() {
            ["tokenizer.model", "tokenizer.json"]
                .iter()
                .map(|name| path.join(name))
                .find(|file| file.exists())
                .ok_or_else(|| TokenizerError::NothingThere { path: path.into() })?
        } else {
            path.into()
        };
        let read = |file: &Path| {
            std::fs::read(file).map_err(|source| TokenizerError::Read {
                path: file.into(),
                source,
            })
        };
        let in_file = |file: &Path, source| TokenizerError::InFile {
            path: file.into(),
            source: Box::new(source),
        };
        let mut tokenizer = Self::from_bytes(&read(&file)?).map_err(|e| in_file(&file, e))?;
        let names = file.with_file_name("tokenizer_config.json");
        if matches!(tokenizer.pipeline, Pipeline::Json(_)) && names.exists() {
            tokenizer_json::read_special_names(&mut tokenizer, &read(&names)?)
                .map_err(|e| in_file(&names, e))?;
        }
        Ok(tokenizer)
    }

    /// Reads a `.model` or a `tokenizer.json` from memory: text that begins with `{` is the latter.
    ///
    /// # Errors
    /// See [`sentencepiece::read`] and [`tokenizer_json::read`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        match bytes.trim_ascii_start() {
            [b'{', ..] => tokenizer_json::read(bytes),
            _ => sentencepiece::read(bytes),
        }
    }

    /// The ids of a text, without any control pieces: `<s>` in it is three characters.
    ///
    /// Linear in the text, whatever it is.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        self.encode_part(text, true, &mut ids);
        ids
    }

    /// [`encode`](Self::encode) of each text, on all threads.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Vec<Vec<u32>> {
        threads::map(texts.iter(), |text| self.encode(text.as_ref()))
    }

    /// As [`encode`](Self::encode), but the names of control pieces in the text become those pieces, as in Hugging Face's classes.
    ///
    /// For templates. A user's words do not belong here: they could end their own turn.
    pub fn encode_with_specials(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut first = true;
        self.named.split(text, |part, special| {
            match special {
                Some(id) => ids.push(id),
                None => self.encode_part(part, first, &mut ids),
            }
            first = false;
        });
        ids
    }

    /// As [`encode`](Self::encode), and shows every merge: all of a word's merges in their order, word by word.
    pub fn encode_observed(&self, text: &str, mut observe: impl FnMut(Merge)) -> Vec<u32> {
        let prepared = self.prepare(text);
        let mut merger = Merger::default();
        let mut ids = Vec::new();
        for word in &prepared.words {
            let offset = word.range.start;
            let shifted = |range: Range<usize>| range.start + offset..range.end + offset;
            self.encode_word(&prepared.text, word, &mut ids, |text, ids| {
                let start = ids.len();
                let observe = |merge: Merge| {
                    observe(Merge {
                        left: shifted(merge.left),
                        right: shifted(merge.right),
                        ..merge
                    });
                };
                merger.run(&self.matcher.merges, text, observe, |id, at| {
                    self.push(id, &text[at], ids, start)
                });
            });
        }
        ids
    }

    /// The page's [`encode_longest_match`] in place of merging, between the same preparation and the same fallback.
    pub fn encode_longest_match(&self, text: &str) -> Vec<u32> {
        let prepared = self.prepare(text);
        let mut ids = Vec::new();
        for word in &prepared.words {
            self.encode_word(&prepared.text, word, &mut ids, |text, ids| {
                let start = ids.len();
                for token in encode_longest_match(&self.vocabulary, text) {
                    self.push(self.vocabulary.normal(token), token, ids, start);
                }
            });
        }
        ids
    }

    /// The text as merging sees it: normalized, user-defined symbols set apart, cut into words.
    pub fn prepare(&self, text: &str) -> Prepared {
        self.prepare_part(text, true)
    }

    /// Prepares a text, which begins the whole text where `first`.
    fn prepare_part(&self, text: &str, first: bool) -> Prepared {
        let mut prepared = Prepared::default();
        match &self.pipeline {
            Pipeline::SentencePiece(normalizer) => {
                let text = normalizer.spaced(text);
                self.frozen.split(&text, |part, frozen| {
                    prepared.push(&normalizer.marked(part), frozen);
                });
            }
            Pipeline::Json(pipeline) => {
                let mut first = first;
                self.frozen.split(text, |part, frozen| {
                    match frozen {
                        Some(_) => prepared.push(part, frozen),
                        None => pipeline.prepare(part, first, &mut prepared),
                    }
                    first = false;
                });
            }
        }
        prepared
    }

    /// Encodes a text, which begins the whole text where `first`.
    fn encode_part(&self, text: &str, first: bool, ids: &mut Vec<u32>) {
        if let Pipeline::SentencePiece(normalizer) = &self.pipeline {
            let text = normalizer.spaced(text);
            self.frozen.split(&text, |part, frozen| match frozen {
                Some(id) => ids.push(id),
                None => self.match_word(part, ids),
            });
            return;
        }
        let prepared = self.prepare_part(text, first);
        for word in &prepared.words {
            self.encode_word(&prepared.text, word, ids, |text, ids| {
                self.match_word(text, ids);
            });
        }
    }

    /// Encodes what is to be merged, and nothing else.
    fn match_word(&self, text: &str, ids: &mut Vec<u32>) {
        let start = ids.len();
        let mut rest = text;
        while !rest.is_empty() {
            let first = ids.len();
            rest = self.matcher.encode(rest, ids);
            let without_piece = |&id: &u32| id as usize >= self.vocabulary.len();
            if ids[first..].iter().any(without_piece) {
                for id in ids.split_off(first) {
                    let character = self.matcher.character(id).map(String::from);
                    self.push(Some(id), &character.unwrap_or_default(), ids, start);
                }
            }
            if let Some(unknown) = rest.chars().next() {
                let (unknown, after) = rest.split_at(unknown.len_utf8());
                self.push(None, &self.pipeline.marked(unknown), ids, start);
                rest = after;
            }
        }
    }

    /// Encodes one word by `merge`, unless it is a piece that is never merged.
    fn encode_word<'t>(
        &self,
        text: &'t str,
        word: &Word,
        ids: &mut Vec<u32>,
        merge: impl FnOnce(&'t str, &mut Vec<u32>),
    ) {
        let text = &text[word.range.clone()];
        let whole = match &self.pipeline {
            Pipeline::Json(json) if json.ignore_merges => self.vocabulary.normal(text),
            _ => None,
        };
        match word.frozen.or(whole) {
            Some(id) => ids.push(id),
            None => merge(text, ids),
        }
    }

    /// Appends a symbol's id, or what stands for a symbol without one, in a word whose ids begin at `word_start`.
    fn push(&self, id: Option<u32>, text: &str, ids: &mut Vec<u32>, word_start: usize) {
        match (id, &self.fallback) {
            (Some(id), _) if (id as usize) < self.vocabulary.len() => ids.push(id),
            (_, Fallback::Bytes(bytes)) => {
                ids.extend(text.bytes().map(|byte| bytes[usize::from(byte)]));
            }
            (_, &Fallback::Unknown { id, fuse }) => {
                if !fuse || ids[word_start..].last() != Some(&id) {
                    ids.push(id);
                }
            }
            (_, Fallback::Nothing) => {}
        }
    }

    /// The text of ids. Control pieces print nothing; each byte that is part of no character prints U+FFFD.
    ///
    /// # Errors
    /// [`TokenizerError::IdOutOfRange`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.decode_with(ids, Specials::Skip)
    }

    /// As [`decode`](Self::decode), with a choice of what control pieces print.
    ///
    /// # Errors
    /// [`TokenizerError::IdOutOfRange`].
    pub fn decode_with(&self, ids: &[u32], specials: Specials) -> Result<String, TokenizerError> {
        let mut decoder = self.decoder(ids, specials)?;
        Ok(decoder.take_text(true))
    }

    /// The bytes of ids, whether or not they are text.
    ///
    /// # Errors
    /// [`TokenizerError::IdOutOfRange`].
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>, TokenizerError> {
        Ok(self.decoder(ids, Specials::Skip)?.into_bytes())
    }

    fn decoder(
        &self,
        ids: &[u32],
        specials: Specials,
    ) -> Result<StreamDecoder<'_>, TokenizerError> {
        let mut decoder = self.stream_decoder(specials);
        ids.iter().try_for_each(|&id| decoder.push_bytes(id))?;
        Ok(decoder)
    }

    /// A decoder that takes ids as they are generated.
    pub fn stream_decoder(&self, specials: Specials) -> StreamDecoder<'_> {
        StreamDecoder::new(&self.vocabulary, &self.decoding, specials)
    }

    /// The pieces of a text.
    pub fn pieces(&self, text: &str) -> Vec<&str> {
        let ids = self.encode(text);
        ids.into_iter()
            .filter_map(|id| self.vocabulary.get(id))
            .map(|piece| piece.text)
            .collect()
    }

    /// The bytes that a piece stands for inside a text; of a control piece, its name.
    ///
    /// # Errors
    /// [`TokenizerError::IdOutOfRange`].
    pub fn piece_bytes(&self, id: u32) -> Result<Vec<u8>, TokenizerError> {
        let mut decoder = self.stream_decoder(Specials::Show).inside();
        decoder.push_bytes(id)?;
        Ok(decoder.into_bytes())
    }

    /// All pieces, by id.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Number of pieces; ids are below it.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The id of a piece, by its text.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.vocabulary.id_of(piece)
    }

    /// The piece with an id.
    ///
    /// # Errors
    /// [`TokenizerError::IdOutOfRange`].
    pub fn piece(&self, id: u32) -> Result<Piece<'_>, TokenizerError> {
        self.vocabulary.piece(id)
    }

    /// Begin of sequence, `<s>`, if there is one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// End of sequence, `</s>`, if there is one.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Stands for what has no piece, if anything does.
    pub fn unk(&self) -> Option<u32> {
        self.unk
    }
}
