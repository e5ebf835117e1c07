//! # Learning a vocabulary
//!
//! Each word begins as its characters. Then, as often as wanted: the pair of neighbours that is most frequent becomes one symbol, everywhere; and that
//! pair is what was learned. Four rules make it one vocabulary and not many:
//!
//! * No pair reaches from one word into another. A word comes with the number of times that it occurs, and each of its pairs counts that often.
//! * What counts is how often a pair would be *replaced*, from left to right: `a a` once in `aaa`, twice in `aaaa`.
//! * Of pairs that are equally frequent the one with the shorter piece wins (in characters), and of those the one whose piece comes first in the order
//!   of code points, which is how Rust compares strings. The piece is both halves, joined.
//! * Where no pair is left, it ends, however many merges are still wanted.
//!
//! Plain and slow is right here: count everything anew for each merge.

/// What is learned from `words`, each with how often it occurs: at most `merges` pairs, the first one first.
pub fn train_bpe(words: &[(&str, u64)], merges: usize) -> Vec<(String, String)> {
    todo!("train_bpe")
}
