//! GPT-2's alphabet: a letter for each byte, so that any text is a string of printable letters and every piece is readable.
//!
//! Bytes that print (`!`–`~`, `¡`–`¬`, `®`–`ÿ`) are the character with their own number; the others, in order, are U+0100, U+0101, ….
//! A space is `Ġ`. Source: `bytes_to_unicode` in `encoder.py` of GPT-2.

use std::sync::LazyLock;

static LETTERS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 as char {
        c @ ('!'..='~' | '¡'..='¬' | '®'..='ÿ') => c,
        _ => others.next().unwrap_or_default(),
    })
});

/// The letter of a byte.
pub(super) fn letter(byte: u8) -> char {
    LETTERS[usize::from(byte)]
}

/// The byte of a letter, if it is one.
pub(super) fn byte(letter: char) -> Option<u8> {
    match u32::from(letter) {
        own @ 0..=0xff => Some(own as u8).filter(|&byte| self::letter(byte) == letter),
        other => LETTERS
            .iter()
            .position(|&c| u32::from(c) == other)
            .map(|byte| byte as u8),
    }
}

/// Appends the bytes that the letters of a piece stand for (of a character that is no letter, its own bytes).
pub(super) fn to_bytes(piece: &str, bytes: &mut Vec<u8>) {
    for c in piece.chars() {
        match byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a table shifted by one, or one that gives two bytes the same letter.
    #[test]
    fn every_byte_has_its_letter() {
        for b in 0..=255 {
            assert_eq!(byte(letter(b)), Some(b));
        }
        assert_eq!(letter(b' '), 'Ġ');
        assert_eq!(letter(b'\n'), 'Ċ');
        assert_eq!(letter(0xad), 'Ń');
        assert_eq!(byte(' '), None);
    }
}
