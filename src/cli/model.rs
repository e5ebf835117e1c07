//! What several commands take: a model, and how to sample.

use super::export::{is_of_a_model, is_of_weights};
use anyhow::{Context, bail};
use baichuan2::{
    attention::CacheFormat,
    bpe::Tokenizer,
    checkpoint::{Checkpoint, Family, GenerationConfig},
    dtransformer::Decoder,
    embedded::EmbeddedModel,
    generation::{Sampling, chat::ChatFormat},
};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// A checkpoint, its decoder and, where the folder has one, its tokenizer.
pub struct Model {
    pub checkpoint: Checkpoint,
    pub decoder: Decoder,
    folder: PathBuf,
    tokenizer: Option<Tokenizer>,
    /// What `tokenizer_config.json` says of `<s>`.
    add_bos_token: Option<bool>,
}

impl Model {
    /// Opens a Hugging Face folder, or what a name that begins with `embedded:` stands for.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        if let Some(model) = embedded(folder)? {
            let checkpoint = model.checkpoint();
            return Ok(Model {
                decoder: checkpoint.decoder()?,
                checkpoint,
                folder: folder.to_owned(),
                tokenizer: Some(model.tokenizer()),
                add_bos_token: None,
            });
        }
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
        let add_bos_token = add_bos_token(&folder.join("tokenizer_config.json"))?;
        Ok(Model {
            checkpoint,
            decoder,
            folder: folder.to_owned(),
            tokenizer,
            add_bos_token,
        })
    }

    /// The tokenizer, without which there is no text.
    pub fn tokenizer(&self) -> anyhow::Result<&Tokenizer> {
        self.tokenizer.as_ref().with_context(|| {
            format!(
                "{}: has neither tokenizer.model nor tokenizer.json, so that text cannot be read or written",
                self.folder.display()
            )
        })
    }

    /// The id that starts a text, where one does: as `tokenizer_config.json` says, else for a Llama with a SentencePiece model, and never
    /// for Baichuan.
    pub fn bos(&self) -> Option<u32> {
        let is_model = |path: &PathBuf| path.extension().is_some_and(|e| e == "model");
        let sentencepiece = self.checkpoint.tokenizer.as_ref().is_some_and(is_model);
        let by_default = self.checkpoint.family == Family::Llama && sentencepiece;
        let bos = self.checkpoint.generation.bos_token_id;
        let bos = bos.or(self.tokenizer.as_ref().and_then(Tokenizer::bos));
        bos.filter(|_| self.add_bos_token.unwrap_or(by_default))
    }

    /// How conversations become ids, as `generation_config.json` says; of a Baichuan 2 it is known.
    pub fn chat_format(&self) -> anyhow::Result<ChatFormat> {
        let generation = &self.checkpoint.generation;
        match (generation.user_token_id, generation.assistant_token_id) {
            (Some(user), Some(assistant)) => Ok(ChatFormat { user, assistant }),
            _ if self.checkpoint.family == Family::Baichuan2 => Ok(ChatFormat::default()),
            _ => bail!(
                "the chat format of this model is not known: its generation_config.json names no user_token_id and \
                 assistant_token_id, and it is no Baichuan 2; `baichuan2 generate` continues any text"
            ),
        }
    }

    /// What lies beside the weights, and belongs into the folder of any model that is made of this one: configuration, tokenizer, code.
    pub fn files(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        if let Some(model) = embedded(&self.folder)? {
            let files = model.beside_weights();
            return Ok(files
                .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
                .into());
        }
        let of_weights = |name: &str| is_of_weights(name) || name == "model.safetensors.index.json";
        let is_one = |name: &str| is_of_a_model(name) && !of_weights(name);
        let in_folder = || format!("{}: cannot be read", self.folder.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder).with_context(in_folder)? {
            let path = entry.with_context(in_folder)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|name| is_one(name) && path.is_file()) {
                let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
                files.push((name.to_owned(), bytes));
            }
        }
        files.sort();
        Ok(files)
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

/// What a `tokenizer_config.json` says of `<s>`, if it is there and says anything.
fn add_bos_token(file: &Path) -> anyhow::Result<Option<bool>> {
    #[derive(serde::Deserialize)]
    struct TokenizerConfig {
        add_bos_token: Option<bool>,
    }
    if !file.is_file() {
        return Ok(None);
    }
    let name = || file.display().to_string();
    let json = std::fs::read(file).with_context(name)?;
    let config: TokenizerConfig = serde_json::from_slice(&json).with_context(name)?;
    Ok(config.add_bos_token)
}

/// The model inside this program that a name stands for; none for a folder.
///
/// # Errors
/// A name that no model has.
pub fn embedded(name: &Path) -> anyhow::Result<Option<EmbeddedModel>> {
    let name = name.to_str();
    let name = name.filter(|name| name.starts_with(EmbeddedModel::PREFIX));
    Ok(name.map(str::parse).transpose()?)
}

/// A model's folder, or its name.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// A Hugging Face folder (config.json, the weights and the tokenizer), or a small model inside this program: embedded:rope, embedded:alibi.
    #[arg(long, value_name = "DIR|NAME", default_value = "embedded:rope")]
    pub model: PathBuf,
}

/// Several of them.
#[derive(clap::Args)]
pub struct ModelsArgs {
    /// A folder with a model, or the name of one inside this program; give several to compare them.
    #[arg(
        long = "model",
        value_name = "DIR|NAME",
        default_values = ["embedded:rope", "embedded:alibi"]
    )]
    pub models: Vec<PathBuf>,
}

impl ModelArgs {
    /// The last part of its path, for titles.
    pub fn name(&self) -> String {
        let path = self
            .model
            .canonicalize()
            .unwrap_or_else(|_| self.model.clone());
        path.file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// Opens it.
    pub fn open(&self) -> anyhow::Result<Model> {
        Model::open(&self.model)
    }
}

/// How keys and values are kept.
#[derive(clap::Args)]
pub struct CacheArgs {
    /// The number format of the key/value cache; in f16 it takes half the memory.
    #[arg(long, value_enum, value_name = "f32|f16", default_value = "f32")]
    cache: Cache,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cache {
    F32,
    F16,
}

impl CacheArgs {
    /// As the library calls it.
    pub fn format(&self) -> CacheFormat {
        match self.cache {
            Cache::F32 => CacheFormat::Full,
            Cache::F16 => CacheFormat::F16,
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
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Draw from the K likeliest tokens only; 0 from all.
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    top_k: Option<usize>,
    /// Draw from the likeliest tokens that together reach this probability.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// Above 1 holds back tokens that the text has already.
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,
    /// The same seed gives the same text; drawn anew where it is not given.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
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
