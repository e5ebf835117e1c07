//! `baichuan2 finetune`: a model learns to answer as given conversations do.

use super::{
    export::{DtypeName, is_of_a_model, name_the_format, not_itself, stored},
    model::{Model, ModelArgs},
    output::OutputFolder,
    positive, read_text, stream,
    train_log::Log,
};
use anyhow::{Context, bail, ensure};
use baichuan2::{
    tensor::StoredTensor,
    training::{
        Parameters, Step,
        export::write_files,
        finetune::{
            Adapter, Example, LoraSettings, Settings, Tuner, TunerError, order, read_conversations,
        },
        keep_freed_memory,
    },
};
use clap::builder::RangedU64ValueParser;
use indicatif::{ProgressBar, ProgressStyle};
use std::{collections::BTreeSet, path::PathBuf, time::Instant};

/// Teach a trained model to answer as given conversations do.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  All parameters:
    baichuan2 finetune --data chats.jsonl --out my-chat
  Low-rank updates of W_pack (of q_proj, k_proj and v_proj in a Llama), merged into the model:
    baichuan2 finetune --model DIR --data chats.jsonl --out my-chat --lora-rank 8
  The same, kept beside the model as an adapter that PEFT loads, and merged later:
    baichuan2 finetune --model DIR --data chats.jsonl --out my-adapter --lora-rank 8 --adapter
    baichuan2 export --model DIR --adapter my-adapter --out my-chat

The data is one conversation a line, or a JSON array of them, as in the Baichuan 2 repository:
  {\"conversations\": [{\"from\": \"human\", \"value\": \"1+1=?\"}, {\"from\": \"gpt\", \"value\": \"2\"}]}
`from` is human or user, gpt or assistant, or, first of all, system. What is learned is the assistant's text and where it ends; the rest is read \
and not learned. What is longer than the context is cut at its end.

The folder is a Hugging Face folder like the model's: `baichuan2 chat --model my-chat`. Training is in f32; each weight is written in the number \
format that it was read in, or in --dtype, and with --lora-rank all but the changed matrices stay as they are to the bit. All parameters take 20 \
bytes each in memory (16 with --parts 1), with --lora-rank somewhat over 12 (8). loss.csv has the loss of every step. Ctrl-C ends early and writes \
what has been learned so far; a second one ends at once, does not touch the folder, and leaves what it had begun to write in a folder .partial-… \
beside it.")]
pub struct Finetune {
    #[command(flatten)]
    model: ModelArgs,
    /// Conversations: JSON lines, or a JSON array.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Passes over the conversations.
    #[arg(long, value_name = "N", default_value_t = 4, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    epochs: u32,
    /// Learning rate, the same at every step. By default 2e-5, as shipped; for a model of less than a billion parameters 1e-3.
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = positive)]
    rate: Option<f64>,
    /// Conversations of one step.
    #[arg(long, value_name = "N", default_value_t = 16, allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    batch: usize,
    /// Tokens that a conversation may have; by default those the model was trained on.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(2..=1 << 24))]
    context: Option<usize>,
    /// Learn updates of this rank, in place of all parameters.
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    lora_rank: Option<usize>,
    /// The updates are multiplied by ALPHA / R.
    #[arg(long, value_name = "ALPHA", default_value_t = 32.0, requires = "lora_rank", allow_negative_numbers = true, value_parser = positive)]
    lora_alpha: f64,
    /// Write the updates alone, as an adapter.
    #[arg(long, requires = "lora_rank", conflicts_with = "dtype")]
    adapter: bool,
    /// Share of the conversations that is held out to measure the loss on.
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.1,
        allow_negative_numbers = true
    )]
    validation: f64,
    /// Parts of a batch that are computed side by side; fewer take less memory.
    #[arg(long, value_name = "N", default_value_t = 2, allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    parts: usize,
    /// Memory that may be used, in GiB; by default all that the machine has.
    #[arg(long, value_name = "GIB", allow_negative_numbers = true, value_parser = positive)]
    memory: Option<f64>,
    /// Begins the random numbers: which conversations are held out, and their order.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The number format of the weights that are written; without it each keeps its own.
    #[arg(long, value_enum, value_name = "f32|bf16")]
    dtype: Option<DtypeName>,
    /// Replace an earlier result in the folder.
    #[arg(long)]
    force: bool,
}

/// Whether a file of this name is one that this command writes.
fn ours(name: &str) -> bool {
    const MORE: [&str; 4] = [
        "loss.csv",
        "loss.svg",
        "adapter_config.json",
        "adapter_model.safetensors",
    ];
    is_of_a_model(name) || MORE.contains(&name)
}

/// A model of so many parameters takes the shipped learning rate.
const LARGE: usize = 1_000_000_000;
/// The learning rate of a smaller one.
const RATE_OF_SMALL: f64 = 1e-3;

impl Finetune {
    /// Fine-tunes and writes the result.
    ///
    /// # Errors
    /// A model or conversations that cannot be read, too little memory, a folder that may not be written, or a loss that diverges.
    pub fn run(self) -> anyhow::Result<()> {
        keep_freed_memory();
        ensure!(
            (0.0..1.0).contains(&self.validation),
            "--validation is {}; it must be a share from 0 to below 1",
            self.validation
        );
        let model = self.model.open()?;
        not_itself(&self.model.model, &self.out)?;
        // Before the folder is made, so that a Ctrl-C does not leave it behind.
        stream::start_listening();
        let out = OutputFolder::new(&self.out, self.force, ours)?;
        let data = self.data(&model)?;
        let settings = self.settings(&model);
        settings.check(&model.checkpoint.config)?;
        self.fits(&settings, &model, &data)?;
        let mut tuner = Tuner::new(settings, Parameters::of(&model.checkpoint)?)?;

        let mut log = Log::new(out.partial().join("loss.csv"));
        let early = self.tune(&mut tuner, &data, &mut log)?;
        log.draw(&out.partial().join("loss.svg"))?;
        match tuner.lora().filter(|_| self.adapter).zip(settings.lora) {
            Some((lora, settings)) => {
                let base = self.model.model.display().to_string();
                Adapter::of(lora, settings).write(out.partial(), &base)?;
            }
            None => {
                let mut files = model.files()?;
                name_the_format(&mut files, self.dtype)?;
                write_files(out.partial(), files, self.weights(&model, tuner)?)?;
            }
        }
        out.finish()?;
        match early {
            Some(Early::Interrupted(step)) => {
                bail!("interrupted after step {step}; what was learned until then is written")
            }
            Some(Early::Diverged(error)) => {
                return Err(error).context("what was learned until then is written");
            }
            None => {}
        }
        let (model, out) = (self.model.model.display(), self.out.display());
        if self.adapter {
            eprintln!("done: baichuan2 export --model {model} --adapter {out} --out DIR");
        } else {
            eprintln!("done: baichuan2 chat --model {out}");
        }
        Ok(())
    }

    /// The conversations as the model reads them.
    fn data(&self, model: &Model) -> anyhow::Result<Data> {
        let file = || self.data.display().to_string();
        let conversations = read_conversations(&read_text(&self.data)?).with_context(file)?;
        let (format, tokenizer) = (model.chat_format()?, model.tokenizer()?);
        let eos = *model
            .eos()
            .first()
            .context("the model has no token that ends a text (eos_token_id)")?;
        let vocab_size = model.checkpoint.config.vocab_size;
        for (name, id) in [
            ("user_token_id", format.user),
            ("assistant_token_id", format.assistant),
            ("eos_token_id", eos),
        ] {
            ensure!(
                (id as usize) < vocab_size,
                "{name} is {id}, outside the model's vocabulary of {vocab_size}"
            );
        }
        let context = self.context.unwrap_or(model.checkpoint.config.context);
        let examples = conversations.iter().map(|conversation| {
            let encode = |text: &str| tokenizer.encode(text);
            Example::of(&conversation.messages, &format, eos, encode, context)
        });
        let examples: Vec<Example> = examples.flatten().collect();
        let left_out = conversations.len() - examples.len();
        let cut = examples.iter().filter(|example| example.cut).count();
        if cut > 0 {
            eprintln!(
                "{cut} conversations are longer than {context} tokens and were cut at their end"
            );
        }
        if left_out > 0 {
            eprintln!(
                "{left_out} conversations have no answer within {context} tokens and were left out"
            );
        }
        ensure!(
            !examples.is_empty(),
            "{}: no conversation has an answer within {context} tokens (--context)",
            self.data.display()
        );
        let held_out = (examples.len() as f64 * self.validation) as usize;
        // An order of its own: passes count from 1.
        let order = order(examples.len(), self.seed, 0);
        let held_out: BTreeSet<usize> = order.into_iter().take(held_out).collect();
        let numbered = examples.into_iter().enumerate();
        let (held_out, train): (Vec<_>, Vec<_>) = numbered.partition(|(i, _)| held_out.contains(i));
        let all = |part: Vec<(usize, Example)>| part.into_iter().map(|(_, example)| example);
        Ok(Data {
            train: all(train).collect(),
            held_out: all(held_out).collect(),
        })
    }

    fn settings(&self, model: &Model) -> Settings {
        let shipped = Settings::default();
        let default_rate = if model.checkpoint.parameter_count() < LARGE {
            RATE_OF_SMALL
        } else {
            shipped.rate
        };
        Settings {
            rate: self.rate.unwrap_or(default_rate),
            parts: self.parts,
            seed: self.seed,
            lora: self.lora_rank.map(|rank| LoraSettings {
                rank,
                alpha: self.lora_alpha,
            }),
            ..shipped
        }
    }

    /// Whether the numbers that the steps need find room.
    fn fits(&self, settings: &Settings, model: &Model, data: &Data) -> anyhow::Result<()> {
        let config = &model.checkpoint.config;
        let parameters = settings.bytes(config);
        let batch = self.batch.min(data.train.len());
        let longest = data.train.iter().map(|e| e.ids.len()).max().unwrap_or(0);
        let threads = rayon::current_num_threads();
        let maps = settings.attention_bytes(config, batch, longest, threads);
        let there = match self.memory {
            Some(gib) => (gib * GIB) as u64,
            None => memory(),
        };
        let gib = |bytes: u64| bytes as f64 / GIB;
        let (beside, cure) = match settings.lora {
            None => ("two moments", "; --lora-rank 8 has no moments to keep"),
            Some(_) => ("the frozen projections", ""),
        };
        ensure!(
            parameters.saturating_add(maps) <= there,
            "{} parameters take {:.3} GiB (in f32 the weights, {} of gradients, and {beside}), the attention maps of a batch of {batch} sequences, the \
             longest of {longest} tokens, {:.3} GiB, and the rest of what is computed of them comes on top, but there are {:.3} GiB; --parts 1 keeps one \
             gradient, --batch or --context makes fewer or smaller maps{cure}",
            model.checkpoint.parameter_count(),
            gib(parameters),
            settings.parts,
            gib(maps),
            gib(there),
        );
        Ok(())
    }

    /// All steps; why it ended early where it did.
    fn tune(&self, tuner: &mut Tuner, data: &Data, log: &mut Log) -> anyhow::Result<Option<Early>> {
        let steps = data.train.len().div_ceil(self.batch) as u64 * u64::from(self.epochs);
        eprintln!(
            "{} conversations to learn, {} held out; {} epochs, {steps} steps",
            data.train.len(),
            data.held_out.len(),
            self.epochs
        );
        let bar = ProgressBar::new(steps).with_style(
            ProgressStyle::with_template("{wide_bar} step {pos}/{len}  {msg}  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let held_out = |tuner: &Tuner| tuner.loss(&data.held_out);
        if let Some(loss) = held_out(tuner)? {
            bar.suspend(|| eprintln!("before: held out {loss:.4}"));
        }
        ensure!(
            !stream::interrupted(),
            "interrupted before the first step; nothing was written"
        );
        let begun = Instant::now();
        for epoch in 1..=u64::from(self.epochs) {
            let order = order(data.train.len(), self.seed, epoch);
            let mut losses = Mean::default();
            let mut batches = order.chunks(self.batch).peekable();
            while let Some(batch) = batches.next() {
                let batch: Vec<&Example> = batch.iter().map(|&i| &data.train[i]).collect();
                let step = match tuner.step(&batch).inspect_err(|_| bar.abandon()) {
                    Ok(step) => step,
                    // At the first step nothing was learned that could be written.
                    Err(error @ TunerError::Diverged { step: 2.., .. }) => {
                        return Ok(Some(Early::Diverged(error)));
                    }
                    Err(error) => return Err(error).context("nothing was written"),
                };
                losses.add(&step);
                let speed = step.tokens as f64 / begun.elapsed().as_secs_f64();
                bar.set_message(format!(
                    "epoch {epoch}  loss {:.3}  {speed:.0} tokens/s",
                    step.loss.cross_entropy
                ));
                bar.set_position(step.step);
                let last = batches.peek().is_none();
                let interrupted = stream::interrupted();
                let measured = if last || interrupted {
                    held_out(tuner)?
                } else {
                    None
                };
                log.add(&step, measured);
                if last {
                    let held_out = measured.map(|loss| format!(", held out {loss:.4}"));
                    let held_out = held_out.unwrap_or_default();
                    bar.suspend(|| eprintln!("epoch {epoch}: loss {:.4}{held_out}", losses.mean()));
                }
                if interrupted {
                    bar.abandon();
                    return Ok(Some(Early::Interrupted(step.step)));
                }
            }
        }
        bar.finish();
        Ok(None)
    }

    /// What moved, rounded; what did not, as it was stored. All else that the steps took is free before, and each parameter when it is rounded, so that
    /// this takes no more memory than they did.
    fn weights(&self, model: &Model, tuner: Tuner) -> anyhow::Result<Vec<(String, StoredTensor)>> {
        let mut weights = stored(&model.checkpoint);
        let moved: Vec<bool> = (0..weights.len()).map(|i| tuner.moves(i)).collect();
        // The checkpoint's parameters are in the order and the shapes of the tuner's.
        let learned = moved.into_iter().zip(tuner.into_parameters().arrays);
        for ((_, tensor), (moved, array)) in weights.iter_mut().zip(learned) {
            let dtype = self.dtype.map_or(tensor.dtype(), DtypeName::dtype);
            if moved {
                let array = array.into_dyn().to_shape(tensor.shape())?.into_owned();
                *tensor = StoredTensor::rounded(array, dtype);
            } else if dtype != tensor.dtype() {
                *tensor = StoredTensor::rounded(tensor.to_array(), dtype);
            }
        }
        Ok(weights)
    }
}

/// Why a run ended before its last step.
enum Early {
    /// Ctrl-C after this step.
    Interrupted(u64),
    /// The step was not taken.
    Diverged(TunerError),
}

/// Conversations to learn and to measure on.
struct Data {
    train: Vec<Example>,
    held_out: Vec<Example>,
}

/// The mean loss of some steps.
#[derive(Default)]
struct Mean {
    sum: f64,
    steps: u64,
}

impl Mean {
    fn add(&mut self, step: &Step) {
        self.sum += step.loss.cross_entropy;
        self.steps += 1;
    }

    fn mean(&self) -> f64 {
        self.sum / self.steps as f64
    }
}

const GIB: f64 = (1_u64 << 30) as f64;

/// Bytes of the machine's memory, or of the part that a container may use; no bound where the system does not tell.
fn memory() -> u64 {
    use sysinfo::{MemoryRefreshKind, RefreshKind, System};
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::everything());
    let Ok(system) = System::new_with_specifics(memory) else {
        return u64::MAX;
    };
    let limit = system.cgroup_limits().map(|limits| limits.total_memory);
    let known = [Some(system.total_memory()), limit].into_iter().flatten();
    known.filter(|&bytes| bytes > 0).min().unwrap_or(u64::MAX)
}
