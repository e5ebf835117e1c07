//! Choosing the next token.

use super::filters;
use crate::tensor::softmax_in_place;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt;
use thiserror::Error;

/// How the next token is chosen.
///
/// ```
/// use baichuan2::generation::Sampling;
/// assert!(Sampling::default().check().is_ok());
/// let error = Sampling { top_p: 1.5, ..Sampling::default() }.check().unwrap_err();
/// assert_eq!(error.to_string(), "top-p is 1.5; it must be above 0 and at most 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Take the likeliest token (after the repetition penalty) and draw nothing.
    pub greedy: bool,
    /// Above 1 holds back what was said already; 1 does nothing.
    pub repetition_penalty: f32,
    /// Logits are divided by it.
    pub temperature: f32,
    /// So many of the likeliest tokens are kept; 0 keeps all.
    pub top_k: usize,
    /// The likeliest tokens that together reach this probability are kept; 1 keeps all.
    pub top_p: f32,
}

impl Default for Sampling {
    /// What Baichuan 2's chat models ship with.
    fn default() -> Self {
        Sampling {
            greedy: false,
            repetition_penalty: 1.05,
            temperature: 0.3,
            top_k: 5,
            top_p: 0.85,
        }
    }
}

/// A sampling parameter outside its range.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{name} is {value}; it must be {must}")]
pub struct SamplingError {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub value: f32,
    /// Its range.
    pub must: &'static str,
}

impl Sampling {
    /// The likeliest token every time, with no penalty.
    pub fn greedy() -> Self {
        Sampling {
            greedy: true,
            repetition_penalty: 1.0,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The first parameter outside its range.
    pub fn check(&self) -> Result<(), SamplingError> {
        let positive = |x: f32| x.is_finite() && x > 0.0;
        let wrong = |name, value, must| Err(SamplingError { name, value, must });
        if !positive(self.repetition_penalty) {
            return wrong(
                "the repetition penalty",
                self.repetition_penalty,
                "a positive number",
            );
        }
        // Below, logits divided by it could overflow.
        if !(self.temperature >= 1e-4 && self.temperature.is_finite()) {
            let must = "at least 0.0001 (for the likeliest token every time, --greedy)";
            return wrong("the temperature", self.temperature, must);
        }
        if !(positive(self.top_p) && self.top_p <= 1.0) {
            return wrong("top-p", self.top_p, "above 0 and at most 1");
        }
        Ok(())
    }

    /// Passes logits through all filters, in the shipped order, and leaves the distribution to draw from.
    pub fn distribution(&self, mut logits: ArrayViewMut1<f32>, text: &[u32]) {
        for stage in Stage::ALL {
            self.pass(stage, logits.view_mut(), text);
        }
        softmax_in_place(logits);
    }

    /// The distribution after each stage that `logits: [vocab]` pass, the last being what is drawn from. Greedy choice knows the first two stages alone.
    ///
    /// ```
    /// use baichuan2::generation::{Sampling, Stage};
    /// let sampling = Sampling { top_k: 2, ..Sampling::default() };
    /// let logits = ndarray::array![1.0, 2.0, 3.0];
    /// let stages = sampling.stages(logits.view(), &[2]);
    /// assert_eq!(stages.iter().map(|(stage, _)| *stage).collect::<Vec<_>>(), Stage::ALL);
    /// let (stage, after) = &stages[3];
    /// assert_eq!((stage.to_string().as_str(), after[0]), ("top-k", 0.0));
    /// ```
    pub fn stages(&self, logits: ArrayView1<f32>, text: &[u32]) -> Vec<(Stage, Array1<f32>)> {
        let mut logits = logits.to_owned();
        let passed = if self.greedy { 2 } else { Stage::ALL.len() };
        let after = |stage: &Stage| {
            self.pass(*stage, logits.view_mut(), text);
            let mut distribution = logits.clone();
            softmax_in_place(distribution.view_mut());
            (*stage, distribution)
        };
        Stage::ALL[..passed].iter().map(after).collect()
    }

    /// The likeliest token after the repetition penalty; of equals the first, as shipped.
    pub fn likeliest(&self, mut logits: ArrayViewMut1<f32>, text: &[u32]) -> u32 {
        self.pass(Stage::RepetitionPenalty, logits.view_mut(), text);
        argmax(logits.view())
    }

    /// What one stage does to logits.
    fn pass(&self, stage: Stage, logits: ArrayViewMut1<f32>, text: &[u32]) {
        match stage {
            Stage::Model => {}
            Stage::RepetitionPenalty => {
                filters::repetition_penalty(logits, text, self.repetition_penalty);
            }
            Stage::Temperature => filters::temperature(logits, self.temperature),
            Stage::TopK => filters::top_k(logits, self.top_k),
            Stage::TopP => filters::top_p(logits, self.top_p),
        }
    }
}

/// A stage on the way from logits to the distribution that is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The logits as the model gives them.
    Model,
    /// After [`repetition_penalty`](filters::repetition_penalty).
    RepetitionPenalty,
    /// After [`temperature`](filters::temperature).
    Temperature,
    /// After [`top_k`](filters::top_k).
    TopK,
    /// After [`top_p`](filters::top_p).
    TopP,
}

impl Stage {
    /// All of them, in the shipped order.
    pub const ALL: [Stage; 5] = [
        Stage::Model,
        Stage::RepetitionPenalty,
        Stage::Temperature,
        Stage::TopK,
        Stage::TopP,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Model => "model",
            Stage::RepetitionPenalty => "repetition penalty",
            Stage::Temperature => "temperature",
            Stage::TopK => "top-k",
            Stage::TopP => "top-p",
        })
    }
}

fn argmax(values: ArrayView1<f32>) -> u32 {
    let larger = |best: (usize, f32), (i, &value): (usize, &f32)| {
        if value > best.1 { (i, value) } else { best }
    };
    values
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), larger)
        .0 as u32
}

/// Chooses tokens one after the other; the same seed gives the same choices.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
}

impl Sampler {
    /// A sampler that begins at `seed`.
    ///
    /// # Errors
    /// A parameter outside its range.
    pub fn new(sampling: Sampling, seed: u64) -> Result<Self, SamplingError> {
        sampling.check()?;
        Ok(Sampler {
            sampling,
            random: ChaCha8Rng::seed_from_u64(seed),
        })
    }

    /// Chooses the token after `text`, whose logits these are; they are used up.
    pub fn choose(&mut self, mut logits: ArrayViewMut1<f32>, text: &[u32]) -> u32 {
        if self.sampling.greedy {
            return self.sampling.likeliest(logits, text);
        }
        self.sampling.distribution(logits.view_mut(), text);
        // The sum may fall short of 1 by rounding; the last token that was kept then takes the rest.
        let mut left: f32 = self.random.random::<f32>() * logits.sum();
        let mut chosen = 0;
        for (i, &p) in logits.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            chosen = i;
            left -= p;
            if left < 0.0 {
                break;
            }
        }
        chosen as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Catches: a draw that is not from the distribution; a filter left out.
    #[test]
    fn draws_follow_the_distribution() {
        let sampling = Sampling {
            repetition_penalty: 1.0,
            temperature: 1.0,
            top_k: 3,
            top_p: 1.0,
            greedy: false,
        };
        let mut sampler = Sampler::new(sampling, 7).unwrap();
        let logits = array![0.5_f32, 0.1, 0.25, 0.15].ln();
        let mut drawn = [0_u32; 4];
        for _ in 0..20_000 {
            drawn[sampler.choose(logits.clone().view_mut(), &[]) as usize] += 1;
        }
        assert_eq!(drawn[1], 0, "top-k leaves out the least likely");
        for (drawn, p) in drawn
            .into_iter()
            .zip([0.5 / 0.9, 0.0, 0.25 / 0.9, 0.15 / 0.9])
        {
            assert!(
                (f64::from(drawn) / 20_000.0 - p).abs() < 0.015,
                "{drawn} of 20,000 for {p}"
            );
        }
    }

    /// Catches: a seed that is not used, or used for every token anew.
    #[test]
    fn a_seed_gives_the_same_choices() {
        let logits = array![1.0_f32, 1.1, 0.9, 1.05, 1.0];
        let sampling = Sampling {
            temperature: 1.0,
            top_p: 1.0,
            ..Sampling::default()
        };
        let run = |seed| {
            let mut sampler = Sampler::new(sampling, seed).unwrap();
            (0..40)
                .map(|_| sampler.choose(logits.clone().view_mut(), &[]))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert!(run(1).iter().any(|&id| id != run(1)[0]));
    }

    /// Catches: the last of equals, which the shipped code does not take; a penalty left out of greedy decoding.
    #[test]
    fn greedy_takes_the_first_of_equals_after_the_penalty() {
        let choose = |text: &[u32], penalty| {
            let sampling = Sampling {
                repetition_penalty: penalty,
                ..Sampling::greedy()
            };
            Sampler::new(sampling, 0)
                .unwrap()
                .choose(array![1.0, 2.0, 2.0].view_mut(), text)
        };
        assert_eq!(choose(&[], 1.0), 1);
        assert_eq!(choose(&[1], 1.5), 2);
    }

    /// Catches: top-p before top-k, either of them before the temperature, the penalty after them.
    #[test]
    fn filters_come_in_the_shipped_order() {
        let kept = |sampling: Sampling, text: &[u32]| -> Vec<usize> {
            let mut logits = ndarray::array![0.4_f32, 0.3, 0.2, 0.1].ln();
            sampling.distribution(logits.view_mut(), text);
            (0..4).filter(|&i| logits[i] > 0.0).collect()
        };
        let open = Sampling {
            greedy: false,
            ..Sampling::greedy()
        };
        // Of the two that top-k keeps the first has 4/7, more than a half; of all four it has less.
        let top_k_first = Sampling {
            top_k: 2,
            top_p: 0.5,
            ..open
        };
        assert_eq!(kept(top_k_first, &[]), [0]);
        // Sharpened to 16/30 the first suffices.
        let temperature_first = Sampling {
            temperature: 0.5,
            top_p: 0.5,
            ..open
        };
        assert_eq!(kept(temperature_first, &[]), [0]);
        let penalty_first = Sampling {
            repetition_penalty: 2.0,
            top_k: 1,
            ..open
        };
        assert_eq!(kept(penalty_first, &[0]), [1]);
    }

    /// Catches: a stage shown under the name of the next; logits in place of a distribution; a last stage that is not what is drawn from; stages that a greedy
    /// choice does not pass.
    #[test]
    fn the_stages_are_the_filters_one_by_one() {
        let logits = array![0.4_f32, 0.3, 0.2, 0.1].ln();
        let sampling = Sampling {
            greedy: false,
            repetition_penalty: 1.5,
            temperature: 0.7,
            top_k: 3,
            top_p: 0.6,
        };
        let mut by_hand = logits.clone();
        let mut expected = Vec::new();
        let mut keep = |logits: &Array1<f32>| {
            let mut p = logits.clone();
            softmax_in_place(p.view_mut());
            expected.push(p);
        };
        keep(&by_hand);
        filters::repetition_penalty(by_hand.view_mut(), &[0, 3], 1.5);
        keep(&by_hand);
        filters::temperature(by_hand.view_mut(), 0.7);
        keep(&by_hand);
        filters::top_k(by_hand.view_mut(), 3);
        keep(&by_hand);
        filters::top_p(by_hand.view_mut(), 0.6);
        keep(&by_hand);
        let stages = sampling.stages(logits.view(), &[0, 3]);
        let seen: Vec<_> = stages.iter().map(|(_, p)| p.clone()).collect();
        assert_eq!(seen, expected);
        assert!(
            seen.windows(2).all(|two| two[0] != two[1]),
            "each does something"
        );
        let mut drawn_from = logits.clone();
        sampling.distribution(drawn_from.view_mut(), &[0, 3]);
        assert_eq!(stages[4], (Stage::TopP, drawn_from));
        let greedy = Sampling {
            greedy: true,
            ..sampling
        };
        let stages = greedy.stages(logits.view(), &[0, 3]);
        assert_eq!(stages.len(), 2);
        let likeliest = greedy.likeliest(logits.clone().view_mut(), &[0, 3]);
        assert_eq!(argmax(stages[1].1.view()), likeliest);
    }

    /// Catches: a limit that is off, or asked of another parameter.
    #[test]
    fn parameters_outside_their_range_are_errors() {
        let good = Sampling::default();
        let wrong = |sampling: Sampling| sampling.check().unwrap_err().name;
        assert_eq!(good.check(), Ok(()));
        assert_eq!(Sampling::greedy().check(), Ok(()), "1 is allowed");
        for x in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let penalty = Sampling {
                repetition_penalty: x,
                ..good
            };
            assert_eq!(wrong(penalty), "the repetition penalty");
            let temperature = Sampling {
                temperature: x,
                ..good
            };
            assert_eq!(wrong(temperature), "the temperature");
            assert_eq!(wrong(Sampling { top_p: x, ..good }), "top-p");
        }
        assert_eq!(
            wrong(Sampling {
                top_p: 1.001,
                ..good
            }),
            "top-p"
        );
        let coldest = Sampling {
            temperature: 1e-4,
            ..good
        };
        assert_eq!(coldest.check(), Ok(()));
        let colder = Sampling {
            temperature: 0.9e-4,
            ..good
        };
        assert_eq!(wrong(colder), "the temperature");
    }
}
