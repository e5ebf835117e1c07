//! `baichuan2 probe-skills`: what models and their checkpoints have learned.

use super::{
    checkpoints,
    model::ModelsArgs,
    trace::{lines, table},
};
use anyhow::Context;
use baichuan2::training::skills::{Skill, accuracy, probes};
use clap::builder::RangedU64ValueParser;
use serde_json::json;
use std::{io::Write, path::PathBuf};

/// Measure what models trained on the built-in corpus have learned, on items they never saw
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 probe-skills
  baichuan2 probe-skills --model models/rope --checkpoints   how they came about

Each figure is the share of probes whose whole answer is the model's greedy choice; `guess` is what guessing among what is at hand would reach.")]
pub struct ProbeSkills {
    #[command(flatten)]
    of: ModelsArgs,
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
        for folder in &self.of.models {
            let models = match self.checkpoints {
                true => checkpoints::of_run(folder)?,
                false => vec![folder.clone()],
            };
            for model in models {
                let in_model = || model.display().to_string();
                let opened = checkpoints::open(&model, folder).with_context(in_model)?;
                let accuracies = skills
                    .iter()
                    .map(|(_, probes)| accuracy(&opened.decoder, &opened.tokenizer, probes));
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
    let models: Vec<PathBuf> = measured.iter().map(|(model, _)| model.clone()).collect();
    for ((_, accuracies), name) in measured.iter().zip(checkpoints::names(&models)) {
        let accuracies = accuracies.iter().map(|&share| percent(share));
        table.add_row([name].into_iter().chain(accuracies));
    }
    lines(&table)
}
