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

use super::{Kind, TokenizerError, Vocabulary};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

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

/// A symbol without an id: a character that is no piece and a part of none.
const NONE: u32 = u32::MAX;

/// Two numbers as one, which hashes faster.
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[derive(Clone, Copy, Debug)]
struct Merged {
    rank: u32,
    id: u32,
}

/// Which pairs of symbols merge, when, and into what: a vocabulary turned around for encoding.
///
/// Symbols are ids. Characters that are no piece themselves but occur inside pieces have ids above the vocabulary's.
#[derive(Clone, Debug, Default)]
pub(super) struct Merges {
    characters: FxHashMap<char, u32>,
    table: FxHashMap<u64, Merged>,
    /// Pairs of characters between which some merge can happen. Text may be cut anywhere else without changing a single id.
    joints: FxHashSet<u64>,
}

impl Merges {
    /// Every pair whose concatenation is a piece merges, by that piece's score: SentencePiece's rule.
    pub(super) fn by_score(vocabulary: &Vocabulary) -> Self {
        let mut by_score: Vec<(f32, u32, &str)> = vocabulary
            .iter()
            .zip(0..)
            .filter(|(piece, _)| piece.kind == Kind::Normal)
            .map(|(piece, id)| (piece.score + 0.0, id, piece.text)) // -0 + 0 = 0: one zero, one rank
            .collect();
        by_score.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));

        let mut merges = Merges::default();
        merges.table.reserve(2 * by_score.len());
        merges.joints.reserve(by_score.len());
        let mut extra: FxHashMap<&str, u32> = FxHashMap::default();
        let mut unused = vocabulary.len() as u32..NONE;
        for &(_, _, text) in &by_score {
            for (start, character) in text.char_indices() {
                merges.characters.entry(character).or_insert_with(|| {
                    let name = &text[start..start + character.len_utf8()];
                    vocabulary.normal(name).unwrap_or_else(|| {
                        let id = unused.next().unwrap_or(NONE);
                        extra.insert(name, id);
                        id
                    })
                });
            }
        }
        let symbol = |text: &str| vocabulary.normal(text).or_else(|| extra.get(text).copied());
        // Only lengths that some symbol has are worth a look: one endless piece in a file then costs little.
        let mut lengths = vec![false; vocabulary.longest() + 1];
        for text in by_score.iter().map(|p| p.2).chain(extra.keys().copied()) {
            lengths[text.len()] = true;
        }
        let (mut rank, mut last) = (0, None);
        for &(score, id, text) in &by_score {
            if last.replace(score).is_some_and(|last| last != score) {
                rank += 1;
            }
            for (cut, _) in text.char_indices().skip(1) {
                let (left, right) = text.split_at(cut);
                if lengths[left.len()]
                    && lengths[right.len()]
                    && let Some(r) = symbol(right) // fewer endings are pieces than beginnings: the quicker no
                    && let Some(l) = symbol(left)
                {
                    merges.insert((left, l), (right, r), Merged { rank, id });
                }
            }
        }
        merges
    }

    /// Only the listed pairs merge, in the order of the list: the rule of `tokenizer.json`.
    ///
    /// # Errors
    /// [`TokenizerError::BadMerge`] where a part or the result is not in the vocabulary.
    pub(super) fn by_list<'a>(
        vocabulary: &Vocabulary,
        list: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, TokenizerError> {
        let mut merges = Merges::default();
        for (piece, id) in vocabulary.iter().zip(0..) {
            if piece.kind != Kind::Normal {
                continue;
            }
            let mut characters = piece.text.chars();
            if let (Some(only), None) = (characters.next(), characters.next()) {
                merges.characters.insert(only, id);
            }
        }
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
            let (left, right) = ((left, id(left)?), (right, id(right)?));
            if vocabulary.normal(&whole).is_some() {
                merges.insert(left, right, merged); // no control piece is ever merged together
            }
        }
        Ok(merges)
    }

    fn insert(&mut self, left: (&str, u32), right: (&str, u32), merged: Merged) {
        if let (Some(a), Some(b)) = (left.0.chars().next_back(), right.0.chars().next()) {
            self.joints.insert(key(a.into(), b.into()));
        }
        self.table.insert(key(left.1, right.1), merged);
    }

    /// The id of a character's own piece, if it has one. Ids from the vocabulary's length on are parts of pieces only.
    pub(super) fn character(&self, character: char) -> Option<u32> {
        self.characters.get(&character).copied()
    }

    /// Cuts `text` wherever no merge can reach across, so that each part can be encoded alone.
    pub(super) fn parts<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        cut(text, |a, b| !self.joints.contains(&key(a.into(), b.into())))
    }
}

/// Cuts `text` between two characters wherever `apart` says so.
pub(super) fn cut(text: &str, apart: impl Fn(char, char) -> bool) -> impl Iterator<Item = &str> {
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

/// The shipped form: symbols in a linked list, candidates in a heap, $O(n \log n)$ for $n$ characters.
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
            && let Some(&Merged { rank, id }) = merges.table.get(&key(l.id, r.id))
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
