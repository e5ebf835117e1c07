//! `baichuan2 export`: a model as another folder, for other engines.

use super::{model::ModelArgs, output::OutputFolder};
use anyhow::{Context, bail};
use baichuan2::{
    checkpoint::{BESIDE_WEIGHTS, Checkpoint, config_json},
    dtransformer::Config,
    tensor::{Dtype, StoredTensor},
    training::{
        export::{as_llama, write_files},
        finetune::Adapter,
    },
};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Write a model as a folder that other engines take.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  As a Llama, which engines know that do not know Baichuan:
    baichuan2 export --as llama --out my-llama
  With an adapter of `baichuan2 finetune --adapter`, or of PEFT, merged into it:
    baichuan2 export --model DIR --adapter my-adapter --out my-model
  A torch .bin, or shards, as one safetensors file:
    baichuan2 export --model DIR --out my-model

As a Llama, W_pack is cut into q_proj, k_proj and v_proj, and the rows of the head are normalized for good, since a Llama has no NormHead. A \
model with ALiBi (the 13B) cannot be one. The normalized head is rounded to the number format of the folder: with --dtype f32 it is \
equal up to the rounding of f32.")]
pub struct Export {
    #[command(flatten)]
    model: ModelArgs,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Under whose names; without it the model keeps its own.
    #[arg(long = "as", value_enum, value_name = "llama")]
    family: Option<As>,
    /// Merge this adapter, in the form of PEFT: a folder with adapter_config.json and adapter_model.safetensors.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// The number format of the weights; without it each keeps its own.
    #[arg(long, value_enum, value_name = "f32|bf16")]
    dtype: Option<DtypeName>,
    /// Replace an earlier model in the folder.
    #[arg(long)]
    force: bool,
}

/// Whose names.
#[derive(Clone, Copy, ValueEnum)]
enum As {
    /// LlamaForCausalLM.
    Llama,
}

/// A number format by its name.
#[derive(Clone, Copy, ValueEnum)]
pub enum DtypeName {
    /// IEEE 754 binary32.
    F32,
    /// bfloat16.
    Bf16,
}

impl DtypeName {
    /// The format.
    pub fn dtype(self) -> Dtype {
        match self {
            DtypeName::F32 => Dtype::F32,
            DtypeName::Bf16 => Dtype::BF16,
        }
    }
}

impl Export {
    /// Writes the folder.
    ///
    /// # Errors
    /// A model that cannot be opened or cannot be what is asked for, an adapter that does not fit it, or a folder that may not be written.
    pub fn run(self) -> anyhow::Result<()> {
        let model = self.model.open()?;
        not_itself(&self.model.model, &self.out)?;
        let out = OutputFolder::new(&self.out, self.force, is_of_a_model)?;
        let of_the_adapter = || {
            let folder = self.adapter.as_deref().unwrap_or(Path::new(""));
            format!("the adapter {}", folder.display())
        };
        let adapter = self.adapter.as_deref().map(Adapter::open);
        let adapter = adapter.transpose().with_context(of_the_adapter)?;
        if let Some(adapter) = &adapter {
            let fits = adapter.check(&model.checkpoint.config);
            fits.with_context(of_the_adapter)?;
        }
        let mut files = model.files()?;
        let (mut config, mut weights) =
            (model.checkpoint.config.clone(), stored(&model.checkpoint));
        for (name, tensor) in &mut weights {
            if let Some(adapter) = &adapter {
                let merged = adapter.merged(name, tensor.clone());
                *tensor = merged.with_context(of_the_adapter)?;
            }
            // Before anything is folded in, so that it is not rounded twice.
            *tensor = rounded(tensor, self.dtype);
        }
        if self.family.is_some()
            && weights
                .iter()
                .any(|(_, tensor)| tensor.dtype().has_scales())
        {
            bail!(
                "these weights are in groups, which other engines do not know; give --dtype bf16, or export the model that was quantized"
            );
        }
        if self.family.is_some() && (config.packed_qkv || config.norm_head) {
            (config, weights) = as_llama(&config, weights)?;
            files = as_files_of_a_llama(files, &config)?;
        }
        name_the_format(&mut files, self.dtype)?;
        write_files(out.partial(), files, weights)?;
        out.finish()
    }
}

/// The weights of a model, as stored.
pub fn stored(checkpoint: &Checkpoint) -> Vec<(String, StoredTensor)> {
    let items = checkpoint.iter();
    items
        .map(|item| (item.name.to_owned(), item.tensor.clone()))
        .collect()
}

/// A tensor in the format asked for.
pub fn rounded(tensor: &StoredTensor, dtype: Option<DtypeName>) -> StoredTensor {
    match dtype.map(DtypeName::dtype) {
        Some(dtype) if dtype != tensor.dtype() => StoredTensor::rounded(tensor.to_array(), dtype),
        _ => tensor.clone(),
    }
}

/// Whether a file of this name is one of a model, as `export` and `finetune` write it. Of code, only what goes by the shipped names is: any other may
/// be the user's own.
pub fn is_of_a_model(name: &str) -> bool {
    const CODE: [&str; 3] = ["modeling_", "configuration_", "tokenization_"];
    let is_code = |name: &str| {
        let module = name.strip_suffix(".py");
        module.is_some_and(|m| CODE.iter().any(|begin| m.starts_with(begin)))
    };
    const MORE: [&str; 3] = [
        "model.safetensors.index.json",
        "generation_utils.py",
        "quantizer.py",
    ];
    BESIDE_WEIGHTS.contains(&name) || is_of_weights(name) || MORE.contains(&name) || is_code(name)
}

/// Whether a file of this name holds weights: `model.safetensors`, or one of several, `model-00001-of-00008.safetensors`.
pub fn is_of_weights(name: &str) -> bool {
    let number = |s: &str| s.len() == 5 && s.bytes().all(|b| b.is_ascii_digit());
    let shard = name
        .strip_prefix("model-")
        .and_then(|name| name.strip_suffix(".safetensors"));
    let shard = shard.and_then(|name| name.split_once("-of-"));
    name == "model.safetensors" || shard.is_some_and(|(i, n)| number(i) && number(n))
}

/// A model must not be written over the files that it is read from.
pub fn not_itself(model: &Path, out: &Path) -> anyhow::Result<()> {
    if let (Ok(model), Ok(out)) = (model.canonicalize(), out.canonicalize())
        && model == out
    {
        bail!("{}: is the model's own folder; name another", out.display());
    }
    Ok(())
}

/// Where the format of the weights was changed, `config.json` must not name another.
pub fn name_the_format(
    files: &mut [(String, Vec<u8>)],
    dtype: Option<DtypeName>,
) -> anyhow::Result<()> {
    let name = match dtype.map(DtypeName::dtype) {
        None => return Ok(()),
        Some(Dtype::F32) => "float32",
        Some(_) => "bfloat16",
    };
    for (file, json) in files.iter_mut().filter(|(file, _)| file == "config.json") {
        let text = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        let mut config: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(text).with_context(|| file.clone())?;
        config.remove("dtype");
        config.remove("quantization_config");
        config.insert("torch_dtype".into(), name.into());
        *json = serde_json::to_vec_pretty(&config)?;
    }
    Ok(())
}

/// What is left of the files of a Baichuan beside the weights of a Llama: the tokenizer itself, and how to sample.
fn as_files_of_a_llama(
    files: Vec<(String, Vec<u8>)>,
    config: &Config,
) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    const KEPT: [&str; 3] = [
        "generation_config.json",
        "tokenizer.model",
        "tokenizer.json",
    ];
    let mut files = files;
    files.retain(|(name, _)| KEPT.contains(&name.as_str()));
    files.push(("config.json".into(), config_json(config)?.into_bytes()));
    // A Llama's text begins with `<s>` and a space unless it is told otherwise; a Baichuan's does not.
    let tokenizer = serde_json::json!({
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": false,
        "add_eos_token": false,
        "add_prefix_space": false,
        "legacy": false,
    });
    let tokenizer = serde_json::to_vec_pretty(&tokenizer)?;
    files.push(("tokenizer_config.json".into(), tokenizer));
    Ok(files)
}
