//! BPE encoding: from text to pieces.
//!
//! A text starts as one symbol for each character. Of all neighbours whose concatenation is a piece, the pair with the highest
//! score is merged, the leftmost one on ties, until no pair is left:
//!
//! $$ i^\ast = \operatorname*{argmax}_{i} \mathrm{score}(s_i s_{i+1}), \qquad (\dots, s_{i^\ast}, s_{i^\ast+1}, \dots) \to (\dots, s_{i^\ast} s_{i^\ast+1}, \dots) $$
//!
//! * Page: *Algorithm: BPE Tokenization*, which is something else: see [`encode_longest_match`].
//! * Papers: Sennrich et al. 2016, arXiv 1508.07909 (merging); Kudo and Richardson 2018, arXiv 1808.06226 (SentencePiece).
//! * Shipped: SentencePiece's `bpe::Model`.

use super::{
    Kind, Piece, TokenizerError, Vocabulary,
    trie::{NONE, Texts, Trie},
};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    ops::Range,
};

/// The page's algorithm, as printed: always the longest piece that the rest of the text begins with.
///
/// **This is not BPE**, though it often gives the same pieces: merging goes by score, and a short early merge may block a long
/// piece. Where nothing matches, the printed algorithm never ends; here a character without a piece is a token of its own.
///
/// ```
/// use baichuan2::bpe::{Kind, Vocabulary, encode_formal, encode_longest_match};
/// let mut vocabulary = Vocabulary::default();
/// for (rank, piece) in ["bc", "ab", "a", "b", "c"].into_iter().enumerate() {
///     vocabulary.push(piece, -(rank as f32), Kind::Normal)?;
/// }
/// assert_eq!(encode_longest_match(&vocabulary, "abc"), ["ab", "c"]);
/// assert_eq!(encode_formal(&vocabulary, "abc"), ["a", "bc"]); // `bc` was learned first
/// # Ok::<(), baichuan2::bpe::TokenizerError>(())
/// ```
pub fn encode_longest_match<'t>(vocabulary: &Vocabulary, text: &'t str) -> Vec<&'t str> {
    let matchable = |piece: &str| {
        let kind = vocabulary
            .id_of(piece)
            .and_then(|id| vocabulary.get(id))
            .map(|p| p.kind);
        matches!(kind, Some(Kind::Normal | Kind::UserDefined))
    };
    let mut tokens = Vec::new(); // 1. tokens
    let mut text = text;
    while let Some(first) = text.chars().next() {
        let longest_subword = (1..=vocabulary.longest().min(text.len())) // 2a. longest_subword
            .rev()
            .filter_map(|len| text.get(..len))
            .find(|prefix| matchable(prefix))
            .unwrap_or(&text[..first.len_utf8()]);
        tokens.push(longest_subword); // 2b. append
        text = &text[longest_subword.len()..]; // 2c. remove_subword
    }
    tokens
}

/// BPE encoding by its definition: look at every pair, merge the best one, start over.
///
/// Quadratic, and blind to all that [`Tokenizer`](super::Tokenizer) does around it; the merging in that is held to it by a property test.
pub fn encode_formal<'t>(vocabulary: &Vocabulary, text: &'t str) -> Vec<&'t str> {
    let mut starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    starts.push(text.len());
    loop {
        let mut best: Option<(f32, usize)> = None;
        for (i, pair) in starts.windows(3).enumerate() {
            let piece = vocabulary
                .id_of(&text[pair[0]..pair[2]])
                .and_then(|id| vocabulary.get(id))
                .filter(|piece| piece.kind == Kind::Normal);
            // strictly better, so that of equals the leftmost stays
            if let Some(piece) = piece
                && best.is_none_or(|(score, _)| piece.score > score)
            {
                best = Some((piece.score, i));
            }
        }
        match best {
            Some((_, i)) => starts.remove(i + 1),
            None => return starts.windows(2).map(|s| &text[s[0]..s[1]]).collect(),
        };
    }
}

/// One merge, as an observer sees it. Ranges are bytes of [`Prepared::text`](super::Prepared).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Where the left symbol stands.
    pub left: Range<usize>,
    /// Where the right symbol stands: just after.
    pub right: Range<usize>,
    /// Its priority: 0 is merged first. Pairs that score the same share a rank.
    pub rank: u32,
    /// The piece that it makes.
    pub id: u32,
}

/// Two numbers as one, which hashes faster.
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// When a pair of symbols is merged, and into what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merged {
    pub rank: u32,
    pub id: u32,
}

/// The pieces that merging can make, and their ids.
fn normal(vocabulary: &Vocabulary) -> impl Iterator<Item = (Piece<'_>, u32)> {
    let pieces = vocabulary.iter().zip(0..);
    pieces.filter(|(piece, _)| piece.kind == Kind::Normal)
}

/// Pairs that merge, by the length of what they become.
pub(super) type Pairs = BTreeMap<usize, Vec<(u32, u32, Merged)>>;

/// Which pairs of symbols merge, when, and into what: a vocabulary turned around for encoding.
///
/// Symbols are ids. Characters that are no piece themselves but occur inside pieces have ids above the vocabulary's.
#[derive(Clone, Debug)]
pub(super) struct Merges {
    characters: FxHashMap<char, u32>,
    /// Of all pairs that the rule gives, those that a text can have side by side.
    table: FxHashMap<u64, Merged>,
    /// All symbols, as texts have them before merging.
    pub(super) symbols: Trie,
}

impl Merges {
    /// Every pair whose concatenation is a piece merges, by that piece's score: SentencePiece's rule.
    ///
    /// `written` says how a piece is written in texts, if it can be in any.
    pub(super) fn by_score<'v>(
        vocabulary: &'v Vocabulary,
        written: impl Fn(&'v str) -> Option<Cow<'v, str>>,
    ) -> (Self, Pairs) {
        let mut by_score: Vec<(f32, u32)> = normal(vocabulary)
            .map(|(piece, id)| (piece.score + 0.0, id)) // -0 + 0 = 0: one zero, one rank
            .collect();
        by_score.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut ranks = vec![0; vocabulary.len()];
        let (mut rank, mut last) = (0, None);
        for (score, id) in by_score {
            rank += u32::from(last.replace(score).is_some_and(|last| last != score));
            ranks[id as usize] = rank;
        }

        let mut characters = FxHashMap::default();
        let mut texts = Texts::default();
        let mut unused = vocabulary.len() as u32..NONE;
        for (piece, id) in normal(vocabulary) {
            let Some(text) = written(piece.text) else {
                continue;
            };
            texts.push(&text, id);
            for (start, character) in piece.text.char_indices() {
                characters.entry(character).or_insert_with(|| {
                    let name = &piece.text[start..start + character.len_utf8()];
                    vocabulary.normal(name).unwrap_or_else(|| {
                        let id = unused.next().unwrap_or(NONE);
                        texts.push(&written(name).unwrap_or_default(), id);
                        id
                    })
                });
            }
        }
        let texts = texts.sorted();
        let symbols = Trie::new(&texts);

        let mut pairs = Pairs::new();
        for &(text, id) in &texts {
            let Some(&rank) = ranks.get(id as usize) else {
                continue; // a character without a piece
            };
            let pairs = pairs.entry(text.len()).or_default();
            for (left, length) in symbols.beginnings(text) {
                if let Some(right) = symbols.get(&text[length..]) {
                    pairs.push((left, right, Merged { rank, id }));
                }
            }
        }
        let merges = Merges {
            characters,
            table: FxHashMap::with_capacity_and_hasher(texts.len(), FxBuildHasher),
            symbols,
        };
        (merges, pairs)
    }

    /// Only the listed pairs merge, in the order of the list: the rule of `tokenizer.json`.
    ///
    /// # Errors
    /// [`TokenizerError::BadMerge`] where a part or the result is not in the vocabulary.
    pub(super) fn by_list<'a>(
        vocabulary: &Vocabulary,
        list: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Pairs), TokenizerError> {
        let mut characters = FxHashMap::default();
        let mut texts = Texts::default();
        for (piece, id) in normal(vocabulary) {
            texts.push(piece.text, id);
            let mut of_piece = piece.text.chars();
            if let (Some(only), None) = (of_piece.next(), of_piece.next()) {
                characters.insert(only, id);
            }
        }
        let mut table = FxHashMap::default();
        let mut whole = String::new();
        for (rank, (left, right)) in list.into_iter().enumerate() {
            whole.clear();
            whole.push_str(left);
            whole.push_str(right);
            let id = |text: &str| {
                vocabulary
                    .id_of(text)
                    .ok_or_else(|| TokenizerError::BadMerge {
                        rank,
                        left: left.into(),
                        right: right.into(),
                    })
            };
            let merged = Merged {
                rank: rank as u32,
                id: id(&whole)?,
            };
            let pair = key(id(left)?, id(right)?);
            if vocabulary.normal(&whole).is_some() {
                table.insert(pair, merged); // no control piece is ever merged together
            }
        }
        let mut pairs = Pairs::new();
        for (key, merged) in table {
            let length = vocabulary
                .get(merged.id)
                .map_or(0, |piece| piece.text.len());
            let pairs = pairs.entry(length).or_default();
            pairs.push(((key >> 32) as u32, key as u32, merged));
        }
        let merges = Merges {
            characters,
            table: FxHashMap::default(),
            symbols: Trie::new(&texts.sorted()),
        };
        Ok((merges, pairs))
    }

    /// The id of a character's own piece, if it has one. Ids from the vocabulary's length on are parts of pieces only.
    pub(super) fn character(&self, character: char) -> Option<u32> {
        self.characters.get(&character).copied()
    }

    /// Every character that is a symbol, and its id.
    pub(super) fn characters(&self) -> impl Iterator<Item = (char, u32)> {
        self.characters
            .iter()
            .map(|(&character, &id)| (character, id))
    }

    /// A pair merges.
    pub(super) fn insert(&mut self, left: u32, right: u32, merged: Merged) {
        self.table.insert(key(left, right), merged);
    }

    /// When a pair merges, and into what.
    #[inline]
    pub(super) fn get(&self, left: u32, right: u32) -> Option<Merged> {
        self.table.get(&key(left, right)).copied()
    }
}

#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    start: usize,
    end: usize,
    prev: usize,
    next: usize,
}

/// A pair that could be merged, ordered by rank, then from left to right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: u32,
    left: usize,
    right: usize,
    /// Where the pair ended in the text when it was found: if it no longer does, the pair is gone.
    end: usize,
    id: u32,
}

/// Merging that can be watched: symbols in a linked list, candidates in a heap, $O(n \log n)$ for $n$ characters.
///
/// [`Matcher`](super::matching::Matcher) finds the same symbols without merging.
///
/// It holds nothing between texts but its memory.
#[derive(Default)]
pub(super) struct Merger {
    symbols: Vec<Symbol>,
    heap: BinaryHeap<Reverse<Candidate>>,
}

impl Merger {
    /// Merges all of `text`, tells `observe` each merge in order, then `emit` each remaining symbol: its id, if it has one, and where it is.
    ///
    /// Ids from the vocabulary's length on are of characters without a piece.
    pub(super) fn run(
        &mut self,
        merges: &Merges,
        text: &str,
        mut observe: impl FnMut(Merge),
        mut emit: impl FnMut(Option<u32>, Range<usize>),
    ) {
        self.symbols.clear();
        self.heap.clear();
        for (i, (start, character)) in text.char_indices().enumerate() {
            self.symbols.push(Symbol {
                id: merges.character(character).unwrap_or(NONE),
                start,
                end: start + character.len_utf8(),
                prev: i.wrapping_sub(1),
                next: i + 1,
            });
        }
        for left in 1..self.symbols.len() {
            self.consider(merges, left - 1, left);
        }
        while let Some(Reverse(best)) = self.heap.pop() {
            let (Some(&left), Some(&right)) =
                (self.symbols.get(best.left), self.symbols.get(best.right))
            else {
                continue;
            };
            if left.next != best.right || right.end != best.end {
                continue; // one of the two has been merged with another neighbour since
            }
            observe(Merge {
                left: left.start..left.end,
                right: right.start..right.end,
                rank: best.rank,
                id: best.id,
            });
            let merged = Symbol {
                id: best.id,
                end: right.end,
                next: right.next,
                ..left
            };
            self.symbols[best.left] = merged;
            self.symbols[best.right].next = best.right; // no neighbour of its own: not part of the list
            if let Some(after) = self.symbols.get_mut(right.next) {
                after.prev = best.left;
            }
            self.consider(merges, left.prev, best.left);
            self.consider(merges, best.left, right.next);
        }
        let mut at = 0;
        while let Some(symbol) = self.symbols.get(at) {
            emit(
                Some(symbol.id).filter(|&id| id != NONE),
                symbol.start..symbol.end,
            );
            at = symbol.next;
        }
    }

    fn consider(&mut self, merges: &Merges, left: usize, right: usize) {
        if let (Some(l), Some(r)) = (self.symbols.get(left), self.symbols.get(right))
            && let Some(Merged { rank, id }) = merges.get(l.id, r.id)
        {
            self.heap.push(Reverse(Candidate {
                rank,
                left,
                right,
                end: r.end,
                id,
            }));
        }
    }
}
