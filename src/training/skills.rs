//! What a model has learned, skill by skill: probes that it never saw, and how many it gets right.
//!
//! A probe is a text of the [`corpus`](super::corpus) whose end follows from its beginning. Its items are held out: training has none of them, so
//! that a right answer is found, not remembered.

use super::corpus::{
    Item, Split,
    draw::Draw,
    puzzles::{arithmetic, brackets, counting, induction, sorting},
    questions::{quotation, recall, translation},
};
use crate::{
    bpe::Tokenizer,
    dtransformer::{self, DTransformer},
    tensor::LinearMap,
};
use std::fmt;
use thiserror::Error;

/// What can be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Skill {
    /// A name, or what belongs to it, from a few facts or a story.
    Recall,
    /// The next word of a random sequence that stood there before.
    Induction,
    /// All brackets that are still open, closed in order.
    Brackets,
    /// A sum or difference.
    Arithmetic,
    /// A sentence in the other language.
    Translation,
    /// What somebody said, word for word.
    Quotation,
    /// Four more numbers of a counting.
    Counting,
    /// A few numbers in order.
    Sorting,
}

impl Skill {
    /// All of them.
    pub const ALL: [Skill; 8] = [
        Skill::Recall,
        Skill::Induction,
        Skill::Brackets,
        Skill::Arithmetic,
        Skill::Translation,
        Skill::Quotation,
        Skill::Counting,
        Skill::Sorting,
    ];

    fn item(self, draw: &mut Draw) -> Item {
        match self {
            Skill::Recall => recall(draw),
            Skill::Induction => induction(draw, 2),
            Skill::Brackets => brackets(draw),
            Skill::Arithmetic => arithmetic(draw),
            Skill::Translation => translation(draw),
            Skill::Quotation => quotation(draw),
            Skill::Counting => counting(draw),
            Skill::Sorting => sorting(draw),
        }
    }
}

impl fmt::Display for Skill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

/// `n` held-out items of a skill; the same seed gives the same ones.
///
/// ```
/// use baichuan2::training::skills::{Skill, probes};
/// let probe = &probes(Skill::Brackets, 1, 0)[0];
/// assert!(probe.prompt.ends_with("=>"));
/// ```
pub fn probes(skill: Skill, n: usize, seed: u64) -> Vec<Item> {
    // A stream of its own for each skill and probe.
    let stream = |i: u64| (skill as u64) << 32 | i;
    (0..n as u64)
        .map(|i| skill.item(&mut Draw::new(seed, stream(i), Split::Validation)))
        .collect()
}

/// Probes that cannot be put to a model.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SkillError {
    /// An accuracy of nothing.
    #[error("there are no probes; ask for one at the least")]
    NoProbes,
    /// The tokenizer does not cut a probe where its answer begins.
    #[error(
        "the tokenizer joins the end of {prompt:?} with the beginning of {answer:?} in one token, so that the one cannot be given without the other; probe with a tokenizer that was trained on the corpus"
    )]
    NoBoundary {
        /// What is given.
        prompt: String,
        /// What must follow.
        answer: String,
    },
    /// The decoder does not take a probe.
    #[error(transparent)]
    Decoder(#[from] dtransformer::Error),
}

/// Which share of the probes a decoder answers, every token of the answer being its likeliest.
///
/// The answer's tokens are compared with the decoder's choices in a single pass over prompt and answer: greedy decoding would choose the same up to the
/// first mistake, and one mistake is enough. Where an answer ends a line, the end of the text ends it as well: which of the two comes, nothing in a single
/// line says.
///
/// # Errors
/// See [`SkillError`].
pub fn accuracy<M: LinearMap<f32> + Clone>(
    decoder: &DTransformer<f32, M>,
    tokenizer: &Tokenizer,
    probes: &[Item],
) -> Result<f64, SkillError> {
    if probes.is_empty() {
        return Err(SkillError::NoProbes);
    }
    let line_end = match tokenizer.encode("\n")[..] {
        [id] => Some(id),
        _ => None,
    };
    let mut right = 0;
    for probe in probes {
        let (ids, answer_at) = cut(tokenizer, probe)?;
        let (&last, given) = ids.split_last().ok_or(dtransformer::Error::NoTokens)?;
        let logits = decoder.forward(given, &mut decoder.new_cache_of(ids.len()), None)?;
        let wanted = given.iter().skip(1).chain([&last]);
        let mut answer = logits.rows().into_iter().zip(wanted).skip(answer_at - 1);
        right += usize::from(answer.all(|(logits, &id)| {
            let chosen = likeliest(logits);
            chosen == id || (Some(id) == line_end && Some(chosen) == tokenizer.eos())
        }));
    }
    Ok(right as f64 / probes.len() as f64)
}

/// The ids of a probe, and at which of them its answer begins: at 1 the earliest, since something is given.
///
/// # Errors
/// [`SkillError::NoBoundary`].
pub fn cut(tokenizer: &Tokenizer, probe: &Item) -> Result<(Vec<u32>, usize), SkillError> {
    let ids = tokenizer.encode(&probe.text());
    let prompt = tokenizer.encode(&probe.prompt);
    if prompt.is_empty() || prompt.len() >= ids.len() || !ids.starts_with(&prompt) {
        return Err(SkillError::NoBoundary {
            prompt: probe.prompt.clone(),
            answer: probe.answer.clone(),
        });
    }
    Ok((ids, prompt.len()))
}

fn likeliest(logits: ndarray::ArrayView1<f32>) -> u32 {
    let larger = |best: (usize, f32), (id, &logit): (usize, &f32)| {
        if logit > best.1 { (id, logit) } else { best }
    };
    let start = (0, f32::NEG_INFINITY);
    logits.iter().enumerate().fold(start, larger).0 as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dtransformer::{Config, Error, Parameter, ParameterSource, Position},
        testing::byte_tokenizer,
    };
    use ndarray::{Array1, Array2};

    /// One token for each byte, from 3 on, and one for `ab`.
    fn bytes() -> Tokenizer {
        byte_tokenizer(&["ab"])
    }

    /// Which token comes (the first) after which (the second). All it knows is in the head; the layer adds nothing.
    struct Comes(fn(usize, usize) -> bool);

    impl ParameterSource<f32> for Comes {
        type Matrix = Array2<f32>;
        type Error = Error;

        fn matrix(&mut self, parameter: &Parameter) -> Result<Array2<f32>, Error> {
            let shape = (parameter.shape[0], parameter.shape[1]);
            Ok(match parameter.name.as_str() {
                "model.embed_tokens.weight" => Array2::eye(shape.0),
                "lm_head.weight" => Array2::from_shape_fn(shape, |(i, j)| f32::from(self.0(i, j))),
                _ => Array2::zeros(shape),
            })
        }

        fn vector(&mut self, parameter: &Parameter) -> Result<Array1<f32>, Error> {
            Ok(Array1::ones(parameter.shape[0]))
        }
    }

    /// After each token comes the next: `x` after `w`.
    fn next() -> DTransformer<f32, Array2<f32>> {
        decoder(|i, j| i == j + 1)
    }

    fn decoder(comes: fn(usize, usize) -> bool) -> DTransformer<f32, Array2<f32>> {
        let config = Config {
            vocab_size: 260,
            hidden_size: 260,
            intermediate_size: 1,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            num_key_value_heads: 1,
            head_dim: 2,
            rms_norm_eps: 1e-6,
            position: Position::Alibi,
            context: 4,
            norm_head: false,
            tie_word_embeddings: false,
            packed_qkv: false,
        };
        DTransformer::new(config, &mut Comes(comes)).unwrap()
    }

    fn item(prompt: &str, answer: &str) -> Item {
        Item {
            prompt: prompt.into(),
            answer: answer.into(),
            chance: 0.0,
        }
    }

    /// Catches: comparing with the token before or after; judging the prompt too; judging the answer's first token alone; stopping at the trained
    /// context.
    #[test]
    fn an_answer_counts_where_all_its_tokens_are_the_likeliest() {
        let right = [item("w", "x"), item("pp", "qrs"), item("mno2222", "345678")];
        let wrong = [
            item("w", "y"),
            item("pp", "qrz"),
            item("pp", "rs"),
            item("w", "wx"),
            item("w", "w"),
        ];
        let (decoder, tokenizer) = (next(), bytes());
        assert_eq!(accuracy(&decoder, &tokenizer, &right), Ok(1.0));
        assert_eq!(accuracy(&decoder, &tokenizer, &wrong), Ok(0.0));
        let all = [&right[..], &wrong].concat();
        assert_eq!(accuracy(&decoder, &tokenizer, &all), Ok(3.0 / 8.0));
        assert_eq!(
            accuracy(&decoder, &tokenizer, &[]),
            Err(SkillError::NoProbes)
        );
    }

    /// Catches: an answer that is right, called wrong because the text ends where another line could begin; the end of the text taken for anything else.
    #[test]
    fn the_end_of_the_text_ends_a_line() {
        let tokenizer = bytes();
        let end = tokenizer.eos().unwrap();
        assert_eq!(end, 2);
        let decoder = decoder(|i, _| i == 2);
        let share = |answer| accuracy(&decoder, &tokenizer, &[item("w", answer)]);
        assert_eq!(share("\n"), Ok(1.0));
        assert_eq!(share("x"), Ok(0.0));
        assert_eq!(share("x\n"), Ok(0.0));
    }

    /// Catches: giving half a token away, or asking for what was given.
    #[test]
    fn a_probe_is_cut_between_tokens() {
        let tokenizer = bytes();
        assert_eq!(
            cut(&tokenizer, &item("xab", "c")),
            Ok((vec![123, 259, 102], 2))
        );
        for (prompt, answer) in [("xa", "b"), ("", "b"), ("x", "")] {
            let error = cut(&tokenizer, &item(prompt, answer));
            assert!(
                matches!(error, Err(SkillError::NoBoundary { .. })),
                "{prompt} {answer}"
            );
        }
    }

    /// Catches: probes that change between runs, or that skills or seeds share.
    #[test]
    fn probes_follow_from_the_seed() {
        for skill in Skill::ALL {
            let some = probes(skill, 20, 3);
            assert_eq!(some, probes(skill, 25, 3)[..20]);
            assert_ne!(some, probes(skill, 20, 4));
            assert!(
                some.iter()
                    .all(|probe| !probe.prompt.is_empty() && !probe.answer.trim().is_empty())
            );
        }
    }
}
