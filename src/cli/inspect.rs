//! `baichuan2 inspect`: what a checkpoint is, what it holds, and what it takes to run it.

use super::model::embedded;
use anyhow::bail;
use baichuan2::{
    checkpoint::{Checkpoint, Item},
    dtransformer::{Config, Position},
    tensor::Dtype,
};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use indexmap::IndexMap;
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
};

/// Show what a checkpoint folder is, what it holds, and the memory it needs.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 inspect Baichuan2-7B-Chat
  baichuan2 inspect tests/goldens/tiny13b --all
  baichuan2 inspect DIR --weights DIR/pytorch_model.bin
  baichuan2 inspect DIR --json")]
pub struct Inspect {
    /// The folder with config.json and the weights, or a small model inside this program: embedded:rope, embedded:alibi.
    #[arg(value_name = "DIR|NAME", default_value = "embedded:rope")]
    folder: PathBuf,
    /// Weights to look at instead of the folder's own: a file or another folder.
    #[arg(long, value_name = "PATH")]
    weights: Option<PathBuf>,
    /// One line for each tensor, layers not folded into one.
    #[arg(long)]
    all: bool,
    /// Print JSON, sizes in bytes.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Opens the folder and prints.
    ///
    /// # Errors
    /// The checkpoint cannot be opened, or the output not written.
    pub fn run(self) -> anyhow::Result<()> {
        let checkpoint = match (embedded(&self.folder)?, &self.weights) {
            (Some(model), None) => model.checkpoint(),
            (Some(_), Some(_)) => bail!(
                "--weights goes with a folder; {} has its own",
                self.folder.display()
            ),
            (None, weights) => {
                let weights = weights.as_ref().unwrap_or(&self.folder);
                Checkpoint::open_with(&self.folder, weights)?
            }
        };
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &as_json(&checkpoint))
                .map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            print(&checkpoint, self.all, &mut out)?;
        }
        Ok(out.flush()?)
    }
}

/// Bytes that a run needs.
struct Memory {
    /// All parameters, as stored.
    weights: usize,
    /// Keys and values of one token, in every layer, in f32.
    cache_per_token: usize,
    /// Keys and values of the whole context.
    cache_full: usize,
    /// The widest intermediates of one pass over the whole context: a bound from above, roughly.
    activations: usize,
}

impl Memory {
    fn of(checkpoint: &Checkpoint) -> Self {
        let c = &checkpoint.config;
        let f32s = |n: usize| n.saturating_mul(Dtype::F32.bits() / 8);
        // Keys and values, for each layer.
        let per_token = f32s(2 * c.num_hidden_layers * c.kv_width());
        // The residual stream and its normalized copy, the three of SwiGLU or queries, keys, values and their mix, and the logits
        // of the last token.
        let inner = (3 * c.intermediate_size).max(2 * c.query_width() + 2 * c.kv_width());
        let widest = c.context.saturating_mul(2 * c.hidden_size + inner);
        Memory {
            weights: checkpoint.total_bytes(),
            cache_per_token: per_token,
            cache_full: per_token.saturating_mul(c.context),
            activations: f32s(widest.saturating_add(c.vocab_size)),
        }
    }
}

fn scheme(config: &Config) -> String {
    match config.position {
        Position::Rope { base } => format!("rotary embedding (RoPE), base {base}"),
        Position::Alibi => "linear biases (ALiBi)".to_owned(),
    }
}

fn dtypes(checkpoint: &Checkpoint) -> Vec<String> {
    checkpoint
        .dtypes()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn print(checkpoint: &Checkpoint, all: bool, out: &mut impl Write) -> io::Result<()> {
    let c = &checkpoint.config;
    let memory = Memory::of(checkpoint);
    let files: BTreeSet<_> = checkpoint.iter().map(|item| item.file).collect();
    let yes_no = |b: bool| if b { "yes" } else { "no" };
    let heads = match c.num_attention_heads == c.num_key_value_heads {
        true => format!("{} of width {}", c.num_attention_heads, c.head_dim),
        false => format!(
            "{} of width {}, sharing {} key/value heads",
            c.num_attention_heads, c.head_dim, c.num_key_value_heads
        ),
    };
    let mut table = plain_table();
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("model", checkpoint.family.to_string());
    row(
        "positions",
        format!("{}, by {}", scheme(c), checkpoint.position_because),
    );
    row("layers", c.num_hidden_layers.to_string());
    row(
        "width",
        format!("{}, {} inside SwiGLU", c.hidden_size, c.intermediate_size),
    );
    row("heads", heads);
    row("vocabulary", c.vocab_size.to_string());
    row("context", format!("{} tokens", c.context));
    row("NormHead", yes_no(c.norm_head).into());
    row("tied embedding", yes_no(c.tie_word_embeddings).into());
    row("RMSNorm ε", format!("{:e}", c.rms_norm_eps));
    row(
        "tokenizer",
        checkpoint
            .tokenizer
            .as_ref()
            .and_then(|path| path.file_name())
            .map_or_else(
                || "none in this folder".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            ),
    );
    row(
        "weights",
        format!(
            "{} parameters in {}, {} ({} file{})",
            grouped(checkpoint.parameter_count()),
            dtypes(checkpoint).join(" and "),
            checkpoint.format,
            files.len(),
            if files.len() == 1 { "" } else { "s" }
        ),
    );
    row(
        "memory",
        format!("{} of weights, mapped", bytes(memory.weights)),
    );
    row(
        "",
        format!(
            "{} of keys and values in f32 for each token, {} for the full context",
            bytes(memory.cache_per_token),
            bytes(memory.cache_full)
        ),
    );
    row(
        "",
        format!(
            "about {} of activations for the full context at once",
            bytes(memory.activations)
        ),
    );
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    writeln!(out, "{}\n", table.trim_fmt())?;
    writeln!(out, "{}", tensors(checkpoint, all).trim_fmt())?;
    for skipped in checkpoint.skipped() {
        writeln!(out, "passed over: {} ({})", skipped.name, skipped.because)?;
    }
    Ok(())
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table
}

/// What a line of the table tells of the tensors that it stands for.
#[derive(Default)]
struct Folded {
    layers: BTreeSet<usize>,
    files: BTreeSet<String>,
    bytes: usize,
}

/// Name, shape, format, size and file of each tensor; layers that are alike on one line.
fn tensors(checkpoint: &Checkpoint, all: bool) -> Table {
    let mut lines: IndexMap<[String; 3], Folded> = IndexMap::new();
    for Item { name, file, tensor } in checkpoint.iter() {
        let (name, layer) = match layer_of(name) {
            Some((before, layer, after)) if !all => (format!("{before}{{}}{after}"), Some(layer)),
            _ => (name.to_owned(), None),
        };
        let file = file.file_name().unwrap_or(file.as_os_str());
        let shape = format!("{:?}", tensor.shape());
        let line = lines.entry([name, shape, tensor.dtype().to_string()]);
        let line = line.or_default();
        line.layers.extend(layer);
        line.files.insert(file.to_string_lossy().into_owned());
        line.bytes += tensor.byte_len();
    }
    let mut table = plain_table();
    table.set_header(["tensor", "shape", "format", "size", "file"]);
    for ([name, shape, dtype], line) in lines {
        let name = name.replace("{}", &format!("{{{}}}", ranges(&line.layers)));
        let file = match line.files.len() {
            1 => line.files.into_iter().collect(),
            several => format!("{several} files"),
        };
        table.add_row([name, shape, dtype, bytes(line.bytes), file]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(size) = table.column_mut(3) {
        size.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// `model.layers.`, `12`, `.mlp.up_proj.weight`.
fn layer_of(name: &str) -> Option<(&str, usize, &str)> {
    let start = "model.layers.".len();
    let rest = name.strip_prefix("model.layers.")?;
    let digits = rest.find('.')?;
    let layer = rest[..digits].parse().ok()?;
    Some((&name[..start], layer, &rest[digits..]))
}

/// `0..31`, or `0,2..5`.
fn ranges(layers: &BTreeSet<usize>) -> String {
    let mut runs: Vec<[usize; 2]> = Vec::new();
    for &layer in layers {
        match runs.last_mut() {
            Some([_, last]) if *last + 1 == layer => *last = layer,
            _ => runs.push([layer, layer]),
        }
    }
    let written = runs.iter().map(|&[first, last]| match first == last {
        true => first.to_string(),
        false => format!("{first}..{last}"),
    });
    written.collect::<Vec<_>>().join(",")
}

/// Bytes in the unit that memory is sold in.
pub(super) fn bytes(n: usize) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{n} bytes"),
        _ => format!("{value:.2} {}", UNITS[unit]),
    }
}

/// `7,505,973,248`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn as_json(checkpoint: &Checkpoint) -> serde_json::Value {
    let c = &checkpoint.config;
    let memory = Memory::of(checkpoint);
    let position = match c.position {
        Position::Rope { base } => json!({"scheme": "rope", "base": base}),
        Position::Alibi => json!({"scheme": "alibi"}),
    };
    let tensors: Vec<_> = checkpoint
        .iter()
        .map(|Item { name, file, tensor }| {
            json!({
                "name": name,
                "shape": tensor.shape(),
                "dtype": tensor.dtype().to_string(),
                "bytes": tensor.byte_len(),
                "file": file,
            })
        })
        .collect();
    let skipped = checkpoint.skipped().iter();
    let skipped: Vec<_> = skipped
        .map(|skipped| json!({"name": skipped.name, "because": skipped.because}))
        .collect();
    json!({
        "family": checkpoint.family,
        "config": {
            "vocab_size": c.vocab_size,
            "hidden_size": c.hidden_size,
            "intermediate_size": c.intermediate_size,
            "num_hidden_layers": c.num_hidden_layers,
            "num_attention_heads": c.num_attention_heads,
            "num_key_value_heads": c.num_key_value_heads,
            "head_dim": c.head_dim,
            "rms_norm_eps": c.rms_norm_eps,
            "context": c.context,
            "norm_head": c.norm_head,
            "tie_word_embeddings": c.tie_word_embeddings,
            "position": position,
            "position_because": checkpoint.position_because,
        },
        "generation": checkpoint.generation,
        "tokenizer": checkpoint.tokenizer,
        "format": checkpoint.format.to_string(),
        "dtypes": dtypes(checkpoint),
        "parameters": checkpoint.parameter_count(),
        "memory_bytes": {
            "weights": memory.weights,
            "cache_per_token": memory.cache_per_token,
            "cache_full_context": memory.cache_full,
            "activations_full_context": memory.activations,
        },
        "tensors": tensors,
        "skipped": skipped,
    })
}
