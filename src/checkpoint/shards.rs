//! A checkpoint in several files, written one at a time, so that no more than one of them is in memory.

use super::{SafetensorsError, write_stored};
use crate::tensor::StoredTensor;
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// The length of a file that is filled, in bytes, unless one tensor alone is longer.
pub const SHARD: usize = 2 << 30;

/// Shards that cannot be written.
#[derive(Debug, Error)]
pub enum ShardsError {
    /// A file of weights.
    #[error(transparent)]
    Weights(#[from] SafetensorsError),
    /// The index.
    #[error("{}: {reason}", file.display())]
    Index {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: io::Error,
    },
}

/// Writes tensors into `folder` under the names of the hub: as `model.safetensors` where they are no longer than `shard` bytes, else as
/// `model-00001-of-0000N.safetensors` and so on with an index.
///
/// `names` are the tensors and the bytes of each; `tensor` makes one of them, in the same order, when its file is filled.
///
/// # Errors
/// A file that cannot be written, or what `tensor` could not do.
pub fn write_shards<'n, E: From<ShardsError>>(
    folder: &Path,
    names: &'n [(String, usize)],
    shard: usize,
    mut tensor: impl FnMut(&'n str) -> Result<StoredTensor, E>,
) -> Result<(), E> {
    let mut shards: Vec<Vec<&str>> = Vec::new();
    let mut filled = usize::MAX;
    for (name, bytes) in names {
        filled = filled.saturating_add(*bytes);
        match shards.last_mut() {
            Some(last) if filled <= shard => last.push(name),
            _ => {
                shards.push(vec![name]);
                filled = *bytes;
            }
        }
    }
    let count = shards.len();
    let mut weight_map = serde_json::Map::new();
    let mut total = 0;
    for (i, names) in shards.into_iter().enumerate() {
        let file = match count {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", i + 1),
        };
        let mut tensors = Vec::new();
        for name in names {
            let tensor = tensor(name)?;
            total += tensor.byte_len();
            for entry in super::safetensors::entries(name, &tensor) {
                weight_map.insert(entry, file.clone().into());
            }
            tensors.push((name.to_owned(), tensor));
        }
        write_stored(folder.join(file), tensors).map_err(ShardsError::from)?;
    }
    if count > 1 {
        let file = folder.join("model.safetensors.index.json");
        let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
        fs::write(&file, format!("{index:#}\n"))
            .map_err(|reason| ShardsError::Index { file, reason })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::{Checkpoint, config_json},
        dtransformer::Config,
        tensor::Dtype,
    };
    use ndarray::ArrayD;

    /// Catches: a tensor in two files or in none, an index that does not fit its files, scales that are no entry of the index.
    #[test]
    fn shards_of_any_length_hold_the_same_model() {
        let config = Config {
            vocab_size: 8,
            hidden_size: 32,
            intermediate_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: 2,
            head_dim: 16,
            ..Config::baichuan2_7b()
        };
        let tensor = |name: &str| {
            let parameters = config.parameters();
            let i = parameters.iter().position(|p| p.name == name).unwrap();
            let array = ArrayD::from_elem(parameters[i].shape.clone(), i as f32);
            let dtype = match name.contains("_proj") {
                true => Dtype::Int4,
                false => Dtype::BF16,
            };
            Ok::<_, ShardsError>(StoredTensor::rounded(array, dtype))
        };
        let names: Vec<(String, usize)> = config
            .parameters()
            .iter()
            .map(|p| (p.name.clone(), tensor(&p.name).unwrap().byte_len()))
            .collect();
        // Each W_pack takes 6,144 bytes, what stands before, between and behind them less than 6,000.
        for (shard, files) in [(usize::MAX, 1), (6000, 5), (1, names.len())] {
            let folder = tempfile::tempdir().unwrap();
            write_shards(folder.path(), &names, shard, tensor).unwrap();
            let found = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(found, if files == 1 { 1 } else { files + 1 }, "{shard}");
            fs::write(
                folder.path().join("config.json"),
                config_json(&config).unwrap(),
            )
            .unwrap();
            let checkpoint = Checkpoint::open(folder.path()).unwrap();
            for item in checkpoint.iter() {
                assert_eq!(
                    item.tensor.to_array(),
                    tensor(item.name).unwrap().to_array()
                );
            }
        }
    }
}
