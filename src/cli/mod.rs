//! The command: one file for each sub-command.

mod attention;
mod bench;
mod chat;
mod checkpoints;
mod corpus;
mod detokenize;
mod evaluate;
mod export;
mod fetch;
mod finetune;
mod generate;
mod inspect;
mod model;
mod output;
mod position_picture;
mod probe_heads;
mod probe_skills;
mod prompt;
mod quantize;
mod stream;
mod synth;
mod tokenize;
mod trace;
mod train;
mod train_bpe;
mod train_log;
mod verify;

use anyhow::{Context, Result};
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::{WhenCut, when_cut},
};
use clap::{Args, Parser, Subcommand};
use std::{
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Baichuan 2, algorithm by algorithm.
#[derive(Parser)]
#[command(name = "baichuan2", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Threads to compute with; as many as there are processors where it is not given.
    #[arg(long, global = true, value_name = "N", env = "BAICHUAN2_THREADS", value_parser = threads)]
    threads: Option<usize>,
}

fn threads(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err("give a number from 1 to 1024".into()),
    }
}

#[derive(Subcommand)]
enum Command {
    Generate(generate::Generate),
    Chat(chat::Chat),
    Attention(attention::Attention),
    Trace(trace::Trace),
    Tokenize(tokenize::Tokenize),
    Detokenize(detokenize::Detokenize),
    TrainBpe(train_bpe::TrainBpe),
    Train(train::Train),
    Finetune(finetune::Finetune),
    Export(export::Export),
    Verify(verify::Verify),
    Inspect(inspect::Inspect),
    Bench(bench::Bench),
    Quantize(quantize::Quantize),
    Synth(synth::Synth),
    Fetch(fetch::Fetch),
    Corpus(corpus::CorpusArgs),
    ProbeSkills(probe_skills::ProbeSkills),
    Evaluate(evaluate::Evaluate),
    ProbeHeads(probe_heads::ProbeHeads),
}

/// Runs the command of this process: 0 when it did its work, 1 with the reasons on standard error when not, 2 for a wrong usage.
pub fn run() -> ExitCode {
    let Cli { command, threads } = Cli::parse();
    when_cut(WhenCut::End);
    // Before anything computes: the first product would start the threads itself.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    let started = pool
        .build_global()
        .context("the system starts no more threads; give fewer (--threads)");
    let result = started.and_then(|()| match command {
        Command::Generate(command) => command.run(),
        Command::Chat(command) => command.run(),
        Command::Attention(command) => command.run(),
        Command::Trace(command) => command.run(),
        Command::Tokenize(command) => command.run(),
        Command::Detokenize(command) => command.run(),
        Command::TrainBpe(command) => command.run(),
        Command::Train(command) => command.run(),
        Command::Finetune(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Quantize(command) => command.run(),
        Command::Synth(command) => command.run(),
        Command::Fetch(command) => command.run(),
        Command::Corpus(command) => command.run(),
        Command::ProbeSkills(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::ProbeHeads(command) => command.run(),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            for (i, told) in told(&error).iter().enumerate() {
                match i {
                    0 => anstream::eprintln!("{red}error:{red:#} {told}"),
                    _ => anstream::eprintln!("  because: {told}"),
                }
            }
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, without those that would tell a second time what another tells.
fn told(error: &anyhow::Error) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        let cause = cause.trim_end();
        match told.last_mut() {
            Some(last) if last.contains(cause) => {}
            // As where a path is the context of an error that begins with that path.
            Some(last) if cause.starts_with(&*last) => *last = cause.to_owned(),
            _ => told.push(cause.to_owned()),
        }
    }
    told
}

/// Whether the reader of our output has gone, as in `baichuan2 … | head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Standard output, buffered, without colours where they do not belong. To be flushed at the end, so that no error is lost.
fn output() -> impl Write {
    BufWriter::new(anstream::stdout().lock())
}

/// All of standard input as text.
fn read_standard_input() -> Result<String> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .context("cannot read standard input")?;
    text(bytes).context("standard input")
}

/// A whole file as text.
fn read_text(path: &Path) -> Result<String> {
    let bytes =
        std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    text(bytes).with_context(|| path.display().to_string())
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!("not UTF-8 text: byte {at} belongs to no character")
    })
}

/// Reads the value of an option that only a positive number makes sense for.
fn positive(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("give a positive number".into()),
    }
}

/// Which tokenizer.
#[derive(Args)]
struct TokenizerArg {
    /// A SentencePiece `.model`, a `tokenizer.json`, or a folder with one of them (`.model` first); or that of a small model inside this program.
    #[arg(
        long,
        short,
        value_name = "FILE|DIR|NAME",
        default_value = "embedded:rope",
        env = "BAICHUAN2_TOKENIZER"
    )]
    tokenizer: PathBuf,
}

impl TokenizerArg {
    /// Opens it.
    fn open(&self) -> Result<Tokenizer> {
        Ok(match model::embedded(&self.tokenizer)? {
            Some(model) => model.tokenizer(),
            None => Tokenizer::open(&self.tokenizer)?,
        })
    }
}
