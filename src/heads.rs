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
        /// Pieces that are neither special nor bytes.
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

    /// `count` sequences of twice `n` ordinary pieces, no special ones and no bytes, after `lead`: the `</s>` of the document before, as documents stand in
    /// training. The same seed gives the same ones.
    ///
    /// # Errors
    /// A vocabulary without so many pieces, or nothing asked for.
    pub fn draw(
        vocabulary: &Vocabulary,
        lead: u32,
        n: usize,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Self>, HeadsError> {
        if count == 0 {
            return Err(HeadsError::Nothing);
        }
        let pieces = (0..).zip(vocabulary.iter());
        let ordinary: Vec<u32> = pieces
            .filter_map(|(id, piece)| (piece.kind == Kind::Normal).then_some(id))
            .collect();
        if ordinary.len() < n {
            return Err(HeadsError::TooFewPieces {
                found: ordinary.len(),
                needed: n,
            });
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sequence = || {
            let chosen = index::sample(&mut random, ordinary.len(), n);
            let tokens: Vec<u32> = chosen.into_iter().map(|i| ordinary[i]).collect();
            Repeated::new(lead, &tokens)
        };
        (0..count).map(|_| sequence()).collect()
    }

    /// The lead and both copies, `1 + 2n` ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
}

/// A head, by layer and place in it, both counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Head {
    /// Its layer.
    pub layer: usize,
    /// Which of the layer's heads it is.
    pub head: usize,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.layer, self.head))
    }
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

/// Which of a head's scores along a run is the first that is at least half of the last: where the head may be said to have formed.
///
/// Nothing for a head whose last score is less than twice what it would have by `chance`: such a head has not formed, and half of its score is less than what
/// a head in its place has from the start.
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
    scores.iter().position(|&score| score >= last / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dtransformer::Config, testing::byte_tokenizer, training::Parameters};
    use ndarray::{arr2, s};

    const N: usize = 10;

    /// A decoder of one layer whose queries and keys are those of `w_pack: [6 heads, 2]` for a stream that is 1 everywhere.
    fn decoder(
        heads: usize,
        position: Position,
        w_pack: &Array2<f32>,
    ) -> DTransformer<f32, Array2<f32>> {
        let config = Config {
            vocab_size: 40,
            hidden_size: 2,
            intermediate_size: 2,
            num_hidden_layers: 1,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim: 2,
            rms_norm_eps: 1e-6,
            position,
            context: 4,
            norm_head: false,
            tie_word_embeddings: false,
            packed_qkv: true,
        };
        let mut parameters = Parameters::zeros(&config);
        for (parameter, array) in config.parameters().iter().zip(&mut parameters.arrays) {
            if parameter.name.ends_with("W_pack.weight") {
                array.assign(w_pack);
            } else {
                array.fill(1.0);
            }
        }
        parameters.decoder().unwrap()
    }

    /// One layer whose heads each look a fixed number of tokens back, whatever the tokens are: keys are all the same, and queries too, but turned so that
    /// rotary embedding makes the product largest at that distance.
    fn looking_back(distances: &[usize]) -> DTransformer<f32, Array2<f32>> {
        let heads = distances.len();
        let mut w_pack = Array2::zeros((6 * heads, 2));
        for (h, &distance) in distances.iter().enumerate() {
            // A pair turns by one radian a token, and does not come near the same angle within the sequence.
            let (sin, cos) = (-(distance as f32)).sin_cos();
            let q = arr2(&[[cos, 0.0], [sin, 0.0]]) * 4000.0;
            let k = arr2(&[[1.0, 0.0], [0.0, 0.0]]);
            w_pack.slice_mut(s![2 * h..2 * h + 2, ..]).assign(&q);
            let from = 2 * (heads + h);
            w_pack.slice_mut(s![from..from + 2, ..]).assign(&k);
        }
        decoder(heads, Position::Rope { base: 1e4 }, &w_pack)
    }

    fn sequences() -> Vec<Repeated> {
        let tokens: Vec<u32> = (5..5 + N as u32).collect();
        vec![Repeated::new(2, &tokens).unwrap(); 2]
    }

    /// Catches: any of the five off by one; rows for columns; a sum for a mean; a stop at the trained context.
    #[test]
    fn heads_that_look_so_far_back_have_the_score_of_it() {
        let decoder = looking_back(&[1, N - 1, N, 0]);
        let scores = HeadScores::of(&decoder, &sequences()).unwrap();
        let heads = [
            Behaviour::Previous,
            Behaviour::Induction,
            Behaviour::Duplicate,
            Behaviour::Own,
        ];
        for (head, wanted) in heads.into_iter().enumerate() {
            let head = Head { layer: 0, head };
            for behaviour in Behaviour::ALL {
                let score = scores.get(head, behaviour).unwrap();
                if behaviour == wanted {
                    // Those that look far back have nothing there in the first copy, but are asked in the second alone.
                    assert!(score > 0.999, "{wanted}: {score}");
                } else if behaviour != Behaviour::First {
                    assert!(score < 0.3, "{wanted} for {behaviour}: {score}");
                }
            }
            assert_eq!(scores.ranking(wanted)[0].0, head);
        }
        assert_eq!(scores.get(Head { layer: 1, head: 0 }, Behaviour::Own), None);
    }

    /// Catches: the slope of another head; a bias that grows the other way; chances of all positions alike where there is a bias.
    #[test]
    fn heads_without_queries_and_keys_score_by_chance() {
        let nothing = Array2::zeros((36, 2));
        for position in [Position::Alibi, Position::Rope { base: 1e4 }] {
            let scores = HeadScores::of(&decoder(6, position, &nothing), &sequences()).unwrap();
            for head in scores.heads() {
                for behaviour in Behaviour::ALL {
                    let score = scores.get(head, behaviour).unwrap();
                    let chance = scores.by_chance(head, behaviour).unwrap();
                    assert!(
                        (score - chance).abs() < 1e-6,
                        "{head}, {behaviour}: {score} {chance}"
                    );
                }
            }
        }
    }

    /// Catches: the lead as a query; the first copy asked for what it cannot find; the second copy's first token asked for the lead.
    #[test]
    fn each_weight_counts_for_one_score() {
        let n = 3;
        // Each weight tells its place: 0.iijj.
        let map = Array2::from_shape_fn((7, 7), |(i, j)| i as f32 / 100.0 + j as f32 / 10_000.0);
        let mean = |keys: &[(usize, usize)]| keys.iter().map(|&at| f64::from(map[at])).sum::<f64>();
        for (behaviour, keys) in [
            (
                Behaviour::Previous,
                &[(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5)][..],
            ),
            (Behaviour::Induction, &[(4, 2), (5, 3), (6, 4)]),
            (Behaviour::Duplicate, &[(4, 1), (5, 2), (6, 3)]),
            (
                Behaviour::First,
                &[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)],
            ),
            (
                Behaviour::Own,
                &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)],
            ),
        ] {
            let expected = mean(keys) / keys.len() as f64;
            let score = behaviour.score(map.view(), n);
            assert!(
                (score - expected).abs() < 1e-9,
                "{behaviour}: {score} {expected}"
            );
            let alike = Array2::from_shape_fn((7, 7), |(i, _)| 1.0 / (i + 1) as f32);
            let chance = behaviour.by_chance(n, 0.0) - behaviour.score(alike.view(), n);
            assert!(chance.abs() < 1e-7, "{behaviour}");
        }
    }

    /// Catches: bytes or special tokens drawn, a token twice in a copy, copies that differ.
    #[test]
    fn sequences_are_of_ordinary_pieces() {
        let tokenizer = byte_tokenizer(&["ab", "cd", "abc", "abcd", "ef"]);
        let vocabulary = tokenizer.vocabulary();
        let drawn = Repeated::draw(vocabulary, 2, 4, 50, 7).unwrap();
        assert_eq!(drawn, Repeated::draw(vocabulary, 2, 4, 50, 7).unwrap());
        assert_ne!(drawn, Repeated::draw(vocabulary, 2, 4, 50, 8).unwrap());
        for sequence in &drawn {
            let ids = sequence.ids();
            assert_eq!((ids.len(), ids[0]), (9, 2));
            assert_eq!(ids[1..5], ids[5..]);
            let mut copy = ids[1..5].to_vec();
            copy.sort_unstable();
            copy.dedup();
            assert!(copy.len() == 4 && (259..=263).contains(&copy[0]) && copy[3] <= 263);
        }
        assert!(drawn.iter().any(|sequence| sequence != &drawn[0]));
        assert_eq!(
            Repeated::draw(vocabulary, 2, 6, 1, 7),
            Err(HeadsError::TooFewPieces {
                found: 5,
                needed: 6
            })
        );
        for (n, count) in [(1, 3), (0, 3), (4, 0)] {
            assert_eq!(
                Repeated::draw(vocabulary, 2, n, count, 7),
                Err(HeadsError::Nothing)
            );
        }
        let decoder = looking_back(&[1]);
        assert_eq!(HeadScores::of(&decoder, &[]), Err(HeadsError::Nothing));
        let outside = HeadScores::of(&decoder, &drawn).unwrap_err();
        assert!(matches!(outside, HeadsError::Decoder(_)), "{outside}");
    }
}
