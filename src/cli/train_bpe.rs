//! `baichuan2 train-bpe`: a vocabulary from a text.

use super::{output::Outputs, read_text};
use anyhow::{Result, ensure};
use baichuan2::bpe::TrainingOptions;
use clap::{ArgAction, Args};
use indicatif::{ProgressBar, ProgressStyle};
use std::{io::Write, path::PathBuf, time::Instant};

const EXAMPLES: &str = "\
Examples:
  baichuan2 train-bpe --vocab-size 8000 --out my.model corpus.txt
  baichuan2 train-bpe --vocab-size 8000 --out my.model \\
    --user-defined-symbols '<sep>,<cls>' --reserved 100 a.txt b.txt
  baichuan2 train-bpe --vocab-size 4000 --out my.model \\
    --add-dummy-prefix true --character-coverage 1 corpus.txt";

/// Learn a BPE vocabulary from texts, and write it as a SentencePiece `.model`
///
/// The same text always gives the same vocabulary. Options have SentencePiece's names; defaults are Baichuan 2's.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct TrainBpe {
    /// Texts in UTF-8; no piece crosses the end of a line.
    #[arg(required = true, value_name = "TEXTFILE")]
    texts: Vec<PathBuf>,
    /// Number of pieces of all kinds.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    vocab_size: usize,
    /// The file to write.
    #[arg(long, short, value_name = "FILE.model")]
    out: PathBuf,
    /// Overwrite the file.
    #[arg(long)]
    force: bool,
    /// Share of the text's characters that get a piece, the most frequent first.
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.9998,
        allow_negative_numbers = true
    )]
    character_coverage: f64,
    /// Characters that a piece may have.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 32,
        allow_negative_numbers = true
    )]
    max_sentencepiece_length: usize,
    /// No piece across two scripts.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    split_by_unicode_script: bool,
    /// No piece across words.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    split_by_whitespace: bool,
    /// No piece of digits and others.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    split_by_number: bool,
    /// Every digit a piece.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    split_digits: bool,
    /// Pieces of nothing but spaces.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    allow_whitespace_only_pieces: bool,
    /// 256 pieces for bytes, so that any text can be encoded.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    byte_fallback: bool,
    /// Encode as if a space stood before the text.
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    add_dummy_prefix: bool,
    /// Pieces never to be merged, with commas between; ids begin at 3.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    user_defined_symbols: Vec<String>,
    /// After these, as many `<reserved_0>`, `<reserved_1>`, ….
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    reserved: usize,
    /// Name of id 0.
    #[arg(long, value_name = "NAME", default_value = "<unk>")]
    unk_piece: String,
    /// Name of id 1.
    #[arg(long, value_name = "NAME", default_value = "<s>")]
    bos_piece: String,
    /// Name of id 2.
    #[arg(long, value_name = "NAME", default_value = "</s>")]
    eos_piece: String,
}

impl TrainBpe {
    pub fn run(self) -> Result<()> {
        let outputs = Outputs::new([&self.out], self.force)?;
        // Before there are as many names as are asked for.
        ensure!(
            self.reserved == 0 || self.reserved < self.vocab_size,
            "--reserved {} leaves no room in a vocabulary of {} pieces; lower it, or raise --vocab-size",
            self.reserved,
            self.vocab_size
        );
        let texts = self
            .texts
            .iter()
            .map(|path| read_text(path))
            .collect::<Result<Vec<String>>>()?;
        let lines = || texts.iter().flat_map(|text| text.lines());

        let mut options = self.options();
        let reserved = (0..self.reserved).map(|i| format!("<reserved_{i}>"));
        options.user_defined_symbols.extend(reserved);
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
            "{bar:40} {pos}/{len} merges {msg}, {eta} left",
        )?);
        let start = Instant::now();
        let trained = options.train(lines(), |merge, of| {
            if merge.rank % 64 == 0 {
                bar.set_length(of as u64);
                bar.set_message(format!("({}, {} times)", merge.piece(), merge.count));
            }
            bar.inc(1);
        })?;
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        outputs.write(&self.out, |out| Ok(out.write_all(&trained.to_bytes())?))?;

        let tokenizer = trained.tokenizer()?;
        let (mut tokens, mut characters, mut bytes) = (0, 0, 0);
        for line in lines() {
            tokens += tokenizer.encode(line).len();
            characters += line.chars().count();
            bytes += line.len();
        }
        let mut out = super::output();
        writeln!(
            out,
            "{}: {} pieces, {} of them merges, learned from {bytes} bytes in {seconds:.2} s",
            self.out.display(),
            tokenizer.vocab_size(),
            trained.merges.len(),
        )?;
        writeln!(
            out,
            "the text in it: {tokens} tokens, {:.3} tokens a character, {:.2} bytes a token",
            tokens as f64 / (characters as f64).max(1.0),
            bytes as f64 / (tokens as f64).max(1.0),
        )?;
        out.flush()?;
        Ok(())
    }

    fn options(&self) -> TrainingOptions {
        TrainingOptions {
            vocab_size: self.vocab_size,
            character_coverage: self.character_coverage,
            max_sentencepiece_length: self.max_sentencepiece_length,
            split_by_unicode_script: self.split_by_unicode_script,
            split_by_whitespace: self.split_by_whitespace,
            split_by_number: self.split_by_number,
            split_digits: self.split_digits,
            allow_whitespace_only_pieces: self.allow_whitespace_only_pieces,
            byte_fallback: self.byte_fallback,
            add_dummy_prefix: self.add_dummy_prefix,
            user_defined_symbols: self.user_defined_symbols.clone(),
            unk_piece: self.unk_piece.clone(),
            bos_piece: self.bos_piece.clone(),
            eos_piece: self.eos_piece.clone(),
            ..TrainingOptions::default()
        }
    }
}
