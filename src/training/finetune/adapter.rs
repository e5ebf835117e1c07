//! Low-rank updates in a folder of their own, as the library PEFT reads and writes them.
//!
//! `adapter_config.json` says how they are to be applied, `adapter_model.safetensors` holds for each matrix of the model a pair
//! `base_model.model.{module}.lora_A.weight` `[r, in]` and `….lora_B.weight` `[out, r]`: $W = W_0 + \frac{\alpha}{r} B A$.

use super::{Lora, LoraSettings};
use crate::{
    checkpoint::{SafetensorsError, read_safetensors, write_safetensors},
    dtransformer::Config,
    tensor::{ShapeError, StoredTensor},
    training::export::write_whole,
};
use indexmap::IndexMap;
use ndarray::{Array2, linalg::general_mat_mul};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// An adapter that cannot be read, written or applied.
#[derive(Debug, Error)]
pub enum AdapterError {
    /// A file that cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: io::Error,
    },
    /// An `adapter_config.json` that is not one.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: serde_json::Error,
    },
    /// A kind of adapter that cannot be applied.
    #[error("`{key}` is {value}, which cannot be applied here; supported: {supported}")]
    Unsupported {
        /// The key of `adapter_config.json`.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        supported: &'static str,
    },
    /// Weights that cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        reason: SafetensorsError,
    },
    /// A tensor that is no factor, or has none to go with it.
    #[error("the tensor `{0}`: {1}")]
    Tensor(String, &'static str),
    /// A factor in another shape than its matrix asks for.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Changes of a matrix that the model does not have.
    #[error(
        "it changes `{0}`, which the model does not have; it was made for another (a Baichuan 2 has W_pack, a Llama q_proj, k_proj and v_proj)"
    )]
    NoSuchMatrix(String),
}

/// Low-rank updates of matrices of a model.
///
/// ```
/// use baichuan2::{tensor::StoredTensor, training::finetune::{Adapter, LoraSettings}};
/// use ndarray::array;
/// let mut adapter = Adapter::new(LoraSettings { rank: 1, alpha: 2.0 });
/// adapter.insert("w.weight", array![[1.0, 10.0]], array![[3.0], [0.0]]);
/// let zeros = StoredTensor::from(array![[0.0, 0.0], [0.0, 0.0]].into_dyn());
/// assert_eq!(adapter.merged("w.weight", zeros)?.to_matrix("w")?, array![[6.0, 60.0], [0.0, 0.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    settings: LoraSettings,
    /// $A$ and $B$ by the name of their $W$ among the model's parameters.
    pairs: IndexMap<String, (Array2<f32>, Array2<f32>)>,
}

/// The keys of `adapter_config.json` that change what is computed.
#[derive(Deserialize)]
struct File {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    bias: Option<String>,
    use_rslora: Option<bool>,
    use_dora: Option<bool>,
    // Not always of one type: see [`given`].
    init_lora_weights: Option<Value>,
    layer_replication: Option<Value>,
    alora_invocation_tokens: Option<Value>,
    use_qalora: Option<Value>,
    fan_in_fan_out: Option<bool>,
    rank_pattern: Option<Value>,
    alpha_pattern: Option<Value>,
}

const PREFIX: &str = "base_model.model.";
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

impl Adapter {
    /// One without changes.
    pub fn new(settings: LoraSettings) -> Self {
        Adapter {
            settings,
            pairs: IndexMap::new(),
        }
    }

    /// What was learned.
    pub fn of(lora: &Lora<f32>, settings: LoraSettings) -> Self {
        let parameters = lora.factors.config.parameters();
        let pairs = lora.pairs();
        let pairs = pairs.map(|(i, a, b)| (parameters[i].name.clone(), (a.clone(), b.clone())));
        Adapter {
            settings,
            pairs: pairs.collect(),
        }
    }

    /// Adds the change $BA$ to the parameter `name`, with `a: [r, in]` and `b: [out, r]`.
    pub fn insert(&mut self, name: &str, a: Array2<f32>, b: Array2<f32>) {
        self.pairs.insert(name.to_owned(), (a, b));
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// A file that is missing or broken, or a kind of adapter that cannot be applied.
    pub fn open(folder: &Path) -> Result<Self, AdapterError> {
        let path = folder.join(CONFIG);
        let settings = settings(&read(&path)?).map_err(|error| match error {
            ConfigError::Json(reason) => AdapterError::Json { path, reason },
            ConfigError::Adapter(error) => error,
        })?;
        let path = folder.join(WEIGHTS);
        let tensors = read_safetensors(read(&path)?.into())
            .map_err(|reason| AdapterError::Weights { path, reason })?;
        let mut halves: IndexMap<String, [Option<Array2<f32>>; 2]> = IndexMap::new();
        for (name, tensor) in tensors {
            let wrong = |what| AdapterError::Tensor(name.clone(), what);
            let tensor = tensor.map_err(|_| wrong("its numbers are neither f32, f16 nor bf16"))?;
            let inner = name.strip_prefix(PREFIX);
            let factor = |end: &str| inner.and_then(|name| name.strip_suffix(end));
            let (module, half) = factor(".lora_A.weight")
                .map(|module| (module, 0))
                .or(factor(".lora_B.weight").map(|module| (module, 1)))
                .ok_or_else(|| {
                    wrong("is no factor: those are base_model.model.….lora_A.weight and ….lora_B.weight")
                })?;
            let of = halves.entry(format!("{module}.weight")).or_default();
            of[half] = Some(tensor.to_matrix(&name)?);
        }
        let mut adapter = Adapter::new(settings);
        for (name, pair) in halves {
            let [Some(a), Some(b)] = pair else {
                return Err(AdapterError::Tensor(
                    name,
                    "has one factor without the other",
                ));
            };
            let expected = [settings.rank, a.ncols()];
            crate::tensor::expect_shape(&format!("{name}: lora_A"), &expected, a.shape())?;
            adapter.pairs.insert(name, (a, b));
        }
        Ok(adapter)
    }

    /// Writes a folder, which must be there. `base` says in it what model the changes are of.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, folder: &Path, base: &str) -> Result<(), AdapterError> {
        let path = folder.join(CONFIG);
        // Rank as it was asked for, for each module under the last part of its name.
        let module = |name: &String| {
            let module = name.strip_suffix(".weight")?.rsplit('.').next()?;
            Some(module.to_owned())
        };
        let modules: std::collections::BTreeSet<String> =
            self.pairs.keys().filter_map(module).collect();
        let config = serde_json::json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": self.settings.rank,
            "lora_alpha": self.settings.alpha,
            "lora_dropout": 0.0,
            "target_modules": modules,
            "bias": "none",
            "fan_in_fan_out": false,
            "use_rslora": false,
            "use_dora": false,
            "inference_mode": true,
        });
        let json = serde_json::to_vec_pretty(&config).map_err(|reason| AdapterError::Json {
            path: path.clone(),
            reason,
        })?;
        write_whole(&path, &json).map_err(|reason| AdapterError::Io { path, reason })?;
        let path = folder.join(WEIGHTS);
        let tensors = self.pairs.iter().flat_map(|(name, (a, b))| {
            let module = name.strip_suffix(".weight").unwrap_or(name);
            [("A", a), ("B", b)].map(|(half, factor)| {
                let name = format!("{PREFIX}{module}.lora_{half}.weight");
                (name, factor.clone().into_dyn())
            })
        });
        write_safetensors(&path, tensors).map_err(|reason| AdapterError::Weights { path, reason })
    }

    /// Checks that a model has every matrix that is changed, in the shape that its factors ask for.
    ///
    /// # Errors
    /// The first matrix that does not fit.
    pub fn check(&self, config: &Config) -> Result<(), AdapterError> {
        let parameters = config.parameters();
        for (name, (a, b)) in &self.pairs {
            let found = parameters.iter().find(|p| p.name == *name);
            let Some([out, width]) = found.map(|p| p.shape.as_slice()) else {
                return Err(AdapterError::NoSuchMatrix(name.clone()));
            };
            let rank = a.nrows();
            for (half, expected, found) in [("A", [rank, *width], a), ("B", [*out, rank], b)] {
                let what = format!("{name}: lora_{half}");
                crate::tensor::expect_shape(&what, &expected, found.shape())?;
            }
        }
        Ok(())
    }

    /// A parameter with its change, rounded to its own number format; as it is where it has none.
    ///
    /// # Errors
    /// A parameter in another shape than the change: see [`check`](Self::check).
    pub fn merged(&self, name: &str, tensor: StoredTensor) -> Result<StoredTensor, AdapterError> {
        let Some((a, b)) = self.pairs.get(name) else {
            return Ok(tensor);
        };
        let mut w = tensor.to_matrix(name)?;
        let what = format!("{name}, as its adapter has it");
        crate::tensor::expect_shape(&what, &[b.nrows(), a.ncols()], w.shape())?;
        crate::tensor::expect_shape(&what, &[b.nrows(), a.nrows()], b.shape())?;
        let scale = (self.settings.alpha / self.settings.rank as f64) as f32;
        general_mat_mul(scale, b, a, 1.0, &mut w);
        Ok(StoredTensor::rounded(w.into_dyn(), tensor.dtype()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, AdapterError> {
    fs::read(path).map_err(|reason| AdapterError::Io {
        path: path.to_owned(),
        reason,
    })
}

/// What can be wrong with `adapter_config.json`.
enum ConfigError {
    Json(serde_json::Error),
    Adapter(AdapterError),
}

/// Whether a key says anything: null, false and what is empty do not.
fn given(value: &Option<Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(items)) => !items.is_empty(),
        Some(_) => true,
    }
}

fn settings(json: &[u8]) -> Result<LoraSettings, ConfigError> {
    let file: File = serde_json::from_slice(json).map_err(ConfigError::Json)?;
    let File { r, lora_alpha, .. } = file;
    // Ways to begin that take a part of W₀ away change what the factors are to be added to.
    let init = file.init_lora_weights.as_ref().and_then(Value::as_str);
    let bias = file.bias.unwrap_or("none".into());
    for (key, refused, value, supported) in [
        (
            "peft_type",
            file.peft_type != "LORA",
            file.peft_type.clone(),
            "LORA",
        ),
        ("r", r == 0, r.to_string(), "1 or more"),
        (
            "lora_alpha",
            !lora_alpha.is_finite(),
            lora_alpha.to_string(),
            "a number",
        ),
        ("bias", bias != "none", bias.clone(), "none"),
        (
            "use_rslora",
            file.use_rslora == Some(true),
            "true".into(),
            "false",
        ),
        (
            "use_dora",
            file.use_dora == Some(true),
            "true".into(),
            "false",
        ),
        (
            "fan_in_fan_out",
            file.fan_in_fan_out == Some(true),
            "true".into(),
            "false",
        ),
        (
            "init_lora_weights",
            init.is_some_and(|init| init != "gaussian"),
            init.unwrap_or_default().to_owned(),
            "true, false or gaussian",
        ),
        (
            "layer_replication",
            given(&file.layer_replication),
            "given".into(),
            "each layer once",
        ),
        (
            "alora_invocation_tokens",
            given(&file.alora_invocation_tokens),
            "given".into(),
            "the same change at every token",
        ),
        (
            "use_qalora",
            given(&file.use_qalora),
            "true".into(),
            "false",
        ),
        (
            "rank_pattern",
            given(&file.rank_pattern),
            "given".into(),
            "one rank for all",
        ),
        (
            "alpha_pattern",
            given(&file.alpha_pattern),
            "given".into(),
            "one alpha for all",
        ),
    ] {
        if refused {
            return Err(ConfigError::Adapter(AdapterError::Unsupported {
                key,
                value,
                supported,
            }));
        }
    }
    Ok(LoraSettings {
        rank: r,
        alpha: lora_alpha,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        tensor::Dtype,
        training::{Parameters, finetune::lora},
    };

    fn config(packed: bool) -> Config {
        Config {
            vocab_size: 8,
            hidden_size: 4,
            intermediate_size: 4,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: 2,
            head_dim: 2,
            packed_qkv: packed,
            ..Config::baichuan2_7b()
        }
    }

    /// A learned change: both factors are other than zero.
    fn learned(packed: bool) -> (Parameters<f32>, Lora<f32>, LoraSettings) {
        let p = Parameters::random(&config(packed), 0.5, 1);
        let settings = LoraSettings {
            rank: 2,
            alpha: 3.0,
        };
        let mut lora = lora::Lora::new(&p, settings.rank, settings.alpha, 1);
        for (i, factor) in lora.factors.arrays.iter_mut().enumerate() {
            *factor += 0.1 * (i + 1) as f32;
        }
        (p, lora, settings)
    }

    /// Catches: names that PEFT does not know; a scale that is lost; factors exchanged; other numbers when merged than while learning.
    #[test]
    fn what_is_kept_beside_merges_to_what_was_learned() {
        for packed in [true, false] {
            let (mut p, lora, settings) = learned(packed);
            let folder = tempfile::tempdir().unwrap();
            let adapter = Adapter::of(&lora, settings);
            adapter.write(folder.path(), "base").unwrap();
            let read = Adapter::open(folder.path()).unwrap();
            assert_eq!(read, adapter);
            read.check(&p.config).unwrap();
            let another = read.check(&config(!packed)).unwrap_err().to_string();
            assert!(another.contains("made for another"), "{another}");
            let before = p.clone();
            lora.apply(&mut p);
            let mut changed = 0;
            for ((parameter, w), before) in p.named().zip(&before.arrays) {
                let stored = StoredTensor::from(before.clone().into_dyn());
                let merged = read.merged(&parameter.name, stored).unwrap();
                assert_eq!(merged.to_matrix("w").unwrap(), *w, "{}", parameter.name);
                changed += usize::from(w != before);
            }
            assert_eq!(changed, if packed { 2 } else { 6 });
            let weights = fs::read(folder.path().join(WEIGHTS)).unwrap();
            let module = if packed { "W_pack" } else { "q_proj" };
            let name = format!("base_model.model.model.layers.1.self_attn.{module}.lora_B.weight");
            let tensors = read_safetensors(weights.into()).unwrap();
            let (rows, d) = if packed { (12, 4) } else { (4, 4) };
            assert_eq!(tensors[&name].as_ref().unwrap().shape(), [rows, 2]);
            let a = &tensors[&name.replace("lora_B", "lora_A")];
            assert_eq!(a.as_ref().unwrap().shape(), [2, d]);
        }
    }

    /// Catches: a number format that is lost where a change is merged.
    #[test]
    fn merged_weights_keep_their_format() {
        let (p, lora, settings) = learned(true);
        let adapter = Adapter::of(&lora, settings);
        let name = "model.layers.0.self_attn.W_pack.weight";
        let w = p.arrays[2].clone().into_dyn();
        let merged = adapter.merged(name, StoredTensor::rounded(w.clone(), Dtype::BF16));
        assert_eq!(merged.unwrap().dtype(), Dtype::BF16);
        let wrong = adapter.merged(name, StoredTensor::from(ndarray::ArrayD::zeros(vec![3, 3])));
        assert!(matches!(wrong, Err(AdapterError::Shape(_))));
    }

    /// Catches: an adapter of another kind that is applied as if it were LoRA; a panic on a broken one.
    #[test]
    fn other_adapters_are_refused() {
        let (_, lora, settings) = learned(true);
        let folder = tempfile::tempdir().unwrap();
        let error = || Adapter::open(folder.path()).unwrap_err().to_string();
        assert!(error().contains("adapter_config.json"), "{}", error());
        Adapter::of(&lora, settings)
            .write(folder.path(), "base")
            .unwrap();
        let config = folder.path().join(CONFIG);
        let good: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        for (key, value) in [
            ("peft_type", "IA3".into()),
            ("r", 0.into()),
            ("r", 3.into()),
            ("bias", "all".into()),
            ("use_dora", true.into()),
            ("use_rslora", true.into()),
            ("rank_pattern", serde_json::json!({"W_pack": 4})),
            ("init_lora_weights", "pissa_niter_16".into()),
            ("layer_replication", serde_json::json!([[0, 2], [1, 2]])),
            ("alora_invocation_tokens", serde_json::json!([5])),
            ("use_qalora", true.into()),
            ("lora_alpha", "high".into()),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            fs::write(&config, bad.to_string()).unwrap();
            let expected = if bad["r"] == 3 {
                "lora_A"
            } else if key == "lora_alpha" {
                "line 1"
            } else {
                key
            };
            assert!(error().contains(expected), "{key}: {}", error());
        }
        let mut plain = good.clone();
        plain["init_lora_weights"] = "gaussian".into();
        plain["layer_replication"] = Value::Null;
        plain["use_qalora"] = false.into();
        fs::write(&config, plain.to_string()).unwrap();
        Adapter::open(folder.path()).unwrap();
        let weights = folder.path().join(WEIGHTS);
        let bytes = fs::read(&weights).unwrap();
        fs::write(&weights, &bytes[..bytes.len() - 3]).unwrap();
        assert!(error().contains(WEIGHTS), "{}", error());
        let one = [(
            "base_model.model.w.lora_A.weight".to_owned(),
            ndarray::ArrayD::zeros(vec![2, 4]),
        )];
        write_safetensors(&weights, one).unwrap();
        assert!(
            error().contains("one factor without the other"),
            "{}",
            error()
        );
        let other = [(
            "base_model.model.w.weight".to_owned(),
            ndarray::ArrayD::zeros(vec![2, 4]),
        )];
        write_safetensors(&weights, other).unwrap();
        assert!(error().contains("is no factor"), "{}", error());
    }
}
