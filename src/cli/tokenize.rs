//! `baichuan2 tokenize`: what a model reads instead of a text.

use super::{TokenizerArg, output, read_standard_input};
use anstyle::{AnsiColor, Color, Style};
use anyhow::{Context, Result};
use baichuan2::{
    bpe::{Kind, Merge, Tokenizer, byte_piece},
    picture::{visible, visible_bytes},
};
use clap::Args;
use serde_json::json;
use std::io::{self, BufRead, Write};
use unicode_width::UnicodeWidthStr;

const EXAMPLES: &str = "\
Examples:
  baichuan2 tokenize 'Once upon a time, 从前有一只小猫'
  baichuan2 tokenize -t tokenizer.model 'Hamlet->Shakespeare'
  printf '温故而知新' | baichuan2 tokenize -t DIR --merges
  baichuan2 tokenize -t DIR --ids 'Hi' | baichuan2 detokenize -t DIR
  baichuan2 tokenize -t DIR --longest-match 'a text with BPE'
  baichuan2 tokenize -t DIR --jsonl < strings.jsonl";

/// Show the pieces and ids of a text.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Tokenize {
    #[command(flatten)]
    tokenizer: TokenizerArg,
    /// The text; standard input, every byte of it, where absent or `-`.
    text: Option<String>,
    /// Only the ids, with spaces between.
    #[arg(long, group = "form")]
    ids: bool,
    /// One JSON object: ids, pieces, counts.
    #[arg(long, group = "form")]
    json: bool,
    /// A JSON string on each line of standard input; `{"ids": […], "pieces": […]}` on each line of output.
    #[arg(long, group = "form", conflicts_with = "text")]
    jsonl: bool,
    /// Also show every merge, in order.
    #[arg(long, group = "form")]
    merges: bool,
    /// Also show what the longest match would give, which printed pseudocode has in place of BPE (docs/errata.md).
    #[arg(long, conflicts_with_all = ["ids", "json", "jsonl"])]
    longest_match: bool,
    /// Names of control pieces in the text, such as `</s>`, stand for those pieces.
    #[arg(long, conflicts_with = "merges")]
    specials: bool,
}

impl Tokenize {
    pub fn run(self) -> Result<()> {
        let tokenizer = self.tokenizer.open()?;
        let mut out = output();
        if self.jsonl {
            self.lines(&tokenizer, io::stdin().lock(), &mut out)?;
            out.flush()?;
            return Ok(());
        }
        let text = match self.text.as_deref() {
            None | Some("-") => read_standard_input()?,
            Some(text) => text.to_owned(),
        };
        let ids = self.encode(&tokenizer, &text);
        if self.ids {
            let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
            writeln!(out, "{}", ids.join(" "))?;
        } else if self.json {
            let object = json!({
                "ids": ids, "pieces": pieces(&tokenizer, &ids),
                "tokens": ids.len(), "characters": text.chars().count(), "bytes": text.len(),
            });
            writeln!(out, "{object}")?;
        } else {
            if self.merges {
                show_merges(&tokenizer, &text, &mut out)?;
            }
            show(&tokenizer, &ids, &mut out)?;
            writeln!(out, "{}", counts(ids.len(), &text))?;
            if self.longest_match {
                show_longest_match(&tokenizer, &text, &ids, &mut out)?;
            }
        }
        out.flush()?;
        if !self.specials && tokenizer.decode(&ids)? != text {
            anstream::eprintln!("note: this tokenizer does not give back this text exactly");
        }
        Ok(())
    }

    fn encode(&self, tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        if self.specials {
            tokenizer.encode_with_specials(text)
        } else {
            tokenizer.encode(text)
        }
    }

    fn lines(
        &self,
        tokenizer: &Tokenizer,
        input: impl BufRead,
        out: &mut impl Write,
    ) -> Result<()> {
        for (line, number) in input.lines().zip(1..) {
            let line = line.with_context(|| format!("line {number} of standard input"))?;
            let text: String = serde_json::from_str(&line).with_context(|| {
                format!("line {number} of standard input is not one JSON string")
            })?;
            let ids = self.encode(tokenizer, &text);
            let object = json!({ "ids": ids, "pieces": pieces(tokenizer, &ids) });
            writeln!(out, "{object}")?;
        }
        Ok(())
    }
}

fn pieces<'t>(tokenizer: &'t Tokenizer, ids: &[u32]) -> Vec<&'t str> {
    ids.iter()
        .filter_map(|&id| tokenizer.vocabulary().get(id))
        .map(|piece| piece.text)
        .collect()
}

fn counts(tokens: usize, text: &str) -> String {
    let (characters, bytes) = (text.chars().count(), text.len());
    let mut line = format!("{tokens} tokens, {characters} characters, {bytes} bytes");
    if tokens > 0 && characters > 0 {
        let per_character = tokens as f64 / characters as f64;
        let per_token = bytes as f64 / tokens as f64;
        line += &format!(": {per_character:.3} tokens a character, {per_token:.2} bytes a token");
    }
    line
}

/// A piece as a reader sees it: spaces as `▁`, what does not print escaped, half characters as bytes.
fn visible_piece(tokenizer: &Tokenizer, id: u32) -> String {
    let piece = tokenizer.vocabulary().get(id);
    if let Some(Kind::Byte(byte)) = piece.map(|piece| piece.kind) {
        return byte_piece(byte);
    }
    visible_bytes(&tokenizer.piece_bytes(id).unwrap_or_default())
}

const COLOURS: [AnsiColor; 5] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
];

/// Columns of the terminal; of what is none, as many as COLUMNS says, or 80.
fn columns() -> usize {
    if let Some((width, _)) = terminal_size::terminal_size_of(io::stdout()) {
        return width.0.into();
    }
    let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    columns.unwrap_or(80)
}

/// Pieces with their ids below, in as many rows as the terminal needs.
fn show(tokenizer: &Tokenizer, ids: &[u32], out: &mut impl Write) -> io::Result<()> {
    let columns = columns();
    let (mut above, mut below, mut width) = (String::new(), String::new(), 0);
    for (i, &id) in ids.iter().enumerate() {
        let (piece, number) = (visible_piece(tokenizer, id), id.to_string());
        let (piece_width, cell) = (piece.width(), piece.width().max(number.len()));
        if width > 0 && width + cell > columns {
            writeln!(out, "{}\n{}", above.trim_end(), below.trim_end())?;
            (above, below, width) = (String::new(), String::new(), 0);
        }
        let style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Black)));
        let style = style.bg_color(Some(Color::Ansi(COLOURS[i % COLOURS.len()])));
        let pad = cell - piece_width + 1;
        above += &format!("{style}{piece}{style:#}{:pad$}", "");
        below += &format!("{number:<cell$} ");
        width += cell + 1;
    }
    if width > 0 {
        writeln!(out, "{}\n{}", above.trim_end(), below.trim_end())?;
    }
    Ok(())
}

fn show_merges(tokenizer: &Tokenizer, text: &str, out: &mut impl Write) -> io::Result<()> {
    let prepared = tokenizer.prepare(text).text;
    let mut merges: Vec<Merge> = Vec::new();
    tokenizer.encode_observed(text, |merge| merges.push(merge));
    let part = |range: &std::ops::Range<usize>| visible(prepared.get(range.clone()).unwrap_or(""));
    for (step, merge) in merges.iter().enumerate() {
        let (left, right) = (part(&merge.left), part(&merge.right));
        let (rank, id) = (merge.rank, merge.id);
        let bold = Style::new().bold();
        writeln!(
            out,
            "{:>4}. {left} + {right} → {bold}{left}{right}{bold:#}  (id {id}, rank {rank}, byte {})",
            step + 1,
            merge.left.start,
        )?;
    }
    Ok(())
}

fn show_longest_match(
    tokenizer: &Tokenizer,
    text: &str,
    ids: &[u32],
    out: &mut impl Write,
) -> io::Result<()> {
    let longest = tokenizer.encode_longest_match(text);
    writeln!(out, "\nBy longest match, which is not BPE:")?;
    if longest == ids {
        return writeln!(out, "the same, for this text");
    }
    show(tokenizer, &longest, out)?;
    writeln!(out, "{}", counts(longest.len(), text))
}
