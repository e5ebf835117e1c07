//! `baichuan2 probe-skills`: what models and their checkpoints have learned.

use super::trace::{lines, table};
use anyhow::{Context, bail};
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::Checkpoint,
    dtransformer::Decoder,
    training::skills::{Skill, accuracy, probes},
};
use clap::builder::RangedU64ValueParser;
use serde_json::json;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Measure what models trained on the built-in corpus have learned, on items they never saw
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 probe-skills --model models/rope --model models/alibi
  baichuan2 probe-skills --model runs/rope --checkpoints   how they came about

Each figure is the share of probes whose whole answer is the model's greedy choice; `guess` is what guessing among what is at hand would reach.")]
pub struct ProbeSkills {
    /// A folder with a model; give several to compare them.
    #[arg(long = "model", value_name = "DIR", required = true)]
    models: Vec<PathBuf>,
    /// Take the checkpoints of each folder too: those in it, or in `checkpoints` in it, named tokens-N, in the order of N. They need no tokenizer of their own.
    #[arg(long)]
    checkpoints: bool,
    /// Probes of each skill.
    #[arg(
        long,
        default_value_t = 200,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    probes: usize,
    /// The same seed gives the same probes.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        allow_negative_numbers = true
    )]
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
            writeln!(out, "{}", shares(&guesses, &measured))?;
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
        let entries = std::fs::read_dir(among)
            .with_context(|| format!("{}: cannot be read", among.display()))?;
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

/// A model a line, a skill a column.
fn shares(guesses: &[(Skill, f64)], measured: &[(PathBuf, Vec<f64>)]) -> String {
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let skills = guesses.iter().map(|(skill, _)| skill.to_string());
    let mut table = table(Vec::from_iter(
        ["model".to_owned()].into_iter().chain(skills),
    ));
    let guesses = guesses.iter().map(|&(_, guess)| match guess {
        0.0 => "–".to_owned(),
        _ => percent(guess),
    });
    table.add_row(["guess".to_owned()].into_iter().chain(guesses));
    let names: Vec<String> = measured.iter().map(|(model, _)| name(model)).collect();
    for ((model, accuracies), name) in measured.iter().zip(&names) {
        let name = match names.iter().filter(|other| *other == name).count() {
            1 => name.clone(),
            _ => model.display().to_string(),
        };
        let accuracies = accuracies.iter().map(|&share| percent(share));
        table.add_row([name].into_iter().chain(accuracies));
    }
    lines(&table)
}

/// A model's last name; of a checkpoint, how many tokens it has seen.
fn name(model: &Path) -> String {
    let Some(name) = model.file_name() else {
        return model.display().to_string();
    };
    let name = name.to_string_lossy();
    let tokens = name.strip_prefix("tokens-").and_then(|n| n.parse().ok());
    match tokens {
        Some(tokens) => short(tokens),
        None => name.into_owned(),
    }
}

/// `2.4M tokens`.
fn short(tokens: u64) -> String {
    let count = tokens as f64;
    // From where rounding reaches the unit: 999,950 are 1.0M, not 1000.0k.
    let mut units = [(1e9, "B"), (1e6, "M"), (1e3, "k")].into_iter();
    match units.find(|(size, _)| count >= 0.99995 * size) {
        Some((size, unit)) => format!("{:.1}{unit} tokens", count / size),
        None => format!("{tokens} tokens"),
    }
}
