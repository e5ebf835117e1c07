//! Which pair stands most often, solved.

use std::{cmp::Reverse, collections::BTreeMap};

/// A word, as its symbols, and how often it occurs.
pub type Word = (Vec<String>, u64);

/// Two symbols.
pub type Pair = (String, String);

/// How often a merge of each pair would replace something. Pairs that do not stand anywhere are not in the map.
pub fn count_pairs(words: &[Word]) -> BTreeMap<Pair, u64> {
    let mut counts = BTreeMap::new();
    for (symbols, frequency) in words {
        // Where each pair was counted last, to see an overlap.
        let mut last: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (i, pair) in symbols.windows(2).enumerate() {
            let (left, right) = (&pair[0], &pair[1]);
            let overlaps = i > 0 && last.get(&(left, right)) == Some(&(i - 1));
            if !overlaps {
                last.insert((left, right), i);
                *counts.entry((left.clone(), right.clone())).or_default() += frequency;
            }
        }
    }
    counts
}

/// The pair to be merged first. None where there is no pair.
pub fn most_frequent(counts: &BTreeMap<Pair, u64>) -> Option<Pair> {
    let best = counts.iter().max_by_key(|((left, right), count)| {
        let piece = [left.as_str(), right].concat();
        (**count, Reverse((piece.chars().count(), piece, left.len())))
    });
    best.map(|(pair, _)| pair.clone())
}
