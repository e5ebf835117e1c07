//! The loop: a batch, its gradient, a step.

use super::{Batch, Moments, Parameters, Recipe, backward, clip, loss::Loss};
use crate::tensor::threads;
use ndarray::Array2;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use thiserror::Error;

/// A run in progress.
///
/// The order of the data follows from the seed and the number of the step alone, and gradients are summed in one order whatever the
/// number of threads, so that a run that was interrupted and goes on ends at the same bits as one that was not.
pub struct Trainer<'d> {
    recipe: Recipe,
    data: &'d [u32],
    parameters: Parameters<f32>,
    moments: Moments<f32>,
    gradients: Vec<Parameters<f32>>,
    /// The order of windows in this pass over the data, and which pass it is.
    order: (u64, Vec<u32>),
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Steps so far, this one included.
    pub step: u64,
    /// Tokens so far.
    pub tokens: u64,
    /// The loss before the step.
    pub loss: Loss,
    /// The norm of the gradient before it was clipped.
    pub gradient_norm: f64,
    /// The learning rate.
    pub rate: f64,
}

/// A run that cannot begin or go on.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TrainerError {
    /// Hyperparameters that cannot be followed.
    #[error("the recipe: {0}")]
    Recipe(String),
    /// Not one sequence.
    #[error(
        "the text has {found} tokens, but a sequence takes {needed}; give more text or a shorter context"
    )]
    TooLittleData {
        /// Tokens of the text.
        found: usize,
        /// Tokens of a sequence and what follows its last.
        needed: usize,
    },
    /// A token that the model has no place for.
    #[error("token {id} of the text is outside the vocabulary of {vocab_size}")]
    NoSuchToken {
        /// The token.
        id: u32,
        /// Ids run below this.
        vocab_size: usize,
    },
    /// The loss or the gradient is not a number any more. The parameters are those before the step.
    #[error(
        "step {step}: the loss is {loss} and the norm of its gradient {gradient_norm}; the run has diverged: go on from \
         the last checkpoint with a lower peak_rate or a longer warm_up"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The norm of its gradient.
        gradient_norm: f64,
    },
    /// A saved state of another model.
    #[error("the saved state does not fit the recipe: {0}")]
    State(String),
}

impl<'d> Trainer<'d> {
    /// A run from random weights over `data`, one text of token ids.
    ///
    /// # Errors
    /// Too little data, or ids outside `vocab_size`.
    pub fn new(recipe: Recipe, data: &'d [u32], vocab_size: usize) -> Result<Self, TrainerError> {
        let config = recipe.config(vocab_size);
        let parameters = Parameters::random(&config, recipe.initializer_range, recipe.seed);
        Trainer::from(recipe, data, parameters)
    }

    /// A run from given weights.
    ///
    /// # Errors
    /// Too little data, or ids outside the vocabulary.
    pub fn from(
        recipe: Recipe,
        data: &'d [u32],
        parameters: Parameters<f32>,
    ) -> Result<Self, TrainerError> {
        recipe
            .check()
            .map_err(|error| TrainerError::Recipe(error.to_string()))?;
        let needed = recipe.context + 1;
        if data.len() < needed {
            return Err(TrainerError::TooLittleData {
                found: data.len(),
                needed,
            });
        }
        let vocab_size = parameters.config.vocab_size;
        if let Some(&id) = data.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(TrainerError::NoSuchToken { id, vocab_size });
        }
        let zeros = || Parameters::zeros(&parameters.config);
        Ok(Trainer {
            gradients: (0..recipe.parts).map(|_| zeros()).collect(),
            moments: Moments::new(&parameters),
            order: (u64::MAX, Vec::new()),
            recipe,
            data,
            parameters,
        })
    }

    /// The weights so far.
    pub fn parameters(&self) -> &Parameters<f32> {
        &self.parameters
    }

    /// The hyperparameters.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.moments.steps
    }

    /// Tokens so far.
    pub fn tokens(&self) -> u64 {
        self.steps() * self.recipe.batch_tokens as u64
    }

    /// Whether all tokens of the recipe were trained on.
    pub fn is_done(&self) -> bool {
        self.steps() >= self.recipe.steps()
    }

    /// One step.
    ///
    /// # Errors
    /// A loss or gradient that is not finite; nothing was changed then.
    pub fn step(&mut self) -> Result<Step, TrainerError> {
        let step = self.steps();
        let parts = self.batch(step);
        let z = self.recipe.max_z_weight;
        let (p, gradients) = (&self.parameters, &mut self.gradients);
        let loss = backward::loss_and_gradient_of_parts(p, &parts, z, gradients);
        let gradient = &mut gradients[0];
        let gradient_norm = clip(gradient, self.recipe.clip);
        if !(loss.total().is_finite() && gradient_norm.is_finite()) {
            return Err(TrainerError::Diverged {
                step: step + 1,
                loss: loss.total(),
                gradient_norm,
            });
        }
        let rate = self.recipe.schedule().rate(step);
        self.recipe
            .optimizer()
            .step(&mut self.parameters, gradient, &mut self.moments, rate);
        Ok(Step {
            step: step + 1,
            tokens: self.tokens(),
            loss,
            gradient_norm,
            rate,
        })
    }

    /// What step `step` reads, counted from 0: windows of the text in a random order, each once in a pass.
    pub fn windows(&mut self, step: u64) -> Vec<&'d [u32]> {
        let Recipe {
            context,
            batch_tokens,
            ..
        } = self.recipe;
        let windows = ((self.data.len() - 1) / context) as u64;
        let sequences = (batch_tokens / context) as u64;
        (step * sequences..(step + 1) * sequences)
            .map(|i| {
                let (pass, i) = (i / windows, (i % windows) as usize);
                if self.order.0 != pass {
                    self.order = (pass, shuffled(windows as u32, self.recipe.seed, pass));
                }
                let start = self.order.1[i] as usize * context;
                &self.data[start..=start + context]
            })
            .collect()
    }

    /// The parts of step `step`.
    fn batch(&mut self, step: u64) -> Vec<Batch> {
        let windows = self.windows(step);
        windows
            .chunks(windows.len() / self.recipe.parts)
            .map(Batch::of)
            .collect()
    }

    /// The run's whole state under names, to be saved.
    pub fn state(&self) -> Vec<(String, ndarray::ArrayD<f32>)> {
        let parts = [
            ("parameter", &self.parameters),
            ("mean", &self.moments.mean),
            ("square", &self.moments.square),
        ];
        let mut state = Vec::new();
        for (kind, of) in parts {
            for (parameter, array) in of.named() {
                state.push((
                    format!("{kind}.{}", parameter.name),
                    array.clone().into_dyn(),
                ));
            }
        }
        // Two halves of 24 bits, which an f32 holds exactly.
        let steps = [
            (self.steps() >> 24) as f32,
            (self.steps() & 0xff_ffff) as f32,
        ];
        state.push(("steps".to_owned(), ndarray::arr1(&steps).into_dyn()));
        state
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// A state that does not hold this model's arrays in their shapes.
    pub fn restore(
        &mut self,
        mut state: HashMap<String, ndarray::ArrayD<f32>>,
    ) -> Result<(), TrainerError> {
        let mut take = |name: String, shape: &[usize]| {
            let found = state
                .remove(&name)
                .ok_or_else(|| TrainerError::State(format!("it has no {name}")))?;
            let what = format!("{name} is {:?} in it, not {shape:?}", found.shape());
            found
                .into_shape_with_order(shape)
                .map_err(|_| TrainerError::State(what))
        };
        let config = &self.parameters.config;
        let mut read = |kind: &str| -> Result<Parameters<f32>, TrainerError> {
            let mut all = Parameters::zeros(config);
            for (parameter, array) in config.parameters().iter().zip(&mut all.arrays) {
                let (rows, columns) = array.dim();
                let found = take(format!("{kind}.{}", parameter.name), &[rows, columns])?;
                *array = Array2::from_shape_vec((rows, columns), found.into_iter().collect())
                    .expect("of this shape");
            }
            Ok(all)
        };
        let (parameters, mean, square) = (read("parameter")?, read("mean")?, read("square")?);
        let steps = take("steps".to_owned(), &[2])?;
        if !steps
            .iter()
            .all(|&half| half.fract() == 0.0 && (0.0..16_777_216.0).contains(&half))
        {
            return Err(TrainerError::State(
                "its number of steps is no number".to_owned(),
            ));
        }
        let steps = steps
            .iter()
            .fold(0, |sum: u64, &half| (sum << 24) + half as u64);
        self.parameters = parameters;
        self.moments = Moments {
            mean,
            square,
            steps,
        };
        Ok(())
    }
}

/// The order of the windows in a pass.
fn shuffled(windows: u32, seed: u64, pass: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..windows).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(pass + 1);
    order.shuffle(&mut random);
    order
}

/// Tells the allocator to keep what is freed, for a process that trains.
///
/// Every step allocates what the one before it freed; where each time the pages go back to the system and come again, a sixth of the time goes with them.
/// Does nothing but on Linux with glibc, where allocators are told so.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu", feature = "files"))]
    // SAFETY: sets parameters of malloc, and may be called at any time.
    unsafe {
        // More than this older versions of glibc refuse.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// The mean cross-entropy of `text` in nats a token, in windows of `context` tokens, each read from nothing; the last, shorter one is left out.
///
/// Nothing for a text shorter than a window, or windows of no tokens.
pub fn evaluate(parameters: &Parameters<f32>, text: &[u32], context: usize) -> Option<f64> {
    if context == 0 || text.len() <= context {
        return None;
    }
    let windows: Vec<&[u32]> = text.windows(context + 1).step_by(context).collect();
    // Enough rows at a time for the products to be worth it.
    let losses = threads::map(windows.chunks(8), |windows| {
        let batch = Batch::of(windows);
        backward::loss(parameters, &batch, 0.0).cross_entropy * windows.len() as f64
    });
    Some(losses.iter().sum::<f64>() / windows.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            hidden_size: 16,
            layers: 1,
            heads: 2,
            intermediate_size: 32,
            context: 8,
            vocab_size: 12,
            tokens: 4000,
            batch_tokens: 64,
            parts: 2,
            peak_rate: 1e-2,
            warm_up: 5,
            ..Recipe::default()
        }
    }

    /// 0, 1, … 11, 0, 1, …: a text that one layer can learn.
    fn counting() -> Vec<u32> {
        (0..500).map(|i| i % 12).collect()
    }

    /// Catches: a gradient with the wrong sign; a step that moves nothing.
    #[test]
    fn it_learns_to_count() {
        let data = counting();
        let mut trainer = Trainer::new(recipe(), &data, 12).unwrap();
        let first = trainer.step().unwrap();
        assert!(
            (first.loss.cross_entropy - 12f64.ln()).abs() < 1.0,
            "{first:?}"
        );
        while !trainer.is_done() {
            trainer.step().unwrap();
        }
        let held_out = evaluate(trainer.parameters(), &data[5..200], 8).unwrap();
        assert!(held_out < 0.05, "{held_out}");
        let decoder = trainer.parameters().decoder().unwrap();
        let p = decoder.probabilities(&[3, 4, 5]).unwrap();
        assert!(p[[2, 6]] > 0.9);
    }

    /// Catches: an order of the data or a moment that is lost between two sessions; a sum that depends on the threads.
    #[test]
    fn a_resumed_run_ends_at_the_same_bits() {
        let data = counting();
        let run = |steps: u64| {
            let mut trainer = Trainer::new(recipe(), &data, 12).unwrap();
            (0..steps).for_each(|_| {
                trainer.step().unwrap();
            });
            trainer
        };
        let whole = run(30);
        let first = run(13);
        let mut second = Trainer::new(recipe(), &data, 12).unwrap();
        second.restore(first.state().into_iter().collect()).unwrap();
        assert_eq!(second.steps(), 13);
        (13..30).for_each(|_| {
            second.step().unwrap();
        });
        assert_eq!(second.parameters(), whole.parameters());
        assert_ne!(first.parameters(), whole.parameters());
    }

    /// Catches: windows left out or read twice in a pass.
    #[test]
    fn every_window_is_read_once_in_a_pass() {
        let data: Vec<u32> = (0..8 * 24 + 1).map(|i| i / 8 % 12).collect();
        let mut trainer = Trainer::new(recipe(), &data, 12).unwrap();
        let mut seen = Vec::new();
        for step in 0..3 {
            for part in trainer.batch(step) {
                seen.extend(part.ids.chunks(8).map(|ids| ids[0]));
            }
        }
        seen.sort_unstable();
        let all: Vec<u32> = (0..24)
            .map(|i| i % 12)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .flat_map(|i| [i, i])
            .collect();
        assert_eq!(seen, all);
    }

    /// Catches: NaN written over good weights.
    #[test]
    fn divergence_is_an_error_and_changes_nothing() {
        let data = counting();
        let mut trainer = Trainer::new(recipe(), &data, 12).unwrap();
        trainer.parameters.arrays[1][[0, 0]] = f32::NAN;
        let before = trainer.parameters.arrays[2].clone();
        assert!(matches!(
            trainer.step(),
            Err(TrainerError::Diverged { step: 1, .. })
        ));
        assert_eq!(trainer.parameters.arrays[2], before);
        assert_eq!(trainer.steps(), 0);
    }

    /// Catches: a panic, or an endless loop, where there is too little.
    #[test]
    fn too_little_data_is_an_error() {
        let error = Trainer::new(recipe(), &[1, 2, 3], 12).err().unwrap();
        assert_eq!(
            error,
            TrainerError::TooLittleData {
                found: 3,
                needed: 9
            }
        );
        let error = Trainer::new(recipe(), &[77; 20], 12).err().unwrap();
        assert_eq!(
            error,
            TrainerError::NoSuchToken {
                id: 77,
                vocab_size: 12
            }
        );
    }
}
