//! `config.json` and `generation_config.json`, as the hub's folders carry them.
//!
//! # Which position scheme
//!
//! Both sizes of Baichuan 2 say `"model_type": "baichuan"`. The 7B has `max_position_embeddings` and rotates; the 13B has
//! `model_max_length` alone and adds linear biases. The number of parameters says nothing: engines that went by it loaded the
//! 7B with ALiBi.
//!
//! # Which Baichuan
//!
//! Baichuan 1 goes by the same `model_type`, with the same modules but no NormHead. What tells them apart is the published
//! vocabulary: 64,000 ids then, 125,696 now. A folder that is neither is taken for Baichuan 2, unless it says `"norm_head": false`,
//! a key of this project's own.

use crate::dtransformer::{Config, ConfigError, Position};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// What `quantization_config` in a `config.json` names where the weights are in groups ([`Dtype::Int8`](crate::tensor::Dtype::Int8),
/// [`Dtype::Int4`](crate::tensor::Dtype::Int4)): of this project, so that no other reader takes them for its own.
pub const QUANT_METHOD: &str = "baichuan2-groups";

/// The vocabulary of both sizes of Baichuan 1, which no Baichuan 2 has.
const BAICHUAN_1_VOCABULARY: usize = 64_000;

/// The models whose folders can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Baichuan 2: `W_pack`, NormHead.
    Baichuan2,
    /// Baichuan 1: `W_pack`, a plain output matrix.
    Baichuan1,
    /// Llama and its kin: three projections, grouped-query attention.
    Llama,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::Baichuan2 => "Baichuan 2",
            Family::Baichuan1 => "Baichuan 1",
            Family::Llama => "Llama",
        })
    }
}

/// What a `config.json` says.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The hyperparameters, validated.
    pub config: Config,
    /// Whose modules they are.
    pub family: Family,
    /// The key of the file that decided on the position scheme.
    pub position_because: &'static str,
    /// The token ids that end, start and fill a text, which `config.json` repeats from `generation_config.json`.
    pub generation: GenerationConfig,
}

/// A `config.json` or `generation_config.json` that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    /// Not JSON, a key that is missing, or a value of the wrong type.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A model of another kind.
    #[error("model_type is `{0}`; supported are `baichuan` (Baichuan 2 and 1) and `llama`")]
    UnknownModel(String),
    /// A key that must be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A Baichuan configuration that gives no context length, and so no position scheme.
    #[error(
        "neither `max_position_embeddings` (rotary embedding, as in 7B) nor `model_max_length` alone (linear biases, as in 13B) \
         is given, so the position scheme cannot be told"
    )]
    NoPositionScheme,
    /// A feature that the decoder does not compute.
    #[error("`{key}` is {value}, which this decoder does not compute; supported: {supported}")]
    Unsupported {
        /// The key of the file.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        supported: &'static str,
    },
    /// A width that does not divide into heads.
    #[error(
        "hidden_size ({hidden_size}) is not a multiple of num_attention_heads ({heads}), and `head_dim` is not given"
    )]
    NoHeadDim {
        /// Width of the residual stream.
        hidden_size: usize,
        /// Number of heads.
        heads: usize,
    },
    /// A value that no decoder or sampler can have.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// A sampling parameter outside its range.
    #[error("{key} is {value}; it must be {must}")]
    OutOfRange {
        /// The key of the file.
        key: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        must: &'static str,
    },
}

/// How to sample, as `generation_config.json` recommends; what it leaves out is `None`.
///
/// ```
/// let json = br#"{"temperature": 0.3, "top_k": 5, "eos_token_id": 2, "user_token_id": 195}"#;
/// let generation = baichuan2::checkpoint::read_generation_config(json)?;
/// assert_eq!((generation.top_k, generation.eos_token_ids, generation.top_p), (Some(5), vec![2], None));
/// # Ok::<(), baichuan2::checkpoint::ConfigFileError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Draw from the distribution (`true`) or take its maximum (`false`).
    pub do_sample: Option<bool>,
    /// Logits are divided by it; 0 stands for the likeliest token every time.
    pub temperature: Option<f64>,
    /// Only so many of the likeliest tokens are kept; 0 keeps all.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability are kept; in (0, 1].
    pub top_p: Option<f64>,
    /// How strongly tokens that were already used are held back; 1 does nothing.
    pub repetition_penalty: Option<f64>,
    /// The longest answer, in tokens.
    pub max_new_tokens: Option<usize>,
    /// Starts a text.
    pub bos_token_id: Option<u32>,
    /// Any of these ends a text; the file gives one id or a list.
    #[serde(rename = "eos_token_id", deserialize_with = "one_or_many")]
    pub eos_token_ids: Vec<u32>,
    /// Fills short rows of a batch.
    pub pad_token_id: Option<u32>,
    /// Starts the user's turn in a chat.
    pub user_token_id: Option<u32>,
    /// Starts the assistant's turn in a chat.
    pub assistant_token_id: Option<u32>,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a token id, or a list of token ids")]
    enum Ids {
        One(u32),
        Many(Vec<u32>),
    }
    Ok(match Option::deserialize(d)? {
        None => vec![],
        Some(Ids::One(id)) => vec![id],
        Some(Ids::Many(ids)) => ids,
    })
}

/// The keys that every supported `config.json` has.
#[derive(Deserialize)]
struct Common {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    rms_norm_eps: f64,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    model_max_length: Option<usize>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeParameters>,
    rope_parameters: Option<RopeParameters>,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    norm_head: Option<bool>,
    quantization_config: Option<serde_json::Value>,
}

/// How newer files write the rotary embedding: base and scaling in one place.
#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    r#type: Option<String>,
}

impl RopeParameters {
    /// Only the plain embedding is computed; linear, dynamic, yarn, longrope and llama3 scaling are not.
    fn supported(&self, key: &'static str) -> Result<(), ConfigFileError> {
        match self.rope_type.as_deref().or(self.r#type.as_deref()) {
            Some("default") => Ok(()),
            None if self.rope_theta.is_some() => Ok(()),
            kind => Err(ConfigFileError::Unsupported {
                key,
                value: kind.map_or("a scaling of no type".into(), |kind| format!("`{kind}`")),
                supported: "null, or the type `default`",
            }),
        }
    }
}

/// Reads a `config.json`.
///
/// Keys it does not know are passed over; a known key of the wrong type is an error, and so is one that asks for something the
/// decoder does not compute. Left out, `rope_theta` is 10,000, `num_key_value_heads` is `num_attention_heads`, `head_dim` is
/// `hidden_size / num_attention_heads` and `tie_word_embeddings` is false, as in the code that wrote such files.
///
/// ```
/// use baichuan2::{checkpoint::read_config, dtransformer::{Config, Position}};
/// let json = br#"{"model_type": "baichuan", "vocab_size": 125696, "hidden_size": 5120, "intermediate_size": 13696,
///     "num_hidden_layers": 40, "num_attention_heads": 40, "rms_norm_eps": 1e-6, "model_max_length": 4096}"#;
/// let model = read_config(json)?;
/// assert_eq!(model.config, Config::baichuan2_13b());
/// assert_eq!((model.config.position, model.position_because), (Position::Alibi, "model_max_length without max_position_embeddings"));
/// # Ok::<(), baichuan2::checkpoint::ConfigFileError>(())
/// ```
///
/// # Errors
/// See [`ConfigFileError`].
pub fn read_config(json: &[u8]) -> Result<ModelConfig, ConfigFileError> {
    #[derive(Deserialize)]
    struct Kind {
        model_type: Option<String>,
    }
    // The kind first: a file of another model is named as such, not by the first key it lacks.
    let kind: Kind = parse(json)?;
    let baichuan = match kind.model_type.as_deref() {
        Some("baichuan") => true,
        Some("llama") => false,
        Some(other) => return Err(ConfigFileError::UnknownModel(other.to_owned())),
        None => return Err(ConfigFileError::Missing("model_type")),
    };
    let file: Common = parse(json)?;
    file.refuse_what_is_not_computed()?;

    let (position, context, position_because) = file.position(baichuan)?;
    let family = match baichuan {
        false => Family::Llama,
        true if file.vocab_size == BAICHUAN_1_VOCABULARY => Family::Baichuan1,
        true => Family::Baichuan2,
    };
    let heads = file.num_attention_heads;
    let head_dim = match file.head_dim {
        Some(head_dim) => head_dim,
        None if heads > 0 && file.hidden_size.is_multiple_of(heads) => file.hidden_size / heads,
        None if heads == 0 => return Err(ConfigError::Zero("num_attention_heads").into()),
        None => {
            return Err(ConfigFileError::NoHeadDim {
                hidden_size: file.hidden_size,
                heads,
            });
        }
    };
    let config = Config {
        vocab_size: file.vocab_size,
        hidden_size: file.hidden_size,
        intermediate_size: file.intermediate_size,
        num_hidden_layers: file.num_hidden_layers,
        num_attention_heads: heads,
        num_key_value_heads: file.num_key_value_heads.unwrap_or(heads),
        head_dim,
        rms_norm_eps: file.rms_norm_eps,
        position,
        context,
        norm_head: file.norm_head.unwrap_or(family == Family::Baichuan2),
        tie_word_embeddings: file.tie_word_embeddings.unwrap_or(false),
        packed_qkv: baichuan,
    };
    config.validate()?;
    Ok(ModelConfig {
        config,
        family,
        position_because,
        generation: token_ids(parse(json)?),
    })
}

/// The `config.json` that [`read_config`] reads back as `config`, for a model of one's own.
///
/// ```
/// use baichuan2::{checkpoint::{config_json, read_config}, dtransformer::Config};
/// let config = Config { num_hidden_layers: 2, norm_head: false, ..Config::baichuan2_13b() };
/// assert_eq!(read_config(config_json(&config)?.as_bytes())?.config, config);
/// # Ok::<(), baichuan2::checkpoint::ConfigFileError>(())
/// ```
///
/// # Errors
/// Linear biases without `W_pack`: no `model_type` stands for that.
pub fn config_json(config: &Config) -> Result<String, ConfigFileError> {
    let mut json = serde_json::json!({
        "architectures": [if config.packed_qkv { "BaichuanForCausalLM" } else { "LlamaForCausalLM" }],
        "model_type": if config.packed_qkv { "baichuan" } else { "llama" },
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": config.rms_norm_eps,
        "hidden_act": "silu",
        "norm_head": config.norm_head,
        "tie_word_embeddings": config.tie_word_embeddings,
        "model_max_length": config.context,
    });
    match config.position {
        Position::Rope { base } => {
            json["max_position_embeddings"] = config.context.into();
            json["rope_theta"] = base.into();
        }
        Position::Alibi if config.packed_qkv => {}
        Position::Alibi => {
            return Err(ConfigFileError::Unsupported {
                key: "position",
                value: "linear biases with separate projections".into(),
                supported: "linear biases with W_pack",
            });
        }
    }
    Ok(serde_json::to_string_pretty(&json)?)
}

impl Common {
    fn refuse_what_is_not_computed(&self) -> Result<(), ConfigFileError> {
        for (key, parameters) in [
            ("rope_scaling", &self.rope_scaling),
            ("rope_parameters", &self.rope_parameters),
        ] {
            parameters.as_ref().map_or(Ok(()), |p| p.supported(key))?;
        }
        for (key, value) in [
            ("attention_bias", self.attention_bias),
            ("mlp_bias", self.mlp_bias),
        ] {
            if value == Some(true) {
                return Err(ConfigFileError::Unsupported {
                    key,
                    value: "true".into(),
                    supported: "false",
                });
            }
        }
        if let Some(act) = self.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(ConfigFileError::Unsupported {
                key: "hidden_act",
                value: format!("`{act}`"),
                supported: "`silu`",
            });
        }
        // The tensors themselves say in which format they are.
        if let Some(quantization) = &self.quantization_config
            && quantization["quant_method"] != QUANT_METHOD
        {
            return Err(ConfigFileError::Unsupported {
                key: "quantization_config",
                value: quantization["quant_method"].to_string(),
                supported: "what `baichuan2 quantize` writes: fetch the model that was not quantized, and quantize that",
            });
        }
        Ok(())
    }

    /// The scheme, $ℓ_{max}$, and the key that decided.
    fn position(&self, baichuan: bool) -> Result<(Position, usize, &'static str), ConfigFileError> {
        let base = self.rope_parameters.as_ref().and_then(|p| p.rope_theta);
        let base = base.or(self.rope_theta).unwrap_or(1e4);
        match (self.max_position_embeddings, self.model_max_length) {
            (Some(context), _) => {
                let because = if baichuan {
                    "max_position_embeddings"
                } else {
                    "model_type"
                };
                Ok((Position::Rope { base }, context, because))
            }
            (None, Some(context)) if baichuan => Ok((
                Position::Alibi,
                context,
                "model_max_length without max_position_embeddings",
            )),
            _ if baichuan => Err(ConfigFileError::NoPositionScheme),
            _ => Err(ConfigFileError::Missing("max_position_embeddings")),
        }
    }
}

/// Reads a `generation_config.json`.
///
/// # Errors
/// Not JSON, a value of the wrong type, or a sampling parameter outside its range.
pub fn read_generation_config(json: &[u8]) -> Result<GenerationConfig, ConfigFileError> {
    let generation: GenerationConfig = parse(json)?;
    for (key, value, fits, must) in [
        (
            "temperature",
            generation.temperature,
            (|x| x >= 0.0) as fn(f64) -> bool,
            "0 or more",
        ),
        (
            "top_p",
            generation.top_p,
            |x| x > 0.0 && x <= 1.0,
            "above 0 and at most 1",
        ),
        (
            "repetition_penalty",
            generation.repetition_penalty,
            |x| x > 0.0,
            "above 0",
        ),
    ] {
        if let Some(value) = value.filter(|&value| !fits(value)) {
            return Err(ConfigFileError::OutOfRange { key, value, must });
        }
    }
    Ok(generation)
}

/// The token ids alone: sampling parameters are `generation_config.json`'s to say.
fn token_ids(all: GenerationConfig) -> GenerationConfig {
    GenerationConfig {
        bos_token_id: all.bos_token_id,
        eos_token_ids: all.eos_token_ids,
        pad_token_id: all.pad_token_id,
        ..GenerationConfig::default()
    }
}

impl GenerationConfig {
    /// Fills what it leaves out from `other`.
    #[must_use]
    pub fn or(self, other: GenerationConfig) -> Self {
        GenerationConfig {
            do_sample: self.do_sample.or(other.do_sample),
            temperature: self.temperature.or(other.temperature),
            top_k: self.top_k.or(other.top_k),
            top_p: self.top_p.or(other.top_p),
            repetition_penalty: self.repetition_penalty.or(other.repetition_penalty),
            max_new_tokens: self.max_new_tokens.or(other.max_new_tokens),
            bos_token_id: self.bos_token_id.or(other.bos_token_id),
            eos_token_ids: if self.eos_token_ids.is_empty() {
                other.eos_token_ids
            } else {
                self.eos_token_ids
            },
            pad_token_id: self.pad_token_id.or(other.pad_token_id),
            user_token_id: self.user_token_id.or(other.user_token_id),
            assistant_token_id: self.assistant_token_id.or(other.assistant_token_id),
        }
    }
}

/// JSON as editors save it: some begin with a byte order mark.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json))
}
