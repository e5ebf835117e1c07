//! The command `baichuan2`: one file for each sub-command.

mod chat;
mod corpus;
mod fetch;
mod generate;
mod inspect;
mod model;
mod probe_skills;
mod stream;
mod verify;

use clap::Parser;
use std::{io, process::ExitCode};

/// Baichuan 2, algorithm by algorithm.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Generate(generate::Generate),
    Chat(chat::Chat),
    Verify(verify::Verify),
    Inspect(inspect::Inspect),
    Fetch(fetch::Fetch),
    Corpus(corpus::CorpusArgs),
    ProbeSkills(probe_skills::ProbeSkills),
}

/// Runs the command with the arguments of the process: 0 where it succeeds, 1 where it fails, 2 where it is called wrongly.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Generate(generate) => generate.run(),
        Command::Chat(chat) => chat.run(),
        Command::Verify(verify) => verify.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Fetch(fetch) => fetch.run(),
        Command::Corpus(corpus) => corpus.run(),
        Command::ProbeSkills(probe) => probe.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The reader of our output, `head` for one, has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
