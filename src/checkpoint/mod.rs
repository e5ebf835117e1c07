//! Checkpoints: the folders that the Hugging Face hub holds, opened as they are.
//!
//! A folder has a `config.json`, often a `generation_config.json` and a tokenizer, and the weights in one of four forms:
//!
//! | form | files |
//! |---|---|
//! | safetensors | `model.safetensors` |
//! | safetensors, sharded | `model.safetensors.index.json` and the shards it names |
//! | torch | `pytorch_model.bin`: a zip of a pickle and the numbers, never executed |
//! | torch, sharded | `pytorch_model.bin.index.json` and the shards it names |
//!
//! Where a folder has several, the first of them in this order is taken. Files are memory-mapped and stay as stored: opening
//! reads the headers alone, and the numbers when a product first touches them.
//!
//! Every parameter that follows from the configuration must be there once, in its shape, and nothing else may be, except the
//! buffers that [`skipped`](Checkpoint::skipped) lists. What does not fit is gathered, so that one run tells all.
//!
//! Without the feature `files`, [`Checkpoint::from_bytes`] does the same for bytes in memory.

mod config;
mod decoder;
mod error;
#[cfg(feature = "files")]
mod folder;
#[cfg(feature = "files")]
mod history;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "files")]
mod mapped;
mod pickle;
mod safetensors;
#[cfg(feature = "files")]
mod shards;
#[cfg(feature = "files")]
mod synthetic;
mod torch;
mod unique;

pub use config::{
    ConfigFileError, Family, GenerationConfig, ModelConfig, QUANT_METHOD, config_json, read_config,
    read_generation_config,
};
pub use error::{Error, Problem, Problems, UnsupportedDtype};
#[cfg(feature = "files")]
pub use history::{history, tokens_seen};
#[cfg(feature = "files")]
pub use mapped::{WhenCut, when_cut};
pub use pickle::PickleError;
pub use safetensors::{SafetensorsError, read_safetensors};
#[cfg(feature = "files")]
pub use safetensors::{write_safetensors, write_stored};
#[cfg(feature = "files")]
pub use shards::{SHARD, ShardsError, write_shards};
#[cfg(feature = "files")]
pub use synthetic::synthetic;
pub use torch::{TorchError, read_torch};

use crate::{
    dtransformer::Config,
    tensor::{Dtype, StoredTensor, expect_shape},
};
use bytes::Bytes;
use indexmap::{IndexMap, map::Entry};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The files of a folder that say how its weights are to be used.
pub const BESIDE_WEIGHTS: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

/// The tensors of one file by name; one in a number format that the decoder does not compute with is an error of its own.
pub type NamedTensors = IndexMap<String, Result<StoredTensor, UnsupportedDtype>>;

/// How the weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// safetensors, in one file or several.
    Safetensors,
    /// A torch zip pickle, in one file or several.
    Torch,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::Torch => "torch pickle",
        })
    }
}

/// A model's configuration and its weights, as stored.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The hyperparameters.
    pub config: Config,
    /// Whose modules they are.
    pub family: Family,
    /// The key of `config.json` that decided on the position scheme.
    pub position_because: &'static str,
    /// How to sample, as the folder recommends.
    pub generation: GenerationConfig,
    /// How the weights are stored.
    pub format: Format,
    /// `tokenizer.model`, or else `tokenizer.json`, if the folder has one.
    pub tokenizer: Option<PathBuf>,
    tensors: IndexMap<String, (StoredTensor, Arc<Path>)>,
    skipped: Vec<Skipped>,
}

/// One tensor of a checkpoint and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Its name, `model.layers.0.mlp.gate_proj.weight`.
    pub name: &'a str,
    /// The file that holds it.
    pub file: &'a Path,
    /// Its numbers, as stored.
    pub tensor: &'a StoredTensor,
}

/// A tensor that is no parameter, and was knowingly passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name in the file.
    pub name: String,
    /// Why the decoder does without.
    pub because: &'static str,
}

impl Checkpoint {
    /// A checkpoint from the bytes of `config.json` and of a safetensors file, for where there are no files.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn from_bytes(config_json: &[u8], safetensors: Bytes) -> Result<Self, Error> {
        let model = read_config(config_json).map_err(|reason| Error::Config {
            file: "config.json".into(),
            reason: Box::new(reason),
        })?;
        let file: Arc<Path> = Path::new("model.safetensors").into();
        let tensors = read_safetensors(safetensors).map_err(|reason| Error::Safetensors {
            file: file.to_path_buf(),
            reason: Box::new(reason),
        })?;
        let mut gathered = Gathered::default();
        gathered.add(tensors, &file);
        gathered.check(model, Format::Safetensors, "the bytes given".into())
    }

    /// One parameter by its name in the checkpoint, sharing the mapped bytes.
    ///
    /// # Errors
    /// There is no parameter of that name.
    pub fn tensor(&self, name: &str) -> Result<StoredTensor, Error> {
        let found = self.tensors.get(name);
        found
            .map(|(tensor, _)| tensor.clone())
            .ok_or_else(|| Error::NoTensor(name.to_owned()))
    }

    /// Every parameter, in the order of the forward pass.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Item<'_>> {
        self.tensors
            .iter()
            .map(|(name, (tensor, file))| Item { name, file, tensor })
    }

    /// Tensors of the files that are no parameters.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.iter().map(|item| elements(item.tensor)).sum()
    }

    /// Bytes that the parameters take as stored.
    pub fn total_bytes(&self) -> usize {
        self.iter().map(|item| item.tensor.byte_len()).sum()
    }

    /// The number formats that occur, in the order of their first use.
    pub fn dtypes(&self) -> Vec<Dtype> {
        let mut dtypes = Vec::new();
        for item in self.iter() {
            if !dtypes.contains(&item.tensor.dtype()) {
                dtypes.push(item.tensor.dtype());
            }
        }
        dtypes
    }
}

fn elements(tensor: &StoredTensor) -> usize {
    tensor.shape().iter().product()
}

/// What the files of a checkpoint hold, before it is compared with the configuration.
#[derive(Default)]
struct Gathered {
    tensors: IndexMap<String, (Result<StoredTensor, UnsupportedDtype>, Arc<Path>)>,
    problems: Problems,
}

impl Gathered {
    fn add(&mut self, tensors: NamedTensors, file: &Arc<Path>) {
        for (name, tensor) in tensors {
            match self.tensors.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert((tensor, file.clone()));
                }
                Entry::Occupied(entry) => self.problems.push(Problem::Duplicate {
                    name: entry.key().clone(),
                    files: [entry.get().1.to_path_buf(), file.to_path_buf()],
                }),
            }
        }
    }

    /// Every parameter of the configuration is there once, in its shape, and nothing else is.
    fn check(
        mut self,
        model: ModelConfig,
        format: Format,
        folder: PathBuf,
    ) -> Result<Checkpoint, Error> {
        let ModelConfig {
            config,
            family,
            position_because,
            generation,
        } = model;
        // Before the names of as many layers as a file claims are written out.
        if config.num_hidden_layers > self.tensors.len() {
            self.problems.push(Problem::TooFewTensors {
                layers: config.num_hidden_layers,
                tensors: self.tensors.len(),
            });
            return Err(self.problems.into_error(folder));
        }
        let mut tensors = IndexMap::new();
        for parameter in config.parameters() {
            let Some((found, file)) = self.tensors.swap_remove(&parameter.name) else {
                self.problems.push(Problem::Missing {
                    name: parameter.name,
                    shape: parameter.shape,
                });
                continue;
            };
            let shape = match &found {
                Ok(tensor) => tensor.shape(),
                Err(unsupported) => &unsupported.shape,
            };
            if let Err(reason) = expect_shape(&parameter.name, &parameter.shape, shape) {
                let file = file.to_path_buf();
                self.problems.push(Problem::Shape { file, reason });
                continue;
            }
            match found {
                Ok(tensor) => {
                    tensors.insert(parameter.name, (tensor, file));
                }
                Err(UnsupportedDtype { dtype, .. }) => self.problems.push(Problem::Dtype {
                    name: parameter.name,
                    dtype,
                    file: file.to_path_buf(),
                }),
            }
        }
        let mut skipped = Vec::new();
        for (name, (tensor, file)) in self.tensors {
            match why_skipped(&name, &config) {
                Some(because) => skipped.push(Skipped { name, because }),
                None => self.problems.push(Problem::Extra {
                    name,
                    shape: match tensor {
                        Ok(tensor) => tensor.shape().to_vec(),
                        Err(unsupported) => unsupported.shape,
                    },
                    file: file.to_path_buf(),
                }),
            }
        }
        if !self.problems.is_empty() {
            return Err(self.problems.into_error(folder));
        }
        Ok(Checkpoint {
            config,
            family,
            position_because,
            generation,
            format,
            tokenizer: None,
            tensors,
            skipped,
        })
    }
}

/// Buffers that shipped code saves beside its parameters, and computes anew.
fn why_skipped(name: &str, config: &Config) -> Option<&'static str> {
    const BUFFERS: [(&str, &str); 5] = [
        ("rotary_emb.inv_freq", "frequencies follow from rope_theta"),
        ("rotary_emb.cos_cached", "cosines follow from rope_theta"),
        ("rotary_emb.sin_cached", "sines follow from rope_theta"),
        ("future_mask", "the mask follows from the positions"),
        ("alibi_mask", "the biases follow from the number of heads"),
    ];
    if config.tie_word_embeddings && name == "lm_head.weight" {
        return Some("tie_word_embeddings: the embedding is the output matrix");
    }
    let is = |buffer: &str| {
        let rest = name.strip_suffix(buffer);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let buffer = BUFFERS.iter().find(|(buffer, _)| is(buffer));
    buffer.map(|(_, because)| *because)
}
