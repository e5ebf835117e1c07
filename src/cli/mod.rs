//! The command `baichuan2`: one file a sub-command.

mod attention;
mod output;
mod prompt;
mod trace;

use clap::{Parser, Subcommand};
use std::{io, process::ExitCode};

/// Baichuan 2, algorithm by algorithm
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Attention(attention::Attention),
    Trace(trace::Trace),
}

/// Runs the command with the arguments of the process.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Attention(attention) => attention.run(),
        Command::Trace(trace) => trace.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output, `head` for one, has seen enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// The error and its causes, except those that the error has told already.
fn tell(error: &anyhow::Error) {
    let mut told = error.to_string();
    eprintln!("error: {told}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            eprintln!("  because: {cause}");
            told = cause;
        }
    }
}
