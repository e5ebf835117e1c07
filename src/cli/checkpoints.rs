//! The checkpoints of a run: where they lie, in which order, and what they are called.

use super::model::embedded;
use anyhow::{Context, bail};
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::{Checkpoint, history, tokens_seen},
    dtransformer::Decoder,
};
use std::path::{Path, PathBuf};

/// The checkpoints of a run, which are folders named tokens-N in it or in `checkpoints` in it, in the order of N; and the run itself, last, where it is a
/// model.
///
/// # Errors
/// A folder that cannot be read, or that has none.
pub fn of_run(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(model) = embedded(folder)? {
        bail!(
            "{}: a model inside this program is without its checkpoints, which lie in the repository: --model models/{}",
            folder.display(),
            model.folder()
        );
    }
    std::fs::read_dir(folder).with_context(|| format!("{}: cannot be read", folder.display()))?;
    let found = history(folder);
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

/// A model, and the tokenizer beside it or beside its checkpoints.
pub struct Opened {
    pub decoder: Decoder,
    pub tokenizer: Tokenizer,
    /// What ends a text: what the model's configuration names, or `</s>`.
    end: Option<u32>,
}

impl Opened {
    /// The token that ends a text.
    ///
    /// # Errors
    /// Neither the tokenizer nor the configuration has one.
    pub fn end(&self) -> anyhow::Result<u32> {
        self.end.context(
            "the tokenizer has no </s> to end a text with, and config.json names no eos_token_id",
        )
    }
}

/// Opens a checkpoint of a run, or the run itself.
///
/// # Errors
/// A model or a tokenizer that cannot be opened, or that do not belong together.
pub fn open(model: &Path, run: &Path) -> anyhow::Result<Opened> {
    let (checkpoint, tokenizer) = match embedded(model)? {
        Some(model) => (model.checkpoint(), model.tokenizer()),
        None => {
            let checkpoint = Checkpoint::open(model)?;
            let beside = checkpoint.tokenizer.clone();
            let tokenizer = Tokenizer::open(beside.unwrap_or_else(|| run.to_owned()))?;
            (checkpoint, tokenizer)
        }
    };
    if tokenizer.vocab_size() > checkpoint.config.vocab_size {
        bail!(
            "the tokenizer has {} pieces, but the model a vocabulary of {}; they do not belong together",
            tokenizer.vocab_size(),
            checkpoint.config.vocab_size
        );
    }
    let named = checkpoint.generation.eos_token_ids.first().copied();
    Ok(Opened {
        decoder: checkpoint.decoder()?,
        end: named.or(tokenizer.eos()),
        tokenizer,
    })
}

/// What to call each model: its last name, or how many tokens it has seen; of those of the same name, the path.
pub fn names(models: &[PathBuf]) -> Vec<String> {
    let short: Vec<String> = models.iter().map(|model| name(model)).collect();
    let named = models.iter().zip(&short);
    named
        .map(
            |(model, name)| match short.iter().filter(|&n| n == name).count() {
                1 => name.clone(),
                _ => model.display().to_string(),
            },
        )
        .collect()
}

/// A model's last name; of a checkpoint, how many tokens it has seen.
pub fn name(model: &Path) -> String {
    match (tokens_seen(model), model.file_name()) {
        (Some(tokens), _) => short(tokens),
        (None, Some(name)) => name.to_string_lossy().into_owned(),
        (None, None) => model.display().to_string(),
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
