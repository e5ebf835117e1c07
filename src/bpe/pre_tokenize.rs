//! What a `tokenizer.json` does to a text before merging: replacements, then cuts that no merge crosses.

use super::{Prepared, byte_level};
use fancy_regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::ops::Range;

/// GPT-2's pattern of words: contractions, letters, numbers, other marks, each with at most one space before, and white space.
const GPT2_WORDS: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The steps, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipeline {
    pub replacements: Vec<Replacement>,
    pub cuts: Vec<Cut>,
    /// A word that is a piece is not merged at all.
    pub ignore_merges: bool,
    /// Letters of bytes that have no piece, and are lost before merging: their neighbours may merge.
    pub lost: Vec<char>,
}

#[derive(Clone, Debug)]
pub(super) enum Replacement {
    /// Put before a text that is not empty.
    Prepend(String),
    Replace(String, String),
}

#[derive(Clone, Debug)]
pub(super) enum Cut {
    Split {
        words: Box<Regex>,
        behavior: Behavior,
        invert: bool,
    },
    /// Between digits and others; between digits too, where `each`.
    Digits { each: bool },
    /// Each byte a letter, perhaps after GPT-2's cuts.
    ByteLevel {
        prefix_space: bool,
        words: Option<Box<Regex>>,
    },
    /// Spaces as marks, a mark before the text, perhaps a cut before each mark.
    Metaspace {
        mark: char,
        scheme: PrependScheme,
        split: bool,
    },
}

/// What becomes of a match that a text is split at.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// Before which parts of a text `Metaspace` puts a mark.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum PrependScheme {
    Always,
    First,
    Never,
}

/// Compiles a pattern; it may look ahead. It is matched however long that takes: giving up would change ids.
pub(super) fn pattern(pattern: &str) -> Result<Box<Regex>, fancy_regex::Error> {
    let words = RegexBuilder::new(pattern)
        .backtrack_limit(usize::MAX)
        .build()?;
    Ok(Box::new(words))
}

pub(super) fn gpt2_words() -> Result<Box<Regex>, fancy_regex::Error> {
    pattern(GPT2_WORDS)
}

impl Pipeline {
    /// Appends `text`, which begins the whole text where `first`, as words.
    pub(super) fn prepare(&self, text: &str, first: bool, prepared: &mut Prepared) {
        let mut text = text.to_owned();
        for replacement in &self.replacements {
            match replacement {
                Replacement::Prepend(prefix) if text.is_empty() => _ = prefix,
                Replacement::Prepend(prefix) => text.insert_str(0, prefix),
                Replacement::Replace(from, to) => text = text.replace(from, to),
            }
        }
        let mut words = vec![text];
        for cut in &self.cuts {
            let mut first = first;
            words = words
                .iter()
                .flat_map(|word| cut.apply(word, std::mem::take(&mut first)))
                .collect();
        }
        for word in &mut words {
            if !self.lost.is_empty() {
                word.retain(|letter| !self.lost.contains(&letter));
            }
        }
        for word in words.iter().filter(|word| !word.is_empty()) {
            prepared.push(word, None);
        }
    }
}

impl Cut {
    fn apply(&self, word: &str, first: bool) -> Vec<String> {
        let cut = |word: &str, matches, behavior| -> Vec<String> {
            split(word.len(), matches, behavior)
                .into_iter()
                .map(|range| word[range].into())
                .collect()
        };
        match self {
            Cut::Split {
                words,
                behavior,
                invert,
            } => {
                let mut matches = find(words, word);
                if *invert {
                    matches = between(word.len(), &matches);
                }
                cut(word, matches, *behavior)
            }
            Cut::Digits { each } => {
                let digits = word
                    .char_indices()
                    .filter(|(_, c)| c.is_numeric())
                    .map(|(at, c)| at..at + c.len_utf8())
                    .collect();
                let behavior = if *each {
                    Behavior::Isolated
                } else {
                    Behavior::Contiguous
                };
                cut(word, digits, behavior)
            }
            Cut::ByteLevel {
                prefix_space,
                words,
            } => {
                let prefix = if *prefix_space && !word.starts_with(' ') {
                    " "
                } else {
                    ""
                };
                let word = [prefix, word].concat();
                let parts = match words {
                    Some(words) => cut(&word, find(words, &word), Behavior::Isolated),
                    None => vec![word],
                };
                parts
                    .iter()
                    .map(|part| part.bytes().map(byte_level::letter).collect())
                    .collect()
            }
            Cut::Metaspace {
                mark,
                scheme,
                split,
            } => {
                let mut marked = word.replace(' ', mark.encode_utf8(&mut [0; 4]));
                let wanted = match scheme {
                    PrependScheme::Always => true,
                    PrependScheme::First => first,
                    PrependScheme::Never => false,
                };
                if wanted && !marked.starts_with(*mark) {
                    marked.insert(0, *mark);
                }
                if *split {
                    let marks = marked
                        .match_indices(*mark)
                        .map(|(at, m)| at..at + m.len())
                        .collect();
                    cut(&marked, marks, Behavior::MergedWithNext)
                } else {
                    vec![marked]
                }
            }
        }
    }
}

/// All matches. Where the pattern needs more memory than the engine allows (a million open choices in one match, which no pattern
/// of a known tokenizer comes near), the rest stays uncut.
fn find(words: &Regex, text: &str) -> Vec<Range<usize>> {
    words
        .find_iter(text)
        .map_while(Result::ok)
        .map(|found| found.range())
        .collect()
}

/// What `matches` leave of `0..len`.
fn between(len: usize, matches: &[Range<usize>]) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(matches.iter().map(|m| m.end));
    let ends = matches.iter().map(|m| m.start).chain([len]);
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

/// Cuts `0..len` around `matches`, which are in order.
fn split(len: usize, matches: Vec<Range<usize>>, behavior: Behavior) -> Vec<Range<usize>> {
    let mut parts: Vec<(Range<usize>, bool)> = between(len, &matches)
        .into_iter()
        .map(|range| (range, false))
        .chain(matches.into_iter().map(|range| (range, true)))
        .filter(|(range, _)| !range.is_empty())
        .collect();
    parts.sort_by_key(|(range, _)| range.start);
    if behavior == Behavior::MergedWithNext {
        parts.reverse();
    }
    let mut cut: Vec<Range<usize>> = Vec::with_capacity(parts.len());
    let mut previous = None;
    for (range, matched) in parts {
        let joins = match behavior {
            Behavior::Removed | Behavior::Isolated => false,
            Behavior::MergedWithPrevious | Behavior::MergedWithNext => {
                matched && previous != Some(true)
            }
            Behavior::Contiguous => previous == Some(matched),
        };
        match cut.last_mut() {
            Some(last) if joins => *last = last.start.min(range.start)..last.end.max(range.end),
            _ if matched && behavior == Behavior::Removed => {}
            _ => cut.push(range),
        }
        previous = Some(matched);
    }
    if behavior == Behavior::MergedWithNext {
        cut.reverse();
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str, behavior: Behavior) -> Vec<&str> {
        let marks = text.match_indices('-').map(|(at, _)| at..at + 1).collect();
        split(text.len(), marks, behavior)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    /// Catches: a mark given to the wrong side, or dropped. The expected values are those of `tokenizers`' documentation.
    #[test]
    fn each_behavior_cuts_as_documented() {
        let text = "the-final--countdown";
        assert_eq!(
            parts(text, Behavior::Removed),
            ["the", "final", "countdown"]
        );
        assert_eq!(
            parts(text, Behavior::Isolated),
            ["the", "-", "final", "-", "-", "countdown"]
        );
        assert_eq!(
            parts(text, Behavior::MergedWithPrevious),
            ["the-", "final-", "-", "countdown"]
        );
        assert_eq!(
            parts(text, Behavior::MergedWithNext),
            ["the", "-final", "-", "-countdown"]
        );
        assert_eq!(
            parts(text, Behavior::Contiguous),
            ["the", "-", "final", "--", "countdown"]
        );
    }
}
