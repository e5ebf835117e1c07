//! What was trained as a Hugging Face folder, with the shipped names: other engines take it.

use super::Parameters;
use crate::{
    checkpoint::{ConfigFileError, GenerationConfig, SafetensorsError, config_json, write_stored},
    dtransformer::{Config, Position},
    generation::chat,
    tensor::{Dtype, ShapeError, StoredTensor, expect_shape},
    unembedding::norm_head_formal,
};
use ndarray::ArrayD;
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
    /// A tensor in another shape than the configuration asks for.
    #[error(transparent)]
    Shape(#[from] ShapeError),
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
    let files = files.map(|(name, bytes)| (name.to_owned(), bytes));
    write_files(folder, files, weights)
}

/// Writes a model into `folder`, which is made where it is not there: the files by their names, and `model.safetensors`. Each file is whole or not
/// written at all, the weights last.
///
/// # Errors
/// See [`ExportError`].
pub fn write_files(
    folder: &Path,
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
    weights: impl IntoIterator<Item = (String, StoredTensor)>,
) -> Result<(), ExportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |reason| ExportError::Write { path, reason }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
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

/// A Baichuan with rotary embedding as a Llama: `W_pack` cut in thirds, which shares its bytes, and the rows of the head normalized for good,
/// since a Llama has no NormHead. The normalized head is rounded to the number format that it was stored in.
///
/// # Errors
/// A model with ALiBi, a normalized head that is also the embedding, or tensors that are not those of the configuration.
pub fn as_llama(
    config: &Config,
    weights: impl IntoIterator<Item = (String, StoredTensor)>,
) -> Result<(Config, Vec<(String, StoredTensor)>), ExportError> {
    if config.position == Position::Alibi {
        return Err(ExportError::Alibi);
    }
    if config.norm_head && config.tie_word_embeddings {
        return Err(ExportError::TiedNormHead);
    }
    let mut tensors = Vec::new();
    for (name, tensor) in weights {
        if let Some(module) = name.strip_suffix("W_pack.weight") {
            let (q, kv) = (config.query_width(), config.kv_width());
            expect_shape(&name, &[q + 2 * kv, config.hidden_size], tensor.shape())?;
            let mut from = 0;
            for (third, rows) in [("q_proj", q), ("k_proj", kv), ("v_proj", kv)] {
                let rows = from..from + rows;
                from = rows.end;
                tensors.push((format!("{module}{third}.weight"), tensor.rows(rows)));
            }
        } else if name == "lm_head.weight" && config.norm_head {
            let head = norm_head_formal(tensor.to_matrix(&name)?.view());
            let head = StoredTensor::rounded(head.into_dyn(), tensor.dtype());
            tensors.push((name, head));
        } else {
            tensors.push((name, tensor));
        }
    }
    let llama = Config {
        packed_qkv: false,
        norm_head: false,
        ..config.clone()
    };
    Ok((llama, tensors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    fn golden(size: &str) -> Checkpoint {
        Checkpoint::open(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/goldens")
                .join(size),
        )
        .unwrap()
    }

    fn weights(checkpoint: &Checkpoint) -> impl Iterator<Item = (String, StoredTensor)> {
        let items = checkpoint.iter();
        items.map(|item| (item.name.to_owned(), item.tensor.clone()))
    }

    /// Catches: thirds in another order; a head that is not normalized, or twice; a folder that cannot be opened.
    #[test]
    fn a_llama_computes_the_same_logits() {
        let ours = golden("tiny7b");
        let (config, tensors) = as_llama(&ours.config, weights(&ours)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_folder(
            folder.path(),
            &config,
            tensors,
            b"none",
            &generation_config(),
        )
        .unwrap();
        let llama = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(llama.family, crate::checkpoint::Family::Llama);
        let ids: Vec<u32> = (0..40).map(|i| i * 7 % 320).collect();
        let logits = [&ours, &llama].map(|checkpoint| {
            let decoder = checkpoint.decoder().unwrap();
            decoder
                .forward(&ids, &mut decoder.new_cache(), None)
                .unwrap()
        });
        let difference = (&logits[0] - &logits[1]).mapv(f32::abs);
        let largest = difference.fold(0.0_f32, |max, &d| max.max(d));
        assert!(largest < 1e-5, "{largest}");
    }

    /// Catches: a 13B exported as something that it is not.
    #[test]
    fn what_no_llama_can_be_is_refused() {
        let alibi = golden("tiny13b");
        let error = as_llama(&alibi.config, weights(&alibi)).unwrap_err();
        assert!(matches!(error, ExportError::Alibi), "{error}");
        let ours = golden("tiny7b");
        let tied = Config {
            tie_word_embeddings: true,
            ..ours.config.clone()
        };
        let error = as_llama(&tied, weights(&ours)).unwrap_err();
        assert!(matches!(error, ExportError::TiedNormHead), "{error}");
        let other = Config {
            num_attention_heads: 3,
            ..ours.config.clone()
        };
        let error = as_llama(&other, weights(&ours)).unwrap_err();
        assert!(matches!(error, ExportError::Shape(_)), "{error}");
    }
}
