//! Pieces into text, bytes and all, solved.

use std::{char::REPLACEMENT_CHARACTER, iter::repeat_n, str};

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
    let mut text = String::new();
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Byte(byte) => bytes.push(*byte),
            Piece::Text(piece) => {
                print(&mut bytes, &mut text);
                text += &piece.replace('▁', " ");
            }
            Piece::Control => print(&mut bytes, &mut text),
        }
    }
    print(&mut bytes, &mut text);
    text
}

/// Appends what `bytes` say to `text`, and empties them.
fn print(bytes: &mut Vec<u8>, text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(repeat_n(REPLACEMENT_CHARACTER, chunk.invalid().len()));
    }
    bytes.clear();
}

/// How many bytes at the front of `waiting` can be printed now: all of them, but for a character at the end that a next byte may still complete.
/// Bytes that no next byte can turn into text can be printed too, as U+FFFD.
pub fn ready(waiting: &[u8]) -> usize {
    let mut done = 0;
    while let Err(error) = str::from_utf8(&waiting[done..]) {
        done += error.valid_up_to();
        match error.error_len() {
            Some(bad) => done += bad,
            None => return done, // The text ends in the middle of a character.
        }
    }
    waiting.len()
}
