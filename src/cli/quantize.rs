//! `baichuan2 quantize`: a model in eight or four bits a weight.

use super::{
    export::{is_of_a_model, not_itself},
    inspect::bytes,
    model::ModelArgs,
    output::OutputFolder,
    synth::{bytes_bar, enough_room},
};
use anyhow::{Context, bail, ensure};
use baichuan2::{
    checkpoint::{Item, QUANT_METHOD, SHARD, write_shards},
    tensor::{Dtype, GROUP, StoredTensor},
};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use indexmap::{IndexMap, IndexSet};
use std::{fs, path::PathBuf};

/// Write a model with the linear maps of its layers in eight or four bits a weight
///
/// As the shipped code does, the five maps of each layer are rounded (W_pack, o_proj, gate, up and down; seven in a Llama), and nothing else: the
/// embedding, the norms and the head stay as they are. Each 32 weights of a row share a scale. What is lost is printed for each layer and map, as the
/// root mean square of the error over that of the weights.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 quantize --model Baichuan2-7B-Chat --bits 8 --out 7b-int8
  baichuan2 quantize --bits 4 --out small-int4
  baichuan2 evaluate --model embedded:rope --model small-int4     what it costs")]
pub struct Quantize {
    #[command(flatten)]
    model: ModelArgs,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Bits of a weight, scales apart (with them 8.5 and 4.5).
    #[arg(long, value_name = "8|4", default_value = "8", value_parser = dtype)]
    bits: Dtype,
    /// Replace an earlier model in the folder.
    #[arg(long)]
    force: bool,
}

fn dtype(bits: &str) -> Result<Dtype, String> {
    match bits {
        "8" => Ok(Dtype::Int8),
        "4" => Ok(Dtype::Int4),
        _ => Err("give 8 or 4".into()),
    }
}

impl Quantize {
    /// Writes the folder, and prints what was lost.
    ///
    /// # Errors
    /// A model that cannot be opened, rows that are not whole groups, weights that are not finite, or a folder that may not be written.
    pub fn run(self) -> anyhow::Result<()> {
        let model = self.model.open()?;
        not_itself(&self.model.model, &self.out)?;
        let mut names = Vec::new();
        for item in model.checkpoint.iter() {
            names.push((item.name.to_owned(), self.length(&item)?));
        }
        let out = OutputFolder::new(&self.out, self.force, is_of_a_model)?;
        let total = names.iter().map(|(_, bytes)| bytes).sum();
        enough_room(out.partial(), total)?;
        for (name, mut contents) in model.files()? {
            if name == "config.json" {
                contents = self.named(&contents).context(name.clone())?;
            }
            fs::write(out.partial().join(name), contents)?;
        }
        let bar = bytes_bar(model.checkpoint.total_bytes());
        let mut errors = IndexMap::new();
        write_shards(out.partial(), &names, SHARD, |name| {
            let stored = model.checkpoint.tensor(name)?;
            bar.inc(stored.byte_len() as u64);
            let Some(map) = linear_map(name) else {
                return Ok(stored);
            };
            let exact = stored.to_array();
            ensure!(
                exact.iter().all(|w| w.is_finite()),
                "{name}: has weights that are not finite numbers"
            );
            let rounded = StoredTensor::rounded(exact.clone(), self.bits);
            errors.insert(map, relative_error(&exact, &rounded));
            Ok::<_, anyhow::Error>(rounded)
        })?;
        bar.finish_and_clear();
        println!("{}", table(&errors).trim_fmt());
        println!(
            "\n{} of weights, {} before",
            bytes(total),
            bytes(model.checkpoint.total_bytes())
        );
        out.finish()
    }

    /// Bytes of a tensor as it will be.
    fn length(&self, item: &Item) -> anyhow::Result<usize> {
        if linear_map(item.name).is_none() {
            return Ok(item.tensor.byte_len());
        }
        if item.tensor.dtype().has_scales() {
            bail!(
                "{}: is in groups already; quantize the model that this one was made of",
                item.name
            );
        }
        let &[rows, width] = item.tensor.shape() else {
            bail!("{}: is no matrix", item.name);
        };
        ensure!(
            width.is_multiple_of(GROUP),
            "{}: its rows are {width} weights long, which cannot be cut into groups of {GROUP}",
            item.name
        );
        Ok(rows * (width * self.bits.bits() / 8 + 2 * (width / GROUP)))
    }

    /// A `config.json` that says what its weights are.
    fn named(&self, json: &[u8]) -> anyhow::Result<Vec<u8>> {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        let mut config: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json)?;
        config.insert(
            "quantization_config".into(),
            serde_json::json!({ "quant_method": QUANT_METHOD, "bits": self.bits.bits(), "group_size": GROUP }),
        );
        Ok(serde_json::to_vec_pretty(&config)?)
    }
}

/// The layer and the name of a linear map; none for any other parameter.
fn linear_map(parameter: &str) -> Option<(usize, &str)> {
    let (layer, module) = parameter.strip_prefix("model.layers.")?.split_once('.')?;
    let (_, map) = module.strip_suffix(".weight")?.split_once('.')?;
    Some((layer.parse().ok()?, map))
}

/// The root mean square of what rounding changed, over that of the weights; 0 for a matrix of zeros.
fn relative_error(exact: &ndarray::ArrayD<f32>, rounded: &StoredTensor) -> f64 {
    let square = |x: f32| f64::from(x).powi(2);
    let weights: f64 = exact.iter().map(|&w| square(w)).sum();
    let errors: f64 = exact
        .iter()
        .zip(&rounded.to_array())
        .map(|(a, b)| square(a - b))
        .sum();
    if weights == 0.0 {
        0.0
    } else {
        (errors / weights).sqrt()
    }
}

/// A line for each layer, a column for each of its maps.
fn table(errors: &IndexMap<(usize, &str), f64>) -> Table {
    let maps: IndexSet<&str> = errors.keys().map(|&(_, map)| map).collect();
    let layers: IndexSet<usize> = errors.keys().map(|&(layer, _)| layer).collect();
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(
        ["relative error, layer"]
            .into_iter()
            .chain(maps.iter().copied()),
    );
    for &layer in &layers {
        let of = |map: &&str| {
            errors
                .get(&(layer, *map))
                .map_or(String::new(), |e| format!("{:.2}%", 100.0 * e))
        };
        table.add_row([layer.to_string()].into_iter().chain(maps.iter().map(of)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
