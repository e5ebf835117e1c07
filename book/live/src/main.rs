//! The command that makes the course's live pictures.

use anyhow::Result;
use clap::Parser;
use std::path::PathBuf;

/// Build the live pictures of the course: OUT/live.js and OUT/live-module.js, for pages that are opened from disk or served
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The folder that the pages name.
    out: PathBuf,
}

fn main() -> Result<()> {
    let built = baichuan2_live::build(&Arguments::parse().out)?;
    println!(
        "{} and {}: {:.1} MB of WebAssembly",
        built.loader.display(),
        built.module.display(),
        built.wasm_bytes as f64 / 1e6
    );
    Ok(())
}
