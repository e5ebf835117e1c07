//! What is trained, on how much, and how: the hyperparameters, as a small TOML file.

use super::{AdamW, Schedule, loss::MAX_Z_WEIGHT};
use crate::{
    dtransformer::{Config, ConfigError, Position},
    swiglu::ffn_width,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// All hyperparameters of a run. What a file leaves out has the default given here; the optimizer's are those of the report.
///
/// ```
/// use baichuan2::training::Recipe;
/// let recipe = Recipe::from_toml("position = \"alibi\"\nheads = 6\ntokens = 2_000_000")?;
/// assert_eq!((recipe.heads, recipe.weight_decay), (6, 0.1));
/// let error = Recipe::from_toml("head = 6").unwrap_err();
/// assert!(error.to_string().contains("unknown field `head`"));
/// # Ok::<(), baichuan2::training::RecipeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// `rope`, as the 7B, or `alibi`, as the 13B.
    pub position: PositionName,
    /// Width of the stream.
    pub hidden_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Width inside SwiGLU; 0 stands for the paper's 8/3 of the stream, rounded up to 128.
    pub intermediate_size: usize,
    /// Tokens of a training sequence.
    pub context: usize,
    /// Pieces of the tokenizer, where one is trained.
    pub vocab_size: usize,
    /// Standard deviation of the first weights; larger than the report's for a stream that is narrower.
    pub initializer_range: f64,
    /// Begins the random numbers: of the weights, and of the order of the data.
    pub seed: u64,

    /// Tokens to train on.
    pub tokens: u64,
    /// Tokens of one step.
    pub batch_tokens: usize,
    /// Parts of a step whose gradients are made apart and summed in order: what several threads can share, and what bounds memory.
    pub parts: usize,
    /// Highest learning rate.
    pub peak_rate: f64,
    /// Lowest learning rate, at the end, as a share of the highest.
    pub end_rate: f64,
    /// Steps until the highest rate.
    pub warm_up: u64,
    /// β₁ of AdamW.
    pub beta1: f64,
    /// β₂ of AdamW.
    pub beta2: f64,
    /// ε of AdamW.
    pub eps: f64,
    /// Weight decay, of matrices alone.
    pub weight_decay: f64,
    /// The norm that a gradient is clipped to.
    pub clip: f64,
    /// λ of the max-z loss.
    pub max_z_weight: f64,
}

/// A position scheme by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionName {
    /// Rotary embedding.
    Rope,
    /// Linear biases.
    Alibi,
}

/// A recipe that cannot be followed.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{0}")]
    Toml(#[from] Box<toml::de::Error>),
    /// A decoder that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A number outside its range.
    #[error("{key} is {value}; it must be {must}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        must: &'static str,
    },
    /// Heads that do not divide the width.
    #[error("hidden_size ({hidden_size}) is not a multiple of heads ({heads})")]
    Heads {
        /// Width of the stream.
        hidden_size: usize,
        /// Query heads.
        heads: usize,
    },
    /// A step that does not divide into sequences and parts.
    #[error(
        "batch_tokens ({batch_tokens}) must be a multiple of context × parts ({context} × {parts})"
    )]
    Batch {
        /// Tokens of one step.
        batch_tokens: usize,
        /// Tokens of a sequence.
        context: usize,
        /// Parts of a step.
        parts: usize,
    },
}

impl Default for Recipe {
    fn default() -> Self {
        let AdamW {
            beta1,
            beta2,
            eps,
            weight_decay,
        } = AdamW::default();
        Recipe {
            position: PositionName::Rope,
            hidden_size: 96,
            layers: 6,
            heads: 4,
            intermediate_size: 0,
            context: 256,
            vocab_size: 1536,
            initializer_range: 0.08,
            seed: 1,
            tokens: 20_000_000,
            batch_tokens: 2048,
            parts: 2,
            peak_rate: 3e-3,
            end_rate: 0.1,
            warm_up: 100,
            beta1,
            beta2,
            eps,
            weight_decay,
            clip: 0.5,
            max_z_weight: MAX_Z_WEIGHT,
        }
    }
}

impl Recipe {
    /// Reads a TOML file's text.
    ///
    /// # Errors
    /// See [`RecipeError`].
    pub fn from_toml(text: &str) -> Result<Self, RecipeError> {
        let recipe: Recipe = toml::from_str(text).map_err(Box::new)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first number outside its range.
    pub fn check(&self) -> Result<(), RecipeError> {
        let Recipe {
            hidden_size,
            heads,
            batch_tokens,
            context,
            parts,
            ..
        } = *self;
        const MOST_TOKENS: u64 = 100_000_000_000;
        for (key, value, range, must) in [
            ("heads", heads as u64, 1..=1 << 20, "at least 1"),
            ("parts", parts as u64, 1..=1 << 20, "at least 1"),
            ("context", context as u64, 2..=1 << 24, "at least 2"),
            (
                "batch_tokens",
                batch_tokens as u64,
                1..=1 << 32,
                "at least 1",
            ),
            (
                "tokens",
                self.tokens,
                1..=MOST_TOKENS,
                "from 1 to 100 billion",
            ),
        ] {
            if !range.contains(&value) {
                return Err(RecipeError::OutOfRange {
                    key,
                    value: value as f64,
                    must,
                });
            }
        }
        let within = |key, value: f64, range: std::ops::RangeInclusive<f64>, must| {
            if range.contains(&value) {
                Ok(())
            } else {
                Err(RecipeError::OutOfRange { key, value, must })
            }
        };
        within(
            "peak_rate",
            self.peak_rate,
            1e-12..=1.0,
            "above 0 and at most 1",
        )?;
        within(
            "end_rate",
            self.end_rate,
            0.0..=1.0,
            "from 0 to 1, as a share of peak_rate",
        )?;
        within(
            "beta1",
            self.beta1,
            0.0..=0.999_999,
            "at least 0 and below 1",
        )?;
        within(
            "beta2",
            self.beta2,
            0.0..=0.999_999_9,
            "at least 0 and below 1",
        )?;
        within("eps", self.eps, 1e-30..=1.0, "above 0 and at most 1")?;
        within(
            "weight_decay",
            self.weight_decay,
            0.0..=10.0,
            "from 0 to 10",
        )?;
        within("clip", self.clip, 1e-12..=f64::MAX, "above 0")?;
        within("max_z_weight", self.max_z_weight, 0.0..=1.0, "from 0 to 1")?;
        within(
            "initializer_range",
            self.initializer_range,
            1e-12..=10.0,
            "above 0 and at most 10",
        )?;
        if !hidden_size.is_multiple_of(heads) {
            return Err(RecipeError::Heads { hidden_size, heads });
        }
        if !batch_tokens.is_multiple_of(context.saturating_mul(parts)) {
            return Err(RecipeError::Batch {
                batch_tokens,
                context,
                parts,
            });
        }
        Ok(self.config(self.vocab_size).validate()?)
    }

    /// The decoder it describes, for a tokenizer of `vocab_size` pieces: a Baichuan 2, only smaller.
    pub fn config(&self, vocab_size: usize) -> Config {
        Config {
            vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: match self.intermediate_size {
                0 => ffn_width(self.hidden_size),
                given => given,
            },
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            num_key_value_heads: self.heads,
            head_dim: self.hidden_size / self.heads.max(1),
            position: match self.position {
                PositionName::Rope => Position::Rope { base: 1e4 },
                PositionName::Alibi => Position::Alibi,
            },
            context: self.context,
            ..Config::baichuan2_7b()
        }
    }

    /// Steps in all.
    pub fn steps(&self) -> u64 {
        self.tokens.div_ceil(self.batch_tokens as u64)
    }

    /// Its optimizer.
    pub fn optimizer(&self) -> AdamW {
        AdamW {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
        }
    }

    /// Its learning rates.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            peak: self.peak_rate,
            end: self.peak_rate * self.end_rate,
            warm_up: self.warm_up,
            steps: self.steps(),
        }
    }
}
