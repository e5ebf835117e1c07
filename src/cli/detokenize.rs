//! `baichuan2 detokenize`: ids back to text.

use super::{TokenizerArg, output, read_standard_input};
use anyhow::{Context, Result};
use baichuan2::bpe::Specials;
use clap::Args;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    str::FromStr,
};

const EXAMPLES: &str = "\
Examples:
  baichuan2 detokenize -t tokenizer.model 16829 66
  baichuan2 detokenize -t tokenizer.model 16829,66
  baichuan2 tokenize -t DIR --ids 'Hi' | baichuan2 detokenize -t DIR
  echo '[16829, 66]' | baichuan2 detokenize -t DIR --jsonl";

/// Turn ids back into text.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Detokenize {
    #[command(flatten)]
    tokenizer: TokenizerArg,
    /// The ids, with spaces or commas between; where absent, from standard input, where line ends may be between too.
    #[arg(allow_negative_numbers = true)]
    ids: Vec<Ids>,
    /// A JSON array of ids on each line of standard input; a JSON string on each line of output.
    #[arg(long, conflicts_with = "ids")]
    jsonl: bool,
    /// Show control pieces such as `</s>` by their names.
    #[arg(long)]
    specials: bool,
}

impl Detokenize {
    pub fn run(self) -> Result<()> {
        let tokenizer = self.tokenizer.open()?;
        let specials = if self.specials {
            Specials::Show
        } else {
            Specials::Skip
        };
        let mut out = output();
        if self.jsonl {
            for (line, number) in io::stdin().lock().lines().zip(1..) {
                let place = || format!("line {number} of standard input");
                let line = line.with_context(place)?;
                let ids: Vec<u32> = serde_json::from_str(&line)
                    .with_context(|| format!("{} is not one JSON array of ids", place()))?;
                let text = tokenizer.decode_with(&ids, specials).with_context(place)?;
                writeln!(out, "{}", serde_json::Value::from(text))?;
            }
        } else {
            let ids = if self.ids.is_empty() {
                read_standard_input()?.parse::<Ids>()?.0
            } else {
                self.ids.into_iter().flat_map(|ids| ids.0).collect()
            };
            write!(out, "{}", tokenizer.decode_with(&ids, specials)?)?;
            if io::stdout().is_terminal() {
                writeln!(out)?;
            }
        }
        out.flush()?;
        Ok(())
    }
}

/// Ids with spaces, line ends or commas between.
#[derive(Clone, Debug)]
struct Ids(Vec<u32>);

impl FromStr for Ids {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        text.split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
            .map(|word| {
                word.parse()
                    .with_context(|| format!("{word:?} is not an id"))
            })
            .collect::<Result<_>>()
            .map(Ids)
    }
}
