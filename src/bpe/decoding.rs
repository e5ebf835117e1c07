//! BPE decoding: from ids to text.
//!
//! * Page: *Algorithm: BPE Detokenization*: [`decode_formal`], concatenation.
//! * Shipped: SentencePiece's `Decode`: [`SPACE`] becomes a space, byte pieces are gathered into characters, control pieces print
//!   nothing, and each byte that is part of no character prints one U+FFFD.

use super::{Kind, Piece, SPACE, TokenizerError, Vocabulary, byte_level};

/// The page's algorithm: the pieces, one after the other, with spaces where [`SPACE`] stands.
///
/// As printed it knows neither byte pieces nor control pieces, and so writes out their names.
///
/// ```
/// use baichuan2::bpe::decode_formal;
/// assert_eq!(decode_formal(&["Ham", "let", "▁of"]), "Hamlet of");
/// ```
pub fn decode_formal(tokens: &[&str]) -> String {
    let detokenized_text = tokens.concat(); // 1. concatenate_tokens
    detokenized_text.replace(SPACE, " ")
}

/// What control pieces such as `</s>` print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Specials {
    /// Nothing, as SentencePiece does.
    #[default]
    Skip,
    /// Their names.
    Show,
}

/// How pieces of a vocabulary turn into bytes, and bytes into text.
#[derive(Clone, Debug)]
pub(super) struct Decoding {
    /// Each letter of a piece is a byte (GPT-2), and bad bytes print one U+FFFD for each broken character; else one for each byte.
    pub byte_level: bool,
    /// Drop the space that the first piece begins with, which encoding put there.
    pub strip_first_space: bool,
    /// Drop such a space of each piece until something is printed.
    pub strip_leading_spaces: bool,
    /// What the unknown piece prints.
    pub unknown: String,
}

/// Decodes ids one at a time, and gives only text that is complete: never half a character.
///
/// Made by [`Tokenizer::stream_decoder`](super::Tokenizer::stream_decoder). The texts of all [`push`](Self::push)es and of
/// [`finish`](Self::finish), one after the other, are what [`Tokenizer::decode`](super::Tokenizer::decode) returns.
#[derive(Clone, Debug)]
pub struct StreamDecoder<'t> {
    vocabulary: &'t Vocabulary,
    decoding: &'t Decoding,
    specials: Specials,
    /// Bytes that are not yet a character.
    pending: Vec<u8>,
    /// Places in `pending` over which no character reaches: SentencePiece gathers bytes up to a control piece, though that prints nothing.
    cuts: Vec<usize>,
    at_start: bool,
}

impl<'t> StreamDecoder<'t> {
    pub(super) fn new(
        vocabulary: &'t Vocabulary,
        decoding: &'t Decoding,
        specials: Specials,
    ) -> Self {
        StreamDecoder {
            vocabulary,
            decoding,
            specials,
            pending: Vec::new(),
            cuts: Vec::new(),
            at_start: true,
        }
    }

    /// Takes the next id. Returns the text that it completes, which may be empty.
    ///
    /// # Errors
    /// [`TokenizerError::IdOutOfRange`]; the decoder then is as it was.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        self.push_bytes(id)?;
        Ok(self.take_text(false))
    }

    /// The rest: what no further id will complete prints as U+FFFD.
    pub fn finish(mut self) -> String {
        self.take_text(true)
    }

    pub(super) fn push_bytes(&mut self, id: u32) -> Result<(), TokenizerError> {
        let piece = self.vocabulary.piece(id)?;
        let before = self.pending.len();
        match piece.kind {
            Kind::Byte(byte) => self.pending.push(byte),
            Kind::Control if self.specials == Specials::Skip => {
                if !self.decoding.byte_level {
                    self.cuts.push(before);
                }
            }
            Kind::Control => self.pending.extend(piece.text.bytes()),
            Kind::Unknown => self.pending.extend(self.decoding.unknown.bytes()),
            Kind::Normal | Kind::UserDefined => self.push_piece(piece),
        }
        if self.pending.len() > before {
            self.at_start = false;
        }
        Ok(())
    }

    fn push_piece(&mut self, piece: Piece<'_>) {
        let mut text = piece.text;
        let Decoding {
            byte_level,
            strip_first_space,
            strip_leading_spaces,
            ..
        } = *self.decoding;
        if byte_level {
            match piece.kind {
                Kind::Normal => byte_level::to_bytes(text, &mut self.pending),
                _ => self.pending.extend(text.bytes()),
            }
            return;
        }
        if self.at_start
            && (strip_first_space || strip_leading_spaces)
            && let Some(rest) = text.strip_prefix(SPACE)
        {
            text = rest;
            self.at_start = strip_leading_spaces;
        }
        for (i, part) in text.split(SPACE).enumerate() {
            if i > 0 {
                self.pending.push(b' ');
            }
            self.pending.extend(part.bytes());
        }
    }

    /// The same decoder, as if something had been printed already.
    pub(super) fn inside(self) -> Self {
        StreamDecoder {
            at_start: false,
            ..self
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.pending
    }

    /// Takes whole characters off the front of `pending`; what is incomplete stays, unless this is the end.
    pub(super) fn take_text(&mut self, end: bool) -> String {
        let mut text = String::new();
        let pending = std::mem::take(&mut self.pending);
        let mut start = 0;
        for cut in std::mem::take(&mut self.cuts) {
            self.decode_part(&pending[start..cut], true, &mut text);
            start = cut;
        }
        self.decode_part(&pending[start..], end, &mut text);
        text
    }

    /// Appends the characters of `bytes` to `text`.
    fn decode_part(&mut self, bytes: &[u8], end: bool, text: &mut String) {
        let mut rest = bytes;
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            rest = &rest[chunk.valid().len()..];
            let bad = chunk.invalid();
            let may_go_on = std::str::from_utf8(rest).is_err_and(|e| e.error_len().is_none());
            if may_go_on && !end {
                break;
            }
            let marks = if self.decoding.byte_level {
                bad.len().min(1)
            } else {
                bad.len()
            };
            text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, marks));
            rest = &rest[bad.len()..];
        }
        self.pending = rest.to_vec();
    }
}
