//! The vocabulary $V$: pieces of text, each with an id, a kind and a score.

use super::TokenizerError;
use indexmap::{IndexMap, map::Entry};
use rustc_hash::FxBuildHasher;
use std::fmt;

/// What stands for a space inside pieces: U+2581, *lower one eighth block*.
pub const SPACE: char = '▁';

/// What a piece is for. The names are SentencePiece's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Made by merging.
    Normal,
    /// Stands for whatever nothing else can express.
    Unknown,
    /// Never made from text and prints nothing: `<s>`, `</s>`.
    Control,
    /// Found in the text before any merge, and never merged with anything: `<reserved_106>`.
    UserDefined,
    /// One byte of a character that has no piece: `<0xE5>`.
    Byte(u8),
}

/// One entry of a [`Vocabulary`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece<'v> {
    /// Its text, with [`SPACE`] for a space (or, in a byte-level vocabulary, with one letter for each byte).
    pub text: &'v str,
    /// The higher, the earlier it is merged. Minus the rank of the merge in trained vocabularies.
    pub score: f32,
    /// What it is for.
    pub kind: Kind,
}

/// The pieces of a tokenizer. A piece's id is its place.
///
/// ```
/// use baichuan2::bpe::{Kind, Vocabulary};
/// let mut vocabulary = Vocabulary::default();
/// vocabulary.push("<unk>", 0.0, Kind::Unknown)?;
/// vocabulary.push("ab", -1.0, Kind::Normal)?;
/// assert_eq!(vocabulary.id_of("ab"), Some(1));
/// assert!(vocabulary.push("ab", -2.0, Kind::Normal).is_err());
/// # Ok::<(), baichuan2::bpe::TokenizerError>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Vocabulary {
    pieces: IndexMap<Box<str>, (f32, Kind), FxBuildHasher>,
}

impl Vocabulary {
    /// Room for `n` pieces.
    pub fn with_capacity(n: usize) -> Self {
        Vocabulary {
            pieces: IndexMap::with_capacity_and_hasher(n, FxBuildHasher),
        }
    }

    /// Adds a piece and returns its id, the number of pieces before it.
    ///
    /// # Errors
    /// An empty piece, a piece that is there already, a score that is not a number, a byte piece not named `<0x…>`.
    pub fn push(&mut self, text: &str, score: f32, kind: Kind) -> Result<u32, TokenizerError> {
        let id = u32::try_from(self.pieces.len())
            .map_err(|_| TokenizerError::Incomplete("more pieces than ids of 32 bits".into()))?;
        let bad = |problem| TokenizerError::BadPiece {
            id,
            piece: text.into(),
            problem,
        };
        if text.is_empty() {
            return Err(bad("is empty"));
        }
        if score.is_nan() {
            return Err(bad("has a score that is not a number"));
        }
        match self.pieces.entry(text.into()) {
            Entry::Vacant(place) => place.insert((score, kind)),
            Entry::Occupied(place) => {
                return Err(TokenizerError::DuplicatePiece {
                    piece: text.into(),
                    first: place.index() as u32,
                    second: id,
                });
            }
        };
        Ok(id)
    }

    /// Number of pieces, $N_V$.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there is no piece at all.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The id of a piece, by its text.
    pub fn id_of(&self, text: &str) -> Option<u32> {
        self.pieces.get_index_of(text).map(|id| id as u32)
    }

    /// The piece with this id.
    pub fn get(&self, id: u32) -> Option<Piece<'_>> {
        let (text, &(score, kind)) = self.pieces.get_index(id as usize)?;
        Some(Piece { text, score, kind })
    }

    /// The piece with this id.
    ///
    /// # Errors
    /// [`TokenizerError::IdOutOfRange`].
    pub fn piece(&self, id: u32) -> Result<Piece<'_>, TokenizerError> {
        self.get(id).ok_or(TokenizerError::IdOutOfRange {
            id,
            size: self.len(),
        })
    }

    /// Every piece, in the order of ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Piece<'_>> {
        self.pieces
            .iter()
            .map(|(text, &(score, kind))| Piece { text, score, kind })
    }

    /// The ids of the 256 byte pieces, if all are there.
    pub(super) fn bytes(&self) -> Option<Box<[u32; 256]>> {
        let mut ids = [None; 256];
        for (id, piece) in self.iter().enumerate() {
            if let Kind::Byte(byte) = piece.kind {
                ids[byte as usize] = Some(id as u32);
            }
        }
        let all = ids.iter().copied().collect::<Option<Vec<u32>>>()?;
        all.try_into().ok()
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vocabulary of {} pieces", self.len())
    }
}

/// The name of a byte piece: `<0xE5>`.
pub fn byte_piece(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

/// The byte that a piece's name stands for, if it is the name of one.
pub fn byte_of_piece(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (byte_piece(byte) == name).then_some(byte)
}
