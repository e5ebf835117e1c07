//! What was trained as a Hugging Face folder, with the shipped names: other engines take it.

use super::Parameters;
use crate::{
    checkpoint::{ConfigFileError, GenerationConfig, SafetensorsError, config_json, write_stored},
    dtransformer::{Config, Position},
    generation::chat,
    tensor::{Dtype, StoredTensor},
    unembedding::norm_head_formal,
};
use ndarray::{Array2, ArrayD, s};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// A folder that cannot be written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A file or folder that cannot be written.
    #[error("{}: {reason}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        reason: io::Error,
    },
    /// A configuration that has no `config.json`.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// Weights that cannot be written.
    #[error(transparent)]
    Weights(#[from] SafetensorsError),
    /// A model that a Llama cannot be.
    #[error(
        "ALiBi has no place in a Llama; only models with rotary embedding can be exported under its names"
    )]
    Alibi,
    /// A normalized head that is also the embedding.
    #[error(
        "the embedding is also the output matrix, whose rows cannot be normalized for good without changing it"
    )]
    TiedNormHead,
}

/// How a model of ours is sampled where nobody says otherwise: greedily, with the chat tokens of Baichuan 2.
pub fn generation_config() -> GenerationConfig {
    GenerationConfig {
        do_sample: Some(false),
        max_new_tokens: Some(128),
        bos_token_id: Some(1),
        eos_token_ids: vec![2],
        pad_token_id: Some(0),
        user_token_id: Some(chat::USER),
        assistant_token_id: Some(chat::ASSISTANT),
        ..GenerationConfig::default()
    }
}

/// Writes a model into `folder`, which is made where it is not there: `config.json`, `generation_config.json`, `tokenizer.model` and
/// `model.safetensors`. Each file is whole or not written at all, the weights last.
///
/// # Errors
/// See [`ExportError`].
pub fn write_folder(
    folder: &Path,
    config: &Config,
    weights: impl IntoIterator<Item = (String, StoredTensor)>,
    tokenizer: &[u8],
    generation: &GenerationConfig,
) -> Result<(), ExportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |reason| ExportError::Write { path, reason }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut generation = serde_json::to_value(generation).map_err(ConfigFileError::from)?;
    if let Some(object) = generation.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    let generation = serde_json::to_vec_pretty(&generation).map_err(ConfigFileError::from)?;
    let files = [
        ("config.json", config_json(config)?.into_bytes()),
        ("generation_config.json", generation),
        ("tokenizer.model", tokenizer.to_vec()),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        write_whole(&path, &bytes).map_err(failed(&path))?;
    }
    Ok(write_stored(folder.join("model.safetensors"), weights)?)
}

/// Writes a file through a temporary one beside it, which then takes its place.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    // A temporary file is its owner's alone; what it becomes may be read by others, as the umask says.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Parameters under their names, rounded to `dtype`.
pub fn weights(
    parameters: &Parameters<f32>,
    dtype: Dtype,
) -> impl Iterator<Item = (String, StoredTensor)> {
    parameters.named().map(move |(parameter, array)| {
        let array = array.iter().copied().collect();
        let array = ArrayD::from_shape_vec(parameter.shape, array)
            .expect("an array of the parameter's shape");
        (parameter.name, StoredTensor::rounded(array, dtype))
    })
}

/// A Baichuan 2 with rotary embedding as a Llama: `W_pack` cut in thirds, and the rows of the head normalized for good, since a Llama has no NormHead.
///
/// # Errors
/// A model with ALiBi.
pub fn as_llama(parameters: &Parameters<f32>) -> Result<Parameters<f32>, ExportError> {
    let config = &parameters.config;
    if config.position == Position::Alibi {
        return Err(ExportError::Alibi);
    }
    if config.norm_head && config.tie_word_embeddings {
        return Err(ExportError::TiedNormHead);
    }
    let llama = Config {
        packed_qkv: false,
        norm_head: false,
        ..config.clone()
    };
    let mut arrays: Vec<Array2<f32>> = Vec::new();
    for (parameter, array) in parameters.named() {
        if parameter.name.ends_with("W_pack.weight") {
            let (q, kv) = (config.query_width(), config.kv_width());
            arrays.extend(
                [(0, q), (q, q + kv), (q + kv, q + 2 * kv)]
                    .map(|(a, b)| array.slice(s![a..b, ..]).to_owned()),
            );
        } else if parameter.name == "lm_head.weight" && config.norm_head {
            arrays.push(norm_head_formal(array.view()));
        } else {
            arrays.push(array.clone());
        }
    }
    Ok(Parameters {
        config: llama,
        arrays,
    })
}
