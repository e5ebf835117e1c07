//! Fine-tuning: a trained model learns to answer as given conversations do.
//!
//! The page leaves it open. Shipped: `fine-tune/fine-tune.py` of the Baichuan 2 repository. The defaults of [`Settings`] are those of the command
//! that its README gives, which also cuts conversations at 512 tokens; the script's own are Hugging Face's. The loss is the mean cross-entropy of the
//! tokens that count in a batch: the assistant's, and the end of each answer ([`Example`] says which exactly).
//!
//! * All parameters move, or, with [`LoraSettings`], only low-rank updates of the query, key and value projections ([`Lora`]).
//! * Weights, gradients and AdamW's moments are f32 throughout, whatever the checkpoint stores.
//! * Sequences of a batch are filled up at the right to the longest of them. What is filled in has no target, and attention never looks to the
//!   right, so that it changes nothing.
//!
//! | | |
//! |---|---|
//! | conversations from a file, and what of them counts | [`read_conversations`], [`Example`] |
//! | the steps | [`Tuner`] |
//! | low-rank updates | [`Lora`] |
//! | low-rank updates in a folder of their own, as PEFT has them | `Adapter` |

#[cfg(feature = "files")]
mod adapter;
mod conversations;
mod lora;

#[cfg(feature = "files")]
pub use adapter::{Adapter, AdapterError};
pub use conversations::{Conversation, ConversationsError, Example, read_conversations};
pub use lora::{Lora, MODULES};

use super::{AdamW, Batch, Moments, Parameters, Step, backward, clip};
use crate::{dtransformer::Config, tensor::threads};
use ndarray::Array2;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// How to fine-tune.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The optimizer. The decay is for whole matrices; factors of LoRA have none, since what holds them back is their rank.
    pub optimizer: AdamW,
    /// The learning rate, the same at every step.
    pub rate: f64,
    /// The norm that a gradient is clipped to.
    pub clip: f64,
    /// λ of the max-z loss.
    pub max_z_weight: f64,
    /// Parts of a batch whose gradients are made side by side and summed in order; each takes the memory of a gradient.
    pub parts: usize,
    /// Low-rank updates, in place of moving all parameters.
    pub lora: Option<LoraSettings>,
    /// Begins the random numbers.
    pub seed: u64,
}

/// The size of low-rank updates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoraSettings {
    /// $r$.
    pub rank: usize,
    /// α: the change is $\frac{\alpha}{r} B A$.
    pub alpha: f64,
}

impl Default for Settings {
    /// Those of the shipped README's command; max-z is off there, too.
    fn default() -> Self {
        Settings {
            optimizer: AdamW {
                beta1: 0.9,
                beta2: 0.98,
                eps: 1e-8,
                weight_decay: 1e-4,
            },
            rate: 2e-5,
            clip: 1.0,
            max_z_weight: 0.0,
            parts: 2,
            lora: None,
            seed: 0,
        }
    }
}

impl Settings {
    /// Bytes that weights, gradients and moments take, all f32. What the sequences of a batch take comes on top.
    ///
    /// ```
    /// use baichuan2::{dtransformer::Config, training::finetune::{LoraSettings, Settings}};
    /// let (config, gb) = (Config::baichuan2_7b(), |settings: Settings, config: &Config| settings.bytes(config) / 1_000_000_000);
    /// let one = Settings { parts: 1, ..Settings::default() };
    /// assert_eq!(gb(one, &config), 120); // 16 bytes a parameter
    /// let lora = Some(LoraSettings { rank: 8, alpha: 32.0 });
    /// assert_eq!(gb(Settings { lora, ..one }, &config), 66); // 8 bytes, and W_pack a second time
    /// ```
    pub fn bytes(&self, config: &Config) -> u64 {
        let parameters = config.parameters();
        let numbers = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
        let all: u64 = parameters.iter().map(|p| numbers(&p.shape)).sum();
        let weights_and_gradients = all * (1 + self.parts as u64);
        let rest = match self.lora {
            None => 2 * all,
            Some(LoraSettings { rank, .. }) => {
                let places = lora::places(&parameters).into_iter();
                let of_one = |i: usize| {
                    let shape = &parameters[i].shape;
                    // The frozen matrix; its factors, their gradient and moments.
                    numbers(shape) + 4 * rank as u64 * shape.iter().map(|&n| n as u64).sum::<u64>()
                };
                places.map(of_one).sum()
            }
        };
        4 * (weights_and_gradients + rest)
    }

    /// Bytes of the attention maps that are kept for the way back, $4 L H \ell^2$ a sequence, all f32, where batches have `batch` sequences of up to
    /// `tokens` tokens, $\ell$. No more parts are computed at once than there are `threads`.
    ///
    /// ```
    /// use baichuan2::{dtransformer::Config, training::finetune::Settings};
    /// let one = Settings { parts: 1, ..Settings::default() };
    /// assert_eq!(one.attention_bytes(&Config::baichuan2_7b(), 16, 512, 8), 16 << 30); // a GiB a sequence
    /// ```
    pub fn attention_bytes(
        &self,
        config: &Config,
        batch: usize,
        tokens: usize,
        threads: usize,
    ) -> u64 {
        let parts = self.parts.max(1);
        let at_once = batch.div_ceil(parts).saturating_mul(parts.min(threads));
        let factors = [
            config.num_hidden_layers,
            config.num_attention_heads,
            tokens,
            tokens,
            // Where the last part is smaller, there are no more than all.
            at_once.min(batch),
        ];
        let bytes = factors.iter().map(|&n| n as u64);
        bytes.fold(4, u64::saturating_mul)
    }

    /// Checks every range, for a model of this configuration.
    ///
    /// # Errors
    /// The first setting outside its range.
    pub fn check(&self, config: &Config) -> Result<(), TunerError> {
        let refuse = |what, value, must| Err(TunerError::OutOfRange { what, value, must });
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return refuse(
                "the learning rate",
                self.rate,
                "above 0 and at most 1".into(),
            );
        }
        if self.parts == 0 {
            return refuse("the number of parts", 0.0, "at least 1".into());
        }
        if let Some(LoraSettings { rank, alpha }) = self.lora {
            // Any change of such a matrix has this rank.
            let most = config.hidden_size.min(config.kv_width());
            if !(1..=most).contains(&rank) {
                return refuse("the rank", rank as f64, format!("from 1 to {most}"));
            }
            if !(alpha.is_finite() && alpha > 0.0) {
                return refuse("alpha", alpha, "a positive number".into());
            }
        }
        Ok(())
    }
}

/// Fine-tuning that cannot begin or go on.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TunerError {
    /// A setting outside its range.
    #[error("{what} is {value}; it must be {must}")]
    OutOfRange {
        /// The setting.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        must: String,
    },
    /// A token that the model has no place for.
    #[error("token {id} of a conversation is outside the model's vocabulary of {vocab_size}")]
    NoSuchToken {
        /// The token.
        id: u32,
        /// Ids run below this.
        vocab_size: usize,
    },
    /// A batch that nothing can be learned from.
    #[error("no token of the batch counts, so that there is nothing to learn from it")]
    NothingCounts,
    /// The loss or the gradient is not a number any more. The parameters are those before the step.
    #[error(
        "step {step}: the loss is {loss} and the norm of its gradient {gradient_norm}; it has diverged: try a lower learning rate"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The norm of its gradient.
        gradient_norm: f64,
    },
}

/// A model that is being fine-tuned.
pub struct Tuner {
    settings: Settings,
    parameters: Parameters<f32>,
    gradients: Vec<Parameters<f32>>,
    lora: Option<Lora<f32>>,
    moments: Moments<f32>,
    tokens: u64,
}

impl Tuner {
    /// A model before its first step.
    ///
    /// # Errors
    /// A setting outside its range.
    pub fn new(settings: Settings, parameters: Parameters<f32>) -> Result<Self, TunerError> {
        settings.check(&parameters.config)?;
        let lora = settings
            .lora
            .map(|LoraSettings { rank, alpha }| Lora::new(&parameters, rank, alpha, settings.seed));
        let moments = match &lora {
            None => Moments::new(&parameters),
            Some(lora) => {
                let zeros = || Parameters {
                    config: parameters.config.clone(),
                    arrays: Vec::from_iter(
                        lora.factors
                            .arrays
                            .iter()
                            .map(|a| Array2::zeros(a.raw_dim())),
                    ),
                };
                Moments {
                    mean: zeros(),
                    square: zeros(),
                    steps: 0,
                }
            }
        };
        let zeros = || Parameters::zeros(&parameters.config);
        Ok(Tuner {
            gradients: (0..settings.parts).map(|_| zeros()).collect(),
            settings,
            parameters,
            lora,
            moments,
            tokens: 0,
        })
    }

    /// The weights so far, low-rank updates included.
    pub fn parameters(&self) -> &Parameters<f32> {
        &self.parameters
    }

    /// The weights alone; the memory of gradients and moments is free again.
    pub fn into_parameters(self) -> Parameters<f32> {
        self.parameters
    }

    /// The low-rank updates, where it is they that are learned.
    pub fn lora(&self) -> Option<&Lora<f32>> {
        self.lora.as_ref()
    }

    /// Whether the parameter at this place may differ from what it was.
    pub fn moves(&self, place: usize) -> bool {
        let lora = self.lora.as_ref();
        lora.is_none_or(|lora| lora.pairs().any(|(moved, ..)| moved == place))
    }

    /// One step on a batch.
    ///
    /// # Errors
    /// A token outside the vocabulary, no target that counts, or a loss or gradient that is not finite; nothing was changed then.
    pub fn step(&mut self, examples: &[&Example]) -> Result<Step, TunerError> {
        self.check(examples)?;
        let parts = parts(examples, self.gradients.len());
        if parts.iter().all(|part| part.counted() == 0) {
            return Err(TunerError::NothingCounts);
        }
        let z = self.settings.max_z_weight;
        let (p, gradients) = (&self.parameters, &mut self.gradients);
        let loss = backward::loss_and_gradient_of_parts(p, &parts, z, gradients);
        let of_the_model = &mut self.gradients[0];
        let mut of_factors = self.lora.as_ref().map(|lora| lora.gradient(of_the_model));
        let gradient = of_factors.as_mut().unwrap_or(of_the_model);
        let gradient_norm = clip(gradient, self.settings.clip);
        let step = self.moments.steps + 1;
        if !(loss.total().is_finite() && gradient_norm.is_finite()) {
            return Err(TunerError::Diverged {
                step,
                loss: loss.total(),
                gradient_norm,
            });
        }
        let Settings {
            optimizer, rate, ..
        } = self.settings;
        match &mut self.lora {
            None => optimizer.step(&mut self.parameters, gradient, &mut self.moments, rate),
            Some(lora) => {
                let optimizer = AdamW {
                    weight_decay: 0.0,
                    ..optimizer
                };
                optimizer.step(&mut lora.factors, gradient, &mut self.moments, rate);
                lora.apply(&mut self.parameters);
            }
        }
        self.tokens += examples.iter().map(|e| e.ids.len() as u64).sum::<u64>();
        Ok(Step {
            step,
            tokens: self.tokens,
            loss,
            gradient_norm,
            rate,
        })
    }

    /// The mean cross-entropy, in nats, of what counts in the examples; nothing where nothing does.
    ///
    /// # Errors
    /// A token outside the vocabulary.
    pub fn loss(&self, examples: &[Example]) -> Result<Option<f64>, TunerError> {
        let examples: Vec<&Example> = examples.iter().collect();
        self.check(&examples)?;
        // Those of a like length together, a few at a time.
        let batches = parts(&examples, examples.len().div_ceil(4));
        let sums = threads::map(batches.iter(), |batch| {
            backward::loss(&self.parameters, batch, 0.0).cross_entropy * batch.counted() as f64
        });
        let count: usize = batches.iter().map(Batch::counted).sum();
        Ok((count > 0).then(|| sums.iter().sum::<f64>() / count as f64))
    }

    fn check(&self, examples: &[&Example]) -> Result<(), TunerError> {
        let vocab_size = self.parameters.config.vocab_size;
        let targets = |e: &&Example| Vec::from_iter(e.targets.iter().flatten().copied());
        let mut ids = examples
            .iter()
            .flat_map(|e| e.ids.iter().copied().chain(targets(e)));
        match ids.find(|&id| id as usize >= vocab_size) {
            Some(id) => Err(TunerError::NoSuchToken { id, vocab_size }),
            None => Ok(()),
        }
    }
}

/// Examples in at most so many batches, those of a like length together.
fn parts(examples: &[&Example], most: usize) -> Vec<Batch> {
    let mut sorted = examples.to_vec();
    sorted.sort_by_key(|example| std::cmp::Reverse(example.ids.len()));
    let size = sorted.len().div_ceil(most.max(1)).max(1);
    sorted.chunks(size).map(padded).collect()
}

/// Examples as one batch, filled up at the right to the longest.
fn padded(examples: &[&Example]) -> Batch {
    let tokens = examples.iter().map(|e| e.ids.len()).max().unwrap_or(0);
    fn filled<T: Copy>(numbers: &[T], with: T, to: usize) -> impl Iterator<Item = T> {
        let more = std::iter::repeat_n(with, to - numbers.len());
        numbers.iter().copied().chain(more)
    }
    Batch {
        tokens,
        ids: examples
            .iter()
            .flat_map(|e| filled(&e.ids, 0, tokens))
            .collect(),
        targets: examples
            .iter()
            .flat_map(|e| filled(&e.targets, None, tokens))
            .collect(),
    }
}

/// The order of `count` examples in a pass, from 0: random, and the same for the same seed.
///
/// ```
/// use baichuan2::training::finetune::order;
/// assert_eq!(order(100, 7, 0), order(100, 7, 0));
/// assert_ne!(order(100, 7, 0), order(100, 7, 1));
/// ```
pub fn order(count: usize, seed: u64, pass: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(pass);
    order.shuffle(&mut random);
    order
}

#[cfg(test)]
mod tests;
