//! Around the merges: what SentencePiece counts as a word, which pieces it allows, and what else a vocabulary holds.

use super::{
    Kind, Learned, SPACE, Tokenizer, TokenizerError, Vocabulary, byte_piece, learn_merges,
    sentencepiece::{
        ModelProto, ModelType, Normalizer, NormalizerSpec, SentencePiece, TrainerSpec, Type,
    },
    tokenizer::Finder,
};
use prost::Message;
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use thiserror::Error;
use unicode_script::{Script, UnicodeScript};

/// How to train a vocabulary. Names are SentencePiece's; defaults are those that Baichuan 2's tokenizer was trained with.
///
/// ```
/// use baichuan2::bpe::TrainingOptions;
/// let options = TrainingOptions { vocab_size: 3 + 256 + 3 + 3, ..TrainingOptions::default() };
/// let trained = options.train(["aab aab", "ab"], |merge, of| assert!(merge.rank < of))?;
/// let learned: Vec<_> = trained.merges.iter().map(|merge| merge.piece()).collect();
/// assert_eq!(learned, ["ab", "aab", "▁aab"]);
/// assert_eq!(trained.tokenizer()?.pieces("aab"), ["aab"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingOptions {
    /// Pieces of all kinds together.
    pub vocab_size: usize,
    /// Share of the text's characters that get a piece, the most frequent first: above 0, at most 1.
    pub character_coverage: f64,
    /// Characters that a piece may have.
    pub max_sentencepiece_length: usize,
    /// No piece across two scripts (hiragana and katakana count as Han).
    pub split_by_unicode_script: bool,
    /// No piece across words: a space may only begin a piece.
    pub split_by_whitespace: bool,
    /// Digits are a script of their own.
    pub split_by_number: bool,
    /// Every digit is a piece.
    pub split_digits: bool,
    /// Pieces of nothing but spaces may be learned.
    pub allow_whitespace_only_pieces: bool,
    /// 256 pieces for bytes, so that any text can be encoded.
    pub byte_fallback: bool,
    /// Encode as if a space stood before the text.
    pub add_dummy_prefix: bool,
    /// Encode as if there were no spaces at the ends, and never two together.
    pub remove_extra_whitespaces: bool,
    /// Pieces that are always found first and never merged; their ids begin at 3.
    pub user_defined_symbols: Vec<String>,
    /// Name of id 0.
    pub unk_piece: String,
    /// Name of id 1.
    pub bos_piece: String,
    /// Name of id 2.
    pub eos_piece: String,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        TrainingOptions {
            vocab_size: 8000,
            character_coverage: 0.9998,
            max_sentencepiece_length: 32,
            split_by_unicode_script: true,
            split_by_whitespace: true,
            split_by_number: true,
            split_digits: true,
            allow_whitespace_only_pieces: true,
            byte_fallback: true,
            add_dummy_prefix: false,
            remove_extra_whitespaces: false,
            user_defined_symbols: Vec::new(),
            unk_piece: "<unk>".into(),
            bos_piece: "<s>".into(),
            eos_piece: "</s>".into(),
        }
    }
}

/// Why no vocabulary could be trained.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// An option outside its range.
    #[error("{option} is {value}, but must be {range}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// The special pieces, bytes and characters alone do not fit.
    #[error(
        "vocab_size is {vocab_size}, but special pieces, bytes and characters alone are {needed}: raise it, or lower character_coverage"
    )]
    TooSmall {
        /// What was asked for.
        vocab_size: usize,
        /// What is needed before any merge.
        needed: usize,
    },
    /// The text has too few pairs.
    #[error(
        "vocab_size is {vocab_size}, but this text yields {reached} pieces: lower it, or train on more text"
    )]
    TooLarge {
        /// What was asked for.
        vocab_size: usize,
        /// What can be had.
        reached: usize,
    },
    /// More characters than can be numbered.
    #[error("the text has more than 2^32 characters of distinct words: train on a part of it")]
    TooMuchText,
    /// Names that clash, or another fault of the vocabulary itself.
    #[error(transparent)]
    Vocabulary(#[from] TokenizerError),
}

/// What training gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The merges, in the order in which they were learned.
    pub merges: Vec<Learned>,
    /// The vocabulary and its options, as SentencePiece stores them.
    pub model: ModelProto,
}

impl Trained {
    /// The bytes of a `.model` file, which the SentencePiece library loads.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// None that training would not have found.
    pub fn tokenizer(&self) -> Result<Tokenizer, TokenizerError> {
        self.model.clone().try_into()
    }
}

impl TrainingOptions {
    /// Trains on a text, given line by line. `observe` is told each merge as it is learned, and how many there will be.
    ///
    /// The same text gives the same vocabulary, always. No line is left out, however long.
    ///
    /// # Errors
    /// See [`TrainingError`].
    pub fn train<T: AsRef<str>>(
        &self,
        lines: impl IntoIterator<Item = T>,
        mut observe: impl FnMut(&Learned, usize),
    ) -> Result<Trained, TrainingError> {
        self.check()?;
        let special = self.special_pieces()?;
        let words = self.count_words(lines, &special)?;
        let characters = self.required_characters(&words);
        let needed = special.len() + characters.len();
        let vocab_size = self.vocab_size;
        let Some(num_merges) = vocab_size.checked_sub(needed) else {
            return Err(TrainingError::TooSmall { vocab_size, needed });
        };

        let covered: FxHashSet<char> = characters.iter().map(|&(c, _)| c).collect();
        let mut runs: FxHashMap<&str, u64> = FxHashMap::default();
        for (word, &count) in &words {
            for run in self.runs(word, &covered) {
                *runs.entry(run).or_default() += count;
            }
        }
        let mut runs: Vec<(&str, u64)> = runs.into_iter().collect();
        runs.sort_unstable();
        let allowed = |piece: &str| self.allows(piece) && special.id_of(piece).is_none();
        let merges = learn_merges(runs, num_merges, allowed, |merge| {
            observe(merge, num_merges);
        })
        .ok_or(TrainingError::TooMuchText)?;
        if merges.len() < num_merges {
            return Err(TrainingError::TooLarge {
                vocab_size,
                reached: needed + merges.len(),
            });
        }

        let mut vocabulary = special;
        let learned = merges.iter().map(Learned::piece);
        let singles = characters.iter().map(|(c, _)| String::from(*c));
        for (rank, piece) in learned.chain(singles).enumerate() {
            vocabulary.push(&piece, -(rank as f32), Kind::Normal)?;
        }
        Ok(Trained {
            model: self.model(&vocabulary),
            merges,
        })
    }

    fn check(&self) -> Result<(), TrainingError> {
        if !(self.character_coverage > 0.0 && self.character_coverage <= 1.0) {
            return Err(TrainingError::Option {
                option: "character_coverage",
                value: self.character_coverage.to_string(),
                range: "above 0 and at most 1",
            });
        }
        for (option, value, most) in [
            ("vocab_size", self.vocab_size, i32::MAX as usize),
            (
                "max_sentencepiece_length",
                self.max_sentencepiece_length,
                512,
            ),
        ] {
            if !(1..=most).contains(&value) {
                return Err(TrainingError::Option {
                    option,
                    value: value.to_string(),
                    range: if most == 512 {
                        "from 1 to 512"
                    } else {
                        "from 1 to 2^31 - 1"
                    },
                });
            }
        }
        Ok(())
    }

    /// Unknown, begin, end, user-defined symbols, bytes: in the order of their ids.
    fn special_pieces(&self) -> Result<Vocabulary, TokenizerError> {
        let mut special = Vocabulary::default();
        special.push(&self.unk_piece, 0.0, Kind::Unknown)?;
        special.push(&self.bos_piece, 0.0, Kind::Control)?;
        special.push(&self.eos_piece, 0.0, Kind::Control)?;
        for symbol in &self.user_defined_symbols {
            let symbol = symbol.replace(' ', SPACE.encode_utf8(&mut [0; 4]));
            special.push(&symbol, 0.0, Kind::UserDefined)?;
        }
        if self.byte_fallback {
            for byte in 0..=255 {
                special.push(&byte_piece(byte), 0.0, Kind::Byte(byte))?;
            }
        }
        Ok(special)
    }

    fn normalizer(&self) -> Normalizer {
        Normalizer {
            add_dummy_prefix: self.add_dummy_prefix,
            remove_extra_whitespaces: self.remove_extra_whitespaces,
            escape_whitespaces: true,
        }
    }

    /// Each word and how often it occurs, user-defined symbols left out.
    fn count_words<T: AsRef<str>>(
        &self,
        lines: impl IntoIterator<Item = T>,
        special: &Vocabulary,
    ) -> Result<FxHashMap<Box<str>, u64>, TokenizerError> {
        let as_is = |symbol| Some(Cow::Borrowed(symbol));
        let symbols = Finder::new(special, |kind| kind == Kind::UserDefined, as_is);
        let normalizer = self.normalizer();
        let mut words: FxHashMap<Box<str>, u64> = FxHashMap::default();
        for line in lines {
            let line = normalizer.spaced(line.as_ref());
            symbols.split(&normalizer.marked(&line), |part, symbol| {
                if symbol.is_some() {
                    return;
                }
                for word in self.words(part) {
                    match words.get_mut(word) {
                        Some(count) => *count += 1,
                        None => _ = words.insert(word.into(), 1),
                    }
                }
            });
        }
        Ok(words)
    }

    /// A word begins at each [`SPACE`], or at each run of them where pieces of spaces are allowed.
    fn words<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let (by_space, runs) = (self.split_by_whitespace, self.allow_whitespace_only_pieces);
        cut(text, move |before, after| {
            by_space && after == SPACE && !(runs && before == SPACE)
        })
    }

    /// Cuts a word where no piece can be: at characters without a piece, and between two that may not share one.
    fn runs<'t>(&self, word: &'t str, covered: &FxHashSet<char>) -> impl Iterator<Item = &'t str> {
        let apart = move |a: char, b: char| {
            let bad = |c| !covered.contains(&c);
            let digits = self.split_digits && (is_digit(a) || is_digit(b));
            let scripts = match (self.script(a), self.script(b)) {
                (Some(a), Some(b)) => self.split_by_unicode_script && a != b,
                _ => false,
            };
            bad(a) || bad(b) || digits || scripts
        };
        cut(word, apart).filter(|run| run.chars().nth(1).is_some())
    }

    /// The script of a character that counts for [`Self::allows`].
    fn script(&self, character: char) -> Option<Script> {
        if character == SPACE || (!self.split_by_number && is_digit(character)) {
            return None;
        }
        match character.script() {
            Script::Hiragana | Script::Katakana => Some(Script::Han),
            Script::Inherited => None,
            _ if character == 'ー' => Some(Script::Han),
            script => Some(script),
        }
    }

    /// SentencePiece's `IsValidSentencePiece`, for pieces that are longer than a character.
    fn allows(&self, piece: &str) -> bool {
        let characters = piece.chars().count();
        if characters > self.max_sentencepiece_length {
            return false;
        }
        let only_spaces = piece.chars().all(|c| c == SPACE);
        if only_spaces && self.allow_whitespace_only_pieces {
            return true;
        }
        let mut last_script = None;
        for (i, c) in piece.chars().enumerate() {
            let last = i + 1 == characters;
            if c == SPACE && i > 0 && (self.split_by_whitespace || last) {
                return false;
            }
            if self.split_digits && is_digit(c) {
                return false;
            }
            let script = self.script(c);
            if self.split_by_unicode_script
                && let (Some(a), Some(b)) = (last_script, script)
                && a != b
            {
                return false;
            }
            last_script = script.or(last_script);
        }
        true
    }

    /// The most frequent characters that together are `character_coverage` of the text, in that order, and always [`SPACE`].
    fn required_characters(&self, words: &FxHashMap<Box<str>, u64>) -> Vec<(char, u64)> {
        let mut counts: FxHashMap<char, u64> = FxHashMap::default();
        for (word, count) in words {
            for c in word.chars().filter(|&c| c != '\0') {
                *counts.entry(c).or_default() += count;
            }
        }
        let mut counts: Vec<(char, u64)> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|&(c, count)| (std::cmp::Reverse(count), c));
        let all: u64 = counts.iter().map(|&(_, count)| count).sum();
        let mut so_far = 0;
        let enough = counts
            .iter()
            .position(|&(_, count)| {
                let reached = so_far as f64 / all as f64 >= self.character_coverage;
                so_far += count;
                reached
            })
            .unwrap_or(counts.len());
        let space = counts.iter().position(|&(c, _)| c == SPACE);
        let space = space.map_or((SPACE, 0), |at| counts[at]);
        counts.truncate(enough);
        if !counts.contains(&space) {
            counts.push(space); // or its bytes would decode to the mark, not to a space
        }
        counts
    }

    fn model(&self, vocabulary: &Vocabulary) -> ModelProto {
        let pieces = vocabulary.iter().map(|piece| SentencePiece {
            piece: Some(piece.text.into()),
            score: Some(piece.score),
            r#type: match piece.kind {
                Kind::Normal => None,
                Kind::Unknown => Some(Type::Unknown.into()),
                Kind::Control => Some(Type::Control.into()),
                Kind::UserDefined => Some(Type::UserDefined.into()),
                Kind::Byte(_) => Some(Type::Byte.into()),
            },
        });
        ModelProto {
            pieces: pieces.collect(),
            trainer_spec: Some(TrainerSpec {
                model_type: Some(ModelType::Bpe.into()),
                vocab_size: i32::try_from(self.vocab_size).ok(),
                character_coverage: Some(self.character_coverage as f32),
                max_sentencepiece_length: i32::try_from(self.max_sentencepiece_length).ok(),
                split_by_unicode_script: Some(self.split_by_unicode_script),
                split_by_whitespace: Some(self.split_by_whitespace),
                split_by_number: Some(self.split_by_number),
                split_digits: Some(self.split_digits),
                allow_whitespace_only_pieces: Some(self.allow_whitespace_only_pieces),
                user_defined_symbols: self.user_defined_symbols.clone(),
                byte_fallback: Some(self.byte_fallback),
                unk_piece: Some(self.unk_piece.clone()),
                bos_piece: Some(self.bos_piece.clone()),
                eos_piece: Some(self.eos_piece.clone()),
                ..TrainerSpec::default()
            }),
            normalizer_spec: Some(NormalizerSpec {
                name: Some("identity".into()),
                precompiled_charsmap: Some(Vec::new()),
                add_dummy_prefix: Some(self.add_dummy_prefix),
                remove_extra_whitespaces: Some(self.remove_extra_whitespaces),
                escape_whitespaces: Some(true),
                normalization_rule_tsv: None,
            }),
            self_test_data: None,
            denormalizer_spec: None,
        }
    }
}

/// ASCII and full-width digits, as in SentencePiece.
fn is_digit(c: char) -> bool {
    matches!(c, '0'..='9' | '０'..='９')
}

/// Cuts `text` between two characters wherever `apart` says so.
fn cut(text: &str, apart: impl Fn(char, char) -> bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut characters = rest.char_indices();
        let (_, mut last) = characters.next()?;
        let end = characters
            .find(|&(_, c)| apart(std::mem::replace(&mut last, c), c))
            .map_or(rest.len(), |(end, _)| end);
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a rule of SentencePiece's `IsValidSentencePiece` that is lost or always on.
    #[test]
    fn each_option_decides_about_its_pieces() {
        let on = TrainingOptions::default();
        let off = TrainingOptions {
            split_by_unicode_script: false,
            split_by_whitespace: false,
            split_digits: false,
            allow_whitespace_only_pieces: false,
            ..on.clone()
        };
        let numbers = TrainingOptions {
            split_by_number: false,
            split_digits: false,
            ..on.clone()
        };
        for (piece, by_default, all_off, numbers_free) in [
            ("▁the", true, true, true),
            ("e\u{301}t", true, true, true),
            ("e\u{301}你", false, true, false), // an accent has the script of its letter
            ("ab你", false, true, false),
            ("カタ漢字ー", true, true, true),
            ("the▁", false, false, false),
            ("a▁b", false, true, false),
            ("▁▁▁", true, false, true),
            ("▁▁a", false, true, false),
            ("12", false, true, true),
            ("x1", false, true, true),
            ("１,", false, true, true),
            ("a,", false, true, false),
        ] {
            assert_eq!(on.allows(piece), by_default, "{piece}");
            assert_eq!(off.allows(piece), all_off, "{piece}");
            assert_eq!(numbers.allows(piece), numbers_free, "{piece}");
        }
        let long = "a".repeat(33);
        assert!(on.allows(&long[1..]) && !on.allows(&long));
    }

    /// Catches: coverage that leaves out what it should not, or a vocabulary that cannot express a space.
    #[test]
    fn rare_characters_get_no_piece_but_a_space_always_does() {
        let options = TrainingOptions {
            vocab_size: 3 + 256 + 3 + 1,
            character_coverage: 0.9,
            ..TrainingOptions::default()
        };
        let text = ["aaaaaaaaab".repeat(9), "z".into()].concat();
        let tokenizer = options
            .train([text], |_, _| ())
            .unwrap()
            .tokenizer()
            .unwrap();
        let single = |piece: &str| tokenizer.id_of(piece).is_some();
        assert!(single("a") && single("b") && single("▁") && !single("z"));
        assert_eq!(tokenizer.decode(&tokenizer.encode("a z")).unwrap(), "a z");
    }
}
