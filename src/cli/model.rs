//! What several commands take: a model, a prompt, and how to sample.

use anyhow::{Context, bail};
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::{Checkpoint, Family, GenerationConfig},
    dtransformer::Decoder,
    generation::Sampling,
};
use std::{
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

/// A checkpoint, its decoder and, where the folder has one, its tokenizer.
pub struct Model {
    pub checkpoint: Checkpoint,
    pub decoder: Decoder,
    folder: PathBuf,
    tokenizer: Option<Tokenizer>,
}

impl Model {
    /// Opens a Hugging Face folder.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let checkpoint = Checkpoint::open(folder)?;
        let decoder = checkpoint.decoder()?;
        let tokenizer = checkpoint
            .tokenizer
            .as_ref()
            .map(Tokenizer::open)
            .transpose()?;
        if let Some(tokenizer) = &tokenizer
            && tokenizer.vocab_size() > checkpoint.config.vocab_size
        {
            bail!(
                "{}: the tokenizer has {} pieces, but the model a vocabulary of {}; they do not belong together",
                folder.display(),
                tokenizer.vocab_size(),
                checkpoint.config.vocab_size
            );
        }
        Ok(Model {
            checkpoint,
            decoder,
            folder: folder.to_owned(),
            tokenizer,
        })
    }

    /// The tokenizer, without which there is no text.
    pub fn tokenizer(&self) -> anyhow::Result<&Tokenizer> {
        self.tokenizer.as_ref().with_context(|| {
            format!(
                "{}: has neither tokenizer.model nor tokenizer.json, so that text cannot be read or written; give token ids with --ids",
                self.folder.display()
            )
        })
    }

    /// Whether a text begins with `<s>`: as `tokenizer_config.json` says, else for a Llama with a SentencePiece model, and never for Baichuan.
    fn begins_with_bos(&self) -> anyhow::Result<bool> {
        #[derive(serde::Deserialize)]
        struct Names {
            add_bos_token: Option<bool>,
        }
        let file = self.folder.join("tokenizer_config.json");
        if file.is_file() {
            let json = std::fs::read(&file).with_context(|| file.display().to_string())?;
            let names: Names =
                serde_json::from_slice(&json).with_context(|| file.display().to_string())?;
            if let Some(add) = names.add_bos_token {
                return Ok(add);
            }
        }
        let is_model = |path: &PathBuf| path.extension().is_some_and(|e| e == "model");
        let sentencepiece = self.checkpoint.tokenizer.as_ref().is_some_and(is_model);
        Ok(self.checkpoint.family == Family::Llama && sentencepiece)
    }

    /// The ids that start a text.
    pub fn bos(&self) -> anyhow::Result<Option<u32>> {
        let bos = self.checkpoint.generation.bos_token_id;
        let bos = bos.or(self.tokenizer.as_ref().and_then(Tokenizer::bos));
        Ok(bos.filter(|_| self.begins_with_bos().unwrap_or(false)))
    }

    /// The ids that end a text.
    pub fn eos(&self) -> Vec<u32> {
        let named = &self.checkpoint.generation.eos_token_ids;
        match self.tokenizer.as_ref().and_then(Tokenizer::eos) {
            Some(eos) if named.is_empty() => vec![eos],
            _ => named.clone(),
        }
    }
}

/// A model's folder.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// A Hugging Face folder: config.json, the weights and the tokenizer.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
}

/// What the model is asked.
#[derive(clap::Args)]
pub struct PromptArgs {
    /// The text; read from standard input where it is `-` or left out.
    #[arg(value_name = "PROMPT", conflicts_with = "ids")]
    prompt: Option<String>,
    /// Token ids in place of a text, as they are.
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',', num_args = 1)]
    pub ids: Option<Vec<u32>>,
}

impl PromptArgs {
    /// The prompt's ids, with `<s>` before a text where the model wants it.
    pub fn ids(&self, model: &Model) -> anyhow::Result<Vec<u32>> {
        if let Some(ids) = &self.ids {
            return Ok(ids.clone());
        }
        let tokenizer = model.tokenizer()?;
        let text = self.text()?;
        if text.is_empty() {
            bail!("the prompt is empty; give a text to continue, or token ids with --ids");
        }
        let mut ids = Vec::from_iter(model.bos()?);
        ids.extend(tokenizer.encode(&text));
        Ok(ids)
    }

    fn text(&self) -> anyhow::Result<String> {
        match self.prompt.as_deref() {
            Some(text) if text != "-" => Ok(text.to_owned()),
            None if io::stdin().is_terminal() => {
                bail!("no prompt; give a text, or `-` to type it on standard input")
            }
            _ => {
                let mut text = String::new();
                io::stdin()
                    .read_to_string(&mut text)
                    .context("standard input is not UTF-8 text")?;
                // The line's end is the shell's, not the writer's.
                text.truncate(text.strip_suffix('\n').map_or(text.len(), str::len));
                Ok(text)
            }
        }
    }
}

/// How tokens are chosen. What is not given is taken from the folder's generation_config.json.
#[derive(clap::Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// Take the likeliest token every time.
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p"])]
    greedy: bool,
    /// Below 1 sharpens the distribution, above 1 flattens it.
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Draw from the K likeliest tokens only; 0 from all.
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the likeliest tokens that together reach this probability.
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// Above 1 holds back tokens that the text has already.
    #[arg(long, value_name = "R")]
    repetition_penalty: Option<f32>,
    /// The same seed gives the same text; drawn anew where it is not given.
    #[arg(long)]
    seed: Option<u64>,
}

impl SamplingArgs {
    /// These, over what the folder recommends, over greedy decoding. Whoever gives a temperature, top-k or top-p wants to draw.
    pub fn sampling(&self, recommended: &GenerationConfig) -> anyhow::Result<Sampling> {
        let asked = self.temperature.is_some() || self.top_k.is_some() || self.top_p.is_some();
        let draws = !self.greedy && (asked || recommended.do_sample == Some(true));
        let penalty = recommended.repetition_penalty.map(|r| r as f32);
        let repetition_penalty = self.repetition_penalty.or(penalty).unwrap_or(1.0);
        let temperature = recommended.temperature.map(|t| t as f32);
        let sampling = if draws {
            Sampling {
                greedy: false,
                repetition_penalty,
                temperature: self.temperature.or(temperature).unwrap_or(1.0),
                top_k: self.top_k.or(recommended.top_k).unwrap_or(0),
                top_p: self
                    .top_p
                    .or(recommended.top_p.map(|p| p as f32))
                    .unwrap_or(1.0),
            }
        } else {
            Sampling {
                repetition_penalty,
                ..Sampling::greedy()
            }
        };
        sampling.check()?;
        Ok(sampling)
    }

    /// The seed given, or one of the clock's.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            u64::from(since.map_or(0, |since| since.subsec_nanos()))
        })
    }
}

/// One line that says how tokens are chosen, so that a run can be repeated.
pub fn describe(sampling: &Sampling, seed: u64) -> String {
    let Sampling {
        greedy,
        repetition_penalty,
        temperature,
        top_k,
        top_p,
    } = sampling;
    if *greedy {
        format!("greedy, repetition penalty {repetition_penalty}")
    } else {
        format!(
            "temperature {temperature}, top-k {top_k}, top-p {top_p}, repetition penalty {repetition_penalty}, seed {seed}"
        )
    }
}
