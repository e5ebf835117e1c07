//! # One merge, and all of them undone
//!
//! Byte-pair encoding has one move: two symbols that stand side by side become a new one, wherever they do. Here symbols are numbers, as they are
//! inside a program that trains. With a = 0, b = 1, c = 2, d = 3 the page's example `aaabdaaabac` is
//!
//! ```text
//! 0 0 0 1 3 0 0 0 1 0 2      merge (0, 0) into 4:
//! 4   0 1 3 4   0 1 0 2
//! ```
//!
//! In `0 0 0` the pair stands twice, but the middle 0 can be used once. Pairs are taken from left to right.
//!
//! Nothing is lost in it. If the first merge makes the symbol `first`, the second `first + 1`, and so on, then the list of merges is enough to take
//! every symbol apart again, down to those that were there before any merge. Do that too.

/// `tokens` with `new` wherever the two of `pair` stand side by side. `new` is a number that occurs nowhere yet.
pub fn merge_pair(tokens: &[u32], pair: (u32, u32), new: u32) -> Vec<u32> {
    todo!("merge_pair")
}

/// `tokens` with every merge undone. `merges[k]` are the two that became `first + k`; each is below `first + k`.
pub fn undo(tokens: &[u32], merges: &[(u32, u32)], first: u32) -> Vec<u32> {
    todo!("undo")
}
