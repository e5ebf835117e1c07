//! What the heads of a decoder do: how much of their attention goes where, on random tokens that stand there twice.
//!
//! A sequence is $x = (e, s_1, \dots, s_n, s_1, \dots, s_n)$: a lead $e$, then $n$ different random tokens, then the same again. With $A$ the attention weights of
//! a head and positions counted from 0, so that $x_0 = e$, its scores are means over queries $i$ of one weight each:
//!
//! | behaviour | weight | queries | what it is good for |
//! |---|---|---|---|
//! | [previous token](Behaviour::Previous) | $A_{i, i-1}$ | $1 \dots 2n$ | tells each token what stood before it |
//! | [induction](Behaviour::Induction) | $A_{i, i-n+1}$ | $n + 1 \dots 2n$ | finds what followed this token the last time |
//! | [duplicate token](Behaviour::Duplicate) | $A_{i, i-n}$ | $n + 1 \dots 2n$ | finds this token where it stood before |
//! | [first token](Behaviour::First) | $A_{i, 0}$ | $1 \dots 2n$ | a place for attention that has nothing to find (*sink*) |
//! | [the token itself](Behaviour::Own) | $A_{i, i}$ | $1 \dots 2n$ | |
//!
//! The lead is left out as a query, since its only weight is trivially 1; and since neither copy begins with it, what the sink takes is not taken for
//! the first token's copy. The tokens are random, so that nothing but their repetition can be found.
//!
//! * Source: Olsson et al. 2022, *In-context Learning and Induction Heads*, arXiv 2209.11895: the induction score is its *prefix matching score*, the mean
//!   weight from a token of a random sequence that is repeated on what came after that token before. There 25 tokens stand four times; here any
//!   number twice. Duplicate-token heads: Wang et al. 2022, arXiv 2211.00593. Sinks: Xiao et al. 2023, arXiv 2309.17453.
//!
//! A score says where a head looks, not what it does with what it finds there.

pub use crate::probe::Head;

use crate::{
    alibi,
    bpe::{Kind, Vocabulary},
    dtransformer::{self, DTransformer, Position},
    probe::{LayerSite, Probe, Site},
    tensor::LinearMap,
};
use ndarray::{Array2, Array3, ArrayView2, ArrayViewD, Axis, Ix3};
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use std::fmt;
use thiserror::Error;

/// Where a head may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Behaviour {
    /// At the token before.
    Previous,
    /// At what followed this token the last time.
    Induction,
    /// At this token where it stood before.
    Duplicate,
    /// At the first token of all.
    First,
    /// At itself.
    Own,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Behaviour; 5] = [
        Behaviour::Previous,
        Behaviour::Induction,
        Behaviour::Duplicate,
        Behaviour::First,
        Behaviour::Own,
    ];

    /// Whether the query is in the second copy alone.
    fn needs_a_copy(self) -> bool {
        matches!(self, Behaviour::Induction | Behaviour::Duplicate)
    }

    /// The key that query $i$ looks at, for copies of `n` tokens.
    fn key(self, i: usize, n: usize) -> usize {
        match self {
            Behaviour::Previous => i - 1,
            Behaviour::Induction => i - n + 1,
            Behaviour::Duplicate => i - n,
            Behaviour::First => 0,
            Behaviour::Own => i,
        }
    }

    /// The score of one head of attention weights `map: [1 + 2n, 1 + 2n]` on a lead and two copies of `n` tokens: see the [module](self).
    ///
    /// ```
    /// use baichuan2::heads::Behaviour;
    /// // A head that always looks at the token before: with copies of 2, from the tokens 1 to 4.
    /// let map = ndarray::Array2::from_shape_fn((5, 5), |(i, j)| f32::from(j == i.saturating_sub(1)));
    /// assert_eq!(Behaviour::Previous.score(map.view(), 2), 1.0);
    /// assert_eq!(Behaviour::First.score(map.view(), 2), 0.25); // the second token's
    /// ```
    ///
    /// # Panics
    /// Where the map has another shape, or `n` is 0.
    pub fn score(self, map: ArrayView2<f32>, n: usize) -> f64 {
        assert!(
            n > 0 && map.dim() == (2 * n + 1, 2 * n + 1),
            "a lead and two copies"
        );
        let first = if self.needs_a_copy() { n + 1 } else { 1 };
        let weights = (first..=2 * n).map(|i| f64::from(map[[i, self.key(i, n)]]));
        weights.sum::<f64>() / (2 * n + 1 - first) as f64
    }

    /// The score of a head that cannot tell tokens apart: it looks at all up to itself alike or, with linear biases, by its `slope` alone, at the token $d$
    /// before with a weight like $e^{-md}$. What a score must be well above to mean anything.
    ///
    /// ```
    /// use baichuan2::heads::Behaviour;
    /// let alike = Behaviour::Induction.by_chance(2, 0.0);
    /// assert_eq!(alike, (1.0 / 4.0 + 1.0 / 5.0) / 2.0);
    /// // Of the 13B's steepest slopes a head looks near from its first step.
    /// assert!(Behaviour::Previous.by_chance(50, 0.5) > 0.23);
    /// ```
    pub fn by_chance(self, n: usize, slope: f64) -> f64 {
        let weight = |distance: usize| (-slope * distance as f64).exp();
        let first = if self.needs_a_copy() { n + 1 } else { 1 };
        let weights = (first..=2 * n).map(|i| {
            let all: f64 = (0..=i).map(weight).sum();
            weight(i - self.key(i, n)) / all
        });
        weights.sum::<f64>() / (2 * n + 1 - first) as f64
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

/// Heads that cannot be scored.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum HeadsError {
    /// A copy of nothing, or no sequence at all.
    #[error(
        "there is nothing to score heads on; ask for sequences of two tokens at the least, and for one at the least"
    )]
    Nothing,
    /// A vocabulary of bytes and symbols.
    #[error(
        "the tokenizer has {found} ordinary pieces, but {needed} different ones are to be drawn; ask for shorter sequences"
    )]
    TooFewPieces {
        /// Pieces to draw from.
        found: usize,
        /// Tokens of a copy.
        needed: usize,
    },
    /// The decoder does not take a sequence.
    #[error(transparent)]
    Decoder(#[from] dtransformer::Error),
}

/// Random tokens, twice over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    n: usize,
    ids: Vec<u32>,
}

impl Repeated {
    /// `lead`, `tokens`, and `tokens` again. The tokens should be all different, or there is more than one place to look at.
    ///
    /// # Errors
    /// [`HeadsError::Nothing`] for less than two tokens: what follows the only one would be itself.
    pub fn new(lead: u32, tokens: &[u32]) -> Result<Self, HeadsError> {
        if tokens.len() < 2 {
            return Err(HeadsError::Nothing);
        }
        Ok(Repeated {
            n: tokens.len(),
            ids: [&[lead], tokens, tokens].concat(),
        })
    }

    /// `count` sequences of twice `n` of the given pieces, after `lead`: the `</s>` of the document before, as documents stand in training. The same seed
    /// gives the same ones.
    ///
    /// # Errors
    /// Less than `n` pieces, or nothing asked for.
    pub fn draw(
        among: &[u32],
        lead: u32,
        n: usize,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Self>, HeadsError> {
        if count == 0 {
            return Err(HeadsError::Nothing);
        }
        if among.len() < n {
            return Err(HeadsError::TooFewPieces {
                found: among.len(),
                needed: n,
            });
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sequence = || {
            let chosen = index::sample(&mut random, among.len(), n);
            let tokens: Vec<u32> = chosen.into_iter().map(|i| among[i]).collect();
            Repeated::new(lead, &tokens)
        };
        (0..count).map(|_| sequence()).collect()
    }

    /// The lead and both copies, `1 + 2n` ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
}

/// The pieces that are neither special nor bytes.
pub fn ordinary_pieces(vocabulary: &Vocabulary) -> Vec<u32> {
    let pieces = (0..).zip(vocabulary.iter());
    let ordinary = pieces.filter_map(|(id, piece)| (piece.kind == Kind::Normal).then_some(id));
    ordinary.collect()
}

/// The scores of all heads of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadScores {
    /// `[layers, heads, 5]`, in the order of [`Behaviour::ALL`].
    scores: Array3<f64>,
    /// `[heads, 5]`, the same in all layers.
    chance: Array2<f64>,
}

impl HeadScores {
    /// Means over `sequences`, a pass each, of which only one layer's attention weights, `[H, 1 + 2n, 1 + 2n]`, are held at a time.
    ///
    /// # Errors
    /// No sequence, or one that the decoder does not take.
    pub fn of<M: LinearMap<f32> + Clone>(
        decoder: &DTransformer<f32, M>,
        sequences: &[Repeated],
    ) -> Result<Self, HeadsError> {
        if sequences.is_empty() {
            return Err(HeadsError::Nothing);
        }
        let config = decoder.config();
        let shape = (
            config.num_hidden_layers,
            config.num_attention_heads,
            Behaviour::ALL.len(),
        );
        let share = 1.0 / sequences.len() as f64;
        let slopes = match config.position {
            Position::Alibi => alibi::slopes(shape.1),
            Position::Rope { .. } => vec![0.0; shape.1],
        };
        let mut scores = Array3::zeros(shape);
        let mut chance = Array2::zeros((shape.1, shape.2));
        for sequence in sequences {
            for ((head, behaviour), chance) in chance.indexed_iter_mut() {
                let by_chance = Behaviour::ALL[behaviour].by_chance(sequence.n, slopes[head]);
                *chance += share * by_chance;
            }
            let mut scorer = Scorer {
                n: sequence.n,
                share,
                scores: &mut scores,
            };
            let ids = sequence.ids();
            decoder.forward_last(ids, &mut decoder.new_cache_of(ids.len()), Some(&mut scorer))?;
        }
        Ok(HeadScores { scores, chance })
    }

    /// All heads, layer by layer.
    pub fn heads(&self) -> impl Iterator<Item = Head> {
        let (layers, heads, _) = self.scores.dim();
        (0..layers).flat_map(move |layer| (0..heads).map(move |head| Head { layer, head }))
    }

    /// A score of a head, from 0 to 1; nothing where there is no such head.
    pub fn get(&self, head: Head, behaviour: Behaviour) -> Option<f64> {
        self.scores
            .get([head.layer, head.head, behaviour as usize])
            .copied()
    }

    /// What the score would be of a head in this place that cannot tell tokens apart: see [`Behaviour::by_chance`].
    pub fn by_chance(&self, head: Head, behaviour: Behaviour) -> Option<f64> {
        self.chance.get([head.head, behaviour as usize]).copied()
    }

    /// The heads by one score, the highest first.
    pub fn ranking(&self, behaviour: Behaviour) -> Vec<(Head, f64)> {
        let score = |head: Head| self.scores[[head.layer, head.head, behaviour as usize]];
        let mut ranking: Vec<_> = self.heads().map(|head| (head, score(head))).collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranking
    }
}

/// Sees the attention weights of one layer after the other.
struct Scorer<'s> {
    n: usize,
    share: f64,
    scores: &'s mut Array3<f64>,
}

impl Probe for Scorer<'_> {
    fn wants(&self, site: Site) -> bool {
        matches!(site, Site::Layer(_, LayerSite::AttnProbs))
    }

    fn see(&mut self, site: Site, value: ArrayViewD<f32>) {
        let (Site::Layer(layer, _), Ok(maps)) = (site, value.into_dimensionality::<Ix3>()) else {
            return;
        };
        for (head, map) in maps.axis_iter(Axis(0)).enumerate() {
            for behaviour in Behaviour::ALL {
                let score = behaviour.score(map, self.n);
                self.scores[[layer, head, behaviour as usize]] += self.share * score;
            }
        }
    }
}

/// Which of a head's scores along a run is the first that has come at least half of the way from `chance` to the last: where the head may be said to have
/// formed.
///
/// Nothing for a head whose last score is less than twice what it would have by `chance`: such a head has not formed.
///
/// ```
/// use baichuan2::heads::formed;
/// assert_eq!(formed(&[0.01, 0.02, 0.4, 0.3, 0.7], 0.01), Some(2));
/// assert_eq!(formed(&[0.01, 0.01, 0.015], 0.01), None);
/// ```
pub fn formed(scores: &[f64], chance: f64) -> Option<usize> {
    let last = *scores.last()?;
    if last < 2.0 * chance {
        return None;
    }
    scores
        .iter()
        .position(|&score| score >= (chance + last) / 2.0)
}

#[cfg(test)]
mod tests;
