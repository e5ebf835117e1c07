//! `baichuan2 verify`: whether a model computes what it should.

use super::{
    model::{Model, ModelArgs, embedded},
    trace::{lines, table},
};
use anstyle::{AnsiColor, Style};
use anyhow::bail;
use baichuan2::{
    bpe::Tokenizer,
    checkpoint::Checkpoint,
    tensor::blas,
    verification::{self, Check, Published, Report, consistency, verify},
};
use comfy_table::{Cell, CellAlignment, Color};
use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

/// Check a model number by number against what it should compute.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  Every intermediate of a small 7B, and of a small 13B, against the shipped code:
    baichuan2 verify --model tests/goldens/tiny7b
    baichuan2 verify --model tests/goldens/tiny13b
  The published answers of the real model:
    baichuan2 verify --model Baichuan2-7B-Chat

What is compared depends on the folder. With acts.safetensors and golden.json beside the weights: every intermediate, the cache, losses, greedy \
ids and sampling filters, from every form in which the folder holds the weights. A published Baichuan 2: the answers that its publishers print. \
Any model: against itself, with and without a cache, with whole attention maps and in blocks. The exit code is 1 where a check does not pass.")]
pub struct Verify {
    #[command(flatten)]
    model: ModelArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Prints a table of what was checked.
    ///
    /// # Errors
    /// A model that cannot be opened, or a check that did not pass.
    pub fn run(self) -> anyhow::Result<()> {
        let folder = &self.model.model;
        let mut report = Report::default();
        if embedded(folder)?.is_none() {
            // What is wrong with the folder itself is told first.
            Checkpoint::open(folder)?;
            report = match verify(folder) {
                Err(verification::Error::NoGoldens { .. }) => report,
                report => report?,
            };
        }
        if report.checks.is_empty() {
            report.checks = of_a_real_model(folder)?;
        }
        let failed = report.checks.iter().filter(|check| !check.passed()).count();
        if self.json {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &as_json(&report)).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            print(&report)?;
        }
        if failed > 0 {
            bail!("{failed} of {} checks did not pass", report.checks.len());
        }
        Ok(())
    }
}

/// Checks for which the folder needs no numbers of its own.
fn of_a_real_model(folder: &Path) -> anyhow::Result<Vec<Check>> {
    let model = Model::open(folder)?;
    let tokenizer = model.tokenizer().ok();
    let vocab_size = model.checkpoint.config.vocab_size as u32;
    let ids = match tokenizer {
        Some(tokenizer) => {
            let mut ids = Vec::from_iter(model.bos());
            ids.extend(tokenizer.encode("Two and two make four. 二加二等于四。"));
            ids
        }
        None => (0..24).map(|i| (i * 37 + 5) % vocab_size).collect(),
    };
    let context = model.checkpoint.config.context;
    let mut checks = consistency(&model.decoder, &ids[..ids.len().min(context)])?;
    let chat = model.checkpoint.generation.user_token_id.is_some();
    if let Some(published) = Published::of(&model.checkpoint.config, chat) {
        checks.extend(of_published(&model, model.tokenizer()?, &published)?);
    } else {
        let dim = Style::new().fg_color(Some(AnsiColor::BrightBlack.into()));
        anstream::eprintln!(
            "{dim}no numbers of others are known for this model; it is compared with itself{dim:#}"
        );
    }
    Ok(checks)
}

fn of_published(
    model: &Model,
    tokenizer: &Tokenizer,
    published: &Published,
) -> anyhow::Result<Vec<Check>> {
    let checks = published.check(&model.decoder, tokenizer, &model.eos(), |item, answer| {
        anstream::eprintln!(
            "{}\n  published {}\n  here      {answer}",
            item.prompt,
            item.completion
        );
    })?;
    Ok(checks)
}

fn print(report: &Report) -> anyhow::Result<()> {
    let mut table = table([
        "what",
        "against",
        "numbers",
        "largest difference",
        "allowed",
        "",
    ]);
    // What was compared, with whom, and the verdict are words.
    for i in [1, 5] {
        let column = table.column_mut(i).into_iter();
        column.for_each(|column| column.set_cell_alignment(CellAlignment::Left));
    }
    for check in &report.checks {
        let exact = check.tolerance == 0.0;
        let number = |x: f64| {
            if exact || x == 0.0 {
                format!("{x}")
            } else {
                format!("{x:.1e}")
            }
        };
        let (mark, color) = if check.passed() {
            ("passed", Color::Green)
        } else {
            ("FAILED", Color::Red)
        };
        table.add_row([
            Cell::new(&check.what),
            Cell::new(&check.against),
            Cell::new(check.numbers),
            Cell::new(number(check.difference)),
            Cell::new(number(check.tolerance)),
            Cell::new(mark).fg(color),
        ]);
    }
    if !io::stdout().is_terminal() {
        table.force_no_tty();
    }
    let numbers: usize = report.checks.iter().map(|check| check.numbers).sum();
    let mut out = io::stdout().lock();
    writeln!(out, "{}", lines(&table))?;
    writeln!(
        out,
        "\n{} checks of {numbers} numbers; BLAS: {}",
        report.checks.len(),
        blas::NAME
    )?;
    Ok(out.flush()?)
}

fn as_json(report: &Report) -> serde_json::Value {
    let checks = report.checks.iter().map(|check| {
        serde_json::json!({
            "what": check.what, "against": check.against, "numbers": check.numbers,
            "difference": check.difference, "tolerance": check.tolerance, "passed": check.passed(),
        })
    });
    serde_json::json!({ "passed": report.passed(), "blas": blas::NAME, "checks": checks.collect::<Vec<_>>() })
}
