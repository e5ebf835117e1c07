//! # Pieces into text, bytes and all
//!
//! The page joins the pieces, and that is that. Three things are missing in it:
//!
//! * `▁` (U+2581) in a piece is a space.
//! * Byte pieces that follow each other are UTF-8: `<0xE4>`, `<0xBD>`, `<0xA0>` is `你`. A model may well produce bytes that are no text. Every such
//!   byte prints one U+FFFD, the replacement character: for four bad bytes there are four of it.
//! * Control pieces such as `</s>` print nothing. But no character reaches across one.
//!
//! And there is a second question, for whoever prints while the model still speaks: bytes come one at a time, and half a character must not be
//! printed. Of the bytes that wait to be printed, how many may go?

/// A piece of a vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text, with `▁` for a space.
    Text(&'a str),
    /// One byte.
    Byte(u8),
    /// Prints nothing.
    Control,
}

/// The text of `pieces`.
pub fn decode(pieces: &[Piece]) -> String {
    todo!("decode")
}

/// How many bytes at the front of `waiting` can be printed now: all of them, but for a character at the end that a next byte may still complete.
/// Bytes that no next byte can turn into text can be printed too, as U+FFFD.
pub fn ready(waiting: &[u8]) -> usize {
    todo!("ready")
}
