//! `baichuan2 probe-skills`: what models and their checkpoints have learned.

use anyhow::{Context, bail};
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::Checkpoint,
    dtransformer::Decoder,
    training::skills::{Skill, accuracy, probes},
};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Measure what models trained on the built-in corpus have learned, on items they never saw.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 probe-skills --model models/rope --model models/alibi
  baichuan2 probe-skills --model runs/rope --checkpoints     how the skills came about

Each figure is the share of probes whose whole answer is the model's greedy choice; `guess` is what guessing among what is at hand would reach.")]
pub struct ProbeSkills {
    /// A folder with a model; give several to compare them.
    #[arg(long = "model", value_name = "DIR", required = true)]
    models: Vec<PathBuf>,
    /// Take the checkpoints of each folder too: those in it, or in `checkpoints` in it, named tokens-N, in the order of N. They need no tokenizer of their own.
    #[arg(long)]
    checkpoints: bool,
    /// Probes of each skill.
    #[arg(long, default_value_t = 200, value_name = "N")]
    probes: usize,
    /// The same seed gives the same probes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// One JSON object in place of the table.
    #[arg(long)]
    json: bool,
}

impl ProbeSkills {
    /// Measures and prints.
    ///
    /// # Errors
    /// A model that cannot be opened, or that does not take the probes.
    pub fn run(self) -> anyhow::Result<()> {
        if self.probes == 0 {
            bail!("--probes is 0; a share of no probes is nothing");
        }
        let skills = Skill::ALL.map(|skill| (skill, probes(skill, self.probes, self.seed)));
        let mut measured = Vec::new();
        for folder in &self.models {
            for model in self.folders(folder)? {
                let in_model = || model.display().to_string();
                let (decoder, tokenizer) = open(&model, folder).with_context(in_model)?;
                let accuracies = skills
                    .iter()
                    .map(|(_, probes)| accuracy(&decoder, &tokenizer, probes));
                let accuracies: Vec<f64> = accuracies
                    .collect::<Result<_, _>>()
                    .with_context(in_model)?;
                measured.push((model, accuracies));
            }
        }
        let guesses = skills.map(|(skill, probes)| {
            let sum: f64 = probes.iter().map(|probe| probe.chance).sum();
            (skill, sum / self.probes as f64)
        });
        let mut out = anstream::stdout().lock();
        if self.json {
            let by_skill = |values: &mut dyn Iterator<Item = f64>| {
                let named = guesses.iter().map(|(skill, _)| skill.to_string());
                named
                    .zip(values)
                    .collect::<std::collections::BTreeMap<_, _>>()
            };
            let models = measured.iter().map(|(model, accuracies)| {
                json!({ "model": model, "accuracy": by_skill(&mut accuracies.iter().copied()) })
            });
            let report = json!({
                "probes": self.probes,
                "seed": self.seed,
                "guess": by_skill(&mut guesses.iter().map(|&(_, guess)| guess)),
                "models": models.collect::<Vec<_>>(),
            });
            writeln!(out, "{report:#}")?;
        } else {
            writeln!(out, "{}", table(&guesses, &measured))?;
        }
        Ok(())
    }

    /// The checkpoints of a folder, and the folder itself where it is a model.
    fn folders(&self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        if !self.checkpoints {
            return Ok(vec![folder.to_owned()]);
        }
        // A run keeps them in a folder of their own.
        let inside = Some(folder.join("checkpoints")).filter(|inside| inside.is_dir());
        let among = inside.as_deref().unwrap_or(folder);
        let entries = std::fs::read_dir(among).with_context(|| among.display().to_string())?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| among.display().to_string())?.path();
            let tokens = path
                .file_name()
                .and_then(|name| name.to_str()?.strip_prefix("tokens-")?.parse::<u64>().ok());
            if let Some(tokens) = tokens.filter(|_| path.is_dir()) {
                found.push((tokens, path));
            }
        }
        found.sort();
        let mut folders: Vec<PathBuf> = found.into_iter().map(|(_, path)| path).collect();
        if folders.is_empty() {
            bail!(
                "{}: has no checkpoints, which are folders named tokens-N; leave out --checkpoints for the model itself",
                folder.display()
            );
        }
        if folder.join("config.json").is_file() {
            folders.push(folder.to_owned());
        }
        Ok(folders)
    }
}

/// The model, and the tokenizer beside it or beside its checkpoints.
fn open(model: &Path, run: &Path) -> anyhow::Result<(Decoder, Tokenizer)> {
    let checkpoint = Checkpoint::open(model)?;
    let beside = checkpoint.tokenizer.clone();
    let tokenizer = Tokenizer::open(beside.unwrap_or_else(|| run.to_owned()))?;
    if tokenizer.vocab_size() > checkpoint.config.vocab_size {
        bail!(
            "the tokenizer has {} pieces, but the model a vocabulary of {}; they do not belong together",
            tokenizer.vocab_size(),
            checkpoint.config.vocab_size
        );
    }
    Ok((checkpoint.decoder()?, tokenizer))
}

fn table(guesses: &[(Skill, f64)], measured: &[(PathBuf, Vec<f64>)]) -> Table {
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let name = |path: &Path| match path.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.display().to_string(),
    };
    let mut table = Table::new();
    let models = measured.iter().map(|(model, _)| name(model));
    let header = ["skill".to_owned(), "guess".to_owned()];
    table
        .load_preset(presets::NOTHING)
        .set_header(header.into_iter().chain(models));
    for (row, (skill, guess)) in guesses.iter().enumerate() {
        let guess = if *guess > 0.0 {
            percent(*guess)
        } else {
            "–".to_owned()
        };
        let shares = measured
            .iter()
            .map(|(_, accuracies)| percent(accuracies[row]));
        table.add_row([skill.to_string(), guess].into_iter().chain(shares));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
