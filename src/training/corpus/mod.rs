//! The built-in corpus: short texts in English and Chinese, made by this module from a seed, for the small models to learn from.
//!
//! Nothing in it was written by others, and every document has a structure that attention can find:
//!
//! | kind | what is to be found | by looking |
//! |---|---|---|
//! | [`Story`](Kind::Story) | who it is about, what was lost and is found again | back to where a name or thing was introduced |
//! | [`Recall`](Kind::Recall) | the name that a question asks for | back to the one fact that the question repeats |
//! | [`Quotation`](Kind::Quotation) | what somebody said, word for word | back to the quotation after that name, then one on for each word |
//! | [`Chat`](Kind::Chat) | an answer to a question, a name given before | at the question, and over the rounds before it |
//! | [`Arithmetic`](Kind::Arithmetic) | a sum, with its carry | at both digits of one place, and the place below |
//! | [`Counting`](Kind::Counting) | the step | at the last two numbers |
//! | [`List`](Kind::List) | what comes next in order | at the list before the arrow, for the least that is left |
//! | [`Brackets`](Kind::Brackets) | what is still open | back to the last bracket without a partner |
//! | [`Induction`](Kind::Induction) | what comes next in the second copy of something random | back to the same token, then one on |
//! | [`Translation`](Kind::Translation) | the same in the other language, in its order | at the word that is next in the other sentence |
//! | [`Rust`](Kind::Rust) | a name that is used, a bracket that closes | back to where it was introduced |
//!
//! Every document says how many bits its choices cost ([`Document::bits`]): where different choices give different texts, that is the code length of
//! an ideal model, and the loss of a trained one can be held against it.
//!
//! ```
//! use baichuan2::training::corpus::Corpus;
//! let first = Corpus::new(1).next().unwrap();
//! assert_eq!(first, Corpus::new(1).document(0));
//! assert!(!first.text.is_empty() && first.bits > 0.0);
//! ```

mod chat;
mod chinese;
pub(super) mod draw;
mod english;
mod grammar;
pub(super) mod puzzles;
pub(super) mod questions;
mod rust;
mod words;

pub use chat::{ASSISTANT, USER};
pub use puzzles::{Item, copied_words};

use draw::Draw;
use grammar::{Language, Scene};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// What a document is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A story.
    Story,
    /// Facts or a story, and a question whose answer is in them.
    Recall,
    /// Something said, and said again.
    Quotation,
    /// A conversation, in the tokens of the chat format.
    Chat,
    /// Sums and differences up to 99.
    Arithmetic,
    /// Numbers up and down, in digits or Chinese numerals.
    Counting,
    /// Days, shopping, sorted numbers.
    List,
    /// Brackets to close.
    Brackets,
    /// Random words and their repetition.
    Induction,
    /// Words and sentences in both languages.
    Translation,
    /// Small programs.
    Rust,
}

/// How often each kind is drawn: the mixture, in hundredths of the documents.
///
/// Stories are longer than the rest, and so are most of the text.
pub const MIXTURE: [(Kind, usize); 11] = [
    (Kind::Story, 10),
    (Kind::Recall, 20),
    (Kind::Quotation, 6),
    (Kind::Chat, 7),
    (Kind::Arithmetic, 4),
    (Kind::Counting, 3),
    (Kind::List, 3),
    (Kind::Brackets, 8),
    (Kind::Induction, 30),
    (Kind::Translation, 6),
    (Kind::Rust, 3),
];

/// Which half of the puzzles a text may hold: no item of one occurs in the other, and of recall no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training: seven of eight items.
    Train,
    /// Held out: the others, and stories of other choices.
    Validation,
}

/// One text of the corpus.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Document {
    /// The text. Chat has the names of its tokens in it, [`USER`] and [`ASSISTANT`].
    pub text: String,
    /// What it is for.
    pub kind: Kind,
    /// $-\log_2$ of the probability of the choices that made it, its kind included: an upper bound of $-\log_2 p(\text{text})$,
    /// and equal to it where no other choices give the same text.
    ///
    /// Exact for lines of arithmetic and for countings; to a thousandth of a bit for brackets, sorting and translation, whose held-out share is
    /// taken to be an eighth; a bound for what a grammar tells, whose roads may meet, for induction, where a few copies of a short sequence may have been
    /// drawn as one of two sorts, and for recall, which draws again where nothing can be asked.
    pub bits: f64,
    /// Bits that `bits` would have more for a reader who knows how documents are made, but not which items each [`Split`] holds: the text of the one
    /// says nothing of which items the other has. About 3 for each held-out item, since one in eight is held out.
    pub split_bits: f64,
}

/// The endless sequence of documents of a seed.
///
/// Document $i$ is made from the seed and $i$ alone, so that a run may go on where another stopped: `corpus.skip(i)` costs nothing.
#[derive(Clone, Debug)]
pub struct Corpus {
    seed: u64,
    split: Split,
    only: Option<Kind>,
    next: u64,
}

impl Corpus {
    /// The documents to train on.
    pub fn new(seed: u64) -> Self {
        Corpus::of(seed, Split::Train)
    }

    /// The documents of a split.
    pub fn of(seed: u64, split: Split) -> Self {
        Corpus {
            seed,
            split,
            only: None,
            next: 0,
        }
    }

    /// Documents of one kind alone, whose choice then costs nothing.
    pub fn only(self, kind: Kind) -> Self {
        Corpus {
            only: Some(kind),
            ..self
        }
    }

    /// Document `index`.
    pub fn document(&self, index: u64) -> Document {
        let mut draw = Draw::new(self.seed, index, self.split);
        let kind = self.only.unwrap_or_else(|| {
            let chosen = draw.weighted(&MIXTURE.map(|(_, weight)| weight));
            MIXTURE[chosen].0
        });
        let text = kind.text(&mut draw);
        Document {
            text,
            kind,
            bits: draw.bits,
            split_bits: draw.split_bits,
        }
    }
}

impl Iterator for Corpus {
    type Item = Document;

    fn next(&mut self) -> Option<Document> {
        let document = self.document(self.next);
        self.next = self.next.wrapping_add(1);
        Some(document)
    }

    fn nth(&mut self, n: usize) -> Option<Document> {
        self.next = self.next.wrapping_add(n as u64);
        self.next()
    }
}

/// A name that no kind has.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name:?} is no kind of document; there are {}", Kind::all().map(|kind| kind.to_string()).collect::<Vec<_>>().join(", "))]
pub struct NoSuchKind {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Kind {
    type Err = NoSuchKind;

    fn from_str(name: &str) -> Result<Self, NoSuchKind> {
        Kind::all()
            .find(|kind| kind.to_string() == name)
            .ok_or_else(|| NoSuchKind { name: name.into() })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

impl Kind {
    /// All kinds, in the order of [`MIXTURE`].
    pub fn all() -> impl Iterator<Item = Kind> {
        MIXTURE.into_iter().map(|(kind, _)| kind)
    }

    fn text(self, draw: &mut Draw) -> String {
        match self {
            Kind::Story => {
                let language = Language::draw(draw);
                Scene::new(draw, language).tell("{story}")
            }
            Kind::Recall => questions::recall_document(draw),
            Kind::Quotation => questions::quotation(draw).text(),
            Kind::Chat => chat::conversation(draw),
            Kind::Arithmetic if draw.chance(1, 4) => questions::tale_of_a_sum(draw),
            Kind::Arithmetic => lines(draw, 4, 10, puzzles::arithmetic),
            Kind::Counting => lines(draw, 1, 2, puzzles::counting),
            Kind::List => puzzles::list(draw),
            Kind::Brackets => lines(draw, 2, 4, puzzles::brackets),
            Kind::Induction => puzzles::induction_document(draw),
            Kind::Translation => questions::translation_document(draw),
            Kind::Rust => rust::program(draw),
        }
        .trim_end()
        .to_owned()
    }
}

/// Between `low` and `high` items, a line each.
fn lines(draw: &mut Draw, low: usize, high: usize, item: impl Fn(&mut Draw) -> Item) -> String {
    let n = draw.between(low, high);
    let lines: Vec<String> = (0..n).map(|_| item(draw).text()).collect();
    lines
        .iter()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests;
