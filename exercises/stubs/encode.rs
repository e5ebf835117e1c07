//! # Text into pieces
//!
//! A vocabulary gives every piece a score; the earlier it was learned, the higher. With it, a text is encoded as follows.
//!
//! 1. Every space becomes `▁` (U+2581), so that pieces can hold it.
//! 2. Each character is a symbol, whether it is a piece or not.
//! 3. Of all neighbours that, joined, are a piece: those two become one symbol whose piece has the highest score. Of equals, the leftmost.
//! 4. Step 3 again, until no two neighbours make a piece.
//! 5. What is no piece even then is one character. The pieces of its UTF-8 bytes stand for it: `你` becomes `<0xE4>`, `<0xBD>`, `<0xA0>`.
//!
//! That is not the longest match, with which the page describes it: with the scores b c = −1, a b = −2 the text `abc` is `a`, `bc`.

use std::collections::HashMap;

/// The pieces of `text`. `scores` has every piece that merging can make, and the single characters that are pieces.
pub fn encode(text: &str, scores: &HashMap<String, f64>) -> Vec<String> {
    todo!("encode")
}
