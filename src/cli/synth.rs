//! `baichuan2 synth`: a checkpoint of random weights, in the shape of a real one.

use super::{export::is_of_a_model, inspect::bytes, output::OutputFolder};
use anyhow::{Context, ensure};
use baichuan2::{
    checkpoint::{SHARD, ShardsError, config_json, read_config, synthetic, write_shards},
    dtransformer::Config,
    tensor::Dtype,
};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Write a checkpoint of random weights in the names, shapes and number format of a real one
///
/// To measure what a model of that size takes on a machine, or to try a command, where the real weights are not at hand. What it generates is noise.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 synth 7b my-7b                    15 GB, as Baichuan2-7B
  baichuan2 synth 7b my-7b --layers 8         its first eight layers
  baichuan2 synth path/config.json my-model   any shape
  baichuan2 bench --model my-7b

The weights are drawn from a normal distribution of standard deviation 0.02, norms are ones; the same seed gives the same weights everywhere.")]
pub struct Synth {
    /// 7b, 13b, or a config.json (or the folder that holds one).
    #[arg(value_name = "SHAPE")]
    shape: PathBuf,
    /// The folder to write.
    #[arg(value_name = "DIR")]
    out: PathBuf,
    /// Another number of layers.
    #[arg(long, value_name = "N")]
    layers: Option<usize>,
    /// The number format of the weights.
    #[arg(long, value_enum, value_name = "f32|f16|bf16", default_value = "bf16")]
    dtype: Float,
    /// Another seed gives other weights.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// A tokenizer to put beside them, so that text can be read: tokenizer.model or tokenizer.json.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Replace an earlier model in the folder.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Float {
    F32,
    F16,
    Bf16,
}

impl Synth {
    /// Writes the folder.
    ///
    /// # Errors
    /// A shape that no decoder can have, a folder that may not be written, or too little room.
    pub fn run(self) -> anyhow::Result<()> {
        let mut config = shape(&self.shape)?;
        config.num_hidden_layers = self.layers.unwrap_or(config.num_hidden_layers);
        config.validate()?;
        let (dtype, name) = match self.dtype {
            Float::F32 => (Dtype::F32, "float32"),
            Float::F16 => (Dtype::F16, "float16"),
            Float::Bf16 => (Dtype::BF16, "bfloat16"),
        };
        let tokenizer = self.tokenizer.as_deref().map(tokenizer).transpose()?;
        let out = OutputFolder::new(&self.out, self.force, is_of_a_model)?;
        let parameters = config.parameters();
        let length = |shape: &[usize]| shape.iter().product::<usize>() * dtype.bits() / 8;
        let names: Vec<(String, usize)> = parameters
            .iter()
            .map(|p| (p.name.clone(), length(&p.shape)))
            .collect();
        let total: usize = names.iter().map(|(_, bytes)| bytes).sum();
        enough_room(out.partial(), total)?;

        let mut json: serde_json::Value = serde_json::from_str(&config_json(&config)?)?;
        json["torch_dtype"] = name.into();
        fs::write(out.partial().join("config.json"), format!("{json:#}\n"))?;
        if let Some((name, bytes)) = tokenizer {
            fs::write(out.partial().join(name), bytes)?;
        }
        let bar = bytes_bar(total);
        let mut made = 0..;
        write_shards(out.partial(), &names, SHARD, |_| {
            let i = made.next().unwrap_or_default();
            let tensor = synthetic(&parameters[i], i, self.seed, dtype);
            bar.inc(tensor.byte_len() as u64);
            Ok::<_, ShardsError>(tensor)
        })?;
        bar.finish_and_clear();
        out.finish()
    }
}

/// What a shape is called, or where it is described.
fn shape(shape: &Path) -> anyhow::Result<Config> {
    match shape.to_str() {
        Some("7b") => return Ok(Config::baichuan2_7b()),
        Some("13b") => return Ok(Config::baichuan2_13b()),
        _ => {}
    }
    let file = match shape.is_dir() {
        true => shape.join("config.json"),
        false => shape.to_owned(),
    };
    let json = fs::read(&file).with_context(|| {
        let file = file.display();
        format!("{file}: cannot be read; a shape is 7b, 13b, or a config.json")
    })?;
    let model = read_config(&json).with_context(|| file.display().to_string())?;
    Ok(model.config)
}

/// A tokenizer under the name that its kind has in a folder.
fn tokenizer(file: &Path) -> anyhow::Result<(&'static str, Vec<u8>)> {
    let name = || format!("{}: cannot be read", file.display());
    baichuan2::bpe::Tokenizer::open(file)?;
    let json = file.extension().is_some_and(|e| e == "json");
    let kind = if json {
        "tokenizer.json"
    } else {
        "tokenizer.model"
    };
    let file = match file.is_dir() {
        true => file.join("tokenizer.model"),
        false => file.to_owned(),
    };
    Ok((kind, fs::read(file).with_context(name)?))
}

/// Before half of it is written.
pub fn enough_room(folder: &Path, needed: usize) -> anyhow::Result<()> {
    let free = fs4::available_space(folder)?;
    ensure!(
        needed as u64 <= free,
        "the weights take {}, but there is room for {}",
        bytes(needed),
        bytes(usize::try_from(free)?)
    );
    Ok(())
}

/// How far a command is that works through the bytes of a model.
pub fn bytes_bar(total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(total as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
