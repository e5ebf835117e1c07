//! BPE training: which pairs to merge, learned from a text.
//!
//! Starting from single characters, the most frequent pair of neighbours becomes a new piece, is replaced by it everywhere, and so on:
//!
//! $$ (l, r)^\ast = \operatorname*{arg max}_{(l, r)} \left\lvert \lbrace i : s_i = l, s_{i+1} = r \rbrace \right\rvert $$
//!
//! Ties go to the shorter piece, then to the one first in the order of code points, then to the one whose left part is shorter. A
//! piece is learned once: when `ab` + `c` has made `abc`, `a` + `bc` is no longer a candidate (SentencePiece's rule).
//!
//! * Page: *Algorithm: Byte-Pair Encoding*: [`train_formal`].
//! * Papers: Gage 1994; Sennrich et al. 2016, arXiv 1508.07909.
//! * Shipped: SentencePiece's `bpe::Trainer`; here [`learn_merges`], with [`TrainingOptions`](super::TrainingOptions) around it.
//!
//! # As printed, as shipped
//!
//! The page counts again, over the whole text, for every merge, so that it costs merges × text: [`learn_merges`] looks only where
//! the last merge changed something. The page does not say what counts as a pair in `aaa`: overlapping, it would be two, but only
//! one can be replaced. What is counted here is what will be replaced (the page's own example counts `aa` three times in
//! `aaabdaaabac`; it can be replaced twice). And as printed, nothing stops a piece from reaching across words.

use indexmap::IndexMap;
use rustc_hash::{FxHashMap, FxHashSet};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// The page's algorithm: a vocabulary of subwords with their frequencies, in the order in which they entered it.
///
/// A character's value is how often it occurs; that of a merged subword how often its pair occurred when it was merged.
/// Stops early when no pair is left.
///
/// ```
/// use baichuan2::bpe::train_formal;
/// let vocabulary = train_formal("aaabdaaabac", 3);
/// let learned: Vec<_> = vocabulary.iter().skip(4).map(|(s, &n)| (s.as_str(), n)).collect();
/// assert_eq!(learned, [("aa", 2), ("ab", 2), ("aaab", 2)]);
/// ```
pub fn train_formal(training_text: &str, num_merges: usize) -> IndexMap<String, u64> {
    let mut text: Vec<String> = training_text.chars().map(String::from).collect();
    let mut vocabulary: IndexMap<String, u64> = IndexMap::new();
    for character in &text {
        *vocabulary.entry(character.clone()).or_default() += 1; // 1. vocabulary
    }
    for _ in 0..num_merges {
        let pair_frequencies = calculate_pair_frequencies(&text); // 2a. pair_frequencies
        let most_frequent_pair = pair_frequencies // 2b. most_frequent_pair
            .into_iter()
            .filter(|((l, r), _)| !vocabulary.contains_key(&[*l, *r].concat()))
            .max_by_key(|((l, r), n)| {
                let piece = [*l, *r].concat();
                (*n, Reverse((piece.chars().count(), piece, l.len())))
            });
        let Some(((left, right), frequency)) = most_frequent_pair else {
            break;
        };
        let (left, right) = (left.to_owned(), right.to_owned());
        let new_subword = [left.as_str(), &right].concat(); // 2c. new_subword
        vocabulary.insert(new_subword.clone(), frequency); // 2d. update_vocabulary
        let mut i = 0;
        while i + 1 < text.len() {
            if text[i] == left && text[i + 1] == right {
                text[i].clone_from(&new_subword); // 2e. replace_pair
                text.remove(i + 1);
            }
            i += 1;
        }
    }
    vocabulary
}

/// How often each pair would be replaced, from left to right.
fn calculate_pair_frequencies(text: &[String]) -> BTreeMap<(&str, &str), u64> {
    let mut frequencies = BTreeMap::new();
    let mut last_seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (i, pair) in text.windows(2).enumerate() {
        let pair = (pair[0].as_str(), pair[1].as_str());
        if last_seen.get(&pair).is_none_or(|&last| last + 1 < i) {
            *frequencies.entry(pair).or_default() += 1;
            last_seen.insert(pair, i);
        }
    }
    frequencies
}

/// A merge that was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Its place: 0 is the first.
    pub rank: usize,
    /// The left part.
    pub left: String,
    /// The right part.
    pub right: String,
    /// How often the pair stood in the text when it was merged.
    pub count: u64,
}

impl Learned {
    /// The piece: both parts, joined.
    pub fn piece(&self) -> String {
        [self.left.as_str(), &self.right].concat()
    }
}

/// The shipped form: at most `num_merges` merges, learned from words and how often each occurs.
///
/// A pair becomes a candidate only if `allowed` says so of its concatenation. `observe` is told each merge as it is learned.
///
/// The places of a pair all come into being at once: at the beginning, or when the later of its two symbols is made. From then on
/// they can only vanish, so that a count once taken is never too low. So the pair on top of a heap is counted again: if it is as
/// frequent as it claims, no other can beat it; if not, it goes back with its new count. Words of more than
/// 2³² characters in all are not taken.
pub fn learn_merges<'w>(
    words: impl IntoIterator<Item = (&'w str, u64)>,
    num_merges: usize,
    allowed: impl Fn(&str) -> bool,
    mut observe: impl FnMut(&Learned),
) -> Option<Vec<Learned>> {
    let mut text = Text::new(words)?;
    let mut queue = BinaryHeap::new();
    text.find_pairs(0..text.slots.len() as u32, &allowed, &mut queue);
    let mut known: FxHashSet<Box<str>> = FxHashSet::default();
    let mut learned = Vec::new();
    while learned.len() < num_merges
        && let Some(mut best) = queue.pop()
    {
        let Reverse((piece, _)) = &best.name;
        if known.contains(piece) {
            continue;
        }
        let count = text.recount(&mut best.pair);
        if count < best.count {
            best.count = count;
            if count > 0 {
                queue.push(best);
            }
            continue;
        }
        known.insert(piece.clone());
        let merge = Learned {
            rank: learned.len(),
            left: text.names[best.pair.left as usize].to_string(),
            right: text.names[best.pair.right as usize].to_string(),
            count,
        };
        observe(&merge);
        learned.push(merge);
        let changed = text.merge(best.pair, piece);
        text.find_pairs(changed, &allowed, &mut queue);
    }
    Some(learned)
}

/// No symbol, no slot.
const NONE: u32 = u32::MAX;

/// All words, one after the other: a slot for each character, linked to its neighbours inside the word.
struct Text {
    slots: Vec<Slot>,
    /// Of each word.
    frequencies: Vec<u64>,
    /// Of each symbol.
    names: Vec<Box<str>>,
    lengths: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Slot {
    /// `NONE` once it has been merged into the slot before.
    symbol: u32,
    prev: u32,
    next: u32,
    word: u32,
}

/// Two symbols, and the slots where the left one may stand, in increasing order: all where it does, and some where it did.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    left: u32,
    right: u32,
    slots: Vec<u32>,
}

/// Ordered by its fields, from top to bottom: the module's rule for ties.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: u64,
    characters: Reverse<usize>,
    /// The piece it would make, and the bytes of its left part.
    name: Reverse<(Box<str>, usize)>,
    pair: Pair,
}

impl Text {
    fn new<'w>(words: impl IntoIterator<Item = (&'w str, u64)>) -> Option<Self> {
        let mut text = Text {
            slots: Vec::new(),
            frequencies: Vec::new(),
            names: Vec::new(),
            lengths: Vec::new(),
        };
        let mut symbols: FxHashMap<char, u32> = FxHashMap::default();
        for (word, frequency) in words {
            let number = u32::try_from(text.frequencies.len()).ok()?;
            text.frequencies.push(frequency);
            let mut prev = NONE;
            for character in word.chars() {
                let slot = u32::try_from(text.slots.len())
                    .ok()
                    .filter(|&s| s != NONE)?;
                let symbol = *symbols.entry(character).or_insert_with(|| {
                    text.names.push(String::from(character).into());
                    text.lengths.push(1);
                    text.names.len() as u32 - 1
                });
                if let Some(before) = text.slots.get_mut(prev as usize) {
                    before.next = slot;
                }
                text.slots.push(Slot {
                    symbol,
                    prev,
                    next: NONE,
                    word: number,
                });
                prev = slot;
            }
        }
        Some(text)
    }

    /// The pair whose left symbol stands at `slot`: both symbols and the slot of the right one.
    fn pair_at(&self, slot: u32) -> Option<(u32, u32, u32)> {
        let left = self.slots.get(slot as usize)?;
        let right = self.slots.get(left.next as usize)?;
        (left.symbol != NONE).then_some((left.symbol, right.symbol, left.next))
    }

    /// Makes candidates of the pairs at `places`, which are in increasing order and all the places that those pairs have.
    fn find_pairs(
        &self,
        places: impl IntoIterator<Item = u32>,
        allowed: impl Fn(&str) -> bool,
        queue: &mut BinaryHeap<Candidate>,
    ) {
        let mut found: FxHashMap<(u32, u32), Vec<u32>> = FxHashMap::default();
        for slot in places {
            if let Some((left, right, _)) = self.pair_at(slot) {
                found.entry((left, right)).or_default().push(slot);
            }
        }
        for ((left, right), slots) in found {
            let left_name = &self.names[left as usize];
            let piece = [left_name, &*self.names[right as usize]].concat();
            if !allowed(&piece) {
                continue;
            }
            let mut pair = Pair { left, right, slots };
            queue.push(Candidate {
                count: self.recount(&mut pair),
                characters: Reverse(self.lengths[left as usize] + self.lengths[right as usize]),
                name: Reverse((piece.into(), left_name.len())),
                pair,
            });
        }
    }

    /// How often the pair would be replaced now. Forgets the places where it no longer stands.
    fn recount(&self, pair: &mut Pair) -> u64 {
        let mut count = 0;
        let mut taken = NONE;
        pair.slots.retain(|&slot| match self.pair_at(slot) {
            Some((left, right, next)) if (left, right) == (pair.left, pair.right) => {
                if slot != taken {
                    count += self.frequencies[self.slots[slot as usize].word as usize];
                    taken = next; // in `aaa` the middle one cannot be replaced twice
                }
                true
            }
            _ => false,
        });
        count
    }

    /// Replaces the pair everywhere by a new symbol. Returns the places of every pair that this symbol is now part of.
    fn merge(&mut self, pair: Pair, piece: &str) -> Vec<u32> {
        let symbol = self.names.len() as u32;
        self.names.push(piece.into());
        let length = self.lengths[pair.left as usize] + self.lengths[pair.right as usize];
        self.lengths.push(length);
        let mut merged = Vec::with_capacity(pair.slots.len());
        for slot in pair.slots {
            if let Some((left, right, next)) = self.pair_at(slot)
                && (left, right) == (pair.left, pair.right)
            {
                let after = self.slots[next as usize].next;
                self.slots[next as usize].symbol = NONE;
                self.slots[slot as usize].symbol = symbol;
                self.slots[slot as usize].next = after;
                if let Some(after) = self.slots.get_mut(after as usize) {
                    after.prev = slot;
                }
                merged.push(slot);
            }
        }
        let mut places = Vec::with_capacity(2 * merged.len());
        for slot in merged {
            let before = self.slots[slot as usize].prev;
            if self
                .slots
                .get(before as usize)
                .is_some_and(|b| b.symbol != symbol)
            {
                places.push(before);
            }
            places.push(slot);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn learn(text: &str, num_merges: usize) -> Vec<(String, u64)> {
        learn_merges([(text, 1)], num_merges, |_| true, |_| ())
            .unwrap()
            .iter()
            .map(|merge| (merge.piece(), merge.count))
            .collect()
    }

    proptest! {
        /// Catches: counts that go stale, places that are lost, `aaa` counted twice, ties broken otherwise.
        #[test]
        fn shipped_equals_the_page(text in "[ab]{0,40}|[abc ]{0,60}|(ab|aab|ba){0,20}", num_merges in 0..30_usize) {
            let page: Vec<_> = train_formal(&text, num_merges).into_iter()
                .filter(|(piece, _)| piece.chars().count() > 1).collect();
            prop_assert_eq!(learn(&text, num_merges), page);
        }

        /// Catches: pairs across words, frequencies ignored.
        #[test]
        fn a_frequency_stands_for_as_many_copies(
            words in prop::collection::vec(("[abc]{1,8}", 1..4_u64), 0..8),
            num_merges in 0..20_usize,
        ) {
            let counted = words.iter().map(|(word, n)| (word.as_str(), *n));
            let copies = words.iter().flat_map(|(word, n)| (0..*n).map(|_| (word.as_str(), 1)));
            prop_assert_eq!(
                learn_merges(counted, num_merges, |_| true, |_| ()),
                learn_merges(copies, num_merges, |_| true, |_| ())
            );
        }

        /// Catches: a longer run that does not begin as the shorter one.
        #[test]
        fn fewer_merges_are_a_prefix_of_more(text in "[abc]{0,60}", fewer in 0..10_usize, more in 0..10_usize) {
            let all = learn(&text, fewer + more);
            let some = learn(&text, fewer);
            prop_assert_eq!(&all[..fewer.min(all.len())], &some[..]);
        }
    }

    /// Catches: words taken for one text: as printed, the most frequent pair of English is a letter and the space after it.
    #[test]
    fn as_printed_a_piece_reaches_across_words() {
        let text = "the end, some more, one made the case";
        assert_eq!(train_formal(text, 1).last(), Some((&"e ".to_owned(), &5)));
        let words = text.split_inclusive(' ').map(|word| (word.trim_end(), 1));
        let learned = learn_merges(words, 1, |_| true, |_| ()).unwrap();
        assert_eq!(learned[0].piece(), "he");
    }

    /// Catches: overlapping pairs counted as the page's loose wording suggests.
    #[test]
    fn what_overlaps_counts_once() {
        // `aa` overlaps itself twice in `aaa` but can be replaced once there; `bc` can twice.
        assert_eq!(learn("aaa-bc+bc", 1), [("bc".into(), 2)]);
        assert_eq!(
            learn("aaabdaaabac", 1),
            [("aa".into(), 2)],
            "the page says three"
        );
    }
}
