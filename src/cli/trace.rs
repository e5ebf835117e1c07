//! `baichuan2 trace`: every intermediate of a forward pass.

use super::{model::ModelArgs, output::Outputs, prompt::Prompt};
use anyhow::{Result, bail, ensure};
use baichuan2::{
    checkpoint::write_safetensors,
    dtransformer::Config,
    probe::{LayerSite, Probe, Site, Summary},
};
use comfy_table::{CellAlignment, Row, Table, presets};
use glob::Pattern;
use indexmap::IndexMap;
use ndarray::{ArrayD, ArrayViewD, Axis};
use std::{io::Write, path::PathBuf};

/// Show and write every intermediate of a forward pass
///
/// Names are those of the shipped model's modules: embed, layers.0.input_layernorm, layers.0.W_pack, … , final_norm, logits. The first
/// that holds NaN or infinity is pointed out.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  A table of all intermediates:
    baichuan2 trace \"Once upon a time\"
  All of them in a file:
    baichuan2 trace --model tests/goldens/tiny7b --ids 126,301,282 \\
      --out acts.safetensors
  One layer of a large model, and what the stream is after each layer:
    baichuan2 trace --model Baichuan2-7B-Base --only \"layers.3.*\" \\
      --only \"layers.*.out\" \"The cat sat.\"")]
pub struct Trace {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: Prompt,
    /// Write the intermediates, f32, each with an axis of 1 (the batch) before its own, as a safetensors file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only the names that match: `*` is any text, `?` one letter, `[ab]` one of these; may be repeated
    #[arg(long, value_name = "PATTERN")]
    only: Vec<Pattern>,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
    /// Tokens that are accepted; by default as many as the model was trained on
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    context: Option<usize>,
    /// Memory that intermediates may take
    #[arg(long, value_name = "GIB", default_value_t = 8.0, value_parser = super::positive, allow_negative_numbers = true)]
    max_memory: f64,
}

impl Trace {
    pub fn run(self) -> Result<()> {
        let outputs = Outputs::new(&self.out, self.force)?;
        let model = self.model.open()?;
        let (checkpoint, decoder) = (&model.checkpoint, &model.decoder);
        let config = &checkpoint.config;
        let names: Vec<(Site, String)> = Site::all(config.num_hidden_layers)
            .map(|site| (site, site.to_string()))
            .collect();
        for only in &self.only {
            ensure!(
                names.iter().any(|(_, name)| only.matches(name)),
                "--only {only}: matches no intermediate; their names are {}",
                describe_names(config.num_hidden_layers)
            );
        }
        let tokens = self.prompt.tokens(&model)?;
        self.check_memory(config, tokens.ids.len(), &names)?;

        let mut cache = decoder.new_cache_of(self.context.unwrap_or(config.context));
        let mut watch = Watch {
            only: &self.only,
            keep: self.out.is_some(),
            summaries: Vec::new(),
            first_broken: None,
            values: IndexMap::new(),
        };
        let done = decoder.forward(&tokens.ids, &mut cache, Some(&mut watch));
        // A pass that ended in numbers that are not finite is what a trace is for; any other error ended it before it began.
        if watch.summaries.is_empty() && watch.first_broken.is_none() {
            done?;
            return Ok(());
        }
        if let Some(path) = &self.out {
            outputs.check(path)?; // once more: the pass may have taken long
            write_safetensors(path, watch.values)?;
            eprintln!("wrote {}", path.display());
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", summary_table(&watch.summaries))?;
        if watch.summaries.iter().any(|(_, s)| s.min == f32::MIN) {
            writeln!(
                out,
                "\nin attn_scores_masked a hidden key has the lowest finite number"
            )?;
        }
        if let Some((name, s)) = &watch.first_broken {
            writeln!(
                out,
                "\nfirst intermediate that is not finite: {name} (NaN: {}, infinite: {}, of {})",
                s.nan,
                s.infinite,
                s.shape.iter().product::<usize>()
            )?;
        }
        out.flush()?;
        done?;
        Ok(())
    }

    fn wants(&self, name: &str) -> bool {
        matches_any(&self.only, name)
    }

    /// Refuses what would fill the memory, before it does.
    fn check_memory(&self, config: &Config, tokens: usize, names: &[(Site, String)]) -> Result<()> {
        let wanted = names.iter().filter(|(_, name)| self.wants(name));
        let map = config.num_attention_heads as f64 * (tokens as f64).powi(2);
        let mut kept = 0.0;
        let mut passing: f64 = 0.0;
        for (site, _) in wanted {
            kept += numbers(*site, config, tokens);
            if is_map(*site) {
                passing = 2.0 * map; // scores and weights are made together
            }
        }
        let needed = passing + if self.out.is_some() { kept } else { 0.0 };
        let needed = needed * 4.0 / (1_u64 << 30) as f64;
        if needed > self.max_memory {
            bail!(
                "the intermediates of {tokens} tokens need {needed:.1} GiB, more than the {} GiB allowed; choose some of them with --only, \
                 shorten the prompt, or raise --max-memory",
                self.max_memory
            );
        }
        Ok(())
    }
}

fn matches_any(only: &[Pattern], name: &str) -> bool {
    only.is_empty() || only.iter().any(|only| only.matches(name))
}

/// Whether it is a map of tokens × tokens, which is made whole only for a probe that wants it.
fn is_map(site: Site) -> bool {
    matches!(
        site,
        Site::Layer(_, LayerSite::AttnScoresMasked | LayerSite::AttnProbs)
    )
}

/// How many numbers an intermediate has.
fn numbers(site: Site, config: &Config, tokens: usize) -> f64 {
    let [heads, kv_heads] = [config.num_attention_heads, config.num_key_value_heads];
    let per_token = match site {
        Site::Embed | Site::FinalNorm => config.hidden_size,
        Site::Logits => config.vocab_size,
        Site::Layer(_, site) => match site {
            LayerSite::WPack => (heads + 2 * kv_heads) * config.head_dim,
            LayerSite::QRot | LayerSite::AttnConcat => heads * config.head_dim,
            LayerSite::KRot => kv_heads * config.head_dim,
            LayerSite::AttnScoresMasked | LayerSite::AttnProbs => heads * tokens,
            LayerSite::GateProj | LayerSite::UpProj => config.intermediate_size,
            LayerSite::InputLayernorm
            | LayerSite::SelfAttn
            | LayerSite::PostAttentionLayernorm
            | LayerSite::Mlp
            | LayerSite::Out => config.hidden_size,
        },
    };
    tokens as f64 * per_token as f64
}

fn describe_names(layers: usize) -> String {
    let sites: Vec<String> = LayerSite::ALL.iter().map(ToString::to_string).collect();
    format!(
        "embed, final_norm, logits, and layers.0. to layers.{}. followed by {}",
        layers.saturating_sub(1),
        sites.join(", ")
    )
}

/// Sums up the intermediates that match, keeps them where they are to be written, and looks for the first that is not finite in all.
struct Watch<'a> {
    only: &'a [Pattern],
    keep: bool,
    summaries: Vec<(String, Summary)>,
    first_broken: Option<(String, Summary)>,
    values: IndexMap<String, ArrayD<f32>>,
}

impl Probe for Watch<'_> {
    fn wants(&self, site: Site) -> bool {
        !is_map(site) || matches_any(self.only, &site.to_string())
    }

    fn see(&mut self, site: Site, value: ArrayViewD<f32>) {
        let name = site.to_string();
        let summary = Summary::of(value.view());
        if self.first_broken.is_none() && !summary.is_finite() {
            self.first_broken = Some((name.clone(), summary.clone()));
        }
        if !matches_any(self.only, &name) {
            return;
        }
        if self.keep {
            let batch = value.insert_axis(Axis(0));
            self.values.insert(name.clone(), batch.to_owned());
        }
        self.summaries.push((name, summary));
    }
}

fn summary_table(summaries: &[(String, Summary)]) -> String {
    let mut rows = table([
        "name", "shape", "min", "max", "mean", "norm", "NaN", "infinite",
    ]);
    for (name, s) in summaries {
        let shape: Vec<String> = s.shape.iter().map(ToString::to_string).collect();
        let numbers = [f64::from(s.min), f64::from(s.max), s.mean, s.norm].map(number);
        let mut row = vec![name.clone(), shape.join(" × ")];
        row.extend(numbers);
        row.extend([s.nan, s.infinite].map(|n| n.to_string()));
        rows.add_row(row);
    }
    lines(&rows)
}

/// Five digits, whatever the size.
fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || !x.is_finite() {
        x.to_string()
    } else if (1e-3..1e5).contains(&size) {
        let before = size.log10().floor().max(0.0) as usize;
        format!("{x:.*}", 4_usize.saturating_sub(before).max(1))
    } else {
        format!("{x:.4e}")
    }
}

/// A table without lines, numbers to the right.
pub(super) fn table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for column in table.column_iter_mut().take(1) {
        column.set_padding((0, 1));
    }
    table
}

/// The table's lines, without spaces at their ends.
pub(super) fn lines(table: &Table) -> String {
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}
