//! Choosing the next token.

use super::filters;
use crate::tensor::softmax_in_place;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
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

/// What is done to a distribution on the way to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing yet.
    Plain,
    /// [`filters::repetition_penalty`].
    Penalty,
    /// [`filters::temperature`].
    Temperature,
    /// [`filters::top_k`].
    TopK,
    /// [`filters::top_p`].
    TopP,
}

impl Stage {
    /// All, in the shipped order.
    pub const ALL: [Stage; 5] = [
        Stage::Plain,
        Stage::Penalty,
        Stage::Temperature,
        Stage::TopK,
        Stage::TopP,
    ];
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
            self.apply(stage, logits.view_mut(), text);
        }
        softmax_in_place(logits);
    }

    /// The distribution after each stage, in the order of [`Stage::ALL`]: the first is the model's own, the last the one that is drawn from.
    ///
    /// ```
    /// use baichuan2::generation::Sampling;
    /// let logits = ndarray::array![0.5_f32, 0.3, 0.2].ln();
    /// let sampling = Sampling { top_k: 2, ..Sampling::greedy() };
    /// let [plain, .., top_k, top_p] = sampling.stages(logits.view(), &[]);
    /// assert!((plain[2] - 0.2).abs() < 1e-6);
    /// assert_eq!(top_k[2], 0.0);
    /// assert_eq!(top_k, top_p);
    /// ```
    pub fn stages(&self, logits: ArrayView1<f32>, text: &[u32]) -> [Array1<f32>; 5] {
        let mut logits = logits.to_owned();
        Stage::ALL.map(|stage| {
            self.apply(stage, logits.view_mut(), text);
            let mut distribution = logits.clone();
            softmax_in_place(distribution.view_mut());
            distribution
        })
    }

    fn apply(&self, stage: Stage, logits: ArrayViewMut1<f32>, text: &[u32]) {
        match stage {
            Stage::Plain => {}
            Stage::Penalty => filters::repetition_penalty(logits, text, self.repetition_penalty),
            Stage::Temperature => filters::temperature(logits, self.temperature),
            Stage::TopK => filters::top_k(logits, self.top_k),
            Stage::TopP => filters::top_p(logits, self.top_p),
        }
    }

    /// The likeliest token after the repetition penalty; of equals the first, as shipped.
    pub fn likeliest(&self, mut logits: ArrayViewMut1<f32>, text: &[u32]) -> u32 {
        filters::repetition_penalty(logits.view_mut(), text, self.repetition_penalty);
        argmax(logits.view())
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
    use proptest::prelude::*;

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

    proptest! {
        /// Catches: a stage in another order than the shipped one, or left out; a last stage that is not what is drawn from.
        #[test]
        fn stages_begin_at_the_softmax_and_end_at_what_is_drawn_from(
            logits in prop::collection::vec(-9.0..9.0_f32, 1..60),
            text in prop::collection::vec(0..60_u32, 0..20),
            (penalty, temperature) in (1.0..2.0_f32, 0.1..3.0_f32),
            (top_k, top_p) in (0..70_usize, 0.05..1.0_f32),
        ) {
            let logits = Array1::from(logits);
            let sampling = Sampling { greedy: false, repetition_penalty: penalty, temperature, top_k, top_p };
            let stages = sampling.stages(logits.view(), &text);
            let mut plain = logits.clone();
            softmax_in_place(plain.view_mut());
            prop_assert_eq!(&stages[0], &plain);
            let mut drawn_from = logits.clone();
            sampling.distribution(drawn_from.view_mut(), &text);
            prop_assert_eq!(&stages[4], &drawn_from);
            // Each stage is what its filter alone, after those before it, makes.
            let until = |n: usize| Sampling {
                temperature: if n < 2 { 1.0 } else { temperature },
                top_k: if n < 3 { 0 } else { top_k },
                top_p: 1.0,
                ..sampling
            };
            for (n, stage) in stages[..4].iter().enumerate().skip(1) {
                let mut expected = logits.clone();
                until(n).distribution(expected.view_mut(), &text);
                prop_assert_eq!(stage, &expected);
            }
        }
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
}
