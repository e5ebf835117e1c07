//! The hyperparameters of a decoder, and the names and shapes of the parameters that follow from them.

use crate::{
    alibi,
    attention::{Bias, Visibility},
};
use thiserror::Error;

/// How a decoder tells positions apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Position {
    /// Rotary position embedding (7B, Llama): queries and keys are rotated before their product.
    Rope {
        /// θ of the paper, 10,000 for Baichuan 2.
        base: f64,
    },
    /// Attention with linear biases (13B): a bias by distance is added to the scores.
    Alibi,
}

/// The hyperparameters of the page's *DTransformer*, under the names of `config.json`.
///
/// ```
/// use baichuan2::dtransformer::Config;
/// let parameters = |config: Config| -> usize {
///     config.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum()
/// };
/// assert_eq!(parameters(Config::baichuan2_7b()), 7_505_973_248);
/// assert_eq!(parameters(Config::baichuan2_13b()), 13_896_668_160);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// $N$, the number of token ids.
    pub vocab_size: usize,
    /// $d_e$, the width of the residual stream.
    pub hidden_size: usize,
    /// $d_{mlp}$, the width inside SwiGLU.
    pub intermediate_size: usize,
    /// $L$, the number of layers.
    pub num_hidden_layers: usize,
    /// $H$, the number of query heads.
    pub num_attention_heads: usize,
    /// $N_{kv}$, the number of key/value heads; $H$ for both sizes of Baichuan 2.
    pub num_key_value_heads: usize,
    /// $d_{attn}$, the width of one head.
    pub head_dim: usize,
    /// ε of RMSNorm.
    pub rms_norm_eps: f64,
    /// Rotary embedding or linear biases.
    pub position: Position,
    /// $ℓ_{max}$, the number of tokens it was trained on at a time.
    pub context: usize,
    /// Whether the rows of the output matrix are normalized (NormHead).
    pub norm_head: bool,
    /// Whether the embedding is also the output matrix.
    pub tie_word_embeddings: bool,
    /// Whether queries, keys and values come from one `W_pack` (Baichuan) or from three matrices (Llama).
    pub packed_qkv: bool,
}

/// Name and shape of one parameter, as checkpoints store it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name in a Hugging Face checkpoint, `model.layers.0.mlp.gate_proj.weight`.
    pub name: String,
    /// `[out, in]` of a matrix, `[d]` of a norm.
    pub shape: Vec<usize>,
}

/// Hyperparameters that no decoder can have.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ConfigError {
    /// A size is zero.
    #[error("{0} is 0; it must be at least 1")]
    Zero(&'static str),
    /// A size is beyond anything that can be stored.
    #[error("{name} is {value}, more than any checkpoint can hold")]
    TooLarge {
        /// The name in `config.json`.
        name: &'static str,
        /// Its value.
        value: usize,
    },
    /// Key/value heads that cannot be shared evenly.
    #[error("num_attention_heads ({heads}) is not a multiple of num_key_value_heads ({kv_heads})")]
    UnevenGroups {
        /// Query heads.
        heads: usize,
        /// Key/value heads.
        kv_heads: usize,
    },
    /// A head that RoPE cannot cut into pairs.
    #[error("the width of a head is {0}; rotary embedding turns pairs and needs an even one")]
    OddHead(usize),
    /// `W_pack` holds thirds of equal size.
    #[error(
        "W_pack has three equal thirds, but {heads} query heads need {kv_heads} key/value heads"
    )]
    PackedGroups {
        /// Query heads.
        heads: usize,
        /// Key/value heads.
        kv_heads: usize,
    },
    /// A number that must be positive and finite.
    #[error("{name} is {value}; it must be a positive number")]
    NotPositive {
        /// The name in `config.json`.
        name: &'static str,
        /// Its value.
        value: f64,
    },
}

impl Config {
    /// Baichuan 2 7B, as its `config.json` has it.
    pub fn baichuan2_7b() -> Self {
        Config {
            vocab_size: 125_696,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 32,
            head_dim: 128,
            rms_norm_eps: 1e-6,
            position: Position::Rope { base: 1e4 },
            context: 4096,
            norm_head: true,
            tie_word_embeddings: false,
            packed_qkv: true,
        }
    }

    /// Baichuan 2 13B, as its `config.json` has it.
    pub fn baichuan2_13b() -> Self {
        Config {
            hidden_size: 5120,
            intermediate_size: 13_696,
            num_hidden_layers: 40,
            num_attention_heads: 40,
            num_key_value_heads: 40,
            position: Position::Alibi,
            ..Config::baichuan2_7b()
        }
    }

    /// What happens to the scores of the heads number `head`, whose first query stands at position `first`: for [`attend`](crate::attention::attend) and
    /// [`HeadMap`](crate::attention::HeadMap).
    ///
    /// ```
    /// use baichuan2::dtransformer::Config;
    /// assert_eq!(Config::baichuan2_7b().bias(0, 0).alibi_slope, None);
    /// let of_13b = Config::baichuan2_13b().bias(3, 0);
    /// assert!((of_13b.alibi_slope.unwrap() - 0.5).abs() < 1e-12);
    /// ```
    ///
    /// # Panics
    /// Where there is no such head.
    pub fn bias(&self, head: usize, first: usize) -> Bias<'static> {
        Bias {
            visibility: Visibility::Causal { first },
            alibi_slope: match self.position {
                Position::Rope { .. } => None,
                Position::Alibi => Some(alibi::slopes(self.num_attention_heads)[head]),
            },
        }
    }

    /// Checks once what every algorithm then trusts.
    ///
    /// # Errors
    /// The first hyperparameter that no decoder can have.
    pub fn validate(&self) -> Result<(), ConfigError> {
        // Far above any model, and small enough that no product of two overflows and no list of layers fills the memory.
        const LARGEST: usize = 1 << 28;
        const MOST_LAYERS: usize = 1 << 12;
        for (name, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            (
                "max_position_embeddings (or model_max_length)",
                self.context,
            ),
        ] {
            match value {
                0 => return Err(ConfigError::Zero(name)),
                value
                    if value > LARGEST || (name == "num_hidden_layers" && value > MOST_LAYERS) =>
                {
                    return Err(ConfigError::TooLarge { name, value });
                }
                _ => {}
            }
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps > 0.0) {
            return Err(ConfigError::NotPositive {
                name: "rms_norm_eps",
                value: self.rms_norm_eps,
            });
        }
        let (heads, kv_heads) = (self.num_attention_heads, self.num_key_value_heads);
        if !heads.is_multiple_of(kv_heads) {
            return Err(ConfigError::UnevenGroups { heads, kv_heads });
        }
        if self.packed_qkv && heads != kv_heads {
            return Err(ConfigError::PackedGroups { heads, kv_heads });
        }
        if let Position::Rope { base } = self.position {
            if !self.head_dim.is_multiple_of(2) {
                return Err(ConfigError::OddHead(self.head_dim));
            }
            if !(base.is_finite() && base > 0.0) {
                return Err(ConfigError::NotPositive {
                    name: "rope_theta",
                    value: base,
                });
            }
        }
        Ok(())
    }

    /// Width of all query heads together, $H \cdot d_{attn}$.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key (or value) heads together, $N_{kv} \cdot d_{attn}$.
    pub fn kv_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Name and shape of every parameter, in the order of the forward pass.
    pub fn parameters(&self) -> Vec<Parameter> {
        let d = self.hidden_size;
        let mut parameters = Vec::new();
        let mut add = |name: String, shape: &[usize]| {
            parameters.push(Parameter {
                name,
                shape: shape.to_vec(),
            });
        };
        add("model.embed_tokens.weight".into(), &[self.vocab_size, d]);
        for i in 0..self.num_hidden_layers {
            let mut of_layer =
                |name: &str, shape: &[usize]| add(format!("model.layers.{i}.{name}.weight"), shape);
            of_layer("input_layernorm", &[d]);
            if self.packed_qkv {
                of_layer(
                    "self_attn.W_pack",
                    &[self.query_width() + 2 * self.kv_width(), d],
                );
            } else {
                of_layer("self_attn.q_proj", &[self.query_width(), d]);
                of_layer("self_attn.k_proj", &[self.kv_width(), d]);
                of_layer("self_attn.v_proj", &[self.kv_width(), d]);
            }
            of_layer("self_attn.o_proj", &[d, self.query_width()]);
            of_layer("post_attention_layernorm", &[d]);
            of_layer("mlp.gate_proj", &[self.intermediate_size, d]);
            of_layer("mlp.up_proj", &[self.intermediate_size, d]);
            of_layer("mlp.down_proj", &[d, self.intermediate_size]);
        }
        add("model.norm.weight".into(), &[d]);
        if !self.tie_word_embeddings {
            add("lm_head.weight".into(), &[self.vocab_size, d]);
        }
        parameters
    }
}
