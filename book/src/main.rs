//! Builds the course, and opens it.

use anyhow::{Context, Result};
use baichuan2_book::{build, repository};
use clap::Parser;
use std::path::PathBuf;

/// Build the course (English and Chinese) and open it in the browser
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to put the pages [default: target/book].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only build.
    #[arg(long)]
    no_open: bool,
    /// Leave the pictures still: the module that moves them takes some minutes to compile, the first time.
    #[arg(long)]
    still: bool,
    /// Pass over exercises that do not exist yet.
    #[arg(long)]
    draft: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from);
    let out = std::path::absolute(arguments.out.unwrap_or_else(|| target.join("book")))?;
    let live = out.join("live");
    if arguments.still {
        if live.exists() {
            std::fs::remove_dir_all(&live).with_context(|| live.display().to_string())?;
        }
    } else {
        eprintln!("Compiling the live pictures for the browser (some minutes, the first time)…");
        if let Err(why) = baichuan2_live::build(&live) {
            eprintln!("The pictures will be still: {why:#}");
        }
    }
    let page = build::build(&out, arguments.draft)?;
    println!("{}", page.display());
    if !arguments.no_open {
        opener::open_browser(&page).with_context(|| {
            format!(
                "no browser can be started; open {} yourself",
                page.display()
            )
        })?;
    }
    Ok(())
}
