//! `baichuan2 train`: a small model from nothing.

use super::{stream, train_log::Log};
use anyhow::{Context, bail};
use baichuan2::{
    bpe::{Tokenizer, TrainingOptions},
    checkpoint::read_safetensors,
    generation::chat,
    tensor::Dtype,
    training::{
        Parameters, PositionName, Recipe, Trainer,
        corpus::{Corpus, Split},
        evaluate, export, keep_freed_memory,
    },
};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Train a small Baichuan 2 from random weights.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  The built-in corpus, with rotary embedding as in the 7B:
    baichuan2 train --out my-model
  With linear biases as in the 13B:
    baichuan2 train --out my-model --position alibi --heads 6
  A text of your own:
    baichuan2 train --out my-model --text stories.txt --tokens 5000000
  Hyperparameters from a file:
    baichuan2 train --out my-model --recipe recipe.toml
  On with a run that was interrupted:
    baichuan2 train --out my-model --resume

The folder is a Hugging Face folder: `baichuan2 generate --model my-model \"Once upon a time\"`. Beside it are checkpoints/ along a logarithmic \
scale of tokens, loss.csv, loss.svg and recipe.toml, which holds every hyperparameter and can be given again with --recipe. Ctrl-C saves the \
state and ends; --resume goes on, and ends at the same weights as an uninterrupted run, to the bit.")]
pub struct Train {
    /// The folder to write; must not hold another run.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A text file, or a folder of .txt and .md files, in place of the built-in corpus; may be given several times.
    #[arg(long = "text", value_name = "PATH")]
    texts: Vec<PathBuf>,
    /// A SentencePiece `.model`; without it one is trained on the text.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// A TOML file of hyperparameters; those it leaves out have their defaults.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Rotary embedding or linear biases.
    #[arg(long, value_name = "rope|alibi", value_parser = position)]
    position: Option<PositionName>,
    /// Query heads.
    #[arg(long, value_name = "N")]
    heads: Option<usize>,
    /// Pieces of the tokenizer that is trained, where none is given.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    vocab_size: Option<usize>,
    /// Tokens to train on.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    tokens: Option<u64>,
    /// Begins the random numbers.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many checkpoints to keep along the way, the last included.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    checkpoints: u32,
    /// Share of a text of your own that is held out to measure the loss on.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    validation: f64,
    /// Go on with the run in the folder; of a text of your own, give the same --text again.
    #[arg(long, conflicts_with_all = ["recipe", "tokenizer", "position", "heads", "tokens", "vocab_size", "seed"])]
    resume: bool,
}

fn position(name: &str) -> Result<PositionName, String> {
    match name {
        "rope" => Ok(PositionName::Rope),
        "alibi" => Ok(PositionName::Alibi),
        _ => Err("a model has `rope` (as the 7B) or `alibi` (as the 13B)".to_owned()),
    }
}

/// Tokens of the built-in corpus that are held out.
const HELD_OUT: usize = 100_000;
/// The state is saved this often at the least.
const SAVE_EVERY: Duration = Duration::from_secs(60);

impl Train {
    /// Trains until done or interrupted.
    ///
    /// # Errors
    /// A recipe that cannot be followed, a text that cannot be read, a folder that cannot be written, or a loss that diverges.
    pub fn run(self) -> anyhow::Result<()> {
        keep_freed_memory();
        let state_file = self.out.join("trainer.safetensors");
        let recipe = self.recipe(&state_file)?;
        if !(0.0..1.0).contains(&self.validation) {
            bail!(
                "--validation is {}; it must be a share from 0 to below 1",
                self.validation
            );
        }
        let corpus = self.texts()?;
        let tokenizer_file = self.tokenizer(&recipe, &corpus)?;
        let tokenizer = Tokenizer::from_bytes(&tokenizer_file)?;
        let data = self.data(&recipe, &corpus, &tokenizer)?;
        drop(corpus);
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        self.same_data(&data)?;

        let mut trainer = Trainer::new(recipe.clone(), &data.train, tokenizer.vocab_size())?;
        let mut log = Log::new(self.out.join("loss.csv"));
        if self.resume {
            trainer.restore(read_state(&state_file)?)?;
            log.read_until(trainer.steps())?;
        }
        export::write_whole(
            &self.out.join("recipe.toml"),
            toml::to_string_pretty(&recipe)?.as_bytes(),
        )?;
        let parameters: usize = trainer.parameters().arrays.iter().map(|a| a.len()).sum();
        eprintln!(
            "{parameters} parameters; {} tokens of text to train on, {} held out; {} steps of {} tokens",
            data.train.len(),
            data.held_out.len(),
            recipe.steps(),
            recipe.batch_tokens
        );
        let run = Run {
            out: &self.out,
            state_file: &state_file,
            tokenizer: &tokenizer_file,
            data: &data,
            keep: marks(&recipe, self.checkpoints),
        };
        run.train(&mut trainer, &mut log)
    }

    /// The recipe of the file or of the run in the folder, with what the command line changes.
    fn recipe(&self, state: &Path) -> anyhow::Result<Recipe> {
        let saved = self.out.join("recipe.toml");
        let file = match (&self.recipe, self.resume) {
            (_, true) if !state.is_file() => {
                bail!(
                    "{}: holds no run to resume; leave out --resume to begin one",
                    self.out.display()
                )
            }
            (_, true) => Some(&saved),
            (_, false) if state.is_file() => bail!(
                "{}: holds a run already; --resume goes on with it, another --out begins a new one",
                self.out.display()
            ),
            (given, false) => {
                self.refuse_another_model()?;
                given.as_ref()
            }
        };
        let mut recipe = match file {
            Some(path) => {
                let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
                Recipe::from_toml(&text).with_context(|| path.display().to_string())?
            }
            None => Recipe::default(),
        };
        recipe.position = self.position.unwrap_or(recipe.position);
        recipe.heads = self.heads.unwrap_or(recipe.heads);
        recipe.vocab_size = self.vocab_size.unwrap_or(recipe.vocab_size);
        recipe.tokens = self.tokens.unwrap_or(recipe.tokens);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        recipe.check()?;
        Ok(recipe)
    }

    /// A folder that holds a model which is no run of ours must not lose it.
    fn refuse_another_model(&self) -> anyhow::Result<()> {
        let theirs = [
            "config.json",
            "model.safetensors",
            "pytorch_model.bin",
            "tokenizer.model",
            "recipe.toml",
            "loss.csv",
            "checkpoints",
        ];
        match theirs.iter().find(|name| self.out.join(name).exists()) {
            Some(name) => bail!(
                "{}: holds {name} already; name a new folder",
                self.out.display()
            ),
            None => Ok(()),
        }
    }

    /// A run that is resumed must find the text it began with; what that was is kept as a hash.
    fn same_data(&self, data: &Data) -> anyhow::Result<()> {
        let file = self.out.join("text.sha256");
        let mut hash = Sha256::new();
        for id in data.train.iter().chain(&data.held_out) {
            hash.update(id.to_le_bytes());
        }
        let hash: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if self.resume {
            let begun = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            if begun.trim() != hash {
                bail!(
                    "the text is not the one that this run began with; give the same --text and --validation (none for the built-in corpus)"
                );
            }
            return Ok(());
        }
        export::write_whole(&file, hash.as_bytes()).with_context(|| file.display().to_string())
    }

    /// The texts given, one string a file; none for the built-in corpus.
    fn texts(&self) -> anyhow::Result<Option<Vec<String>>> {
        if self.texts.is_empty() {
            return Ok(None);
        }
        let mut files = Vec::new();
        for path in &self.texts {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
            let mut found: Vec<PathBuf> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect();
            found.retain(|file| file.extension().is_some_and(|e| e == "txt" || e == "md"));
            if found.is_empty() {
                bail!("{}: has no .txt or .md files", path.display());
            }
            found.sort();
            files.extend(found);
        }
        let read = |file: &PathBuf| {
            fs::read_to_string(file)
                .with_context(|| format!("{}: cannot be read as UTF-8 text", file.display()))
        };
        Ok(Some(files.iter().map(read).collect::<anyhow::Result<_>>()?))
    }

    /// The bytes of a `.model`: given, of the run, or trained now.
    fn tokenizer(&self, recipe: &Recipe, texts: &Option<Vec<String>>) -> anyhow::Result<Vec<u8>> {
        let of_the_run = self.out.join("tokenizer.model");
        let given = self
            .tokenizer
            .as_ref()
            .or(Some(&of_the_run).filter(|_| self.resume));
        if let Some(path) = given {
            return fs::read(path).with_context(|| path.display().to_string());
        }
        eprintln!("training a tokenizer of {} pieces", recipe.vocab_size);
        let options = TrainingOptions {
            vocab_size: recipe.vocab_size,
            user_defined_symbols: chat::symbols(),
            ..TrainingOptions::default()
        };
        let trained = match texts {
            Some(texts) if texts.iter().all(|text| text.trim().is_empty()) => {
                bail!("the text is empty; there is nothing to learn")
            }
            Some(texts) => options
                .train(texts.iter().flat_map(|text| text.lines()), |_, _| ())
                .context("no tokenizer can be trained; --vocab-size changes its size")?,
            None => {
                let documents = Corpus::new(recipe.seed)
                    .take(20_000)
                    .map(|document| document.text);
                options.train(
                    documents.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()),
                    |_, _| (),
                )?
            }
        };
        Ok(trained.to_bytes())
    }

    /// Token ids to train on and to measure on, each document ended by `</s>`.
    fn data(
        &self,
        recipe: &Recipe,
        texts: &Option<Vec<String>>,
        tokenizer: &Tokenizer,
    ) -> anyhow::Result<Data> {
        let eos = tokenizer
            .eos()
            .context("the tokenizer has no </s> to end a text with")?;
        let encode = |text: &str| {
            let mut ids = tokenizer.encode(text);
            ids.push(eos);
            ids
        };
        if let Some(texts) = texts {
            // Paragraphs are held out from all over the text, not only from its end.
            let paragraphs: Vec<&str> = texts.iter().flat_map(|text| paragraphs(text)).collect();
            let every = if self.validation > 0.0 {
                (1.0 / self.validation).round() as usize
            } else {
                usize::MAX
            };
            let (held, train): (Vec<_>, Vec<_>) = paragraphs
                .into_iter()
                .enumerate()
                .partition(|(i, _)| i % every == every - 1);
            let all = |part: Vec<(usize, &str)>| {
                part.par_iter()
                    .flat_map_iter(|(_, text)| encode(text))
                    .collect()
            };
            return Ok(Data {
                train: all(train),
                held_out: all(held),
            });
        }
        let bar = spinner("writing and encoding the built-in corpus");
        let of = |split, tokens: usize| {
            let corpus = Corpus::of(recipe.seed, split);
            let mut ids: Vec<u32> = Vec::with_capacity(tokens + 4096);
            for chunk in (0_u64..).step_by(4096) {
                let more: Vec<Vec<u32>> = (chunk..chunk + 4096)
                    .into_par_iter()
                    .map(|i| encode(&corpus.document(i).text))
                    .collect();
                ids.extend(more.into_iter().flatten());
                bar.tick();
                if ids.len() > tokens {
                    break;
                }
            }
            ids.truncate(tokens + 1);
            ids
        };
        let data = Data {
            train: of(Split::Train, recipe.tokens as usize),
            held_out: of(Split::Validation, HELD_OUT),
        };
        bar.finish_and_clear();
        Ok(data)
    }
}

/// The documents of a text of one's own: what empty lines separate, with whatever line ends.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let (mut start, mut at) = (0, 0);
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if line.trim().is_empty() {
            found.push(&text[start..at]);
            start = end;
        }
        at = end;
    }
    found.push(&text[start..]);
    let ends = found.into_iter().map(|p| p.trim_end_matches(['\r', '\n']));
    ends.filter(|p| !p.trim().is_empty())
}

/// Token ids.
struct Data {
    train: Vec<u32>,
    held_out: Vec<u32>,
}

/// Where a run writes, and when.
struct Run<'r> {
    out: &'r Path,
    state_file: &'r Path,
    tokenizer: &'r [u8],
    data: &'r Data,
    /// Steps after which a checkpoint is kept.
    keep: Vec<u64>,
}

impl Run<'_> {
    fn train(&self, trainer: &mut Trainer<'_>, log: &mut Log) -> anyhow::Result<()> {
        let recipe = trainer.recipe().clone();
        let bar = ProgressBar::new(recipe.steps()).with_style(
            ProgressStyle::with_template("{wide_bar} step {pos}/{len}  {msg}  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_position(trainer.steps());
        bar.reset_eta();
        stream::start_listening();
        let (mut saved, begun, at_begin) = (Instant::now(), Instant::now(), trainer.tokens());
        while !trainer.is_done() {
            let step = match trainer.step() {
                Ok(step) => step,
                Err(error) => {
                    bar.abandon();
                    self.save(trainer, log)?;
                    return Err(error)
                        .context("training stopped; the last good state and checkpoints are kept");
                }
            };
            let speed = (step.tokens - at_begin) as f64 / begun.elapsed().as_secs_f64();
            bar.set_message(format!(
                "loss {:.3}  norm {:.2}  rate {:.1e}  {speed:.0} tokens/s",
                step.loss.cross_entropy, step.gradient_norm, step.rate
            ));
            bar.set_position(step.step);
            let keep = self.keep.contains(&step.step);
            let held_out = keep
                .then(|| evaluate(trainer.parameters(), &self.data.held_out, recipe.context))
                .flatten();
            log.add(&step, held_out);
            if keep {
                self.keep(trainer.parameters(), step.tokens)?;
                if let Some(held_out) = held_out {
                    bar.suspend(|| {
                        eprintln!(
                            "{:>12} tokens: loss {:.4}, held out {held_out:.4}",
                            step.tokens, step.loss.cross_entropy
                        )
                    });
                }
            }
            let interrupted = stream::interrupted();
            if keep || interrupted || saved.elapsed() > SAVE_EVERY {
                self.save(trainer, log)?;
                saved = Instant::now();
            }
            if interrupted {
                bar.abandon();
                bail!(
                    "interrupted at step {}; `baichuan2 train --out {} --resume` goes on (with the same --text, if any)",
                    step.step,
                    self.out.display()
                );
            }
        }
        bar.finish();
        self.write_model(self.out, trainer.parameters())?;
        log.draw(&self.out.join("loss.svg"))?;
        eprintln!(
            "done: baichuan2 generate --model {} \"Once upon a time\"",
            self.out.display()
        );
        Ok(())
    }

    fn write_model(&self, folder: &Path, parameters: &Parameters<f32>) -> anyhow::Result<()> {
        let weights = export::weights(parameters, Dtype::BF16);
        Ok(export::write_folder(
            folder,
            &parameters.config,
            weights,
            self.tokenizer,
            &export::generation_config(),
        )?)
    }

    /// Keeps a checkpoint: whole under its name, or not there.
    fn keep(&self, parameters: &Parameters<f32>, tokens: u64) -> anyhow::Result<()> {
        let folder = self.out.join("checkpoints");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let partial = tempfile::Builder::new()
            .prefix(".partial-")
            .tempdir_in(&folder)?;
        self.write_model(partial.path(), parameters)?;
        let named = folder.join(format!("tokens-{tokens:010}"));
        if named.exists() {
            // Of this run, before it was interrupted and resumed.
            fs::remove_dir_all(&named).with_context(|| named.display().to_string())?;
        }
        let partial = partial.keep();
        fs::rename(&partial, &named).with_context(|| named.display().to_string())
    }

    /// Saves what a resumed run needs.
    fn save(&self, trainer: &Trainer<'_>, log: &Log) -> anyhow::Result<()> {
        let tokenizer = self.out.join("tokenizer.model");
        export::write_whole(&tokenizer, self.tokenizer)
            .with_context(|| tokenizer.display().to_string())?;
        // The state last: a log that is ahead of it is cut when the run goes on, one that is behind could not be mended.
        log.write()?;
        Ok(baichuan2::checkpoint::write_safetensors(
            self.state_file,
            trainer.state(),
        )?)
    }
}

fn read_state(path: &Path) -> anyhow::Result<HashMap<String, ndarray::ArrayD<f32>>> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let tensors = read_safetensors(bytes.into()).with_context(|| path.display().to_string())?;
    tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor?.to_array())))
        .collect()
}

/// Steps along a logarithmic scale of tokens: from the 16th to the last.
fn marks(recipe: &Recipe, checkpoints: u32) -> Vec<u64> {
    let (first, last) = (16.0_f64.min(recipe.steps() as f64), recipe.steps() as f64);
    let of = |i: u32| match checkpoints {
        0 | 1 => last,
        n => first * (last / first).powf(f64::from(i) / f64::from(n - 1)),
    };
    let mut marks: Vec<u64> = (0..checkpoints.max(1))
        .map(|i| of(i).round() as u64)
        .collect();
    marks.dedup();
    marks
}

pub(super) fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::paragraphs;

    /// Catches: a text of another system's line ends, or with blanks in its empty lines, taken for one document; an empty line too many that goes into the next.
    #[test]
    fn empty_lines_separate_documents() {
        let of = |text: &'static str| paragraphs(text).collect::<Vec<_>>();
        assert_eq!(of("a\nb\n\nc"), ["a\nb", "c"]);
        assert_eq!(of("a\r\nb\r\n\r\nc\r\n"), ["a\r\nb", "c"]);
        assert_eq!(of("\n\na\n \t\n\n  b\n"), ["a", "  b"]);
        assert!(of(" \n\n").is_empty());
    }
}
