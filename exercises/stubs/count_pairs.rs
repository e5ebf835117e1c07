//! # Which pair stands most often?
//!
//! Byte-pair encoding learns its pieces by one question, asked again and again: which two neighbours stand together
//! most often? This is the question.
//!
//! The text is given as words, each as the list of its symbols, and how often it occurs. A pair is two neighbours
//! inside *one* word. What is counted is what a merge will replace, going from left to right: in `a a a` the pair (a,
//! a) stands once, for when the first two are merged the third has no partner left. In `a a a a` it stands twice.
//!
//! Where several pairs are the most frequent, the one is taken whose piece (both symbols, joined) is shorter in
//! characters; of those, the piece that comes first in the order of `str`; of those, the pair whose left symbol is
//! shorter.

use std::collections::BTreeMap;

/// A word, as its symbols, and how often it occurs.
pub type Word = (Vec<String>, u64);

/// Two symbols.
pub type Pair = (String, String);

/// How often a merge of each pair would replace something. Pairs that do not stand anywhere are not in the map.
pub fn count_pairs(words: &[Word]) -> BTreeMap<Pair, u64> {
    todo!("count_pairs")
}

/// The pair to be merged first. None where there is no pair.
pub fn most_frequent(counts: &BTreeMap<Pair, u64>) -> Option<Pair> {
    todo!("most_frequent")
}
