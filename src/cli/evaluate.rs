//! `baichuan2 evaluate`: the loss of models on text that was held out.

use super::{
    checkpoints::{self, Opened},
    model::ModelsArgs,
    output::Outputs,
    position_picture::{self, Curve},
    read_text,
    trace::{lines, table},
    train::{paragraphs, spinner},
};
use anyhow::{Context, bail, ensure};
use baichuan2::{
    bpe::Tokenizer,
    training::{
        corpus::{Corpus, Document, Kind, Split},
        held_out::{Tally, by_position, ids_needed, packed, read},
    },
};
use clap::builder::RangedU64ValueParser;
use serde_json::json;
use std::{
    collections::BTreeSet,
    f64::consts::LN_2,
    io::Write,
    path::{Path, PathBuf},
};

/// Measure the loss of models on text they never saw: the held-out part of the built-in corpus, or a text of your own
///
/// Each document is read alone, from its beginning, after the token that ends another; its own end is predicted too. So the loss can be held against
/// what the document itself costs: `entropy` is the loss of a reader who knows how the corpus is made and that these documents are held out; none reads better
/// on average, but where a story can be told in two ways the figure is only a bound. Which items are held out no training text tells: `learnable` is the loss
/// of a reader who knows all but that, and 1.00 in its last column is what a model can hope for.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  baichuan2 evaluate
  baichuan2 evaluate --model models/rope --checkpoints    how the loss fell
  baichuan2 evaluate --model my-model --text mine.txt     documents are what empty lines separate
  baichuan2 evaluate --by-position --svg length.svg

Loss is in nats a token, ± its standard error. Bits a character compare models of different tokenizers. With --by-position, the text is packed as \
in training and the same tokens are predicted at every position, up to --times the trained length, so that only the position differs.")]
pub struct Evaluate {
    #[command(flatten)]
    of: ModelsArgs,
    /// Take the checkpoints of each folder too, a line each: those in it, or in `checkpoints` in it, named tokens-N.
    #[arg(long, conflicts_with = "by_position")]
    checkpoints: bool,
    /// So many tokens of whole documents, as the first model's tokenizer counts them; 50000 of the corpus, or all of a text of your own. With --by-position,
    /// so many in each bin of positions: 8192, or as many as the text has.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000_000)
    )]
    tokens: Option<usize>,
    /// A text file in place of the built-in corpus.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Which documents of the corpus: the same seed gives the same ones, all of them held out from training on any seed.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        allow_negative_numbers = true,
        conflicts_with = "text"
    )]
    seed: u64,
    /// One JSON object in place of the tables.
    #[arg(long)]
    json: bool,
    /// The loss by position, beyond the trained length, in place of that by document.
    #[arg(long)]
    by_position: bool,
    /// Up to so many times the trained length (the longest of several).
    #[arg(long, default_value_t = 4, value_name = "N", requires = "by_position", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    times: usize,
    /// How many bins of positions.
    #[arg(long, default_value_t = 16, value_name = "N", requires = "by_position", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(2..=256))]
    bins: usize,
    /// Draw the loss by position.
    #[arg(long, value_name = "FILE", requires = "by_position")]
    svg: Option<PathBuf>,
    /// Write the loss by position as numbers.
    #[arg(long, value_name = "FILE", requires = "by_position")]
    csv: Option<PathBuf>,
    /// Overwrite files.
    #[arg(long)]
    force: bool,
}

/// Tokens of the corpus, by document.
const TOKENS: usize = 50_000;
/// Tokens in each bin of positions.
const TOKENS_OF_A_BIN: usize = 8192;

/// A text to be read, and what is known of it where it is of the corpus.
struct Sample {
    text: String,
    known: Option<CodeLength>,
}

struct CodeLength {
    kind: Kind,
    bits: f64,
    split_bits: f64,
}

/// What a model makes of documents, and what they cost by themselves.
#[derive(Clone, Copy, Default)]
struct Measured {
    tally: Tally,
    bits: f64,
    split_bits: f64,
}

impl Measured {
    fn entropy(&self) -> f64 {
        self.tally.nats_a_token(self.bits)
    }

    fn learnable(&self) -> f64 {
        self.tally.nats_a_token(self.bits + self.split_bits)
    }

    fn json(&self, known: bool) -> serde_json::Value {
        let tally = &self.tally;
        let mut report = json!({
            "documents": tally.documents,
            "longer_than_trained": tally.longer,
            "tokens": tally.tokens,
            "characters": tally.characters,
            "nats_a_token": tally.loss(),
            "standard_error": finite(tally.standard_error()),
            "bits_a_character": tally.bits_a_character(),
            "perplexity": tally.perplexity(),
        });
        if known {
            for (name, nats) in [("entropy", self.entropy()), ("learnable", self.learnable())] {
                let bits = nats / LN_2 * tally.tokens as f64 / tally.characters as f64;
                report[name] = json!({
                    "nats_a_token": nats,
                    "bits_a_character": bits,
                    "perplexity": nats.exp(),
                    "ratio": tally.loss() / nats,
                });
            }
        }
        report
    }
}

/// A model's documents, all and by kind.
struct Evaluation {
    folder: PathBuf,
    context: usize,
    all: Measured,
    kinds: Vec<(Kind, Measured)>,
}

impl Evaluate {
    /// Measures and prints.
    ///
    /// # Errors
    /// A model or a text that cannot be read, too little text, an output that cannot be written.
    pub fn run(self) -> anyhow::Result<()> {
        let outputs = Outputs::new(self.svg.iter().chain(&self.csv), self.force)?;
        match self.by_position {
            true => self.by_position(&outputs),
            false => self.by_document(),
        }
    }

    fn by_document(&self) -> anyhow::Result<()> {
        let mut folders = Vec::new();
        for run in &self.of.models {
            match self.checkpoints {
                true => folders.extend(checkpoints::of_run(run)?.into_iter().map(|at| (at, run))),
                false => folders.push((run.clone(), run)),
            }
        }
        // All are opened before any is measured, which takes its time.
        let opened = folders.iter().map(|(folder, run)| open(folder, run));
        let opened: Vec<Ready> = opened.collect::<anyhow::Result<_>>()?;
        let first = opened.first().context("no model")?;
        let held = self.documents(&first.opened.tokenizer)?;
        let mut measured = Vec::new();
        for ((folder, _), ready) in folders.into_iter().zip(opened) {
            measured.push(measure(folder, &ready, &held)?);
        }
        let mut out = anstream::stdout().lock();
        if self.json {
            let models = measured.iter().map(|model| {
                let mut report = model.all.json(self.text.is_none());
                report["model"] = json!(model.folder);
                report["trained_length"] = json!(model.context);
                if self.text.is_none() {
                    let kinds = model.kinds.iter();
                    report["kinds"] = kinds
                        .map(|(kind, measured)| (kind.to_string(), measured.json(true)))
                        .collect::<serde_json::Map<_, _>>()
                        .into();
                }
                report
            });
            let report = json!({
                "seed": self.text.is_none().then_some(self.seed),
                "text": self.text,
                "models": models.collect::<Vec<_>>(),
            });
            writeln!(out, "{report:#}")?;
            return Ok(());
        }
        writeln!(out, "{}", totals(&measured, self.text.is_none()))?;
        if self.text.is_none() && !self.checkpoints {
            let folders: Vec<PathBuf> = measured.iter().map(|model| model.folder.clone()).collect();
            for (model, name) in measured.iter().zip(checkpoints::names(&folders)) {
                writeln!(out, "\n{}", kinds(&name, model))?;
            }
        }
        // Once for all models and checkpoints of one length.
        let longer = measured.iter().filter(|model| model.all.tally.longer > 0);
        let longer: BTreeSet<_> = longer
            .map(|model| (model.context, model.all.tally.longer))
            .collect();
        for (context, documents) in longer {
            eprintln!(
                "{documents} of {} documents are longer than the {context} tokens trained on at a time, and were read in windows of so many, each half \
                 a window on",
                held.len(),
            );
        }
        Ok(())
    }

    /// So much of the corpus, or of a text.
    fn documents(&self, tokenizer: &Tokenizer) -> anyhow::Result<Vec<Sample>> {
        let mut left = match (self.tokens, &self.text) {
            (Some(tokens), _) => tokens,
            (None, Some(_)) => usize::MAX,
            (None, None) => TOKENS,
        };
        let mut held = Vec::new();
        self.each_document(|text, known| {
            let tokens = tokenizer.encode(&text).len() + 1; // and the end
            held.push(Sample { text, known });
            left = left.saturating_sub(tokens);
            left > 0
        })?;
        Ok(held)
    }

    /// Calls `take` on one document after the other, until it has enough of them.
    fn each_document(
        &self,
        mut take: impl FnMut(String, Option<CodeLength>) -> bool,
    ) -> anyhow::Result<()> {
        let Some(path) = &self.text else {
            for Document {
                text,
                kind,
                bits,
                split_bits,
            } in Corpus::of(self.seed, Split::Validation)
            {
                let known = CodeLength {
                    kind,
                    bits,
                    split_bits,
                };
                if !take(text, Some(known)) {
                    break;
                }
            }
            return Ok(());
        };
        let text = read_text(path)?;
        let mut paragraphs = paragraphs(&text).peekable();
        ensure!(
            paragraphs.peek().is_some(),
            "{}: has no text to measure on",
            path.display()
        );
        for paragraph in paragraphs {
            if !take(paragraph.to_owned(), None) {
                break;
            }
        }
        Ok(())
    }

    fn by_position(&self, outputs: &Outputs) -> anyhow::Result<()> {
        let models = self.of.models.iter().map(|folder| open(folder, folder));
        let models: Vec<Ready> = models.collect::<anyhow::Result<_>>()?;
        let longest = models
            .iter()
            .map(|ready| ready.opened.decoder.config().context);
        let length = longest
            .max()
            .unwrap_or(0)
            .checked_mul(self.times)
            .context("so many positions are too many to count")?;
        let (width, bins) = (length / self.bins, self.bins);
        ensure!(
            width > 0,
            "{length} positions cannot be put in {bins} bins; ask for fewer with --bins"
        );
        let texts = self.packed(&models, width)?;
        let (first, others) = texts.split_first().context("no model")?;
        if let Some(i) = others.iter().position(|ids| ids != first) {
            bail!(
                "{} and {} cut the text into different tokens, whose losses cannot be compared token by token; measure them one at a time",
                self.of.models[0].display(),
                self.of.models[i + 1].display()
            );
        }
        let blocks = ((first.len() - 1) / width + 1).saturating_sub(bins);
        ensure!(
            blocks > 1,
            "the text has {} tokens, but two blocks of {width} at {bins} places each take {}; give more text, or fewer --times",
            first.len(),
            ids_needed(width, bins, 2)
        );
        let mut curves = Vec::new();
        let names = checkpoints::names(&self.of.models);
        for ((folder, name), ready) in self.of.models.iter().zip(names).zip(&models) {
            let decoder = &ready.opened.decoder;
            let bar = spinner("reading the text at every position");
            let losses = by_position(decoder, first, width, bins, blocks)
                .with_context(|| folder.display().to_string())?;
            bar.finish_and_clear();
            curves.push(Curve {
                name,
                trained: decoder.config().context,
                losses,
            });
        }
        if let Some(path) = &self.svg {
            let picture = position_picture::svg(&curves)?;
            outputs.write(path, |out| Ok(out.write_all(picture.as_bytes())?))?;
        }
        if let Some(path) = &self.csv {
            outputs.write(path, |out| Ok(position_picture::csv(&curves, out)?))?;
        }
        let mut out = anstream::stdout().lock();
        if self.json {
            let models = self.of.models.iter().zip(&curves);
            let report = json!({
                "seed": self.text.is_none().then_some(self.seed),
                "text": self.text,
                "tokens_of_a_bin": blocks * width,
                "models": models.map(|(model, curve)| curve.json(model)).collect::<Vec<_>>(),
            });
            writeln!(out, "{report:#}")?;
        } else {
            writeln!(out, "{}", position_picture::rows(&curves))?;
            for curve in &curves {
                if let Some(told) = curve.told() {
                    writeln!(out, "{told}")?;
                }
            }
        }
        Ok(())
    }

    /// Packed text for each model, enough for the bins.
    fn packed(&self, models: &[Ready], width: usize) -> anyhow::Result<Vec<Vec<u32>>> {
        let Some(first) = models.first() else {
            return Ok(Vec::new());
        };
        let of_a_bin = match (self.tokens, &self.text) {
            (None, Some(_)) => usize::MAX / 2,
            (tokens, _) => tokens.unwrap_or(TOKENS_OF_A_BIN),
        };
        // As many whole blocks as hold so many tokens, and two at the least, for a standard error.
        let needed = ids_needed(width, self.bins, of_a_bin.div_ceil(width).max(2));
        let (mut documents, mut found) = (Vec::new(), 1);
        self.each_document(|text, _| {
            found += first.opened.tokenizer.encode(&text).len() + 1;
            documents.push(text);
            found < needed
        })?;
        let texts = models.iter().map(|Ready { opened, end }| {
            let documents = documents.iter().map(String::as_str);
            let mut ids = packed(documents, &opened.tokenizer, *end);
            ids.truncate(needed);
            ids
        });
        Ok(texts.collect())
    }
}

/// A model, and what ends a text.
struct Ready {
    opened: Opened,
    end: u32,
}

fn open(model: &Path, run: &Path) -> anyhow::Result<Ready> {
    let name = || model.display().to_string();
    let opened = checkpoints::open(model, run).with_context(name)?;
    let end = opened.end().with_context(name)?;
    Ok(Ready { opened, end })
}

fn measure(folder: PathBuf, ready: &Ready, held: &[Sample]) -> anyhow::Result<Evaluation> {
    let (decoder, tokenizer) = (&ready.opened.decoder, &ready.opened.tokenizer);
    let bar = spinner("reading");
    let texts: Vec<String> = held.iter().map(|held| held.text.clone()).collect();
    let readings = read(decoder, tokenizer, ready.end, &texts);
    let readings = readings.with_context(|| folder.display().to_string())?;
    bar.finish_and_clear();
    let mut all = Measured::default();
    let mut kinds: Vec<_> = Kind::all()
        .map(|kind| (kind, Measured::default()))
        .collect();
    for (held, reading) in held.iter().zip(&readings) {
        all.tally.add(reading);
        let Some(known) = &held.known else { continue };
        let of_kind = kinds.iter_mut().filter(|(kind, _)| *kind == known.kind);
        let of_kind = of_kind.map(|(_, measured)| measured);
        // The total has its reading already.
        all.bits += known.bits;
        all.split_bits += known.split_bits;
        for measured in of_kind {
            measured.tally.add(reading);
            measured.bits += known.bits;
            measured.split_bits += known.split_bits;
        }
    }
    kinds.retain(|(_, measured)| measured.tally.documents > 0);
    Ok(Evaluation {
        folder,
        context: decoder.config().context,
        all,
        kinds,
    })
}

/// A model a line.
fn totals(models: &[Evaluation], known: bool) -> String {
    let mut header = vec![
        "model",
        "tokens",
        "loss",
        "±",
        "bits a character",
        "perplexity",
    ];
    if known {
        header.extend(CODE_LENGTHS);
    }
    let mut table = table(header);
    let folders: Vec<PathBuf> = models.iter().map(|model| model.folder.clone()).collect();
    for (model, name) in models.iter().zip(checkpoints::names(&folders)) {
        let tally = &model.all.tally;
        let mut row = vec![
            name,
            tally.tokens.to_string(),
            format!("{:.4}", tally.loss()),
            error(tally.standard_error()),
            format!("{:.4}", tally.bits_a_character()),
            format!("{:.2}", tally.perplexity()),
        ];
        if known {
            row.extend(code_lengths(&model.all));
        }
        table.add_row(row);
    }
    lines(&table)
}

/// A kind a line.
fn kinds(name: &str, model: &Evaluation) -> String {
    let mut header = vec![name, "documents", "tokens", "loss", "±"];
    header.extend(CODE_LENGTHS);
    let mut table = table(header);
    let kinds = model.kinds.iter();
    let rows = kinds.map(|(kind, measured)| (kind.to_string(), measured));
    for (kind, measured) in rows.chain([("all".to_owned(), &model.all)]) {
        let tally = &measured.tally;
        let mut row = vec![
            kind,
            tally.documents.to_string(),
            tally.tokens.to_string(),
            format!("{:.4}", tally.loss()),
            error(tally.standard_error()),
        ];
        row.extend(code_lengths(measured));
        table.add_row(row);
    }
    lines(&table)
}

const CODE_LENGTHS: [&str; 4] = ["entropy", "× entropy", "learnable", "× learnable"];

fn code_lengths(measured: &Measured) -> [String; 4] {
    let (loss, entropy, learnable) = (
        measured.tally.loss(),
        measured.entropy(),
        measured.learnable(),
    );
    [
        format!("{entropy:.4}"),
        format!("{:.2}", loss / entropy),
        format!("{learnable:.4}"),
        format!("{:.2}", loss / learnable),
    ]
}

/// What one document alone has none of.
fn finite(x: f64) -> Option<f64> {
    Some(x).filter(|x| x.is_finite())
}

fn error(x: f64) -> String {
    finite(x).map_or("–".to_owned(), |x| format!("{x:.4}"))
}
